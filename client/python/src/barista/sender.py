"""A SendStream: messages go out in batches of what has gathered, without waiting for one before the next."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Callable, Optional

import grpc

from barista._send_window import SendWindow
from barista.errors import BaristaError, Cancelled, from_rpc
from barista.types import AttributeValue, Body, Entry, Seconds, Sent, encode_entry, seconds
from barista.v1 import queue_pb2 as api


class Sender:
    """Made by Queue.sender(). Thread-safe.

    A stream that breaks is not repeated: what was not settled gets the error, and so does each later call. It may have
    been stored, so that sending it again may store it twice; what has a result is stored once.
    """

    def __init__(self, stream: Callable[..., Any], queue: str, metadata: Any) -> None:
        self._changed = threading.Condition()  # guards what follows
        self._window: SendWindow[Future[Sent]] = SendWindow(queue)
        self._closing = False
        self._ended: Optional[BaristaError] = None
        self._failure: Optional[BaristaError] = None  # the first one that flush has not raised
        self._call = stream(self._requests(), metadata=metadata)
        self._reader = threading.Thread(target=self._read, name="barista-sender", daemon=True)
        self._reader.start()

    def send(
        self,
        body: Body,
        *,
        attributes: Optional[Mapping[str, AttributeValue]] = None,
        delay: Optional[Seconds] = None,
        group_id: Optional[str] = None,
        dedup_id: Optional[str] = None,
        trace_header: Optional[str] = None,
    ) -> Future[Sent]:
        """Returns at once; blocks while 10,000 messages or 8 MiB are not settled.

        The future has what was stored, or raises why the message was refused. Nobody need look at it: flush raises too.
        """
        entry = encode_entry(Entry(body, attributes or {}, delay, group_id, dedup_id, trace_header))
        self._window.check(entry)
        future: Future[Sent] = Future()
        future.set_running_or_notify_cancel()  # it has left: nobody can cancel it
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._closing or not self._window.full)
            self._require_open()
            self._window.add(entry, future)
            self._changed.notify_all()
        return future

    def flush(self, timeout: Optional[Seconds] = None) -> None:
        """Waits until all that was sent before is settled. Raises the first error since the last flush.

        TimeoutError: `timeout` has passed.
        """
        with self._changed:
            goal = self._window.added
            if not self._changed.wait_for(
                lambda: self._ended or self._window.settled >= goal, None if timeout is None else seconds(timeout)
            ):
                raise TimeoutError(f"not settled within {timeout} s")
            failure, self._failure = self._failure, None
            if failure:
                raise failure
            if self._ended and not self._closing:
                raise self._ended

    def close(self) -> None:
        """Sends the rest, waits until it is settled and ends the stream. Raises as flush."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._reader.join()
        self.flush()

    def abort(self) -> None:
        """Ends the stream at once. What is not settled gets Cancelled, and may have been stored."""
        with self._changed:
            self._closing = True
        self._call.cancel()
        self._reader.join()

    def __enter__(self) -> Sender:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self.abort()  # interrupted: no time to wait
            return
        try:
            self.close()
        except BaristaError:
            if kind is None:
                raise

    def _require_open(self) -> None:
        if self._closing:
            raise ValueError("the sender is closed")
        if self._ended:
            raise self._ended

    def _requests(self) -> Iterator[api.SendStreamRequest]:
        """Runs on a thread of gRPC, which takes the next request when the one before has left."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._window.pending or self._closing or self._ended)
                request = None if self._ended else self._window.take_request()
            if request is None:
                return
            yield request

    def _read(self) -> None:
        error: BaristaError = Cancelled("the stream has ended", grpc.StatusCode.CANCELLED)
        try:
            for response in self._call:
                with self._changed:
                    outcomes = self._window.settle(response)
                    failed = next((sent.error for _, sent in outcomes if sent.error), None)
                    self._failure = self._failure or failed
                    self._changed.notify_all()
                for future, sent in outcomes:
                    future.set_exception(sent.error) if sent.error else future.set_result(sent)
        except grpc.RpcError as broken:
            error = from_rpc(broken)
        with self._changed:
            self._ended = error
            abandoned = self._window.abandon()
            if abandoned:
                self._failure = self._failure or error
            self._changed.notify_all()
        for future in abandoned:
            future.set_exception(error)
