"""What can go wrong: one exception per reason of `barista.v1.Error`, below one per code that says what to do next.

    try:
        queue.send("...")
    except barista.QueueDoesNotExist: ...
    except barista.ResourceExhausted: ...   # later, with a growing pause
    except barista.BaristaError as error:
        print(error.reason, error.field, error.value, error.limit)

What failed has changed nothing, except after `Unavailable`, `DeadlineExceeded` and `Cancelled`: then it is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional, Union

import grpc

from barista.rpc import status_pb2
from barista.v1 import error_pb2


class BaristaError(Exception):
    """`code` is the gRPC status code, `reason` AWS's name of the error, empty where no broker gave one.

    `field`, `value` and `limit` say which parameter is wrong, its value (shortened) and what it broke; empty without.
    """

    def __init__(
        self,
        message: str,
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        reason: str = "",
        field: str = "",
        value: str = "",
        limit: str = "",
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.reason = message, code, reason
        self.field, self.value, self.limit = field, value, limit

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}" if self.reason else f"{self.code.name}: {self.message}"


# ---- By code: what to do next ----


class InvalidRequest(BaristaError):
    """INVALID_ARGUMENT: the request is wrong; do not repeat it."""


class Unauthenticated(BaristaError):
    """UNAUTHENTICATED: repeat with a token."""


class PermissionDenied(BaristaError):
    """PERMISSION_DENIED: do not repeat it."""


class NotFound(BaristaError):
    """NOT_FOUND."""


class AlreadyExists(BaristaError):
    """ALREADY_EXISTS."""


class FailedPrecondition(BaristaError):
    """FAILED_PRECONDITION: the state of the broker forbids it."""


class ResourceExhausted(BaristaError):
    """RESOURCE_EXHAUSTED: a budget is used up; repeat later, with a growing pause."""


class Unavailable(BaristaError):
    """UNAVAILABLE: the broker cannot be reached, or refuses; repeat later. Whether a write happened is not known."""


class DataLoss(BaristaError):
    """DATA_LOSS: a stored record is corrupt."""


class Cancelled(BaristaError):
    """CANCELLED: whether a write happened is not known."""


class DeadlineExceeded(BaristaError, TimeoutError):
    """DEADLINE_EXCEEDED: no answer within the client's timeout. Whether a write happened is not known."""


# ---- By reason ----


class QueueDoesNotExist(NotFound): ...


class QueueNameExists(AlreadyExists): ...


class MalformedRequest(InvalidRequest): ...


class MissingParameter(InvalidRequest): ...


class InvalidParameterValue(InvalidRequest): ...


class InvalidMessageContents(InvalidRequest): ...


class InvalidAttributeName(InvalidRequest): ...


class InvalidAttributeValue(InvalidRequest): ...


class ReceiptHandleIsInvalid(InvalidRequest): ...


class EmptyBatchRequest(InvalidRequest): ...


class TooManyEntriesInBatchRequest(InvalidRequest): ...


class BatchRequestTooLong(InvalidRequest): ...


class OverLimit(ResourceExhausted): ...


class RequestThrottled(ResourceExhausted): ...


class IntakeFull(ResourceExhausted): ...


class MemoryFull(ResourceExhausted): ...


class StorageFull(ResourceExhausted): ...


class TooManyStreams(ResourceExhausted): ...


class TooManyReplyBytes(ResourceExhausted): ...


class ServerBusy(ResourceExhausted): ...


class MissingAuthenticationToken(Unauthenticated): ...


class InvalidClientTokenId(Unauthenticated): ...


class AccessDenied(PermissionDenied): ...


class ServerDraining(Unavailable): ...


class StoreUnavailable(Unavailable): ...


class BrokerClosed(FailedPrecondition): ...


class UnsupportedOperation(FailedPrecondition): ...


_BY_CODE: Mapping[grpc.StatusCode, type[BaristaError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DATA_LOSS: DataLoss,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}
_BY_REASON: Mapping[str, type[BaristaError]] = {
    kind.__name__: kind for base in _BY_CODE.values() for kind in base.__subclasses__()
}
# What grpc.aio makes of a write to a stream that has ended, if it comes before the status, which is lost then.
_WRITE_FAILED = "Internal error from Core"
_CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def _make(code: grpc.StatusCode, reason: str, message: str, field: str, value: str, limit: str) -> BaristaError:
    kind = _BY_REASON.get(reason) or _BY_CODE.get(code, BaristaError)
    return kind(message, code, reason, field, value, limit)


def from_entry(error: error_pb2.Error) -> BaristaError:
    """The error of one entry of a call."""
    code = _CODES.get(error.code, grpc.StatusCode.UNKNOWN)
    return _make(code, error.reason, error.message, error.field, error.value, error.limit)


def from_rpc(error: Union[grpc.RpcError, grpc.Call, grpc.aio.Call, grpc.aio.AioRpcError]) -> BaristaError:
    """The error of a call that has ended, of either kind of channel."""
    code = getattr(error, "code")()
    message = getattr(error, "details")() or ""
    if code == grpc.StatusCode.INTERNAL and message == _WRITE_FAILED:
        return Unavailable("the stream has ended while it was written", grpc.StatusCode.UNAVAILABLE)
    return from_status(code, message, getattr(error, "trailing_metadata")())


def from_status(code: grpc.StatusCode, message: str, trailers: Optional[object]) -> BaristaError:
    for key, value in trailers or ():  # type: ignore[attr-defined]  # pairs, whichever class of gRPC's holds them
        if key != "grpc-status-details-bin":
            continue
        for detail in status_pb2.Status.FromString(value).details:
            info = status_pb2.ErrorInfo.FromString(detail.value)
            if detail.type_url.endswith("/google.rpc.ErrorInfo") and info.domain == "barista":
                fields = info.metadata
                return _make(
                    code,
                    info.reason,
                    message,
                    fields.get("field", ""),
                    fields.get("value", ""),
                    fields.get("limit", ""),
                )
    return _make(code, "", message, "", "", "")
