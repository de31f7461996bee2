"""HTTP/2 by hand: what a broken or hostile client of gRPC may do and no library does for us."""

import socket

from harness import DEADLINE_SECONDS

DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def call_headers(method):
    """The header block of a call of QueueService, without compression."""

    def literal(name, value):
        return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value

    return b"".join(
        literal(name, value)
        for name, value in [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/barista.v1.QueueService/" + method.encode()),
            (b":authority", b"localhost"),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        ]
    )


def request(message):
    """A gRPC message with its prefix, in a DATA frame's payload."""
    body = message.SerializeToString()
    return b"\x00" + len(body).to_bytes(4, "big") + body


class Connection:
    """A connection that reads only what it is told to."""

    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), DEADLINE_SECONDS)
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
        self.next_stream = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def call(self, method, *messages, end=True):
        """Begins a call of QueueService; `end`: our side of it is closed. Returns the number of its stream."""
        stream, self.next_stream = self.next_stream, self.next_stream + 2
        frames = [frame(HEADERS, END_HEADERS, stream, call_headers(method))]
        for i, message in enumerate(messages):
            last = end and i + 1 == len(messages)
            frames.append(frame(DATA, END_STREAM if last else 0, stream, request(message)))
        self.socket.sendall(b"".join(frames))
        return stream

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def is_closed(self):
        """Whether the other side has ended the connection; reads what has come before that."""
        self.socket.setblocking(False)
        try:
            while True:
                if not self.socket.recv(1 << 20):
                    return True
        except BlockingIOError:
            return False
        except ConnectionError:
            return True
