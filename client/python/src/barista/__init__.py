"""The client of barista, a message broker with the semantics of Amazon SQS.

    with barista.connect() as client:
        orders = client.create_queue("orders", visibility_timeout=30)
        orders.send("two espressos", attributes={"table": 7})
        for message in orders.receive():
            print(message.text)
            message.delete()

`barista.aio` is the same for asyncio.
"""

from typing import Optional

from barista._calls import DEFAULT_TIMEOUT_SECONDS, Endpoint, Path
from barista.client import Client, Queue
from barista.consumer import Consumer
from barista.errors import (
    AccessDenied,
    AlreadyExists,
    BaristaError,
    BatchRequestTooLong,
    BrokerClosed,
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    EmptyBatchRequest,
    FailedPrecondition,
    IntakeFull,
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidClientTokenId,
    InvalidMessageContents,
    InvalidParameterValue,
    InvalidRequest,
    MalformedRequest,
    MemoryFull,
    MissingAuthenticationToken,
    MissingParameter,
    NotFound,
    OverLimit,
    PermissionDenied,
    QueueDoesNotExist,
    QueueNameExists,
    ReceiptHandleIsInvalid,
    RequestThrottled,
    ResourceExhausted,
    ServerBusy,
    ServerDraining,
    StorageFull,
    StoreUnavailable,
    TooManyEntriesInBatchRequest,
    TooManyReplyBytes,
    TooManyStreams,
    Unauthenticated,
    Unavailable,
    UnsupportedOperation,
)
from barista.message import Message
from barista.sender import Sender
from barista.types import Entry, MessageData, Peeked, QueueInfo, Sent
from barista.worker import Worker

__all__ = [
    "AccessDenied",
    "AlreadyExists",
    "BaristaError",
    "BatchRequestTooLong",
    "BrokerClosed",
    "Cancelled",
    "Client",
    "Consumer",
    "DataLoss",
    "DeadlineExceeded",
    "EmptyBatchRequest",
    "Entry",
    "FailedPrecondition",
    "IntakeFull",
    "InvalidAttributeName",
    "InvalidAttributeValue",
    "InvalidClientTokenId",
    "InvalidMessageContents",
    "InvalidParameterValue",
    "InvalidRequest",
    "MalformedRequest",
    "MemoryFull",
    "Message",
    "MessageData",
    "MissingAuthenticationToken",
    "MissingParameter",
    "NotFound",
    "OverLimit",
    "Peeked",
    "PermissionDenied",
    "Queue",
    "QueueDoesNotExist",
    "QueueInfo",
    "QueueNameExists",
    "ReceiptHandleIsInvalid",
    "RequestThrottled",
    "ResourceExhausted",
    "Sender",
    "Sent",
    "ServerBusy",
    "ServerDraining",
    "StorageFull",
    "StoreUnavailable",
    "TooManyEntriesInBatchRequest",
    "TooManyReplyBytes",
    "TooManyStreams",
    "Unauthenticated",
    "Unavailable",
    "UnsupportedOperation",
    "Worker",
    "connect",
]


def connect(
    server: Optional[str] = None,
    *,
    token: Optional[str] = None,
    tls_ca: Optional[Path] = None,
    tls_cert: Optional[Path] = None,
    tls_key: Optional[Path] = None,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> Client:
    """A client of the broker at `server`, "HOST:PORT" or "unix:PATH" (default: BARISTA_SERVER of the environment, or
    127.0.0.1:9326). Nothing is connected before the first call.

    `token` (default: BARISTA_TOKEN) goes with every call.
    `tls_ca`: PEM file with the roots of the broker's certificate; without it there is no TLS. `tls_cert` and `tls_key`:
    our certificate, for a broker that asks for one. `timeout`: of each call, beside what it waits.
    """
    return Client(Endpoint.of(server, token, tls_ca, tls_cert, tls_key), timeout)
