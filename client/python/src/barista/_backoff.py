"""Pauses between attempts: they double up to a limit, and are random, so that clients do not come back together."""

from __future__ import annotations

import random

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0


class Backoff:
    def __init__(self) -> None:
        self._pause = FIRST_PAUSE_SECONDS

    def next(self) -> float:
        """Between half of the pause and all of it."""
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE_SECONDS)
        return pause * random.uniform(0.5, 1)

    def reset(self) -> None:
        """To be called when an attempt has got somewhere."""
        self._pause = FIRST_PAUSE_SECONDS
