"""SIGKILL of the real server under load, checked against the ledgers of its clients.

8 producers and 4 consumers, each a process, work through gRPC on two queues (durability `fsync` and `os`: a crash of the process costs neither
anything) while the server is killed at random moments and started again on the same data directory. Each client appends what the broker has
acknowledged to a ledger of its own. At the end the queues are drained and the ledgers are compared:

  I1, I2   every acknowledged send was received at least once, byte for byte
  I1       no message is received by a call that began after its delete was acknowledged
           the queues end empty, and nothing was received that nobody sent

Run by pytest, or alone: sigkill_test.py [--kills N] [--seed S] [--keep]. BARISTA_KILLS (default 20) and BARISTA_SEED say the same to pytest.
"""

import argparse
import collections
import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import DEADLINE_SECONDS, Broker, generate_stubs, wait_until  # noqa: E402

PRODUCERS = 8
CONSUMERS = 4
QUEUES = ("fsync", "os")  # named by their durability
VISIBILITY_SECONDS = 3
CALL_SECONDS = 5
DRAIN_SECONDS = 60
# A consumer forgets to delete one message in so many: it comes back.
FORGETS_ONE_IN = 50
# Between becoming ready and being killed.
KILL_AFTER_SECONDS = (0.05, 2.0)


class Ledger:
    """Lines of JSON, each in the file before the next step of its client; a killed server leaves them whole."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, *fields):
        os.write(self.file, (json.dumps(fields) + "\n").encode())


def read_ledgers(directory, kind):
    for path in sorted(directory.glob(f"{kind}-*.jsonl")):
        with open(path, encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def make_body(name, size):
    """A body that carries its name and the digest of all the rest."""
    text = f"{name} " + "x" * size
    return (hashlib.sha256(text.encode()).hexdigest() + " " + text).encode()


def name_of(body):
    """The name in an undamaged body; None for any other."""
    digest, _, text = body.decode(errors="replace").partition(" ")
    if hashlib.sha256(text.encode()).hexdigest() != digest:
        return None
    return text.partition(" ")[0]


class Client:
    """A client process: connects, and calls `step` until the event `stop` is set. While the server is away calls fail, which is not an error."""

    def __init__(self, address, stubs, directory, kind, number, seed, stop):
        sys.path.insert(0, str(stubs))
        import grpc  # after the fork: gRPC's threads do not survive one
        from barista.v1 import queue_pb2, queue_pb2_grpc
        from google.protobuf.duration_pb2 import Duration

        self.grpc, self.api, self.Duration = grpc, queue_pb2, Duration
        options = [("grpc.initial_reconnect_backoff_ms", 20), ("grpc.min_reconnect_backoff_ms", 20), ("grpc.max_reconnect_backoff_ms", 100)]
        self.broker = queue_pb2_grpc.QueueServiceStub(grpc.insecure_channel(address, options=options))
        self.ledger = Ledger(directory / f"{kind}-{number}.jsonl")
        self.random = random.Random(f"{seed} {kind} {number}")
        self.number = number
        self.queue = QUEUES[number % len(QUEUES)]
        self.stop = stop

    def run(self, step):
        while not self.stop.is_set():
            try:
                step()
            except self.grpc.RpcError as error:
                gone = (self.grpc.StatusCode.UNAVAILABLE, self.grpc.StatusCode.DEADLINE_EXCEEDED, self.grpc.StatusCode.CANCELLED)
                if error.code() not in gone:
                    self.ledger.write("unexpected", str(error.code()), error.details())
                self.stop.wait(0.02)


def produce(*arguments):
    client = Client(*arguments)
    sent = 0

    def send_batch():
        nonlocal sent
        names = [f"{client.queue}-{client.number}-{sent + i}" for i in range(client.random.randint(1, 20))]
        sent += len(names)
        entries = [client.api.SendMessageEntry(body=make_body(name, client.random.randint(0, 2000))) for name in names]
        reply = client.broker.SendMessage(client.api.SendMessageRequest(queue=client.queue, entries=entries), timeout=CALL_SECONDS)
        for name, result in zip(names, reply.results):
            if result.HasField("error"):
                client.ledger.write("unexpected", result.error.reason, result.error.message)
        client.ledger.write("sent", time.monotonic(), [n for n, r in zip(names, reply.results) if not r.HasField("error")])

    client.run(send_batch)


def consume(*arguments):
    client = Client(*arguments)

    def receive_and_delete():
        request = client.api.ReceiveMessageRequest(
            queue=client.queue, max_messages=100, wait=client.Duration(nanos=200_000_000),
            visibility_timeout=client.Duration(seconds=VISIBILITY_SECONDS),
        )  # fmt: skip
        began = time.monotonic()
        messages = client.broker.ReceiveMessage(request, timeout=CALL_SECONDS).messages
        if not messages:
            return
        names = [name_of(message.body) for message in messages]
        client.ledger.write("received", began, names)
        kept = [(n, m.receipt_handle) for n, m in zip(names, messages) if client.random.randrange(FORGETS_ONE_IN)]
        if not kept:
            return
        request = client.api.DeleteMessageRequest(queue=client.queue, receipt_handles=[handle for _, handle in kept])
        results = client.broker.DeleteMessage(request, timeout=CALL_SECONDS).results
        now = time.monotonic()
        for result in results:
            if result.HasField("error"):
                client.ledger.write("unexpected", result.error.reason, result.error.message)
        client.ledger.write("deleted", now, [n for (n, _), r in zip(kept, results) if not r.HasField("error")])

    client.run(receive_and_delete)


class Run:
    """One run: a directory, a server that dies and comes back, and its clients."""

    def __init__(self, directory, kills, seed):
        self.directory = directory
        self.kills = kills
        self.seed = seed
        self.random = random.Random(f"{seed} kills")
        self.address = f"unix:{directory}/grpc.sock"  # the same for every server
        self.context = multiprocessing.get_context("spawn")
        self.stop_producing = self.context.Event()
        self.stop_consuming = self.context.Event()
        self.killed_at = []
        self.slowest_start = 0.0
        self.broker = None

    def start_broker(self):
        began = time.monotonic()
        self.broker = Broker(self.directory, "--data-dir", self.directory / "data", "--grpc-listen", self.address, "--log-level", "warn")
        self.broker.wait_ready()
        self.slowest_start = max(self.slowest_start, time.monotonic() - began)

    def start_clients(self, work, kind, count, stop):
        stubs = self.directory / "stubs"
        clients = [
            self.context.Process(target=work, args=(self.address, stubs, self.directory, kind, i, self.seed, stop), daemon=True)
            for i in range(count)
        ]
        for client in clients:
            client.start()
        return clients

    def in_queues(self):
        counts = re.findall(r"^barista_queue_messages_\w+\{.*\} (\d+)$", self.broker.http("/metrics")[1], re.MULTILINE)
        return sum(map(int, counts))

    def execute(self):
        """Lets it happen; returns the problems found."""
        (self.directory / "stubs").mkdir()
        generate_stubs(self.directory / "stubs")
        self.start_broker()
        for queue in QUEUES:
            self.broker.ok("queue", "create", queue, "--durability", queue)
        producers = self.start_clients(produce, "producer", PRODUCERS, self.stop_producing)
        consumers = self.start_clients(consume, "consumer", CONSUMERS, self.stop_consuming)
        try:
            ledgers = [self.directory / f"{c}-{i}.jsonl" for c, n in (("producer", PRODUCERS), ("consumer", CONSUMERS)) for i in range(n)]
            wait_until(lambda: all(path.exists() and path.stat().st_size for path in ledgers), "all clients at work")
            for _ in range(self.kills):
                # The moment is the point of the test: nothing to wait for.
                time.sleep(self.random.uniform(*KILL_AFTER_SECONDS))
                self.killed_at.append(time.monotonic())
                self.broker.kill()
                self.start_broker()
            self.stop_producing.set()
            for producer in producers:
                producer.join(DEADLINE_SECONDS)
            wait_until(lambda: self.in_queues() == 0, "queues that are empty", DRAIN_SECONDS)
            self.stop_consuming.set()
            for consumer in consumers:
                consumer.join(DEADLINE_SECONDS)
            problems = [f"{c.name} ended with {c.exitcode}" for c in producers + consumers if c.exitcode != 0]
            if self.broker.terminate() != 0:
                problems.append("the last server did not end in order")
            return problems + self.check()
        finally:
            for process in producers + consumers:
                if process.is_alive():
                    process.kill()
            if self.broker.process.poll() is None:
                self.broker.kill()

    def place(self, moment):
        """Where a moment lies between the kills: what the developer asks first."""
        kills = sum(at < moment for at in self.killed_at)
        text = f"{moment - self.killed_at[kills - 1]:.3f} s after kill {kills}" if kills else "before the first kill"
        return text + (f", {self.killed_at[kills] - moment:.3f} s before the next" if kills < len(self.killed_at) else "")

    def check(self):
        """Compares the ledgers."""
        problems = []
        sent, deleted_at, receives = {}, {}, collections.defaultdict(list)
        for kind, *fields in [*read_ledgers(self.directory, "producer"), *read_ledgers(self.directory, "consumer")]:
            if kind == "sent":
                sent.update(dict.fromkeys(fields[1], fields[0]))
            elif kind == "received":
                for name in fields[1]:
                    receives[name].append(fields[0])
            elif kind == "deleted":
                for name in fields[1]:
                    deleted_at[name] = min(fields[0], deleted_at.get(name, fields[0]))
            else:
                problems.append(f"an error that no crash explains: {fields}")
        if None in receives:
            problems.append(f"{len(receives.pop(None))} bodies came back damaged")
        lost = [f"{name} ({self.place(at)})" for name, at in sent.items() if name not in receives]
        undead = [f"{name} (deleted {self.place(at)})" for name, at in deleted_at.items() if any(b > at for b in receives[name])]
        if lost:
            problems.append(f"{len(lost)} acknowledged sends were never received: {lost[:10]}")
        if undead:
            problems.append(f"{len(undead)} messages were received after their delete was acknowledged: {undead[:10]}")
        again = sum(len(began) - 1 for began in receives.values())
        print(
            f"seed {self.seed}: {self.kills} kills, {len(sent)} sends acknowledged, {len(set(receives) - set(sent))} received without an "
            f"acknowledged send, {again} received again, {len(deleted_at)} deletes acknowledged, slowest start {self.slowest_start:.2f} s"
        )
        return problems


def check_kills(kills, seed, keep=False):
    print(f"sigkill_test: seed {seed}, {kills} kills", flush=True)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="barista-sigkill."))
    problems = ["the run broke off"]
    try:
        problems = Run(directory, kills, seed).execute()
    finally:
        if problems or keep:
            print(f"data, ledgers and log of the server: {directory}")
        else:
            shutil.rmtree(directory)
    return problems


def test_sigkill_loses_nothing_acknowledged():
    seed = int(os.environ.get("BARISTA_SEED", random.SystemRandom().randrange(2**32)))
    problems = check_kills(int(os.environ.get("BARISTA_KILLS", 20)), seed)
    assert not problems, f"seed {seed}: " + "; ".join(problems)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--keep", action="store_true", help="keep the directory of the run")
    arguments = parser.parse_args()
    problems = check_kills(arguments.kills, arguments.seed, arguments.keep)
    for problem in problems:
        print(f"FAILED: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
