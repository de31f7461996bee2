"""Calls a coroutine function with each message of a queue, and does the rest."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Callable, Optional

from barista._backoff import Backoff
from barista._deliveries import Report
from barista.aio.consumer import Consumer
from barista.aio.message import Message
from barista.errors import BaristaError
from barista.types import Seconds
from barista.worker import CREDIT_PER_THREAD, TRANSIENT, report

log = logging.getLogger("barista")


class Worker:
    """The twin of barista.Worker, with `concurrency` tasks instead of threads. Cancelling run() cancels the handlers."""

    def __init__(
        self,
        consume: Callable[[int, Report], Consumer],
        handler: Callable[[Message], Awaitable[object]],
        concurrency: int,
        retry_delay: Optional[Seconds],
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; it must be 1 or more")
        self._consume, self._handler = consume, handler
        self._concurrency, self._retry_delay = concurrency, retry_delay
        self._stopping = asyncio.Event()
        self._consumer: Optional[Consumer] = None

    def stop(self) -> None:
        """Lets run() return when the handlers at work have."""
        self._stopping.set()
        if self._consumer:
            self._consumer.stop()

    async def run(self) -> None:
        """Works until stop(), and in the main thread until SIGINT or SIGTERM. A worker runs once.

        Raises what another attempt would not help: QueueDoesNotExist, AccessDenied.
        """
        backoff = Backoff()
        with _stopped_by_signals(self.stop):
            while not self._stopping.is_set():
                try:
                    await self._work(backoff)
                except TRANSIENT as error:
                    pause = backoff.next()
                    log.warning("consuming again in %.1f s: %s", pause, error)
                    try:
                        await asyncio.wait_for(self._stopping.wait(), pause)
                    except asyncio.TimeoutError:
                        pass

    async def _work(self, backoff: Backoff) -> None:
        """One stream, until it breaks or the worker stops."""
        running: set[asyncio.Task[None]] = set()
        slots = asyncio.Semaphore(self._concurrency)
        async with self._consume(self._concurrency * CREDIT_PER_THREAD, report) as consumer:
            self._consumer = consumer
            try:
                async for message in consumer:
                    backoff.reset()
                    task = asyncio.ensure_future(self._handle(message, slots))
                    running.add(task)
                    task.add_done_callback(running.discard)
            except asyncio.CancelledError:
                for task in running:
                    task.cancel()
                raise
            finally:
                self._consumer = None
                if running:
                    await asyncio.wait(set(running))

    async def _handle(self, message: Message, slots: asyncio.Semaphore) -> None:
        async with slots:
            if self._stopping.is_set():
                return  # prefetched; released with the stream
            try:
                await self._handler(message)
                failed = False
            except Exception:
                log.exception("the handler failed; message %s will come again", message.message_id)
                failed = True
            try:
                await (message.release(self._retry_delay) if failed else message.delete())
            except BaristaError as error:
                # Closed by the handler itself, or the stream is gone, and the message comes again.
                log.debug("message %s: %s", message.message_id, error)


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
