"""A SendStream: messages go out in batches of what has gathered, without waiting for one before the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Callable, Optional

import grpc

from barista._send_window import SendWindow
from barista.aio._signal import Signal
from barista.errors import BaristaError, Cancelled, from_rpc
from barista.types import AttributeValue, Body, Entry, Seconds, Sent, encode_entry
from barista.v1 import queue_pb2 as api


class Sender:
    """The twin of barista.Sender; its contract holds here too. Made by Queue.sender(); used by tasks of one loop."""

    def __init__(self, stream: Callable[..., Any], queue: str, metadata: Any) -> None:
        self._changed = Signal()
        self._window: SendWindow[asyncio.Future[Sent]] = SendWindow(queue)
        self._closing = False
        self._ended: Optional[BaristaError] = None
        self._failure: Optional[BaristaError] = None  # the first one that flush has not raised
        self._call = stream(self._requests(), metadata=metadata)
        self._reader = asyncio.ensure_future(self._read())

    async def send(
        self,
        body: Body,
        *,
        attributes: Optional[Mapping[str, AttributeValue]] = None,
        delay: Optional[Seconds] = None,
        group_id: Optional[str] = None,
        dedup_id: Optional[str] = None,
        trace_header: Optional[str] = None,
    ) -> asyncio.Future[Sent]:
        """Waits only while 10,000 messages or 8 MiB are not settled. The future has what was stored, or raises."""
        entry = encode_entry(Entry(body, attributes or {}, delay, group_id, dedup_id, trace_header))
        self._window.check(entry)
        await self._changed.wait_for(lambda: self._ended or self._closing or not self._window.full)
        if self._closing:
            raise ValueError("the sender is closed")
        if self._ended:
            raise self._ended
        future: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
        self._window.add(entry, future)
        self._changed.notify()
        return future

    async def flush(self) -> None:
        """Waits until all that was sent before is settled. Raises the first error since the last flush."""
        goal = self._window.added
        await self._changed.wait_for(lambda: self._ended or self._window.settled >= goal)
        failure, self._failure = self._failure, None
        if failure:
            raise failure
        if self._ended and not self._closing:
            raise self._ended

    async def close(self) -> None:
        """Sends the rest, waits until it is settled and ends the stream. Raises as flush."""
        self._closing = True
        self._changed.notify()
        await asyncio.shield(self._reader)
        await self.flush()

    async def abort(self) -> None:
        """Ends the stream at once. What is not settled gets Cancelled, and may have been stored."""
        self._closing = True
        self._call.cancel()
        await asyncio.shield(self._reader)

    async def __aenter__(self) -> Sender:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if kind is not None and not issubclass(kind, Exception):
            await self.abort()  # cancelled: no time to wait
            return
        try:
            await self.close()
        except BaristaError:
            if kind is None:
                raise

    async def _requests(self) -> AsyncIterator[api.SendStreamRequest]:
        while True:
            await self._changed.wait_for(lambda: self._window.pending or self._closing or self._ended)
            request = None if self._ended else self._window.take_request()
            if request is None:
                return
            yield request

    async def _read(self) -> None:
        error: BaristaError = Cancelled("the stream has ended", grpc.StatusCode.CANCELLED)
        try:
            async for response in self._call:
                for future, sent in self._window.settle(response):
                    self._failure = self._failure or sent.error
                    _resolve(future, sent)
                self._changed.notify()
        except grpc.RpcError as broken:
            error = from_rpc(broken)
        except asyncio.CancelledError:
            pass  # by abort
        self._ended = error
        for future in self._window.abandon():
            self._failure = self._failure or error
            _resolve(future, Sent(error=error))
        self._changed.notify()


def _resolve(future: asyncio.Future[Sent], sent: Sent) -> None:
    if future.done():
        return  # its caller has cancelled it
    if sent.error:
        future.set_exception(sent.error)
        future.exception()  # flush raises it: nobody need look here
    else:
        future.set_result(sent)
