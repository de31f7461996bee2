"""Backup under load, restore, verify: the real server, compared with the ledger of its clients, and damage on purpose."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

import pytest
from harness import BINARY, run, wait_until

CALL_SECONDS = 20


def data(path):
    return ["--data-dir", str(path)]


def verify(directory):
    """(exit code, report) of `barista verify`."""
    result = run("--output", "json", "verify", "--data-dir", directory)
    assert result.code in (0, 1), result
    (report,) = result.lines
    assert report["sound"] == (result.code == 0)
    return result.code, report


def contents(directory):
    return {path: path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


class Load:
    """Producers and consumers on the queues `fsync` and `os`, and what the broker has acknowledged to them so far."""

    def __init__(self, address, stubs):
        sys.path.insert(0, str(stubs))
        import grpc
        from barista.v1 import queue_pb2, queue_pb2_grpc

        self.api = queue_pb2
        self.broker = queue_pb2_grpc.QueueServiceStub(grpc.insecure_channel(address))
        self.lock = threading.Lock()
        self.sent, self.deleted = set(), set()
        self.begun_deletes = set()
        self.errors = []
        self.stop = threading.Event()
        work = [(self.produce, q, n) for q in ("fsync", "os") for n in range(2)] + [(self.consume, q, 0) for q in ("fsync", "os")]
        self.threads = [threading.Thread(target=self.repeat, args=arguments) for arguments in work]
        for thread in self.threads:
            thread.start()

    def repeat(self, step, queue, number):
        rounds = 0
        try:
            while not self.stop.is_set():
                step(queue, number, rounds)
                rounds += 1
        except Exception as error:  # noqa: BLE001: any of them fails the test
            self.errors.append(repr(error))

    def produce(self, queue, number, rounds):
        names = [f"{queue}-{number}-{rounds}-{i}" for i in range(10)]
        # Every tenth is long enough for a blob file.
        entries = [self.api.SendMessageEntry(body=(name + " " + "x" * (9000 if i == 0 else 100)).encode()) for i, name in enumerate(names)]
        reply = self.broker.SendMessage(self.api.SendMessageRequest(queue=queue, entries=entries), timeout=CALL_SECONDS)
        assert not any(result.HasField("error") for result in reply.results)
        with self.lock:
            self.sent.update(names)

    def consume(self, queue, number, rounds):
        messages = self.broker.ReceiveMessage(self.api.ReceiveMessageRequest(queue=queue, max_messages=5), timeout=CALL_SECONDS).messages
        if not messages:
            return
        names = [message.body.decode().split()[0] for message in messages]
        with self.lock:
            self.begun_deletes.update(names)
        request = self.api.DeleteMessageRequest(queue=queue, receipt_handles=[m.receipt_handle for m in messages])
        reply = self.broker.DeleteMessage(request, timeout=CALL_SECONDS)
        assert not any(result.HasField("error") for result in reply.results)
        with self.lock:
            self.deleted.update(names)

    def acknowledged(self):
        """(sent, deleted) by now."""
        with self.lock:
            return set(self.sent), set(self.deleted)

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()
        assert not self.errors, self.errors


def names_in(broker):
    """Everything that a broker whose clock stands still holds, with a count for each."""
    names = []
    for queue in ("fsync", "os"):
        for message in broker.ok("receive", queue, "--all", "--visibility", "12h", "--delete"):
            names.append(message["body"].split()[0])
    return names


def test_backups_under_load_hold_what_was_acknowledged_before_them(tmp_path, start, stubs):
    broker = start(*data(tmp_path / "data"), "--memory-limit", "64MiB")
    for queue in ("fsync", "os"):
        broker.ok("queue", "create", queue, "--durability", queue, "--visibility-timeout", "1s")
    load = Load(broker.ready["grpc"], stubs)
    ledgers = []
    try:
        for i in range(3):
            wait_until(lambda: load.errors or len(load.acknowledged()[1]) > 300 * (i + 1), "enough load")
            before = load.acknowledged()
            broker.ok("backup", tmp_path / f"backup{i}")
            with load.lock:
                ledgers.append((*before, set(load.begun_deletes)))
    finally:
        load.end()
    for i, (sent, deleted, maybe_deleted) in enumerate(ledgers):
        backup = tmp_path / f"backup{i}"
        assert verify(backup)[0] == 0
        result = run("restore", backup, "--data-dir", tmp_path / f"restored{i}")
        assert result.code == 0, result
        code, report = verify(tmp_path / f"restored{i}")
        assert code == 0, report
        restored = start(*data(tmp_path / f"restored{i}"), directory=tmp_path / f"server{i}")
        count = sum(queue["messages"] for queue in report["queues"])
        names = []
        wait_until(lambda: names.extend(names_in(restored)) or len(names) >= count, "all messages of the restored directory")
        assert len(names) == len(set(names)) == count
        lost = (sent - maybe_deleted) - set(names)
        undead = deleted & set(names)
        assert not lost and not undead, f"{len(lost)} lost: {sorted(lost)[:5]}; {len(undead)} undead: {sorted(undead)[:5]}"
        assert restored.terminate() == 0
        assert verify(tmp_path / f"restored{i}")[0] == 0
    # The first server is not impressed.
    assert broker.terminate() == 0
    assert verify(tmp_path / "data")[0] == 0


@pytest.fixture
def filled(tmp_path, start):
    """A data directory with a table, a blob file and a log, that nobody has open."""
    body = "\n".join(str(i) * 6000 for i in range(200)).encode()
    for _ in range(2):  # what the first boot wrote is in tables and blobs once the second has opened
        broker = start(*data(tmp_path / "data"))
        broker.ok("queue", "create", "orders")
        broker.ok("send", "orders", "-", "--lines", stdin=body)
        assert broker.terminate() == 0
    return tmp_path / "data"


@pytest.mark.parametrize("ending", [".sst", ".blob", ".log"])
def test_verify_finds_a_flipped_byte(filled, ending):
    assert verify(filled)[0] == 0
    for path in filled.glob(f"db/*{ending}"):
        intact = path.read_bytes()
        for at in (len(intact) // 7, len(intact) // 2, len(intact) - len(intact) // 5):
            flipped = bytearray(intact)
            flipped[at] ^= 0x20
            path.write_bytes(flipped)
            code, report = verify(filled)
            assert code == 1
            assert f"db/{path.name}" in [problem.get("file") for problem in report["problems"]], report
        path.write_bytes(intact)
    assert verify(filled)[0] == 0


def test_verify_names_the_damaged_message(filled):
    blob = max(filled.glob("db/*.blob"), key=lambda path: path.stat().st_size)
    intact = blob.read_bytes()
    at = intact.index(b"77" * 100)
    blob.write_bytes(intact[:at] + b"X" + intact[at + 1 :])
    result = run("verify", "--data-dir", filled)
    assert result.code == 1, result
    assert "DAMAGED" in result.text
    (problem,) = verify(filled)[1]["problems"]
    assert problem["queue"] == "orders" and problem["family"] == "messages" and problem["sequence"] > 0
    assert f"{problem['sequence']}" in result.text


def test_verify_changes_nothing_and_wants_the_directory_for_itself(tmp_path, start):
    broker = start(*data(tmp_path / "data"))
    broker.ok("queue", "create", "orders")
    result = run("--output", "json", "verify", "--data-dir", tmp_path / "data")
    assert result.code == 1 and result.error["reason"] == "DataDirectoryInUse", result
    broker.kill()  # the log is as the crash left it
    before = contents(tmp_path / "data")
    assert verify(tmp_path / "data")[0] == 0
    assert contents(tmp_path / "data") == before
    assert run("verify", "--data-dir", tmp_path / "none").code == 2
    assert run("verify").code == 2
    assert not (tmp_path / "none").exists()


def test_a_backup_is_restored_again_and_again(tmp_path, start):
    broker = start(*data(tmp_path / "data"))
    broker.ok("queue", "create", "orders")
    broker.ok("send", "orders", "two espressos")
    (made,) = broker.ok("backup", tmp_path / "backup")
    assert made["directory"] == str(tmp_path / "backup") and made["files"] > 0 and made["bytes"] > 0
    before = contents(tmp_path / "backup")
    for i in range(2):
        restored = tmp_path / f"restored{i}"
        (line,) = run("--output", "json", "restore", tmp_path / "backup", "--data-dir", restored).lines
        assert line["files"] == made["files"] and line["bytes"] == made["bytes"]
        server = start(*data(restored), directory=tmp_path / f"server{i}")
        (message,) = server.ok("receive", "orders", "--delete")
        assert message["body"] == "two espressos"
        assert server.terminate() == 0
    assert contents(tmp_path / "backup") == before
    served = run("serve", "--data-dir", tmp_path / "backup")
    assert served.code == 1 and "is a backup" in served.err
    assert contents(tmp_path / "backup") == before


def refusal(result):
    assert result.code == 1, result
    return result.error["reason"]


def test_what_is_refused_changes_nothing(tmp_path, start):
    broker = start(*data(tmp_path / "data"))
    broker.ok("queue", "create", "orders")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")

    def backup(directory):
        return refusal(broker.cli("--output", "json", "backup", directory))

    assert backup(tmp_path / "full") == "DirectoryNotEmpty"
    assert backup(tmp_path / "no" / "parent") == "InvalidParameterValue"
    assert backup(tmp_path / "data" / "inside") == "InvalidParameterValue"
    assert backup("/proc/backup") in ("DirectoryNotWritable", "DirectoryUnavailable")
    assert broker.cli("backup", "relative").code == 2
    broker.ok("backup", tmp_path / "backup")
    assert backup(tmp_path / "backup") == "DirectoryNotEmpty"

    def restore(source, target):
        return refusal(run("--output", "json", "restore", source, "--data-dir", target))

    assert restore(tmp_path / "full", tmp_path / "new") == "InvalidParameterValue"
    assert restore(tmp_path / "backup", tmp_path / "full") == "DirectoryNotEmpty"
    assert restore(tmp_path / "backup", tmp_path / "data") == "DirectoryNotEmpty"
    (tmp_path / "backup" / "db" / "CURRENT").unlink()
    assert restore(tmp_path / "backup", tmp_path / "new") == "DataCorrupt"
    assert not list(tmp_path.glob("*.tmp")) and not (tmp_path / "new").exists()
    assert broker.ok("send", "orders", "still here")


def test_without_permission_nothing_is_written(start):
    """As a user who may read the backup and write nowhere near the target: root becomes one."""
    with tempfile.TemporaryDirectory(prefix="barista-backup.") as name:
        place = pathlib.Path(name)
        broker = start(*data(place / "data"))
        broker.ok("queue", "create", "orders")
        broker.ok("backup", place / "backup")
        for path in (place, *(place / "backup").rglob("*"), place / "backup"):
            path.chmod(0o755)
        place.chmod(0o555)
        stranger = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
        command = [*stranger, BINARY, "--output", "json", "restore", place / "backup", "--data-dir", place / "new"]
        completed = subprocess.run(command, capture_output=True)
        place.chmod(0o755)
        assert completed.returncode == 1, completed
        assert json.loads(completed.stderr)["error"]["reason"] == "DirectoryNotWritable"
        assert sorted(path.name for path in place.iterdir()) == ["backup", "data"]
