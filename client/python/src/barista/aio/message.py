"""A message that was received, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional, Protocol

from barista.types import MessageData, Seconds


class Receipt(Protocol):
    """Stands for one receive of a message."""

    @property
    def receipt_handle(self) -> Optional[str]: ...
    async def delete(self) -> None: ...
    async def release(self, delay: Optional[Seconds]) -> None: ...
    async def change_visibility(self, visibility_timeout: Seconds) -> None: ...


@dataclass(frozen=True)
class Message(MessageData):
    """The twin of barista.Message."""

    receipt: Receipt = field(repr=False, compare=False)

    @property
    def receipt_handle(self) -> Optional[str]:
        return self.receipt.receipt_handle

    async def delete(self) -> None:
        await self.receipt.delete()

    async def release(self, delay: Optional[Seconds] = None) -> None:
        await self.receipt.release(delay)

    async def change_visibility(self, visibility_timeout: Seconds) -> None:
        await self.receipt.change_visibility(visibility_timeout)
