"""A ConsumeStream: the broker delivers as messages become visible, never more than there is credit for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Callable, Optional

import grpc

from barista._deliveries import Deliveries, Report
from barista.aio._signal import Signal
from barista.aio.message import Message
from barista.errors import BaristaError, Cancelled, from_rpc
from barista.types import Seconds, message_fields
from barista.v1 import queue_pb2 as api


class Consumer:
    """The twin of barista.Consumer; its contract holds here too. Made by Queue.consume(); used by tasks of one loop.

    It must be closed, best by `async with`.
    """

    def __init__(
        self, stream: Callable[..., Any], start: api.ConsumeStart, credit: int, metadata: Any, report: Report
    ) -> None:
        self._changed = Signal()
        self._deliveries = Deliveries(start, credit, report)
        self._stopped = self._finishing = False
        self._ended: Optional[BaristaError] = None
        self._call = stream(self._requests(), metadata=metadata)
        self._reader = asyncio.ensure_future(self._read())

    def __aiter__(self) -> Consumer:
        return self

    async def __anext__(self) -> Message:
        await self._changed.wait_for(lambda: self._deliveries.ready or self._stopped or self._ended)
        if self._stopped:
            raise StopAsyncIteration
        self._deliveries.report_failures()
        if self._ended:
            raise self._ended
        delivery = self._deliveries.pop()
        assert delivery is not None  # ready, by the condition
        number, message = delivery
        return Message(**message_fields(message), receipt=_Delivery(self, number))

    def ask(self, change: Callable[[Deliveries], None]) -> None:
        """For its messages."""
        if self._finishing:
            raise ValueError("the consumer is closed")
        if self._ended:
            raise self._ended
        change(self._deliveries)
        self._changed.notify()

    def stop(self) -> None:
        """Ends the iteration. Messages that were taken can still be deleted."""
        self._stopped = True
        self._deliveries.stop()
        self._changed.notify()

    async def flush(self) -> None:
        """Waits until what was deleted, released and extended before has been done. Raises the first failure."""
        await self._changed.wait_for(lambda: self._deliveries.all_settled or self._ended)
        self._deliveries.report_failures()
        if self._ended and not self._deliveries.all_settled:
            raise self._ended

    async def close(self) -> None:
        """As flush, and ends the stream: what is open becomes visible to others."""
        self._finishing = self._stopped = True
        self._changed.notify()
        await asyncio.shield(self._reader)
        await self.flush()

    async def abort(self) -> None:
        """Ends the stream at once; of what was deleted and not flushed it is not known whether it is."""
        self._finishing = self._stopped = True
        self._call.cancel()
        await asyncio.shield(self._reader)

    async def __aenter__(self) -> Consumer:
        return self

    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        try:
            await self.close()
        except BaristaError:
            if kind is None:
                raise

    async def _requests(self) -> AsyncIterator[api.ConsumeStreamRequest]:
        while True:
            await self._changed.wait_for(lambda: self._deliveries.has_request or self._finishing or self._ended)
            request = None if self._ended else self._deliveries.take_request()
            if request is None:
                return
            yield request

    async def _read(self) -> None:
        error: BaristaError = Cancelled("the stream has ended", grpc.StatusCode.CANCELLED)
        try:
            async for response in self._call:
                self._deliveries.take_response(response)
                self._changed.notify()
        except grpc.RpcError as broken:
            error = from_rpc(broken)
        except asyncio.CancelledError:
            pass  # by abort
        self._ended = error
        self._changed.notify()


class _Delivery:
    """The receipt of a message that came over a stream."""

    receipt_handle: Optional[str] = None

    def __init__(self, consumer: Consumer, number: int) -> None:
        self._consumer, self._number = consumer, number

    async def delete(self) -> None:
        self._consumer.ask(lambda deliveries: deliveries.delete(self._number))

    async def release(self, delay: Optional[Seconds]) -> None:
        self._consumer.ask(lambda deliveries: deliveries.release(self._number, delay))

    async def change_visibility(self, visibility_timeout: Seconds) -> None:
        self._consumer.ask(lambda deliveries: deliveries.extend(self._number, visibility_timeout))
