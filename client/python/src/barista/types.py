"""What goes into queues and comes out of them, without a connection: values, and their form in `barista.v1`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Optional, Union

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from barista.errors import BaristaError, from_entry
from barista.v1 import queue_pb2 as api

# Seconds, or a timedelta.
Seconds = Union[int, float, datetime.timedelta]
Body = Union[str, bytes]
# Types String, Number and Binary.
AttributeValue = Union[str, bytes, int, float, Decimal]


@dataclass(frozen=True)
class Entry:
    """A message to be sent. `body`: at least one byte; `attributes`: up to 10; `delay`: 0 s to 15 min."""

    body: Body
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict)
    delay: Optional[Seconds] = None
    group_id: Optional[str] = None
    dedup_id: Optional[str] = None
    trace_header: Optional[str] = None


@dataclass(frozen=True)
class Sent:
    """What became of an entry: a `message_id`, or an `error`."""

    message_id: str = ""
    sequence_number: Optional[int] = None
    error: Optional[BaristaError] = None


@dataclass(frozen=True)
class QueueInfo:
    """A queue and what it holds. `attributes` by AWS's names, as strings."""

    name: str
    arn: str
    url: str
    attributes: Mapping[str, str]
    tags: Mapping[str, str]

    @property
    def visible(self) -> int:
        return int(self.attributes["ApproximateNumberOfMessages"])

    @property
    def in_flight(self) -> int:
        return int(self.attributes["ApproximateNumberOfMessagesNotVisible"])

    @property
    def delayed(self) -> int:
        return int(self.attributes["ApproximateNumberOfMessagesDelayed"])


@dataclass(frozen=True)
class MessageData:
    """A message as it is stored. Attributes of type Number are int or Decimal."""

    message_id: str
    body: bytes
    attributes: Mapping[str, Union[str, bytes, int, Decimal]]
    receive_count: int
    sent_at: datetime.datetime
    first_received_at: Optional[datetime.datetime]
    group_id: Optional[str]
    dedup_id: Optional[str]
    sequence_number: Optional[int]
    trace_header: Optional[str]
    sender_id: Optional[str]
    dead_letter_source: Optional[str]

    @property
    def text(self) -> str:
        """The body as UTF-8, which it is on queues of the BodyCharset `text`. UnicodeDecodeError: it is not."""
        return self.body.decode()


@dataclass(frozen=True)
class Peeked(MessageData):
    """A message that was looked at. `state`: visible, in_flight or delayed; `visible_at`: when it becomes visible."""

    state: str
    visible_at: Optional[datetime.datetime]


def duration(value: Seconds) -> Duration:
    result = Duration()
    result.FromTimedelta(value if isinstance(value, datetime.timedelta) else datetime.timedelta(seconds=value))
    return result


def seconds(value: Seconds) -> float:
    return value.total_seconds() if isinstance(value, datetime.timedelta) else float(value)


def _datetime(value: Timestamp) -> datetime.datetime:
    return value.ToDatetime(tzinfo=datetime.timezone.utc)


def _attribute(name: str, value: AttributeValue) -> api.MessageAttributeValue:
    if isinstance(value, str):
        return api.MessageAttributeValue(data_type="String", string_value=value)
    if isinstance(value, bytes):
        return api.MessageAttributeValue(data_type="Binary", binary_value=value)
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return api.MessageAttributeValue(data_type="Number", string_value=str(value))
    raise TypeError(f"attribute {name!r} is a {type(value).__name__}; allowed: str, bytes, int, float, Decimal")


def _attribute_value(value: api.MessageAttributeValue) -> Union[str, bytes, int, Decimal]:
    kind = value.data_type.partition(".")[0]
    if kind == "Binary":
        return value.binary_value
    if kind != "Number":
        return value.string_value
    try:
        return int(value.string_value)
    except ValueError:
        return Decimal(value.string_value)


def encode_entry(entry: Union[Entry, Body]) -> api.SendMessageEntry:
    if isinstance(entry, (str, bytes)):
        entry = Entry(entry)
    return api.SendMessageEntry(
        body=entry.body.encode() if isinstance(entry.body, str) else entry.body,
        attributes={name: _attribute(name, value) for name, value in entry.attributes.items()},
        delay=None if entry.delay is None else duration(entry.delay),
        group_id=entry.group_id,
        dedup_id=entry.dedup_id,
        trace_header=entry.trace_header,
    )


def decode_sent(result: api.SendMessageResult) -> Sent:
    return Sent(
        result.message_id,
        result.sequence_number if result.HasField("sequence_number") else None,
        from_entry(result.error) if result.HasField("error") else None,
    )


def message_fields(message: api.Message) -> dict[str, Any]:
    """The arguments of MessageData, and of what is made of it."""

    def optional(name: str) -> Any:
        return getattr(message, name) if message.HasField(name) else None

    return {
        "message_id": message.message_id,
        "body": message.body,
        "attributes": {name: _attribute_value(value) for name, value in message.attributes.items()},
        "receive_count": message.receive_count,
        "sent_at": _datetime(message.sent_at),
        "first_received_at": _datetime(message.first_received_at) if message.HasField("first_received_at") else None,
        **{
            name: optional(name)
            for name in ("group_id", "dedup_id", "sequence_number", "trace_header", "sender_id", "dead_letter_source")
        },
    }


def decode_peeked(peeked: api.PeekedMessage) -> Peeked:
    return Peeked(
        **message_fields(peeked.message),
        state=api.MessageState.Name(peeked.state).replace("MESSAGE_STATE_", "").lower(),
        visible_at=_datetime(peeked.visible_at) if peeked.HasField("visible_at") else None,
    )


def decode_queue(queue: api.Queue) -> QueueInfo:
    return QueueInfo(queue.name, queue.arn, queue.url, dict(queue.attributes), dict(queue.tags))


def encode_attributes(attributes: Mapping[str, object]) -> dict[str, str]:
    """Queue attributes: `visibility_timeout=30` and `VisibilityTimeout="30"` are the same."""

    def name_of(name: str) -> str:
        return "".join(part[:1].upper() + part[1:] for part in name.split("_"))

    def text_of(value: object) -> str:
        if isinstance(value, datetime.timedelta):
            value = value.total_seconds()
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return json.dumps(value) if isinstance(value, Mapping) else str(value)

    return {name_of(name): text_of(value) for name, value in attributes.items()}
