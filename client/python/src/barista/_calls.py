"""The calls of `barista.v1.QueueService` by name, typed, for either kind of channel; and how channels are opened."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Optional, TypeVar, Union

import grpc
from google.protobuf.message import Message as ProtoMessage

from barista.v1 import queue_pb2 as api

Request = TypeVar("Request", bound=ProtoMessage)
Response = TypeVar("Response", bound=ProtoMessage)

DEFAULT_SERVER = "127.0.0.1:9326"
# Of a call, beside what it waits.
DEFAULT_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Rpc(Generic[Request, Response]):
    request: type[Request]
    response: type[Response]
    name: str

    def bind(self, multi_callable: Any) -> Any:
        """The call on a channel, of which `multi_callable` is the method for its shape."""
        return multi_callable(
            f"/barista.v1.QueueService/{self.name}",
            request_serializer=self.request.SerializeToString,
            response_deserializer=self.response.FromString,
        )


CREATE_QUEUE = Rpc(api.CreateQueueRequest, api.CreateQueueResponse, "CreateQueue")
GET_QUEUE = Rpc(api.GetQueueRequest, api.GetQueueResponse, "GetQueue")
SET_QUEUE_ATTRIBUTES = Rpc(api.SetQueueAttributesRequest, api.SetQueueAttributesResponse, "SetQueueAttributes")
DELETE_QUEUE = Rpc(api.DeleteQueueRequest, api.DeleteQueueResponse, "DeleteQueue")
LIST_QUEUES = Rpc(api.ListQueuesRequest, api.ListQueuesResponse, "ListQueues")
PURGE_QUEUE = Rpc(api.PurgeQueueRequest, api.PurgeQueueResponse, "PurgeQueue")
TAG_QUEUE = Rpc(api.TagQueueRequest, api.TagQueueResponse, "TagQueue")
UNTAG_QUEUE = Rpc(api.UntagQueueRequest, api.UntagQueueResponse, "UntagQueue")
SEND_MESSAGE = Rpc(api.SendMessageRequest, api.SendMessageResponse, "SendMessage")
RECEIVE_MESSAGE = Rpc(api.ReceiveMessageRequest, api.ReceiveMessageResponse, "ReceiveMessage")
DELETE_MESSAGE = Rpc(api.DeleteMessageRequest, api.DeleteMessageResponse, "DeleteMessage")
CHANGE_MESSAGE_VISIBILITY = Rpc(
    api.ChangeMessageVisibilityRequest, api.ChangeMessageVisibilityResponse, "ChangeMessageVisibility"
)
PEEK_MESSAGES = Rpc(api.PeekMessagesRequest, api.PeekMessagesResponse, "PeekMessages")
SEND_STREAM = Rpc(api.SendStreamRequest, api.SendStreamResponse, "SendStream")
CONSUME_STREAM = Rpc(api.ConsumeStreamRequest, api.ConsumeStreamResponse, "ConsumeStream")

Path = Union[str, pathlib.Path]


@dataclass(frozen=True)
class Endpoint:
    """Where a broker is and how to get in. Reads the files once, when a channel is opened."""

    server: str
    token: Optional[str]
    tls_ca: Optional[Path]
    tls_cert: Optional[Path]
    tls_key: Optional[Path]

    @classmethod
    def of(
        cls,
        server: Optional[str],
        token: Optional[str],
        tls_ca: Optional[Path],
        tls_cert: Optional[Path],
        tls_key: Optional[Path],
    ) -> Endpoint:
        """What is not given comes from the environment, as for the command."""
        server = server or os.environ.get("BARISTA_SERVER") or DEFAULT_SERVER
        return cls(server, token or os.environ.get("BARISTA_TOKEN"), tls_ca, tls_cert, tls_key)

    def credentials(self) -> Optional[grpc.ChannelCredentials]:
        """None without TLS. ValueError: files that need others beside them."""
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        if self.tls_ca is None:
            if self.tls_cert is not None:
                raise ValueError("tls_cert needs tls_ca")
            return None

        def read(path: Optional[Path]) -> Optional[bytes]:
            return None if path is None else pathlib.Path(path).read_bytes()

        return grpc.ssl_channel_credentials(read(self.tls_ca), read(self.tls_key), read(self.tls_cert))

    @property
    def metadata(self) -> Sequence[tuple[str, str]]:
        return [("authorization", f"Bearer {self.token}")] if self.token else []

    @property
    def options(self) -> Sequence[tuple[str, Any]]:
        # As the command does: a broker that restarts is found again within a second.
        return [
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 10_000),  # what an attempt may take
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.enable_http_proxy", 0),
            # Clients of one process do not share a connection by chance.
            ("grpc.use_local_subchannel_pool", 1),
        ]
