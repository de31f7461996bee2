"""The client commands: exit codes, output formats, and what each does."""

import base64
import json
import re
import signal
import socket
import subprocess

import pytest
from harness import BINARY, DEADLINE_SECONDS, clean_environment, run, wait_until

UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
ISO_MILLISECONDS = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


def closed_port():
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def counts(broker, queue):
    attributes = broker.ok("queue", "describe", queue)[0]["attributes"]
    return tuple(
        int(attributes["ApproximateNumberOfMessages" + kind]) for kind in ("", "NotVisible", "Delayed")
    )


# ---- Exit codes ----


def test_exit_0_for_an_empty_receive(broker, queue):
    result = broker.cli("receive", queue)
    assert (result.code, result.out) == (0, b"")


def test_exit_1_when_the_broker_refuses(broker):
    result = broker.cli("send", "no-such-queue", "x")
    assert result.code == 1
    assert result.err.startswith("error: QueueDoesNotExist: ")
    assert "hint: " in result.err
    assert result.out == b""


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["brew"],
        ["queue"],
        ["queue", "create"],
        ["send"],
        ["receive", "q", "--no-such-flag"],
        ["receive", "q", "--wait", "soon"],
        ["receive", "q", "--all", "--follow"],
        ["receive", "q", "--max", "many"],
        ["receive", "q", "--max", "0"],
        ["peek", "q", "--max", "1001"],
        ["send", "q", "body", "--lines"],
        ["send", "q", "body", "--attribute", "no-equals-sign"],
        ["send", "q", "body", "--traceparent", "00-0-0-01"],
        ["send", "q", "body", "--tracestate", "vendor=42"],
        ["queue", "set", "q"],
        ["queue", "create", "q", "--delay", "1s", "--attribute", "DelaySeconds=1"],
        ["queue", "create", "q", "--visibility-timeout", "1500ms"],
        ["queue", "create", "q", "--durability", "best"],
        ["--output", "xml", "version"],
        ["--server", "no-port", "queue", "list"],
        ["--server", "::1:9326", "queue", "list"],
        ["change-visibility", "q", "handle"],
    ],
    ids=" ".join,
)
def test_exit_2_for_wrong_usage(arguments):
    result = run(*arguments)
    assert result.code == 2, result
    assert result.err.startswith("error: WrongUsage: "), result
    assert result.out == b""


def test_exit_3_when_the_broker_cannot_be_reached():
    port = closed_port()
    result = run("--server", f"127.0.0.1:{port}", "queue", "list")
    assert result.code == 3, result
    assert f"127.0.0.1:{port}" in result.err
    assert "hint: " in result.err


def test_exit_3_when_the_broker_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        result = run("--server", f"127.0.0.1:{silent.getsockname()[1]}", "--timeout", "200ms", "queue", "list")
    assert result.code == 3, result


def test_a_word_that_is_no_command_is_named():
    assert "WrongUsage: \"brew\" is no command of barista: serve, config, queue, " in run("brew").err
    assert "\"delet\" is no command of barista queue: create, list, " in run("queue", "delet", "orders").err
    assert "barista queue wants a command: create, " in run("queue").err


def test_errors_in_json(broker):
    refused = broker.cli("--output", "json", "receive", "no-such-queue")
    assert (refused.code, refused.error["reason"]) == (1, "QueueDoesNotExist")
    assert refused.error["message"]
    wrong = run("--output=json", "brew")
    assert (wrong.code, wrong.error["reason"]) == (2, "WrongUsage")
    away = run("--output", "json", "--server", f"127.0.0.1:{closed_port()}", "queue", "list")
    assert (away.code, away.error["reason"]) == (3, "NotReachable")


def test_error_names_field_value_and_limit(broker, queue):
    result = broker.cli("--output", "json", "queue", "set", queue, "--visibility-timeout", "43201")
    assert result.code == 1, result
    assert result.error["reason"] == "InvalidAttributeValue"
    assert result.error["field"] == "VisibilityTimeout"
    assert result.error["value"] == "43201"
    assert "43200" in result.error["limit"]


def test_help_and_version():
    for arguments in (["--help"], ["queue", "create", "--help"], ["send", "--help"], ["serve", "--help"]):
        result = run(*arguments)
        assert result.code == 0, result
        assert b"--" in result.out
    assert run("--version").text == run("version").text == "barista 0.1.0\n"
    assert run("version", "--output", "json").lines == [{"version": "0.1.0"}]


# ---- Global options ----


def test_global_options_before_and_after_the_command(broker, queue):
    server = broker.ready["grpc"]
    before = run("--server", server, "--output", "json", "queue", "describe", queue)
    after = run("queue", "describe", queue, "--server", server, "--output", "json")
    between = run("queue", "--output=json", "describe", f"--server={server}", queue)
    assert before.code == after.code == between.code == 0, (before, after, between)
    assert before.lines == after.lines == between.lines


def test_server_flag_beats_environment(broker, queue):
    nowhere = f"127.0.0.1:{closed_port()}"
    assert run("queue", "list", env={"BARISTA_SERVER": broker.ready["grpc"]}).code == 0
    assert run("queue", "list", env={"BARISTA_SERVER": nowhere}).code == 3
    assert run("queue", "list", "--server", broker.ready["grpc"], env={"BARISTA_SERVER": nowhere}).code == 0


def test_names_of_commands_are_ordinary_words_behind_a_command(broker):
    broker.ok("queue", "create", "queue")
    broker.ok("send", "queue", "receive")
    assert [m["body"] for m in broker.ok("receive", "queue", "--delete")] == ["receive"]
    broker.ok("queue", "delete", "queue")


# ---- Queues ----


def test_queue_life(broker):
    created = broker.ok("queue", "create", "life", "--visibility-timeout", "2m", "--delay", "3s", "--retention", "1d",
                        "--receive-wait", "4", "--max-message-size", "64KiB", "--max-in-flight", "7",
                        "--durability", "os", "--body-charset", "binary", "--tag", "team=bar", "--tag", "floor=2")
    assert set(created[0]) == {"name", "arn", "url", "attributes", "tags"}
    described = broker.ok("queue", "describe", "life")
    assert len(described) == 1
    queue = described[0]
    assert queue["name"] == "life"
    assert queue["arn"] == "arn:aws:sqs:us-east-1:000000000000:life"
    assert queue["url"].startswith("http://") and queue["url"].endswith("/000000000000/life")
    assert queue["tags"] == {"team": "bar", "floor": "2"}
    assert all(isinstance(value, str) for value in queue["attributes"].values())
    expected = {
        "VisibilityTimeout": "120", "DelaySeconds": "3", "MessageRetentionPeriod": "86400",
        "ReceiveMessageWaitTimeSeconds": "4", "MaximumMessageSize": "65536", "MaximumInFlightMessages": "7",
        "Durability": "os", "BodyCharset": "binary", "QueueArn": queue["arn"], "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "0", "ApproximateNumberOfMessagesDelayed": "0",
    }  # fmt: skip
    assert expected.items() <= queue["attributes"].items()

    broker.ok("queue", "set", "life", "--visibility-timeout", "5s", "--untag", "floor", "--tag", "team=kitchen",
              "--attribute", "DelaySeconds=0")
    queue = broker.ok("queue", "describe", "life")[0]
    assert queue["attributes"]["VisibilityTimeout"] == "5"
    assert queue["attributes"]["DelaySeconds"] == "0"
    assert queue["attributes"]["MaximumMessageSize"] == "65536"
    assert queue["tags"] == {"team": "kitchen"}

    broker.ok("send", "life", "x")
    assert counts(broker, "life") == (1, 0, 0)
    broker.ok("queue", "purge", "life")
    assert counts(broker, "life") == (0, 0, 0)
    assert broker.cli("queue", "delete", "life").code == 0
    assert broker.cli("queue", "delete", "life").code == 1


def test_create_again_with_other_attributes_is_refused(broker, queue):
    assert broker.cli("queue", "create", queue).code == 0
    result = broker.cli("--output", "json", "queue", "create", queue, "--delay", "9s")
    assert (result.code, result.error["reason"]) == (1, "QueueNameExists")


def test_list(broker):
    for name in ("list-b", "list-a", "other"):
        broker.ok("queue", "create", name)
    assert broker.ok("queue", "list", "--prefix", "list-") == [{"name": "list-a"}, {"name": "list-b"}]
    assert {"list-a", "list-b", "other"} <= set(broker.cli("queue", "list").text.split())


def test_dead_letter_queue_by_name(broker, queue):
    broker.ok("queue", "create", "dead")
    broker.ok("queue", "set", queue, "--dead-letter-queue", "dead", "--max-receive-count", "2")
    policy = json.loads(broker.ok("queue", "describe", queue)[0]["attributes"]["RedrivePolicy"])
    assert policy == {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": 2}


def test_text_of_describe_is_a_table(broker, queue):
    text = broker.cli("queue", "describe", queue).text
    columns = {line.split()[0]: line.split()[1] for line in text.splitlines()}
    assert columns["queue"] == queue
    assert columns["VisibilityTimeout"] == "30"
    assert ISO_MILLISECONDS.match(columns["CreatedTimestamp"])


# ---- Messages ----


def test_json_of_a_message(broker, queue):
    sent = broker.ok("send", queue, "two espressos \u2615", "--attribute", "table=7", "--attribute", "shots:Number=2",
                     "--attribute", "seal:Binary=AP8=", "--group", "g1")
    assert UUID.match(sent[0]["message_id"])
    received = broker.ok("receive", queue)
    assert len(received) == 1
    message = received[0]
    assert list(message)[:6] == ["message_id", "body", "receipt_handle", "receive_count", "sent_at", "attributes"]
    assert message["message_id"] == sent[0]["message_id"]
    assert message["body"] == "two espressos \u2615"
    assert message["receive_count"] == 1
    assert ISO_MILLISECONDS.match(message["sent_at"])
    assert message["group_id"] == "g1"
    assert message["attributes"] == {
        "table": {"type": "String", "value": "7"},
        "shots": {"type": "Number", "value": "2"},
        "seal": {"type": "Binary", "value_base64": "AP8="},
    }
    assert "dedup_id" not in message and "sequence_number" not in message
    assert broker.ok("delete", queue, "--", message["receipt_handle"]) == [{"deleted": 1}]
    assert counts(broker, queue) == (0, 0, 0)


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok\x80", b"cut \xe2\x98"],
    ids=["not a lead", "overlong", "surrogate", "above the last", "lone continuation", "cut short"],
)
def test_body_that_is_not_utf8_is_base64(broker, queue, body):
    broker.ok("queue", "set", queue, "--body-charset", "binary")
    broker.ok("send", queue, "-", stdin=body)
    message = broker.ok("receive", queue)[0]
    assert "body" not in message
    assert base64.b64decode(message["body_base64"]) == body


def test_send_reads_standard_input(broker, queue):
    broker.ok("send", queue, stdin=b"line 1\nline 2\n")
    assert broker.ok("receive", queue)[0]["body"] == "line 1\nline 2\n"


def test_send_refuses_an_empty_and_a_large_body(broker, queue):
    for body, reason in ((b"", "MissingParameter"), (b"x" * (1024 * 1024 + 1), "InvalidParameterValue")):
        result = broker.cli("--output", "json", "send", queue, stdin=body)
        assert result.code == 1, result
        assert result.error["reason"] == reason
    broker.ok("send", queue, stdin=b"x" * (1024 * 1024))
    assert counts(broker, queue) == (1, 0, 0)


def test_send_delayed(broker, queue):
    broker.ok("send", queue, "later", "--delay", "15m")
    assert counts(broker, queue) == (0, 0, 1)
    assert broker.ok("receive", queue) == []
    peeked = broker.ok("peek", queue)[0]
    assert peeked["state"] == "delayed"
    assert ISO_MILLISECONDS.match(peeked["visible_at"])


def test_peek_receives_nothing(broker, queue):
    for body in ("a", "b", "c"):
        broker.ok("send", queue, body)
    peeked = broker.ok("peek", queue, "--max", "2")
    assert [m["body"] for m in peeked] == ["a", "b"]
    assert all(m["state"] == "visible" and m["receive_count"] == 0 and "receipt_handle" not in m for m in peeked)
    assert counts(broker, queue) == (3, 0, 0)


def test_receive_text(broker, queue):
    broker.ok("send", queue, "flat white", "--attribute", "table=7")
    text = broker.cli("receive", queue, "--visibility", "0s").text
    facts, body = text.split("\n\n", 1)
    assert "table" in facts and "handle" in facts
    assert body.startswith("flat white\n")
    assert broker.cli("receive", queue, "--delete").text == "flat white\n"
    assert counts(broker, queue) == (0, 0, 0)


def test_receive_max_and_visibility(broker, queue):
    broker.ok("send", queue, "--lines", stdin=b"1\n2\n3\n")
    assert len(broker.ok("receive", queue, "--max", "2", "--visibility", "12h")) == 2
    assert counts(broker, queue) == (1, 2, 0)


def test_receive_waits_for_a_message(broker, queue):
    waiting = subprocess.Popen(
        [str(BINARY), "--server", broker.ready["grpc"], "receive", queue, "--wait", "20s", "--delete"],
        stdout=subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    wait_until(lambda: "barista_parked_receives 1" in broker.http("/metrics")[1], "a parked receive")
    broker.ok("send", queue, "at last")
    out, _ = waiting.communicate(timeout=DEADLINE_SECONDS)
    assert (waiting.returncode, out) == (0, b"at last\n")


def test_change_visibility(broker, queue):
    broker.ok("send", queue, "x")
    handle = broker.ok("receive", queue)[0]["receipt_handle"]
    assert broker.ok("receive", queue) == []
    assert broker.ok("change-visibility", queue, "--visibility", "0s", "--", handle) == [{"changed": 1}]
    assert broker.ok("receive", queue)[0]["receive_count"] == 2


def test_delete_reports_each_bad_handle(broker, queue):
    broker.ok("send", queue, "x")
    handle = broker.ok("receive", queue)[0]["receipt_handle"]
    result = broker.cli("--output", "json", "delete", queue, "-", stdin=f"forged\n{handle}\n".encode())
    assert result.code == 1, result
    assert result.error["reason"] == "ReceiptHandleIsInvalid"
    assert result.lines == [{"deleted": 1}]


# ---- Lines ----


def test_lines_skip_empty_ones_and_report_refused_ones(broker, queue):
    result = broker.cli("--output", "json", "send", queue, "--lines", stdin=b"one\n\n\x01bad\ntwo\n\nthree")
    assert result.code == 1, result
    assert result.lines == [{"sent": 3, "skipped_empty": 2, "refused": 1}]
    assert (result.error["reason"], result.error["line"]) == ("InvalidMessageContents", 3)
    assert sorted(m["body"] for m in broker.ok("receive", queue, "--all")) == ["one", "three", "two"]
    text = broker.cli("send", queue, "--lines", stdin=b"\x01\n")
    assert text.err.startswith("error: line 1: InvalidMessageContents: ")


def test_lines_over_the_limit_are_refused_alone(broker, queue):
    longest = b"x" * (1024 * 1024)
    result = broker.cli("--output", "json", "send", queue, "--lines", stdin=b"a\n" + longest + b"x\n" + longest + b"\nb\n")
    assert result.code == 1, result
    assert result.lines == [{"sent": 3, "skipped_empty": 0, "refused": 1}]
    assert (result.error["line"], result.error["limit"]) == (2, "1048576")


def test_many_lines_arrive_once_each(broker, queue):
    lines = [b"%d %s" % (i, b"x" * (i % 3000)) for i in range(20000)]
    assert broker.ok("send", queue, "--lines", stdin=b"\n".join(lines), timeout=120) == [
        {"sent": len(lines), "skipped_empty": 0, "refused": 0}
    ]
    workers = [
        subprocess.Popen(
            [str(BINARY), "--server", broker.ready["grpc"], "receive", queue, "--all", "--delete"],
            stdout=subprocess.PIPE, env=clean_environment(),
        )
        for _ in range(2)
    ]  # fmt: skip
    received = []
    for worker in workers:
        received += worker.communicate(timeout=120)[0].splitlines()
        assert worker.returncode == 0
    assert sorted(received) == sorted(lines)
    assert counts(broker, queue) == (0, 0, 0)


def test_lines_of_a_slow_pipe_leave_at_once(broker, queue):
    sender = subprocess.Popen(
        [str(BINARY), "--server", broker.ready["grpc"], "send", queue, "--lines"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    sender.stdin.write(b"first\n")
    sender.stdin.flush()
    assert [m["body"] for m in broker.ok("receive", queue, "--wait", "20s", "--delete")] == ["first"]
    sender.stdin.close()
    assert sender.wait(DEADLINE_SECONDS) == 0
    sender.stdout.close()


# ---- Following ----


def test_follow_receives_until_interrupted(broker, queue):
    for number in (signal.SIGINT, signal.SIGTERM):
        worker = subprocess.Popen(
            [str(BINARY), "--server", broker.ready["grpc"], "--output", "json", "receive", queue, "--follow", "--delete"],
            stdout=subprocess.PIPE, env=clean_environment(),
        )  # fmt: skip
        for body in ("a", "b"):
            broker.ok("send", queue, body)
            assert json.loads(worker.stdout.readline())["body"] == body
        worker.send_signal(number)
        assert worker.wait(DEADLINE_SECONDS) == 0
        worker.stdout.close()
        assert counts(broker, queue) == (0, 0, 0)


def test_follow_outlives_a_restart_of_the_broker(start, tmp_path):
    flags = ("--data-dir", tmp_path / "data", "--grpc-listen", f"unix:{tmp_path}/barista.sock")
    broker = start(*flags)
    broker.ok("queue", "create", "orders")
    follower = subprocess.Popen(
        [str(BINARY), "--server", broker.ready["grpc"], "receive", "orders", "--follow", "--delete"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    broker.ok("send", "orders", "before")
    assert follower.stdout.readline() == b"before\n"
    broker.kill()
    assert follower.stderr.readline().startswith(b"error: NotReachable: ")
    broker = start(*flags)
    broker.ok("send", "orders", "after")
    assert b"after\n" in iter(follower.stdout.readline, b"")
    follower.send_signal(signal.SIGINT)
    _, err = follower.communicate(timeout=DEADLINE_SECONDS)
    assert follower.returncode == 0
    assert b"the broker is back\n" in err
    assert counts(broker, "orders") == (0, 0, 0)


def test_follow_ends_when_interrupted_while_the_broker_is_away(start):
    broker = start("--memory")
    broker.ok("queue", "create", "orders", "--durability", "memory")
    follower = subprocess.Popen(
        [str(BINARY), "--server", broker.ready["grpc"], "--output", "json", "receive", "orders", "--follow"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    wait_until(lambda: "barista_parked_receives 1" in broker.http("/metrics")[1], "a parked receive")
    broker.kill()
    assert json.loads(follower.stderr.readline())["error"]["reason"] == "NotReachable"
    follower.send_signal(signal.SIGTERM)
    follower.communicate(timeout=DEADLINE_SECONDS)
    assert follower.returncode == 0


def test_follow_without_a_broker_is_not_reachable():
    result = run("--server", f"127.0.0.1:{closed_port()}", "receive", "orders", "--follow")
    assert result.code == 3, result


def test_messages_that_nobody_read_are_not_deleted(broker, queue):
    broker.ok("send", queue, "--lines", stdin=b"1\n2\n3\n")
    worker = subprocess.Popen(
        [str(BINARY), "--server", broker.ready["grpc"], "receive", queue, "--all", "--delete", "--visibility", "12h"],
        stdout=open("/dev/full", "wb"), stderr=subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    _, err = worker.communicate(timeout=DEADLINE_SECONDS)
    assert worker.returncode == 1
    assert b"standard output" in err
    assert counts(broker, queue) == (3, 0, 0)
