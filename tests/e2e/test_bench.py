"""`barista bench`: what it measures and verifies, and that it leaves nothing behind."""

import json
import os
import pty
import re
import signal
import subprocess

import pytest
from harness import BINARY, DEADLINE_SECONDS, clean_environment, run, wait_until
from test_command import closed_port

PREFIX = "barista-bench-"
SHORT = ("--duration", "300ms", "--warm-up", "100ms", "--durability", "memory")


def bench(broker, *arguments, code=0):
    """The report of a run against `broker`, which must leave no queue."""
    result = broker.cli("--output", "json", "bench", *arguments, timeout=120)
    assert result.code == code, result
    assert len(result.lines) == 1, result
    assert broker.ok("queue", "list", "--prefix", PREFIX) == []
    return result.lines[0]


def begin(broker, *arguments):
    """Starts a run that takes long; returns the process once its first queue stands, and the queue's name."""
    process = subprocess.Popen(
        [str(BINARY), "--server", broker.ready["grpc"], "--output", "json", "bench", "--duration", "1h", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    queues = wait_until(lambda: broker.ok("queue", "list", "--prefix", PREFIX), "a queue of the run")
    return process, queues[0]["name"]


def end(process):
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    return process.returncode, json.loads(out), err.decode()


def assert_exact(report):
    delivery = report["delivery"]
    assert delivery["exact"] is True, report
    assert delivery["acknowledged"] == delivery["delivered"] > 0
    assert (delivery["lost"], delivery["duplicates"], delivery["foreign"]) == (0, 0, 0)
    assert report["errors"] == {"send": 0, "receive": 0, "delete": 0, "first": None}


def assert_latencies(report):
    for name in ("send_latency", "end_to_end_latency", "delete_latency"):
        latency = report[name]
        assert latency["count"] > 0
        values = [latency[key] for key in ("p50_us", "p90_us", "p99_us", "p999_us", "max_us")]
        assert values == sorted(values) and values[0] > 0, report


# ---- What it measures ----


def test_closed_loop(broker):
    report = bench(broker, *SHORT, "--in-flight", "50")
    assert_exact(report)
    assert_latencies(report)
    assert (report["target"], report["durability"], report["rate"], report["in_flight"]) == ("grpc", "memory", 0, 50)
    assert report["completed_per_s"] > 0 and report["sent_per_s"] > 0
    assert not report["ended_early"]
    assert set(report["machine"]) == {"barista", "cpu", "memory_mib", "kernel", "compiler"}


def test_open_loop_sends_each_message_that_is_due(broker):
    report = bench(broker, "--rate", "400", "--warm-up", "500ms", "--duration", "1s", "--durability", "os")
    assert_exact(report)
    # However slow the machine: half a second of warm-up and a second.
    assert report["delivery"]["acknowledged"] == 600
    assert report["send_latency"]["count"] == report["end_to_end_latency"]["count"] == 400


def test_streams(broker):
    report = bench(broker, *SHORT, "--streams", "--send-batch", "20", "--receive-batch", "50", "--producers", "2",
                   "--consumers", "3", "--queues", "2")  # fmt: skip
    assert_exact(report)
    assert_latencies(report)
    assert report["target"] == "grpc streams"


@pytest.mark.parametrize("how", [(), ("--streams",)], ids=["unary", "streams"])
def test_several_queues_and_sizes(broker, how):
    report = bench(broker, *SHORT, *how, "--queues", "7", "--consumers", "2", "--producers", "3",
                   "--body", "100,1KiB,64KiB", "--in-flight", "100")  # fmt: skip
    assert_exact(report)
    assert (report["queues"], report["body_bytes"]) == (7, "100,1024,65536")


def test_sizes_of_a_range_and_fsync(broker):
    report = bench(broker, *SHORT[:-2], "--body", "48-5000", "--send-batch", "10")
    assert_exact(report)
    assert (report["durability"], report["body_bytes"]) == ("fsync", "48-5000")


def test_delayed_messages(broker):
    report = bench(broker, *SHORT, "--rate", "100", "--delay", "500ms")
    assert_exact(report)
    # From when they were due at a consumer: not from when they were sent.
    assert report["delay_s"] == 0.5


def test_sending_alone(broker):
    report = bench(broker, *SHORT, "--consumers", "0")
    assert report["delivery"]["exact"] is None
    assert report["delivery"]["acknowledged"] > 0
    assert report["end_to_end_latency"]["count"] == 0


def test_embedded(tmp_path):
    report = run("--output", "json", "bench", "--embedded", *SHORT[:-2], env={"TMPDIR": str(tmp_path)}).lines[0]
    assert_exact(report)
    assert report["target"] == "embedded"
    assert report["mean_commit_operations"] > 0 and report["messages_per_sync"] > 0
    assert "file_system" in report["machine"]
    assert list(tmp_path.iterdir()) == [], "a temporary directory is removed"


def test_embedded_with_a_data_directory(tmp_path):
    data = tmp_path / "data"
    for _ in range(2):
        result = run("bench", "--embedded", "--data-dir", data, *SHORT)
        assert result.code == 0, result
    verified = run("--output", "json", "verify", "--data-dir", data)
    assert verified.code == 0 and verified.lines[0]["queues"] == [], verified


def test_text_is_a_table(broker):
    result = broker.cli("bench", *SHORT, "--in-flight", "20")
    assert result.code == 0, result
    assert result.err == "", "no progress where nobody looks"
    lines = result.text.splitlines()
    assert "closed loop with 20 in flight" in lines[0]
    heading = next(line for line in lines if line.startswith("LATENCY"))
    assert heading.split() == ["LATENCY", "COUNT", "P50", "P90", "P99", "P99.9", "MAX"]
    rows = [line for line in lines if re.match(r"(send|end to end|delete) +\d+ ", line)]
    assert len(rows) == 3 and {len(row) for row in rows} == {len(heading)}, result.text
    assert any(line.startswith("delivery exact: ") for line in lines)


def test_progress_on_a_terminal(broker):
    terminal, child = pty.openpty()
    process = subprocess.Popen(
        [str(BINARY), "--server", broker.ready["grpc"], "bench", *SHORT],
        stdout=subprocess.DEVNULL, stderr=child, env=clean_environment(),
    )  # fmt: skip
    os.close(child)
    seen = b""
    while True:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # the end of a terminal
            break
        seen += chunk
    os.close(terminal)
    assert process.wait(DEADLINE_SECONDS) == 0
    assert re.search(rb"measuring \d+ s of \d+ s: \d+ sent, \d+ consumed", seen), seen


# ---- What it verifies ----


def test_a_purge_in_the_middle_is_seen_as_loss(broker):
    process, queue = begin(broker, "--durability", "memory", "--rate", "500", "--delay", "1s", "--drain", "100ms")

    def delayed():
        attributes = broker.ok("queue", "describe", queue)[0]["attributes"]
        return int(attributes["ApproximateNumberOfMessagesDelayed"]) > 50

    wait_until(delayed, "delayed messages")
    broker.ok("queue", "purge", queue)
    code, report, _ = end(process)
    assert code == 1
    delivery = report["delivery"]
    assert delivery["exact"] is False and delivery["lost"] > 0, report
    assert delivery["acknowledged"] == delivery["delivered"] + delivery["lost"]
    assert broker.ok("queue", "list", "--prefix", PREFIX) == []


def test_a_foreign_message_is_seen(broker):
    process, queue = begin(broker, "--durability", "memory", "--rate", "50")
    broker.ok("send", queue, "somebody else's")
    wait_until(lambda: broker.ok("peek", queue, "--max", "1000") == [], "that it is consumed")
    code, report, _ = end(process)
    assert (code, report["delivery"]["foreign"], report["delivery"]["lost"]) == (1, 1, 0), report


# ---- Ends ----


@pytest.mark.parametrize("how", [(), ("--streams",), ("--rate", "100")], ids=["closed", "streams", "open"])
def test_interrupt_ends_in_order_and_leaves_no_queues(broker, how):
    process, _ = begin(broker, "--durability", "memory", "--queues", "3", "--warm-up", "0s", *how)
    code, report, err = end(process)
    assert code == 0, (report, err)
    assert report["ended_early"]
    assert report["delivery"]["exact"] is True
    assert broker.ok("queue", "list", "--prefix", PREFIX) == []


def test_keep_leaves_the_queues(broker):
    result = broker.cli("bench", *SHORT, "--queues", "2", "--keep")
    assert result.code == 0, result
    names = [line["name"] for line in broker.ok("queue", "list", "--prefix", PREFIX)]
    assert len(names) == 2 and names[0] in result.err, result
    for name in names:
        broker.ok("queue", "delete", name)


def test_exit_3_without_a_broker():
    result = run("--server", f"127.0.0.1:{closed_port()}", "--output", "json", "bench")
    assert (result.code, result.out, json.loads(result.err.splitlines()[-1])["error"]["reason"]) == (
        3, b"", "NotReachable")  # fmt: skip


@pytest.mark.parametrize("how", [(), ("--streams",)], ids=["unary", "streams"])
def test_exit_3_when_the_broker_goes_away(start, how):
    broker = start("--memory")
    process, _ = begin(broker, "--durability", "memory", *how)
    broker.kill()
    out, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, out) == (3, b""), err


@pytest.mark.parametrize(
    "arguments, named",
    [
        (("--queues", "0"), ("--queues", "0", "1", "10000")),
        (("--queues", "10001"), ("--queues", "10001", "10000")),
        (("--producers", "1025"), ("--producers", "1025", "1024")),
        (("--consumers", "-1"), ("--consumers", "-1", "1024")),
        (("--send-batch", "1001"), ("--send-batch", "1001", "1000")),
        (("--receive-batch", "0"), ("--receive-batch", "0", "1000")),
        (("--connections", "65"), ("--connections", "65", "64")),
        (("--rate", "-1"), ("--rate", "-1", "100000000")),
        (("--rate", "100000001"), ("--rate", "100000001", "100000000")),
        (("--rate", "fast"), ("--rate", "fast")),
        (("--in-flight", "9", "--send-batch", "10"), ("--in-flight", "9", "10", "10000000")),
        (("--body", "47"), ("--body", "47", "48", "1048576")),
        (("--body", "1MiB,1048577"), ("--body", "1048577", "1048576")),
        (("--body", "2KiB-1KiB"), ("--body", "2048", "1024")),
        (("--body", "1-2-3"), ("--body", "1-2-3")),
        (("--body", "big"), ("--body", "big")),
        (("--body", "1MiB", "--send-batch", "5"), ("--send-batch", "5", "4194304")),
        (("--durability", "best"), ("--durability", "best", "fsync")),
        (("--duration", "0s"), ("--duration", "0", "1ms", "24h")),
        (("--duration", "25h"), ("--duration", "25h", "24h")),
        (("--warm-up", "soon"), ("--warm-up", "soon")),
        (("--drain", "61m"), ("--drain", "1h")),
        (("--delay", "901s"), ("--delay", "15m")),
        (("--data-dir", "x"), ("--data-dir", "--embedded")),
        (("--embedded", "--streams"), ("--embedded", "--streams")),
        (("--streams", "--queues", "10000", "--connections", "1"), ("--streams", "10001", "10000")),
    ],
    ids=lambda value: " ".join(value),
)
def test_exit_2_names_option_value_and_range(arguments, named):
    result = run("bench", *arguments)
    assert result.code == 2, result
    assert result.err.startswith("error: WrongUsage: "), result
    for word in named:
        assert word in result.err, result
