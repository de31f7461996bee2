"""What a SendStream has still to send, and what has left and is not settled. No I/O, no locks: its owner brings them."""

from __future__ import annotations

import collections
from typing import Generic, Optional, TypeVar

from barista.errors import BaristaError, BatchRequestTooLong, from_entry
from barista.types import Sent, decode_sent
from barista.v1 import queue_pb2 as api

# Of the broker; a stream that has as much unsettled is not read further.
MAX_UNSETTLED_ENTRIES = 10_000
MAX_UNSETTLED_BYTES = 8 << 20
MAX_ENTRY_BYTES = 4 << 20
# Of a request: the broker takes up to 1,000 entries and 4 MiB.
MAX_REQUEST_ENTRIES = 1_000
MAX_REQUEST_BYTES = 1 << 20

Handle = TypeVar("Handle")


class SendWindow(Generic[Handle]):
    """`Handle` is what the caller got for an entry, to be told what became of it. Entries settle in their order."""

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._pending: collections.deque[api.SendMessageEntry] = collections.deque()
        self._unsettled: collections.deque[tuple[Handle, int]] = collections.deque()
        self._unsettled_bytes = 0
        self._settled = 0
        self._started = False

    @property
    def full(self) -> bool:
        return len(self._unsettled) >= MAX_UNSETTLED_ENTRIES or self._unsettled_bytes >= MAX_UNSETTLED_BYTES

    @property
    def pending(self) -> bool:
        return bool(self._pending)

    @property
    def added(self) -> int:
        """The number of the newest entry."""
        return self._settled + len(self._unsettled)

    @property
    def settled(self) -> int:
        return self._settled

    @staticmethod
    def check(entry: api.SendMessageEntry) -> None:
        """BatchRequestTooLong: the entry fits into no request, and would break the stream."""
        size = entry.ByteSize()
        if size > MAX_ENTRY_BYTES:
            raise BatchRequestTooLong(
                f"message is {size} bytes; limit {MAX_ENTRY_BYTES}", reason="BatchRequestTooLong",
                field="MessageBody", value=str(size), limit=str(MAX_ENTRY_BYTES),
            )  # fmt: skip

    def add(self, entry: api.SendMessageEntry, handle: Handle) -> None:
        size = entry.ByteSize()
        self._pending.append(entry)
        self._unsettled.append((handle, size))
        self._unsettled_bytes += size

    def take_request(self) -> Optional[api.SendStreamRequest]:
        """What has gathered, up to the limits of a request; None: nothing."""
        if not self._pending:
            return None
        entries: list[api.SendMessageEntry] = []
        size = 0
        while self._pending and len(entries) < MAX_REQUEST_ENTRIES:
            size += self._pending[0].ByteSize()
            if entries and size > MAX_REQUEST_BYTES:
                break
            entries.append(self._pending.popleft())
        first, self._started = not self._started, True
        return api.SendStreamRequest(queue=self._queue if first else "", results=first, entries=entries)

    def settle(self, response: api.SendStreamResponse) -> list[tuple[Handle, Sent]]:
        """Those that `response` tells of, in order."""
        errors: dict[int, BaristaError] = {}
        for failure in response.failures:
            error = from_entry(failure.error)
            errors.update((failure.first + i, error) for i in range(failure.count))
        outcomes = []
        for result in response.results:
            handle, size = self._unsettled.popleft()
            self._unsettled_bytes -= size
            self._settled += 1
            failed = errors.get(self._settled)
            outcomes.append((handle, Sent(error=failed) if failed else decode_sent(result)))
        return outcomes

    def abandon(self) -> list[Handle]:
        """Those that are not settled; the stream has ended."""
        handles = [handle for handle, _ in self._unsettled]
        self._pending.clear()
        self._unsettled.clear()
        self._unsettled_bytes = 0
        return handles
