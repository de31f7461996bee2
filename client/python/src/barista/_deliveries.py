"""What a ConsumeStream has delivered and has to tell the broker. No I/O, no locks: its owner brings them."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from typing import Callable, Optional

from barista.errors import BaristaError, InvalidParameterValue, from_entry
from barista.types import Seconds, duration
from barista.v1 import queue_pb2 as api

MAX_CREDIT = 100_000
# Of a request.
MAX_NAMED_DELIVERIES = 10_000


# Is told what failed with single deliveries, and raises it if that is for the caller to know.
Report = Callable[[BaristaError], None]


def raising(error: BaristaError) -> None:
    raise error


class Deliveries:
    """Credit for closed deliveries goes back with the requests that close them.

    A delivery is open until it is deleted or released; naming one that is not ends a stream, so it is refused here.
    """

    def __init__(self, start: api.ConsumeStart, credit: int, report: Report) -> None:
        if not 1 <= credit <= MAX_CREDIT:
            raise ValueError(f"credit is {credit}; allowed: 1 to {MAX_CREDIT}")
        self._start: Optional[api.ConsumeStart] = start
        self._credit = credit
        self._report = report
        self._open: set[int] = set()
        self._ready: collections.deque[tuple[int, api.Message]] = collections.deque()
        self._deletes: list[int] = []
        self._releases: list[tuple[int, Optional[Seconds]]] = []
        self._extensions: dict[int, Seconds] = {}
        self._requests = 0  # taken
        self._naming_request = 0  # the last of them that named deliveries
        self._settled = 0
        self._stopped = False
        self._failures: list[BaristaError] = []

    def pop(self) -> Optional[tuple[int, api.Message]]:
        """The next delivery; None: there is none yet."""
        return self._ready.popleft() if self._ready else None

    @property
    def ready(self) -> bool:
        return bool(self._ready)

    def _close(self, number: int) -> None:
        self.require_open(number)
        self._open.remove(number)
        self._extensions.pop(number, None)
        if not self._stopped:
            self._credit += 1

    def require_open(self, number: int) -> None:
        if number not in self._open:
            raise InvalidParameterValue(
                "the message has been deleted or released already", reason="InvalidParameterValue", field="DeliveryNumber",
                value=str(number), limit="open deliveries",
            )  # fmt: skip

    def delete(self, number: int) -> None:
        self._close(number)
        self._deletes.append(number)

    def release(self, number: int, delay: Optional[Seconds]) -> None:
        self._close(number)
        self._releases.append((number, delay))

    def extend(self, number: int, visibility_timeout: Seconds) -> None:
        self.require_open(number)
        self._extensions[number] = visibility_timeout

    def stop(self) -> None:
        """Asks for no more messages, and gives back those that nobody has taken."""
        self._stopped = True
        self._credit = 0
        while self._ready:
            number, _ = self._ready.popleft()
            self.release(number, None)

    @property
    def has_request(self) -> bool:
        return bool(self._start or self._credit or self._deletes or self._releases or self._extensions)

    @property
    def all_settled(self) -> bool:
        return not (self._deletes or self._releases or self._extensions) and self._settled >= self._naming_request

    def take_request(self) -> Optional[api.ConsumeStreamRequest]:
        """What has gathered, up to the limits of a request; None: nothing."""
        if not self.has_request:
            return None
        request = api.ConsumeStreamRequest(start=self._start, credit=self._credit)
        self._start, self._credit = None, 0
        room = MAX_NAMED_DELIVERIES
        deletes, self._deletes = self._deletes[:room], self._deletes[room:]
        request.deletes.extend(_ranges(deletes))
        room -= len(deletes)
        releases, self._releases = self._releases[:room], self._releases[room:]
        for number, delay in releases:
            release = request.releases.add(deliveries=api.DeliveryRange(first=number))
            if delay is not None:
                release.delay.CopyFrom(duration(delay))
        room -= len(releases)
        extended = list(self._extensions)[:room]
        for number in extended:
            timeout = duration(self._extensions.pop(number))
            request.extensions.add(deliveries=api.DeliveryRange(first=number), visibility_timeout=timeout)
        self._requests += 1
        if deletes or releases or extended:
            self._naming_request = self._requests
        return request

    def take_response(self, response: api.ConsumeStreamResponse) -> None:
        for number, message in enumerate(response.messages, response.first_delivery):
            self._open.add(number)
            self._ready.append((number, message))
        if self._stopped:
            self.stop()
        self._settled = max(self._settled, response.settled)
        self._failures.extend(from_entry(failure.error) for failure in response.failures)

    def report_failures(self) -> None:
        """Of what failed since the last time, the first."""
        failures, self._failures = self._failures, []
        if failures:
            self._report(failures[0])


def _ranges(numbers: Iterable[int]) -> Iterator[api.DeliveryRange]:
    first = count = 0
    for number in sorted(numbers):
        if count and number == first + count:
            count += 1
            continue
        if count:
            yield api.DeliveryRange(first=first, count=count)
        first, count = number, 1
    if count:
        yield api.DeliveryRange(first=first, count=count)
