"""Calls a function with each message of a queue, and does the rest."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Callable, Optional

from barista._backoff import Backoff
from barista._deliveries import Report
from barista.consumer import Consumer
from barista.errors import BaristaError, ResourceExhausted, Unavailable
from barista.message import Message
from barista.types import Seconds

log = logging.getLogger("barista")

# Of messages for each thread: one that it works on, one that is there when it is done.
CREDIT_PER_THREAD = 2
# After these another attempt may succeed.
TRANSIENT = (Unavailable, ResourceExhausted)


def report(error: BaristaError) -> None:
    """What failed with one message, which may be gone, does not end a worker."""
    if isinstance(error, TRANSIENT):
        raise error
    log.warning("a message could not be deleted or released: %s", error)


class Worker:
    """Made by Queue.worker(). A message is deleted when the handler returns, and released, after `retry_delay`, when it
    raises, which is logged; to give up after some attempts, give the queue a redrive policy. A handler may delete or
    release its message itself.

    Connections that break, and a broker that ends or is short of something, are tried again with growing, random pauses
    of up to 5 s. Messages come again then, also those that handlers are at work on: delivery is at least once.
    """

    def __init__(
        self,
        consume: Callable[[int, Report], Consumer],
        handler: Callable[[Message], object],
        concurrency: int,
        retry_delay: Optional[Seconds],
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is {concurrency}; it must be 1 or more")
        self._consume, self._handler = consume, handler
        self._concurrency, self._retry_delay = concurrency, retry_delay
        self._stopping = threading.Event()
        self._lock = threading.Lock()  # guards what follows
        self._consumer: Optional[Consumer] = None

    def stop(self) -> None:
        """Lets run() return when the handlers at work have. From any thread."""
        self._stopping.set()
        with self._lock:
            if self._consumer:
                self._consumer.stop()

    def run(self) -> None:
        """Works until stop(), and in the main thread until SIGINT or SIGTERM. A worker runs once.

        Raises what another attempt would not help: QueueDoesNotExist, AccessDenied.
        """
        backoff = Backoff()
        with _stopped_by_signals(self.stop), ThreadPoolExecutor(self._concurrency, "barista-worker") as threads:
            while not self._stopping.is_set():
                try:
                    self._work(threads, backoff)
                except TRANSIENT as error:
                    pause = backoff.next()
                    log.warning("consuming again in %.1f s: %s", pause, error)
                    self._stopping.wait(pause)

    def _work(self, threads: ThreadPoolExecutor, backoff: Backoff) -> None:
        """One stream, until it breaks or the worker stops."""
        running: set[Future[None]] = set()
        with self._consume(self._concurrency * CREDIT_PER_THREAD, report) as consumer:
            with self._lock:
                self._consumer = consumer
            if self._stopping.is_set():
                return
            try:
                for message in consumer:
                    backoff.reset()
                    running = {future for future in running if not future.done()}
                    running.add(threads.submit(self._handle, message))
            finally:
                wait(running)
                with self._lock:
                    self._consumer = None

    def _handle(self, message: Message) -> None:
        if self._stopping.is_set():
            return  # prefetched; released with the stream
        try:
            self._handler(message)
            failed = False
        except Exception:
            log.exception("the handler failed; message %s will come again", message.message_id)
            failed = True
        try:
            message.release(self._retry_delay) if failed else message.delete()
        except BaristaError as error:
            # Closed by the handler itself, or the stream is gone, and the message comes again.
            log.debug("message %s: %s", message.message_id, error)


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: Any) -> None:
        # Not here: the main thread may hold a lock that stop() takes.
        threading.Thread(target=stop, name="barista-stop").start()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
