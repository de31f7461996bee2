"""The blocking Python client (client/python) against a broker: calls, errors, streams, workers; its types and its README."""

import contextlib
import datetime
import decimal
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from harness import DEADLINE_SECONDS, ROOT, clean_environment, install_python_client, wait_until
from test_security import SECRET, Authority, write_tokens

FOLDER = ROOT / "client/python"
MESSAGES = 10_000


@pytest.fixture
def client(barista, broker):
    with barista.connect(broker.ready["grpc"]) as client:
        yield client


@pytest.fixture
def orders(client, queue):
    """The fresh queue of the test."""
    return client.queue(queue)


def run_python(client_folder, source, **environment):
    completed = subprocess.run(
        [sys.executable, "-c", source],
        env=clean_environment({"PYTHONPATH": str(client_folder), **environment}),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


# ---- The package ----


def readme_examples():
    return re.findall(r"^```python\n(.*?)^```", (FOLDER / "README.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "number, printed",
    [
        (0, ["two espressos 7 1"]),
        (1, ["QueueDoesNotExist NOT_FOUND", "['stored', 'MessageBody']"]),
        (2, ["1000"]),
        (4, ["100 0"]),
    ],
)
def test_examples_of_the_readme(start, client_folder, number, printed):
    examples = readme_examples()
    assert len(examples) == 5
    broker = start("--memory")
    assert (
        run_python(client_folder, examples[number], BARISTA_SERVER=broker.ready["grpc"]).splitlines()[-len(printed) :]
        == printed
    )


def test_worker_of_the_readme_ends_in_order(start, client_folder):
    broker = start("--memory")
    broker.ok("queue", "create", "orders")
    broker.ok("send", "orders", "two espressos")
    worker = subprocess.Popen(
        [sys.executable, "-c", readme_examples()[3]],
        env=clean_environment({"PYTHONPATH": str(client_folder), "BARISTA_SERVER": broker.ready["grpc"]}),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: broker.ok("peek", "orders") == [], "the message is handled")
        worker.send_signal(signal.SIGTERM)
        printed, _ = worker.communicate(timeout=DEADLINE_SECONDS)
    finally:
        worker.kill()
    assert (worker.returncode, printed) == (0, "brewing two espressos\n")


def test_example_of_the_first_readme(start, client_folder):
    text = (ROOT / "README.md").read_text()
    (example,) = [
        block
        for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        if "import barista\n" in block
    ]
    assert run_python(client_folder, example, BARISTA_SERVER=start("--memory").ready["grpc"]) == "two espressos\n"


def test_types_are_strict(client_folder, tmp_path):
    completed = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            FOLDER / "pyproject.toml",
            "--cache-dir",
            tmp_path,
            "-p",
            "barista",
        ],
        cwd=client_folder,
        capture_output=True,
        text=True,
        timeout=10 * DEADLINE_SECONDS,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr


def test_users_see_types(client_folder, tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import barista\n\nreveal_type(barista.connect().queue('q').receive()[0].text)\nbarista.connect(7)\n"
    )
    completed = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", program],
        env=clean_environment({"MYPYPATH": str(client_folder)}),
        capture_output=True,
        text=True,
        timeout=10 * DEADLINE_SECONDS,
    )
    found = [line for line in completed.stdout.splitlines() if line.startswith(str(program))]
    assert len(found) == 2 and 'Revealed type is "str"' in found[0] and "[arg-type]" in found[1], completed.stdout


def test_source_distribution_builds_alone(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path],
        cwd=FOLDER,
        check=True,
        timeout=DEADLINE_SECONDS,
    )
    (archive,) = tmp_path.glob("*.tar.gz")
    install_python_client(tmp_path / "site", archive)
    assert run_python(tmp_path / "site", "import barista.aio; print(barista.connect().queue('q'))") == "Queue('q')\n"


def test_twins_have_the_same_methods(barista):
    import inspect

    for name in ("Client", "Queue", "Message", "Sender", "Consumer", "Worker"):
        blocking, twin = getattr(barista, name), getattr(barista.aio, name)
        for method, function in inspect.getmembers(blocking, inspect.isfunction):
            if not method.startswith("_"):
                ours, theirs = (list(inspect.signature(of).parameters) for of in (function, getattr(twin, method)))
                # asyncio has its own way to give up waiting.
                assert [p for p in ours if (method, p) != ("flush", "timeout")] == theirs, f"{name}.{method}"


# ---- Calls ----


def test_queues(client):
    orders = client.create_queue(
        "def-orders", visibility_timeout=datetime.timedelta(minutes=1), Durability="os", tags={"team": "bar"}
    )
    assert client.create_queue("def-orders", visibility_timeout=60) == orders
    orders.set_attributes(delay_seconds=3)
    orders.tag({"shift": "late"})
    orders.untag(["team"])
    info = orders.describe()
    assert (info.name, info.tags) == ("def-orders", {"shift": "late"}) and info.arn.endswith(":def-orders")
    assert [info.attributes[name] for name in ("VisibilityTimeout", "DelaySeconds", "Durability")] == ["60", "3", "os"]
    assert (info.visible, info.in_flight, info.delayed) == (0, 0, 0)
    dead = client.create_queue(
        "def-dead", durability="os", redrive_policy={"deadLetterTargetArn": info.arn, "maxReceiveCount": 3}
    )
    assert '"maxReceiveCount":3' in dead.describe().attributes["RedrivePolicy"].replace(" ", "")
    assert list(client.list_queues("def-", page_size=1)) == ["def-dead", "def-orders"]
    dead.delete()
    orders.delete()
    assert list(client.list_queues("def-")) == []


def test_messages_come_as_they_were_sent(orders):
    attributes = {"table": 7, "price": decimal.Decimal("2.50"), "guest": "Zoë", "photo": b"\x00\xff"}
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=1)
    sent = orders.send("zwei Espressi – schön", attributes=attributes, group_id="bar", trace_header="Root=1")
    (message,) = orders.receive(visibility_timeout=60)
    assert message.message_id == sent.message_id
    assert message.text == "zwei Espressi – schön" and message.body == message.text.encode()
    assert message.attributes == attributes and message.receive_count == 1
    assert (message.group_id, message.trace_header, message.dedup_id) == ("bar", "Root=1", None)
    assert before < message.sent_at <= message.first_received_at
    (peeked,) = orders.peek()
    assert peeked.state == "in_flight" and peeked.visible_at > message.sent_at and peeked.body == message.body
    message.delete()
    assert orders.peek() == []


def test_binary_bodies(client):
    photos = client.create_queue("photos", body_charset="binary")
    photos.send(bytes(range(256)))
    assert photos.receive()[0].body == bytes(range(256))
    with pytest.raises(TypeError, match="'open' is a bool"):
        photos.send("x", attributes={"open": True})


def test_visibility_of_a_message(orders):
    orders.send("x")
    (message,) = orders.receive()
    message.change_visibility(3600)
    assert orders.receive(wait=0) == []
    message.release()
    (again,) = orders.receive()
    assert again.receive_count == 2
    again.release(delay=600)
    assert orders.receive(wait=0) == [] and orders.describe().in_flight == 1
    orders.purge()
    assert orders.peek() == []


def test_delays(orders):
    orders.send("later", delay=900)
    assert orders.receive(wait=0) == [] and orders.describe().delayed == 1


def test_batches_have_a_result_for_each(barista, orders):
    sent = orders.send_batch(["first", b"second", "", barista.Entry("fourth", {"n": 4})])
    assert [bool(result.message_id) for result in sent] == [True, True, False, True]
    error = sent[2].error
    assert isinstance(error, barista.MissingParameter) and error.field == "MessageBody"
    messages = orders.receive(max_messages=10)
    assert sorted(message.text for message in messages) == ["first", "fourth", "second"]
    results = orders.delete_batch([*messages, "no handle"])
    assert results[:3] == [None] * 3 and isinstance(results[3], barista.ReceiptHandleIsInvalid)
    assert orders.peek() == []


# ---- Errors ----


@pytest.mark.parametrize(
    "reason, base, call",
    [
        ("QueueDoesNotExist", "NotFound", lambda client, orders: client.queue("none").send("x")),
        (
            "QueueNameExists",
            "AlreadyExists",
            lambda client, orders: client.create_queue(orders.name, visibility_timeout=7),
        ),
        ("MissingParameter", "InvalidRequest", lambda client, orders: orders.send("")),
        ("InvalidParameterValue", "InvalidRequest", lambda client, orders: orders.receive(max_messages=1001)),
        ("InvalidMessageContents", "InvalidRequest", lambda client, orders: orders.send(b"\xff")),
        ("InvalidAttributeName", "InvalidRequest", lambda client, orders: orders.set_attributes(colour=1)),
        (
            "InvalidAttributeValue",
            "InvalidRequest",
            lambda client, orders: orders.set_attributes(visibility_timeout=-1),
        ),
        ("ReceiptHandleIsInvalid", "InvalidRequest", lambda client, orders: orders.delete_batch(["x"])),
        ("EmptyBatchRequest", "InvalidRequest", lambda client, orders: orders.send_batch([])),
        ("TooManyEntriesInBatchRequest", "InvalidRequest", lambda client, orders: orders.send_batch(["x"] * 1001)),
        ("BatchRequestTooLong", "InvalidRequest", lambda client, orders: orders.send_batch(["x" * 1_000_000] * 5)),
    ],
)
def test_errors_by_reason(barista, client, orders, reason, base, call):
    with pytest.raises(getattr(barista, reason)) as caught:
        call(client, orders)
    assert isinstance(caught.value, getattr(barista, base)) and caught.value.reason == reason
    assert str(caught.value) == f"{reason}: {caught.value.message}"
    assert orders.peek() == []


def test_error_names_field_value_and_limit(barista, orders):
    with pytest.raises(barista.InvalidParameterValue) as caught:
        orders.send("x", delay=901)
    assert caught.value.code.name == "INVALID_ARGUMENT"
    assert (caught.value.field, caught.value.value) == ("DelaySeconds", "15m1s")
    assert "900" in caught.value.message


def test_in_flight_limit(barista, client):
    few = client.create_queue("few", maximum_in_flight_messages=1)
    few.send_batch(["1", "2"])
    assert len(few.receive(max_messages=1)) == 1
    with pytest.raises(barista.OverLimit):
        few.receive(wait=0)


def test_no_broker_and_no_answer(barista, broker, orders):
    with barista.connect("127.0.0.1:1") as client, pytest.raises(barista.Unavailable) as caught:
        client.queue("orders").send("x")
    assert caught.value.reason == ""
    with barista.connect(broker.ready["grpc"], timeout=0.05) as client, pytest.raises(TimeoutError) as caught:
        client.call(*long_poll(orders.name))
    assert isinstance(caught.value, barista.DeadlineExceeded)


def long_poll(name):
    """A receive that waits longer than its call may take."""
    from barista import _calls, _requests

    return _calls.RECEIVE_MESSAGE, _requests.receive(name, 1, 60, None)


def test_every_reason_of_the_api_has_a_class(barista):
    listed = re.findall(
        r"^//   ([A-Z][a-zA-Z]+) +[A-Z_]{6,} ", (ROOT / "proto/barista/v1/error.proto").read_text(), re.MULTILINE
    )
    assert "QueueDoesNotExist" in listed and "ServerDraining" in listed
    administration = {"DirectoryNotEmpty", "DirectoryNotWritable", "DirectoryUnavailable", "BackupInProgress"}
    assert {
        name for name in listed if not issubclass(getattr(barista, name, object), barista.BaristaError)
    } <= administration


def test_tls_and_tokens(barista, tmp_path, start):
    authority = Authority(tmp_path, "root")
    certificate, key = authority.issue("server")
    tokens = write_tokens(tmp_path / "tokens.yaml", ops=["admin: all"], shop=["send: [orders]"])
    broker = start(
        "--memory",
        "--tls-cert",
        certificate,
        "--tls-key",
        key,
        "--tls-client-ca",
        authority.root,
        "--token-file",
        tokens,
    )
    ours = dict(zip(("tls_cert", "tls_key"), authority.issue("client")), tls_ca=authority.root)

    def connect(**options):
        return barista.connect(broker.ready["grpc"], **ours, **options)

    with connect(token=f"ops-{SECRET}") as client:
        client.create_queue("orders")
    with connect(token=f"shop-{SECRET}") as client:
        with client.queue("orders").sender() as sender:
            sender.send("two espressos")
        with pytest.raises(barista.AccessDenied), client.queue("orders").consume() as consumer:
            next(consumer)
    with connect(token="guess") as client, pytest.raises(barista.InvalidClientTokenId):
        client.queue("orders").receive()
    with connect() as client, pytest.raises(barista.MissingAuthenticationToken) as caught:
        client.queue("orders").receive()
    assert isinstance(caught.value, barista.Unauthenticated)
    with pytest.raises(ValueError, match="tls_key"):
        barista.connect(tls_ca=authority.root, tls_cert=certificate)


# ---- Streams ----


def test_ten_thousand_messages_exactly_once(orders):
    with orders.sender() as sender:
        sent = [sender.send(f"{number}") for number in range(MESSAGES)]
    assert len({future.result().message_id for future in sent}) == MESSAGES
    received = []
    with orders.consume(credit=1000) as consumer:
        for message in consumer:
            received.append(int(message.text))
            message.delete()
            if len(received) == MESSAGES:
                break
    assert sorted(received) == list(range(MESSAGES))
    assert orders.peek() == []


def test_sender_holds_its_caller_up(barista, orders, monkeypatch):
    monkeypatch.setattr(sys.modules["barista._send_window"], "MAX_UNSETTLED_ENTRIES", 10)
    with orders.sender() as sender:
        futures = []
        for number in range(1000):
            futures.append(sender.send(f"{number}"))
            assert sum(not future.done() for future in futures) <= 20  # settled, and about to be told
        sender.flush()
    assert orders.describe().visible == 1000


def test_refused_entries_are_told_to_their_senders(barista, orders):
    with orders.sender() as sender:
        good, bad, late = sender.send("good"), sender.send(""), sender.send("late")
        with pytest.raises(barista.MissingParameter):
            sender.flush()
        assert good.result().message_id and late.result().message_id
        with pytest.raises(barista.MissingParameter, match="."):
            bad.result()
        sender.flush()  # told once
        with pytest.raises(barista.BatchRequestTooLong):
            sender.send("x" * (4 << 20))
    with pytest.raises(ValueError, match="closed"):
        sender.send("x")
    assert orders.describe().visible == 2


def test_what_was_handed_over_is_sent_although_its_sender_fails(orders):
    with pytest.raises(RuntimeError, match="spilled"), orders.sender() as sender:
        sender.send("")
        sender.send("stored")
        raise RuntimeError("spilled")
    assert [message.text for message in orders.peek()] == ["stored"]


def test_what_was_handed_over_is_given_up_when_interrupted(barista, orders):
    with pytest.raises(KeyboardInterrupt), orders.sender() as sender:
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="closed"):
        sender.send("x")


def test_what_is_not_deleted_is_released_at_the_end(orders):
    orders.send_batch(["1", "2", "3"])
    with orders.consume(credit=10) as consumer:
        first, second = next(consumer), next(consumer)
        first.delete()
        second.change_visibility(3600)
        consumer.flush()
    assert {message.text for message in orders.receive()} == {"1", "2", "3"} - {first.text}
    with pytest.raises(ValueError, match="closed"):
        second.delete()


def test_consumer_asks_for_no_more_than_its_credit(orders):
    orders.send_batch([str(number) for number in range(20)])
    with orders.consume(credit=5) as consumer:
        messages = [next(consumer) for _ in range(5)]
        messages[0].release(delay=600)
        consumer.flush()
        next(consumer)  # by the credit of the one released
        assert orders.describe().in_flight == 6
    with pytest.raises(ValueError, match="credit is 0"):
        orders.consume(credit=0)


def test_message_is_closed_once(barista, orders):
    orders.send("x")
    with orders.consume() as consumer:
        message = next(consumer)
        message.delete()
        with pytest.raises(barista.InvalidParameterValue, match="already"):
            message.delete()


def test_loop_that_is_left_keeps_its_promises(orders):
    orders.send_batch(["1", "2"])
    for message in orders.consume():
        message.delete()
        kept = message.text
        break
    wait_until(
        lambda: [m.text for m in orders.receive(wait=0)] == [{"1": "2", "2": "1"}[kept]], "the other one is released"
    )
    wait_until(lambda: len(orders.peek()) == 1, "the delete is done")


def test_heartbeat_keeps_messages_hidden(start, barista):
    broker = start("--memory", "--manual-clock")
    with barista.connect(broker.ready["grpc"]) as client:
        slow = client.create_queue("slow", visibility_timeout=2)
        slow.send("x")
        with slow.consume() as consumer:
            message = next(consumer)
            for _ in range(10):
                broker.http("/admin/clock/advance", method="POST", body=b'{"seconds":1}')
                consumer.flush()
            assert slow.receive(wait=0) == []
            message.delete()
        assert slow.peek() == []


def test_streams_of_a_queue_that_is_not_there(barista, client):
    with pytest.raises(barista.QueueDoesNotExist), client.queue("none").consume() as consumer:
        next(consumer)
    with pytest.raises(barista.QueueDoesNotExist), client.queue("none").sender() as sender:
        sender.send("x")


def test_broker_that_dies_fails_what_is_not_settled(start, barista):
    broker = start("--memory")
    with barista.connect(broker.ready["grpc"]) as client:
        orders = client.create_queue("orders")
        sender, consumer = orders.sender(), orders.consume()
        stored = sender.send("stored").result(DEADLINE_SECONDS)
        message = next(consumer)
        assert message.message_id == stored.message_id
        os.kill(broker.process.pid, signal.SIGSTOP)
        lost = sender.send("lost")
        broker.kill()
        for failing in (lambda: lost.result(DEADLINE_SECONDS), sender.flush, lambda: next(consumer)):
            with pytest.raises(barista.Unavailable):
                failing()
        for failing in (lambda: sender.send("x"), message.delete):
            with pytest.raises(barista.Unavailable):
                failing()


# ---- Workers ----


@contextlib.contextmanager
def working(worker):
    """Runs it on a thread, stops it, and passes on what it raised."""
    raised = []

    def run():
        try:
            worker.run()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive() and raised == []


def test_worker_deletes_after_success_and_releases_after_failure(orders):
    attempts, lock = {}, threading.Lock()

    def handle(message):
        with lock:
            attempts[message.text] = attempts.get(message.text, 0) + 1
            if message.text == "17" and attempts["17"] < 3:
                raise RuntimeError("spilled")

    orders.send_batch([str(number) for number in range(100)])
    with working(orders.worker(handle, concurrency=4)):
        wait_until(lambda: orders.peek() == [], "all are deleted")
    assert attempts == {str(number): 3 if number == 17 else 1 for number in range(100)}


def test_worker_lets_handlers_finish_and_gives_back_the_rest(orders):
    begun, go = threading.Barrier(3), threading.Event()

    def handle(message):
        begun.wait(DEADLINE_SECONDS)
        assert go.wait(DEADLINE_SECONDS)

    orders.send_batch([str(number) for number in range(10)])
    worker = orders.worker(handle, concurrency=2)
    thread = threading.Thread(target=worker.run)
    thread.start()
    begun.wait(DEADLINE_SECONDS)
    worker.stop()
    go.set()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()
    assert orders.describe().visible == 8 and orders.describe().in_flight == 0


def test_worker_survives_messages_that_are_gone(
    barista,
    orders,
):
    handled = []

    def handle(message):
        handled.append(message.text)
        if message.text == "purged":
            orders.purge()
            raise RuntimeError("spilled")

    orders.send("purged")
    with working(orders.worker(handle)):
        wait_until(lambda: handled and orders.peek() == [], "the queue is purged")
        orders.send("last")
        wait_until(lambda: "last" in handled and orders.peek() == [], "the worker goes on")
    assert handled == ["purged", "last"]


def test_run_returns_after_a_signal(barista, orders):
    handled = []

    def handle(message):
        handled.append(message.text)
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    orders.send("x")
    orders.run(handle)
    assert handled == ["x"] and orders.peek() == [] and signal.getsignal(signal.SIGTERM) is before


def test_worker_raises_what_does_not_pass(barista, client):
    with pytest.raises(barista.QueueDoesNotExist):
        client.queue("none").run(print)
    with pytest.raises(ValueError, match="concurrency is 0"):
        client.queue("none").worker(print, concurrency=0)


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_worker_survives_a_restart(start, tmp_path, barista, end):
    """Ended in order or not, the broker comes back at its address, and each message is handled."""
    # A port could be taken by somebody else meanwhile.
    flags = ("--data-dir", tmp_path / "data", "--grpc-listen", f"unix:{tmp_path}/grpc")
    broker = start(*flags)
    handled = set()
    with barista.connect(broker.ready["grpc"]) as client:
        orders = client.create_queue("orders")
        orders.send_batch(["before"] * 100)
        with working(orders.worker(lambda message: handled.add(message.text))):
            wait_until(lambda: "before" in handled, "the worker is at work")
            getattr(broker, end)()
            broker = start(*flags)
            wait_until(lambda: sent(barista, orders, "after"), "a message can be sent")
            wait_until(lambda: "after" in handled and orders.peek() == [], "the worker is at work again")


def sent(barista, queue, body):
    try:
        return queue.send(body)
    except barista.Unavailable:
        return None
