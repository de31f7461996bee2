"""A message that was received, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional, Protocol

from barista.types import MessageData, Seconds


class Receipt(Protocol):
    """Stands for one receive of a message."""

    @property
    def receipt_handle(self) -> Optional[str]: ...
    def delete(self) -> None: ...
    def release(self, delay: Optional[Seconds]) -> None: ...
    def change_visibility(self, visibility_timeout: Seconds) -> None: ...


@dataclass(frozen=True)
class Message(MessageData):
    """Hidden from others for its visibility timeout; not deleted by then, it is received again."""

    receipt: Receipt = field(repr=False, compare=False)

    @property
    def receipt_handle(self) -> Optional[str]:
        """For use elsewhere; None of a message that came over a stream."""
        return self.receipt.receipt_handle

    def delete(self) -> None:
        """Done with. From receive(): durable when it returns; from consume(): when flush or close has returned."""
        self.receipt.delete()

    def release(self, delay: Optional[Seconds] = None) -> None:
        """For others to receive: at once, or after `delay` (0 s to 12 h)."""
        self.receipt.release(delay)

    def change_visibility(self, visibility_timeout: Seconds) -> None:
        """Hides it for so long from now, 0 s to 12 h."""
        self.receipt.change_visibility(visibility_timeout)
