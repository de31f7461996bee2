"""A ConsumeStream: the broker delivers as messages become visible, never more than there is credit for."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Callable, Optional

import grpc

from barista._deliveries import Deliveries, Report
from barista.errors import BaristaError, Cancelled, from_rpc
from barista.message import Message
from barista.types import Seconds, message_fields, seconds
from barista.v1 import queue_pb2 as api


class Consumer:
    """Made by Queue.consume(). An iterator over messages, which waits for the next one. Thread-safe.

    Deletes and releases of its messages return at once and go out together; flush waits for them. When the stream ends,
    however it ends, messages that are neither become visible to others at once.
    """

    def __init__(
        self, stream: Callable[..., Any], start: api.ConsumeStart, credit: int, metadata: Any, report: Report
    ) -> None:
        self._session = _Session(stream, start, credit, metadata, report)
        # A loop that is left without `with`: what was deleted is still told, and the rest released.
        self._finalizer = weakref.finalize(self, self._session.finish)

    def __iter__(self) -> Consumer:
        return self

    def __next__(self) -> Message:
        return self._session.next()

    def stop(self) -> None:
        """Ends the iteration, from any thread. Messages that were taken can still be deleted."""
        self._session.stop()

    def flush(self, timeout: Optional[Seconds] = None) -> None:
        """Waits until what was deleted, released and extended before has been done. Raises the first failure.

        TimeoutError: `timeout` has passed.
        """
        self._session.flush(None if timeout is None else seconds(timeout))

    def close(self) -> None:
        """As flush, and ends the stream: what is open becomes visible to others."""
        self._finalizer.detach()
        self._session.finish()
        self._session.join()

    def abort(self) -> None:
        """Ends the stream at once; of what was deleted and not flushed it is not known whether it is."""
        self._finalizer.detach()
        self._session.abort()

    def __enter__(self) -> Consumer:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            self.close()
        except BaristaError:
            if kind is None:
                raise


class _Session:
    """The stream. Its threads and its messages hold it, and not the consumer, so that this one's end is seen."""

    def __init__(
        self, stream: Callable[..., Any], start: api.ConsumeStart, credit: int, metadata: Any, report: Report
    ) -> None:
        self._changed = threading.Condition()  # guards what follows
        self._deliveries = Deliveries(start, credit, report)
        self._stopped = self._finishing = False
        self._ended: Optional[BaristaError] = None
        self._call = stream(self._requests(), metadata=metadata)
        self._reader = threading.Thread(target=self._read, name="barista-consumer", daemon=True)
        self._reader.start()

    def next(self) -> Message:
        with self._changed:
            self._changed.wait_for(lambda: self._deliveries.ready or self._stopped or self._ended)
            if self._stopped:
                raise StopIteration
            self._deliveries.report_failures()
            if self._ended:
                raise self._ended
            delivery = self._deliveries.pop()
        assert delivery is not None  # ready, by the condition
        number, message = delivery
        return Message(**message_fields(message), receipt=_Delivery(self, number))

    def ask(self, change: Callable[[Deliveries], None]) -> None:
        with self._changed:
            if self._finishing:
                raise ValueError("the consumer is closed")
            if self._ended:
                raise self._ended
            change(self._deliveries)
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._deliveries.stop()
            self._changed.notify_all()

    def flush(self, timeout: Optional[float]) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._deliveries.all_settled or self._ended, timeout):
                raise TimeoutError(f"not settled within {timeout} s")
            self._deliveries.report_failures()
            if self._ended and not self._deliveries.all_settled:
                raise self._ended

    def finish(self) -> None:
        with self._changed:
            self._finishing = self._stopped = True
            self._changed.notify_all()

    def join(self) -> None:
        self._reader.join()
        self.flush(None)

    def abort(self) -> None:
        self.finish()
        self._call.cancel()
        self._reader.join()

    def _requests(self) -> Iterator[api.ConsumeStreamRequest]:
        """Runs on a thread of gRPC, which takes the next request when the one before has left."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._deliveries.has_request or self._finishing or self._ended)
                request = None if self._ended else self._deliveries.take_request()
            if request is None:
                return
            yield request

    def _read(self) -> None:
        error: BaristaError = Cancelled("the stream has ended", grpc.StatusCode.CANCELLED)
        try:
            for response in self._call:
                with self._changed:
                    self._deliveries.take_response(response)
                    self._changed.notify_all()
        except grpc.RpcError as broken:
            error = from_rpc(broken)
        with self._changed:
            self._ended = error
            self._changed.notify_all()


class _Delivery:
    """The receipt of a message that came over a stream."""

    receipt_handle: Optional[str] = None

    def __init__(self, session: _Session, number: int) -> None:
        self._session, self._number = session, number

    def delete(self) -> None:
        self._session.ask(lambda deliveries: deliveries.delete(self._number))

    def release(self, delay: Optional[Seconds]) -> None:
        self._session.ask(lambda deliveries: deliveries.release(self._number, delay))

    def change_visibility(self, visibility_timeout: Seconds) -> None:
        self._session.ask(lambda deliveries: deliveries.extend(self._number, visibility_timeout))
