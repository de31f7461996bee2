"""Arguments as requests and replies as results: what the blocking and the async client have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Optional, Union

from google.protobuf.duration_pb2 import Duration

from barista.errors import BaristaError, from_entry
from barista.types import Body, Entry, Seconds, duration, encode_entry
from barista.v1 import queue_pb2 as api


def _optional(value: Optional[Seconds]) -> Optional[Duration]:
    return None if value is None else duration(value)


def send(queue: str, entries: Iterable[Union[Entry, Body]]) -> api.SendMessageRequest:
    return api.SendMessageRequest(queue=queue, entries=[encode_entry(entry) for entry in entries])


def receive(
    queue: str, max_messages: int, wait: Optional[Seconds], visibility_timeout: Optional[Seconds]
) -> api.ReceiveMessageRequest:
    return api.ReceiveMessageRequest(
        queue=queue,
        max_messages=max_messages,
        wait=_optional(wait),
        visibility_timeout=_optional(visibility_timeout),
    )


def change_visibility(queue: str, receipt_handle: str, timeout: Seconds) -> api.ChangeMessageVisibilityRequest:
    entry = api.ChangeMessageVisibilityEntry(receipt_handle=receipt_handle, visibility_timeout=duration(timeout))
    return api.ChangeMessageVisibilityRequest(queue=queue, entries=[entry])


def consume(queue: str, visibility_timeout: Optional[Seconds], heartbeat: bool) -> api.ConsumeStart:
    return api.ConsumeStart(queue=queue, visibility_timeout=_optional(visibility_timeout), heartbeat=heartbeat)


def entry_errors(results: Sequence[api.EntryResult]) -> list[Optional[BaristaError]]:
    return [from_entry(result.error) if result.HasField("error") else None for result in results]
