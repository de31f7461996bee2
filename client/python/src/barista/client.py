"""The blocking client. Thread-safe; a process that forks opens its clients afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Callable, Optional, Union

import grpc

from barista import _calls, _requests
from barista._calls import Endpoint, Request, Response, Rpc
from barista._deliveries import Report, raising
from barista.consumer import Consumer
from barista.errors import BaristaError, from_rpc
from barista.message import Message
from barista.sender import Sender
from barista.types import (
    AttributeValue,
    Body,
    Entry,
    Peeked,
    QueueInfo,
    Seconds,
    Sent,
    decode_peeked,
    decode_queue,
    decode_sent,
    encode_attributes,
    message_fields,
    seconds,
)
from barista.v1 import queue_pb2 as api
from barista.worker import Worker


class Client:
    """A connection to a broker, made by the first call and again when it breaks.

    Each call has `timeout` to answer, beside what it waits: DeadlineExceeded. No broker: Unavailable. No call is repeated.
    """

    def __init__(self, endpoint: Endpoint, timeout: Seconds) -> None:
        credentials, options = endpoint.credentials(), list(endpoint.options)
        self._channel = (
            grpc.secure_channel(endpoint.server, credentials, options)
            if credentials
            else grpc.insecure_channel(endpoint.server, options)
        )
        self._metadata = endpoint.metadata
        self._timeout = seconds(timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends calls and streams that are open."""
        self._channel.close()

    def queue(self, name: str) -> Queue:
        """The queue of that name, which may exist or not. Asks nobody."""
        return Queue(self, name)

    def create_queue(self, name: str, *, tags: Optional[Mapping[str, str]] = None, **attributes: object) -> Queue:
        """Creates a queue, or finds the one whose attributes and tags equal those that are given.

        Attributes in snake case or by AWS's names: visibility_timeout=30, durability="memory", redrive_policy={...}.
        """
        self.call(
            _calls.CREATE_QUEUE,
            api.CreateQueueRequest(queue=name, attributes=encode_attributes(attributes), tags=tags),
        )
        return self.queue(name)

    def list_queues(self, prefix: str = "", *, page_size: int = 1000) -> Iterator[str]:
        """The names of the queues, sorted, asked for a page at a time."""
        token = ""
        while True:
            page = self.call(
                _calls.LIST_QUEUES, api.ListQueuesRequest(prefix=prefix, max_results=page_size, next_token=token)
            )
            yield from page.queues
            token = page.next_token
            if not token:
                return

    def call(self, rpc: Rpc[Request, Response], request: Request, wait: float = 0) -> Response:
        try:
            response: Response = rpc.bind(self._channel.unary_unary)(
                request, timeout=self._timeout + wait, metadata=self._metadata
            )
            return response
        except grpc.RpcError as error:
            raise from_rpc(error) from None

    def stream(self, rpc: Rpc[Any, Any]) -> tuple[Callable[..., Any], Any]:
        """What opens a stream, and the metadata to open it with."""
        return rpc.bind(self._channel.stream_stream), self._metadata


class Queue:
    """A queue of a client. Equal queues are queues of one name and client."""

    def __init__(self, client: Client, name: str) -> None:
        self._client, self.name = client, name

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Queue) and (self._client, self.name) == (other._client, other.name)

    def __hash__(self) -> int:
        return hash((self._client, self.name))

    # ---- Definition ----

    def describe(self) -> QueueInfo:
        return decode_queue(self._client.call(_calls.GET_QUEUE, api.GetQueueRequest(queue=self.name)).queue)

    def set_attributes(self, **attributes: object) -> None:
        """Changes those that are given. Names as in Client.create_queue."""
        request = api.SetQueueAttributesRequest(queue=self.name, attributes=encode_attributes(attributes))
        self._client.call(_calls.SET_QUEUE_ATTRIBUTES, request)

    def tag(self, tags: Mapping[str, str]) -> None:
        self._client.call(_calls.TAG_QUEUE, api.TagQueueRequest(queue=self.name, tags=tags))

    def untag(self, keys: Iterable[str]) -> None:
        self._client.call(_calls.UNTAG_QUEUE, api.UntagQueueRequest(queue=self.name, tag_keys=keys))

    def purge(self) -> None:
        """Removes every message that was sent before the call."""
        self._client.call(_calls.PURGE_QUEUE, api.PurgeQueueRequest(queue=self.name))

    def delete(self) -> None:
        """Removes the queue with all its messages."""
        self._client.call(_calls.DELETE_QUEUE, api.DeleteQueueRequest(queue=self.name))

    # ---- Messages ----

    def send(
        self,
        body: Body,
        *,
        attributes: Optional[Mapping[str, AttributeValue]] = None,
        delay: Optional[Seconds] = None,
        group_id: Optional[str] = None,
        dedup_id: Optional[str] = None,
        trace_header: Optional[str] = None,
    ) -> Sent:
        """Sends a message: stored, as durable as the queue is, when it returns."""
        entry = Entry(body, attributes or {}, delay, group_id, dedup_id, trace_header)
        return decode_sent(self._client.call(_calls.SEND_MESSAGE, _requests.send(self.name, [entry])).results[0])

    def send_batch(self, entries: Iterable[Union[Entry, Body]]) -> list[Sent]:
        """Sends 1 to 1,000 messages of up to 4 MiB. Each result has an `error` or has none; a single one is raised."""
        response = self._client.call(_calls.SEND_MESSAGE, _requests.send(self.name, entries))
        return [decode_sent(result) for result in response.results]

    def receive(
        self,
        max_messages: int = 10,
        wait: Optional[Seconds] = 20,
        visibility_timeout: Optional[Seconds] = None,
    ) -> list[Message]:
        """Up to `max_messages` (1 to 1,000) as soon as there is one; none if there was none within `wait` (up to 1 h).

        None stands for what the queue has been given: ReceiveMessageWaitTimeSeconds, VisibilityTimeout.
        """
        request = _requests.receive(self.name, max_messages, wait, visibility_timeout)
        # Without a wait of the call there is the queue's: 20 s at most.
        response = self._client.call(_calls.RECEIVE_MESSAGE, request, 20 if wait is None else seconds(wait))
        return [
            Message(**message_fields(message), receipt=_Receipt(self, message.receipt_handle))
            for message in response.messages
        ]

    def delete_batch(self, messages: Iterable[Union[Message, str]]) -> list[Optional[BaristaError]]:
        """Deletes 1 to 1,000 messages that receive() returned, or by their receipt handles. One result each; None: done."""
        handles = [message if isinstance(message, str) else message.receipt_handle or "" for message in messages]
        request = api.DeleteMessageRequest(queue=self.name, receipt_handles=handles)
        return _requests.entry_errors(self._client.call(_calls.DELETE_MESSAGE, request).results)

    def change_visibility(self, receipt_handle: str, visibility_timeout: Seconds) -> None:
        request = _requests.change_visibility(self.name, receipt_handle, visibility_timeout)
        self._client.call(_calls.CHANGE_MESSAGE_VISIBILITY, request)

    def peek(self, max_messages: int = 10) -> list[Peeked]:
        """Looks at messages, oldest first and whatever their state, without receiving them."""
        request = api.PeekMessagesRequest(queue=self.name, max_messages=max_messages)
        return [decode_peeked(message) for message in self._client.call(_calls.PEEK_MESSAGES, request).messages]

    # ---- Streams ----

    def sender(self) -> Sender:
        """Opens a stream for sending without pause."""
        stream, metadata = self._client.stream(_calls.SEND_STREAM)
        return Sender(stream, self.name, metadata)

    def consume(
        self, *, credit: int = 100, heartbeat: bool = True, visibility_timeout: Optional[Seconds] = None
    ) -> Consumer:
        """Opens a stream for consuming without pause: at most `credit` messages are with us (1 to 100,000).

        With `heartbeat` the broker keeps them hidden while the stream lives.
        """
        return self._consume(credit, heartbeat, visibility_timeout, raising)

    def _consume(self, credit: int, heartbeat: bool, visibility_timeout: Optional[Seconds], report: Report) -> Consumer:
        stream, metadata = self._client.stream(_calls.CONSUME_STREAM)
        return Consumer(stream, _requests.consume(self.name, visibility_timeout, heartbeat), credit, metadata, report)

    def worker(
        self,
        handler: Callable[[Message], object],
        *,
        concurrency: int = 8,
        retry_delay: Optional[Seconds] = None,
        visibility_timeout: Optional[Seconds] = None,
    ) -> Worker:
        """What run() runs, to be stopped from elsewhere."""
        return Worker(
            lambda credit, report: self._consume(credit, True, visibility_timeout, report),
            handler,
            concurrency,
            retry_delay,
        )

    def run(
        self,
        handler: Callable[[Message], object],
        *,
        concurrency: int = 8,
        retry_delay: Optional[Seconds] = None,
        visibility_timeout: Optional[Seconds] = None,
    ) -> None:
        """Calls `handler` with each message, on `concurrency` threads, until SIGINT or SIGTERM. See Worker."""
        self.worker(
            handler, concurrency=concurrency, retry_delay=retry_delay, visibility_timeout=visibility_timeout
        ).run()


class _Receipt:
    """The receipt of a message that receive() returned."""

    def __init__(self, queue: Queue, receipt_handle: str) -> None:
        self._queue, self.receipt_handle = queue, receipt_handle

    def delete(self) -> None:
        (error,) = self._queue.delete_batch([self.receipt_handle])
        if error:
            raise error

    def release(self, delay: Optional[Seconds]) -> None:
        self.change_visibility(0 if delay is None else delay)

    def change_visibility(self, visibility_timeout: Seconds) -> None:
        self._queue.change_visibility(self.receipt_handle, visibility_timeout)
