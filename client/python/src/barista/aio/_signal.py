"""Wakes the tasks that wait for a condition: threading.Condition for a single thread, whose changes need no lock."""

from __future__ import annotations

import asyncio
from typing import Callable


class Signal:
    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Something has changed."""
        event, self._event = self._event, asyncio.Event()
        event.set()

    async def wait_for(self, condition: Callable[[], object]) -> None:
        while not condition():
            await self._event.wait()
