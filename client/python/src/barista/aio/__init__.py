"""The same client for asyncio: what asks the broker is awaited.

async with await barista.aio.connect() as client:
    orders = await client.create_queue("orders")
    await orders.send("two espressos")
"""

from typing import Optional

from barista._calls import DEFAULT_TIMEOUT_SECONDS, Endpoint, Path
from barista.aio.client import Client, Queue
from barista.aio.consumer import Consumer
from barista.aio.message import Message
from barista.aio.sender import Sender
from barista.aio.worker import Worker

__all__ = ["Client", "Consumer", "Message", "Queue", "Sender", "Worker", "connect"]


async def connect(
    server: Optional[str] = None,
    *,
    token: Optional[str] = None,
    tls_ca: Optional[Path] = None,
    tls_cert: Optional[Path] = None,
    tls_key: Optional[Path] = None,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
) -> Client:
    """As barista.connect, for the loop that runs."""
    return Client(Endpoint.of(server, token, tls_ca, tls_cert, tls_key), timeout)
