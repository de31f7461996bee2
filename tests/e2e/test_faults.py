"""Clients that break off, stop reading or talk nonsense, against the real server: it frees what they had, keeps its memory, and serves others."""

import signal
import socket
import sys
import threading
import time

import pytest
from harness import DEADLINE_SECONDS, wait_until
from http2 import Connection

MIB = 1 << 20
CALL_SECONDS = 20


@pytest.fixture(scope="module")
def api(stubs):
    sys.path.insert(0, str(stubs))
    from barista.v1 import queue_pb2

    return queue_pb2


def queue_service(broker):
    import grpc
    from barista.v1 import queue_pb2_grpc

    return queue_pb2_grpc.QueueServiceStub(grpc.insecure_channel(broker.ready["grpc"]))


def metric(broker, name):
    """The sum of the samples of a metric."""
    lines = broker.http("/metrics")[1].splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + " ", name + "{")))


def depth(broker, queue):
    """(visible, in flight)"""
    attributes = broker.ok("queue", "describe", queue)[0]["attributes"]
    return int(attributes["ApproximateNumberOfMessages"]), int(attributes["ApproximateNumberOfMessagesNotVisible"])


def resident_bytes(broker):
    with open(f"/proc/{broker.process.pid}/status", encoding="ascii") as status:
        (line,) = [line for line in status if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


def tcp(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), DEADLINE_SECONDS)


# ---- Half-closed connections ----


def test_half_closed_consumer_gives_back_what_it_has(start, api):
    broker = start("--memory")
    broker.ok("queue", "create", "orders", "--visibility-timeout", "12h")
    broker.ok("send", "orders", "--lines", stdin=b"a\nb\nc\n")
    with Connection(broker.ready["grpc"]) as client:
        client.call("ConsumeStream", api.ConsumeStreamRequest(start=api.ConsumeStart(queue="orders"), credit=10), end=False)
        wait_until(lambda: depth(broker, "orders") == (0, 3), "three messages delivered")
        client.half_close()
        wait_until(lambda: depth(broker, "orders") == (3, 0), "all three given back")
        wait_until(client.is_closed, "the other half closed")
    wait_until(lambda: metric(broker, "barista_grpc_connections") == 0, "the connection freed")
    assert metric(broker, "barista_grpc_open_calls") == 0


def test_half_closed_waiting_receive_is_given_up(start, api):
    broker = start("--memory")
    broker.ok("queue", "create", "orders")
    request = api.ReceiveMessageRequest(queue="orders")
    request.wait.seconds = 3600
    with Connection(broker.ready["grpc"]) as client:
        client.call("ReceiveMessage", request)
        wait_until(lambda: metric(broker, "barista_parked_receives") == 1, "a parked receive")
        client.half_close()
        wait_until(lambda: metric(broker, "barista_parked_receives") == 0, "the receive given up")
    broker.ok("send", "orders", "espresso")
    assert depth(broker, "orders") == (1, 0)


def test_half_closed_sender_is_freed(start, api):
    broker = start("--memory")
    broker.ok("queue", "create", "orders")
    with Connection(broker.ready["grpc"]) as client:
        entries = [api.SendMessageEntry(body=b"espresso")]
        client.call("SendStream", api.SendStreamRequest(queue="orders", entries=entries), end=False)
        wait_until(lambda: depth(broker, "orders") == (1, 0), "the message stored")
        client.half_close()
        wait_until(client.is_closed, "the other half closed")
    wait_until(lambda: metric(broker, "barista_grpc_open_calls") == 0, "the stream ended")


# ---- Nonsense ----


@pytest.mark.parametrize(
    "nonsense",
    [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), bytes(range(256)) * 64, b"PRI * HTTP/2.0\r\n\r\nXX"],
    ids=["http1", "tls", "bytes", "almost"],
)
def test_nonsense_instead_of_a_preface(start, nonsense):
    broker = start("--memory")
    for listener in ("grpc", "http", "admin"):
        with tcp(broker.ready[listener]) as client:
            client.sendall(nonsense)
            client.shutdown(socket.SHUT_WR)
            try:
                while client.recv(65536):
                    pass
            except ConnectionError:
                pass  # closed with a reset
    wait_until(lambda: metric(broker, "barista_grpc_connections") == 0, "the connection freed")
    broker.ok("queue", "create", "orders")
    assert broker.http("/healthz")[0] == 200


def test_frames_that_make_no_sense_end_their_connection_only(start, api):
    broker = start("--memory")
    broker.ok("queue", "create", "orders")
    request = api.ReceiveMessageRequest(queue="orders")
    request.wait.seconds = 3600
    with Connection(broker.ready["grpc"]) as good, Connection(broker.ready["grpc"]) as bad:
        good.call("ReceiveMessage", request)
        bad.call("ReceiveMessage", request)
        wait_until(lambda: metric(broker, "barista_parked_receives") == 2, "both waiting")
        bad.socket.sendall(b"\xff" * 1000)
        wait_until(bad.is_closed, "the end of the bad connection")
        wait_until(lambda: metric(broker, "barista_parked_receives") == 1, "its receive given up")
        assert not good.is_closed()


def test_silent_connections_to_grpc_are_closed(start):
    """The handshake timeout, 20 s: whoever says nothing does not hold a place for ever."""
    broker = start("--memory")
    with tcp(broker.ready["grpc"]), tcp(broker.ready["grpc"]) as trickle:
        wait_until(lambda: metric(broker, "barista_grpc_connections") == 2, "both connected")
        trickle.sendall(b"PRI * HT")
        wait_until(lambda: metric(broker, "barista_grpc_connections") == 0, "both closed", 2 * DEADLINE_SECONDS)


# ---- Who does not read ----


def big_queue(broker, messages):
    broker.ok("queue", "create", "big", "--visibility-timeout", "12h")
    lines = b"\n".join([b"m" * (MIB - 100)] * 3)
    for _ in range(messages // 3):
        broker.ok("send", "big", "--lines", stdin=lines)


def assert_memory_stays(broker, calls, more_than):
    """Makes `calls`, and looks at the resident memory until the broker has done with them what it can."""
    before = resident_bytes(broker)
    calls()
    most, quiet_since, last = before, time.monotonic(), None
    while time.monotonic() < quiet_since + 2:
        now = (metric(broker, "barista_grpc_open_calls"), metric(broker, "barista_messages_received_total"), metric(broker, "barista_http_connections"))
        most = max(most, resident_bytes(broker))
        if now != last:
            quiet_since, last = time.monotonic(), now
    assert most - before < more_than, f"{(most - before) // MIB} MiB more"
    assert broker.http("/healthz")[0] == 200
    broker.ok("queue", "list")


@pytest.mark.parametrize("method", ["ReceiveMessage", "PeekMessages", "ConsumeStream"])
def test_thousand_calls_that_nobody_reads_hold_little_memory(tmp_path, start, api, method):
    broker = start("--data-dir", tmp_path / "data", "--memory-limit", "64MiB")
    big_queue(broker, 150)
    with Connection(broker.ready["grpc"]) as client:

        def calls():
            for _ in range(1000):
                if method == "ReceiveMessage":
                    client.call(method, api.ReceiveMessageRequest(queue="big", max_messages=3))
                elif method == "PeekMessages":
                    client.call(method, api.PeekMessagesRequest(queue="big", max_messages=3))
                else:
                    client.call(method, api.ConsumeStreamRequest(start=api.ConsumeStart(queue="big"), credit=1000), end=False)

        assert_memory_stays(broker, calls, 400 * MIB)
    if method != "PeekMessages":
        wait_until(lambda: depth(broker, "big") == (150, 0), "all that never left is there again")
    assert broker.terminate() == 0


def test_metrics_that_nobody_reads_hold_little_memory(start, api):
    broker = start("--memory")
    service = queue_service(broker)
    for i in range(2000):
        service.CreateQueue(api.CreateQueueRequest(queue=f"a-queue-with-a-long-name-{i:055}"), timeout=CALL_SECONDS)
    request = b"GET /metrics?prefix=a HTTP/1.1\r\nHost: x\r\n\r\n"
    clients = []
    try:

        def calls():
            for _ in range(300):
                client = socket.socket()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                host, port = broker.ready["admin"].rsplit(":", 1)
                client.connect((host, int(port)))
                client.sendall(request)
                clients.append(client)

        # A reply has a megabyte.
        assert len(broker.http("/metrics?prefix=a")[1]) > MIB // 2
        assert_memory_stays(broker, calls, 200 * MIB)
    finally:
        for client in clients:
            client.close()


# ---- The end under load ----


class Load:
    """Senders and consumers, unary and over streams, and what the broker has acknowledged to them. Ends with the broker."""

    def __init__(self, broker, api):
        self.api, self.service = api, queue_service(broker)
        self.lock = threading.Lock()
        self.sent, self.deleting, self.deleted, self.held = set(), set(), set(), set()
        self.unexpected = []
        work = [self.send, self.send, self.send_stream, self.send_stream, self.receive, self.receive, self.consume_stream, self.wait]
        self.threads = [threading.Thread(target=self.until_the_end, args=(step, i)) for i, step in enumerate(work)]
        for thread in self.threads:
            thread.start()

    def until_the_end(self, step, number):
        import grpc

        try:
            step(number)
        except grpc.RpcError as error:
            # gRPC cancels calls that come while the broker closes: whether they were done is not known then. Streams are told.
            allowed = {grpc.StatusCode.UNAVAILABLE}
            if "stream" not in step.__name__:
                allowed.add(grpc.StatusCode.CANCELLED)
            if error.code() not in allowed:
                self.unexpected.append(f"{step.__name__}: {error.code()} {error.details()}")
        except Exception as error:  # noqa: BLE001: any of them fails the test
            self.unexpected.append(f"{step.__name__}: {error!r}")

    def note(self, to, names):
        with self.lock:
            to.update(names)

    def batch(self, number, round_):
        names = [f"{number}-{round_}-{i}" for i in range(10)]
        return names, [self.api.SendMessageEntry(body=name.encode()) for name in names]

    def send(self, number):
        for round_ in range(1 << 30):
            names, entries = self.batch(number, round_)
            reply = self.service.SendMessage(self.api.SendMessageRequest(queue="orders", entries=entries), timeout=CALL_SECONDS)
            assert reply.failed == 0
            self.note(self.sent, names)

    def send_stream(self, number):
        handed_over = []

        def requests():
            for round_ in range(1 << 30):
                names, entries = self.batch(number, round_)
                handed_over.extend(names)
                yield self.api.SendStreamRequest(queue="orders", entries=entries)

        known = 0
        for response in self.service.SendStream(requests()):
            assert not response.failures
            self.note(self.sent, handed_over[known : response.settled])
            known = response.settled

    def receive(self, _):
        while True:
            request = self.api.ReceiveMessageRequest(queue="orders", max_messages=10)
            messages = self.service.ReceiveMessage(request, timeout=CALL_SECONDS).messages
            names = [message.body.decode() for message in messages]
            self.note(self.held, names)
            self.note(self.deleting, names[::2])
            if not names:
                continue
            request = self.api.DeleteMessageRequest(queue="orders", receipt_handles=[m.receipt_handle for m in messages[::2]])
            assert self.service.DeleteMessage(request, timeout=CALL_SECONDS).failed == 0
            self.note(self.deleted, names[::2])

    def consume_stream(self, _):
        import queue

        requests = queue.SimpleQueue()
        requests.put(self.api.ConsumeStreamRequest(start=self.api.ConsumeStart(queue="orders"), credit=1000))
        asked, deletes = 1, {}
        for frame in self.service.ConsumeStream(iter(requests.get, None)):
            for number in [n for n in deletes if n <= frame.settled]:
                self.note(self.deleted, deletes.pop(number))
            if frame.messages:
                names = [message.body.decode() for message in frame.messages]
                self.note(self.deleting, names)
                ranges = [self.api.DeliveryRange(first=frame.first_delivery, count=len(names))]
                requests.put(self.api.ConsumeStreamRequest(deletes=ranges, credit=len(names)))
                asked += 1
                deletes[asked] = names
        requests.put(None)

    def wait(self, _):
        while True:
            request = self.api.ReceiveMessageRequest(queue="empty")
            request.wait.seconds = 3600
            assert not self.service.ReceiveMessage(request).messages

    def join(self):
        for thread in self.threads:
            thread.join(DEADLINE_SECONDS)
            assert not thread.is_alive()
        assert not self.unexpected, self.unexpected


@pytest.mark.parametrize("durability", ["fsync", "os"])
def test_sigterm_under_load_loses_nothing_and_ends_in_time(tmp_path, start, api, durability):
    drain_seconds = 10
    flags = ("--data-dir", tmp_path / "data", "--drain-time", f"{drain_seconds}s")
    broker = start(*flags)
    for queue in ("orders", "empty"):
        broker.ok("queue", "create", queue, "--durability", durability, "--visibility-timeout", "12h")
    load = Load(broker, api)
    wait_until(lambda: len(load.sent) > 5000 and len(load.deleted) > 500, "some work done")
    begun = time.monotonic()
    broker.process.send_signal(signal.SIGTERM)
    assert broker.process.wait(DEADLINE_SECONDS) == 0, broker.log.read_text()
    assert time.monotonic() - begun < drain_seconds
    load.join()

    again = start(*flags)
    visible, in_flight = depth(again, "orders")
    # What a unary receive took and did not delete is in flight still, and nothing else is.
    assert in_flight <= len(load.held - load.deleted)
    found = [m["body"] for m in again.ok("receive", "orders", "--all", "--delete")]
    assert len(found) == len(set(found)), "twice"
    assert not load.deleted & set(found), "deleted, and there again"
    missing = load.sent - set(found) - load.deleting - load.held
    assert not missing, f"{len(missing)} of {len(load.sent)} lost"
    assert again.terminate() == 0


def test_sigterm_ends_who_does_not_read_within_the_drain_time(start, api):
    broker = start("--memory", "--drain-time", "1s")
    broker.ok("queue", "create", "orders")
    broker.ok("send", "orders", "--lines", stdin=b"m\n" * 1000)
    with Connection(broker.ready["grpc"]) as client:
        for _ in range(100):
            client.call("ConsumeStream", api.ConsumeStreamRequest(start=api.ConsumeStart(queue="orders"), credit=10), end=False)
        wait_until(lambda: depth(broker, "orders")[1] > 0, "messages delivered")
        begun = time.monotonic()
        broker.process.send_signal(signal.SIGTERM)
        assert broker.process.wait(DEADLINE_SECONDS) == 0, broker.log.read_text()
        assert time.monotonic() - begun < 5
