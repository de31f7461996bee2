"""`barista serve` as a process: settings, ready file, listeners, start that fails, and the end."""

import json
import os
import signal
import socket
import stat
import subprocess
import urllib.error

import http2
import pytest
from harness import BINARY, DEADLINE_SECONDS, FREE_PORTS, clean_environment, run, wait_until


def serve(*arguments, env=None):
    """A `barista serve` that is expected to end by itself."""
    return run("serve", *arguments, env=env)


def data(path):
    return ["--data-dir", str(path / "data")]


# ---- Ready file ----


def test_ready_file_life(tmp_path, start):
    old = tmp_path / "ready.json"
    old.write_text("{}")
    broker = start(*data(tmp_path))
    text = broker.ready_file.read_text()
    assert text.count("\n") == 1 and text.endswith("\n")
    ready = json.loads(text)
    assert list(ready) == ["http", "grpc", "admin", "pid", "version"]
    assert ready["pid"] == broker.process.pid
    assert ready["version"] == "0.1.0"
    for listener in ("http", "grpc", "admin"):
        host, port = ready[listener].rsplit(":", 1)
        assert host == "127.0.0.1" and int(port) > 0
        socket.create_connection((host, int(port)), DEADLINE_SECONDS).close()
    assert not (tmp_path / "ready.json.tmp").exists()
    assert broker.terminate() == 0
    assert not broker.ready_file.exists()


def test_old_ready_file_goes_when_the_start_fails(tmp_path):
    old = tmp_path / "ready.json"
    old.write_text("{}")
    (tmp_path / "file").write_text("")
    result = serve("--data-dir", tmp_path / "file" / "data", "--ready-file", old)
    assert result.code == 1, result
    assert not old.exists()


# ---- Settings ----


def test_flag_beats_environment_beats_file(tmp_path, start):
    config = tmp_path / "barista.yaml"
    config.write_text("region: from-file\naccount: '111111111111'\nmemory: true\n")

    def arn(*flags, env=None):
        broker = start("--config", config, *flags, env=env)
        broker.ok("queue", "create", "q")
        found = broker.ok("queue", "describe", "q")[0]["arn"]
        assert broker.terminate() == 0
        return found

    assert arn() == "arn:aws:sqs:from-file:111111111111:q"
    environment = {"BARISTA_REGION": "from-environment", "BARISTA_ACCOUNT": "222222222222"}
    assert arn(env=environment) == "arn:aws:sqs:from-environment:222222222222:q"
    assert arn("--region", "from-flag", env=environment) == "arn:aws:sqs:from-flag:222222222222:q"


def test_config_file_from_the_environment(tmp_path, start):
    config = tmp_path / "barista.yaml"
    config.write_text("memory: true\nregion: moon\n")
    broker = start(env={"BARISTA_CONFIG": str(config)})
    broker.ok("queue", "create", "q")
    assert ":moon:" in broker.ok("queue", "describe", "q")[0]["arn"]


def test_unknown_key_is_an_error_with_its_line(tmp_path):
    config = tmp_path / "barista.yaml"
    config.write_text("memory: true\n\n# sugar\nsugar_cubes: 2\n")
    result = serve("--config", config)
    assert result.code == 2, result
    assert f"{config}:4" in result.err
    assert "sugar_cubes" in result.err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--memory-limit", "1KiB"], ["--memory-limit", "1KiB", "64"]),
        (["--sync-interval", "soon"], ["--sync-interval", "soon"]),
        (["--account", "12"], ["--account", "12 digits"]),
        (["--http-listen", "nowhere"], ["--http-listen", "nowhere"]),
        (["--http-listen", "unix:/tmp/x"], ["--http-listen", "unix"]),
        (["--log-level", "loud"], ["--log-level", "loud"]),
        (["--memory", "--data-dir", "x"], ["--memory", "--data-dir"]),
        (["--config", "/no/such/file.yaml"], ["/no/such/file.yaml"]),
        (["--brew"], ["--brew"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_bad_setting_is_wrong_usage_and_named(arguments, parts):
    result = serve(*arguments)
    assert result.code == 2, result
    for part in parts:
        assert part in result.err


def test_bad_value_names_its_source(tmp_path):
    config = tmp_path / "barista.yaml"
    config.write_text("memory: true\nmemory_limit: 7B\n")
    from_file = serve("--config", config)
    assert from_file.code == 2 and f"{config}:2" in from_file.err and "memory_limit" in from_file.err
    from_environment = serve(env={"BARISTA_MEMORY_LIMIT": "7B"})
    assert from_environment.code == 2 and "BARISTA_MEMORY_LIMIT" in from_environment.err


def test_default_data_directory(tmp_path, start):
    broker = start(cwd=tmp_path)
    assert broker.terminate() == 0
    assert (tmp_path / "barista-data").is_dir()


def test_defaults_are_the_documented_ports():
    text = serve("--help").text
    for address in ("127.0.0.1:9324", "127.0.0.1:9325", "127.0.0.1:9326"):
        assert address in text


# ---- A start that fails ----


def failed_start(result, code=1):
    """Ends with this exit code and exactly one line that says why."""
    assert result.code == code, result
    lines = [line for line in result.err.splitlines() if line.startswith("barista serve: ")]
    assert len(lines) == 1, result
    return lines[0]


@pytest.mark.parametrize("flag", list(FREE_PORTS))
def test_port_taken(flag):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        others = [word for pair in FREE_PORTS.items() if pair[0] != flag for word in pair]
        assert address in failed_start(serve("--memory", flag, address, *others))


def test_data_directory_in_use(tmp_path, start):
    start(*data(tmp_path))
    ports = [word for pair in FREE_PORTS.items() for word in pair]
    assert str(tmp_path / "data") in failed_start(serve(*data(tmp_path), *ports))


def test_data_directory_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "data"
    ports = [word for pair in FREE_PORTS.items() for word in pair]
    assert str(tmp_path / "file") in failed_start(serve("--data-dir", path, *ports))


@pytest.mark.parametrize("flag", list(FREE_PORTS))
def test_other_machines_only_with_insecure(flag, start):
    ports = [word for pair in {**FREE_PORTS, flag: "0.0.0.0:0"}.items() for word in pair]
    line = failed_start(serve("--memory", *ports), code=2)
    assert "0.0.0.0" in line and "--insecure" in line
    broker = start("--memory", "--insecure", *ports, free_ports=False)
    assert broker.terminate() == 0


# ---- Listeners ----


def test_http_port_answers_501(start):
    broker = start("--memory")
    for path in ("/", "/000000000000/orders?Action=SendMessage"):
        status, body = broker.http(path, listener="http")
        assert status == 501
        assert broker.ready["grpc"] in json.loads(body)["error"]["message"]
    assert broker.http("/", listener="http", method="POST", body=b"Action=ListQueues")[0] == 501


def test_health_and_metrics(start):
    broker = start("--memory")
    assert broker.http("/healthz")[0] == 200
    assert broker.http("/readyz")[0] == 200
    broker.ok("queue", "create", "orders")
    broker.ok("send", "orders", "a")
    broker.ok("send", "orders", "b")
    broker.ok("receive", "orders", "--delete")
    status, text = broker.http("/metrics")
    assert status == 200
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    assert values["barista_messages_sent_total"] == "2"
    assert values["barista_messages_received_total"] == "1"
    assert values["barista_messages_deleted_total"] == "1"
    assert values["barista_queues"] == "1"
    assert values['barista_queue_messages_visible{queue="orders"}'] == "1"


def test_peek_over_http_shows_what_the_command_shows(start):
    broker = start("--memory")
    broker.ok("queue", "create", "orders", "--body-charset", "binary")
    broker.ok("send", "orders", "two espressos", "--attribute", "table=7", "--attribute", "seal:Binary=AP8=")
    broker.ok("send", "orders", stdin=b"\xff\x00")
    broker.ok("send", "orders", "later", "--delay", "15m", "--group", "g")
    status, text = broker.http("/admin/queues/orders/messages?max=10")
    assert status == 200
    assert json.loads(text)["messages"] == broker.ok("peek", "orders")
    assert len(json.loads(broker.http("/admin/queues/orders/messages?max=1")[1])["messages"]) == 1
    assert broker.http("/admin/queues/none/messages")[0] == 404
    assert broker.http("/admin/queues/orders/messages?max=0")[0] == 400
    assert broker.http("/no/such/page")[0] == 404
    assert broker.http("/healthz", method="POST", body=b"")[0] == 405


def test_manual_clock(start):
    broker = start("--memory", "--manual-clock")
    broker.ok("queue", "create", "orders")
    broker.ok("send", "orders", "x")
    assert broker.ok("receive", "orders", "--visibility", "12h")[0]["receive_count"] == 1
    assert broker.ok("receive", "orders") == []
    status, text = broker.http("/admin/clock/advance", method="POST", body=b'{"seconds":43200}')
    assert status == 200 and json.loads(text)["now"].endswith("Z")
    assert broker.ok("receive", "orders", "--wait", "1h")[0]["receive_count"] == 2


def test_no_clock_to_advance_by_default(start):
    broker = start("--memory")
    assert broker.http("/admin/clock/advance", method="POST", body=b'{"seconds":1}')[0] == 404


def test_grpc_on_a_unix_socket(tmp_path, start):
    address = f"unix:{tmp_path}/grpc.sock"
    broker = start("--memory", "--grpc-listen", address)
    assert broker.ready["grpc"] == address
    assert stat.S_ISSOCK(os.stat(tmp_path / "grpc.sock").st_mode)
    broker.ok("queue", "create", "orders")
    assert broker.cli("queue", "list").text == "orders\n"


# ---- The end ----


def test_sigterm_ends_parked_receives_and_exits_0(start):
    broker = start("--memory")
    broker.ok("queue", "create", "orders")
    waiting = subprocess.Popen(
        [str(BINARY), "--server", broker.ready["grpc"], "receive", "orders", "--wait", "1h"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    wait_until(lambda: "barista_parked_receives 1" in broker.http("/metrics")[1], "a parked receive")
    assert broker.terminate() == 0
    out, err = waiting.communicate(timeout=DEADLINE_SECONDS)
    assert (waiting.returncode, out) == (0, b""), err


def test_sigint_ends_like_sigterm(start):
    broker = start("--memory")
    broker.process.send_signal(signal.SIGINT)
    assert broker.process.wait(DEADLINE_SECONDS) == 0
    assert not broker.ready_file.exists()


def test_second_signal_ends_at_once(start):
    broker = start("--memory", "--drain-time", "1h")
    host, port = broker.ready["grpc"].rsplit(":", 1)
    # An HTTP/2 request whose body never comes: a call in flight that the drain waits for.
    with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as call:
        call.sendall(half_a_call())
        wait_until(lambda: is_parsed(call), "an answer to the ping behind the call")
        broker.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not_ready(broker), "draining")
        assert broker.process.poll() is None
        broker.process.send_signal(signal.SIGTERM)
        assert broker.process.wait(DEADLINE_SECONDS) != 0


def not_ready(broker):
    """/readyz answers 503, or nothing any more."""
    try:
        return broker.http("/readyz")[0] == 503
    except (urllib.error.URLError, ConnectionError):
        return True


def half_a_call():
    """HTTP/2: preface, settings, the headers of a SendMessage without end of stream, and a ping."""
    return (
        http2.PREFACE
        + http2.frame(http2.SETTINGS, 0, 0, b"")
        + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.call_headers("SendMessage"))
        + http2.frame(http2.PING, 0, 0, b"barista!")
    )


def is_parsed(call):
    """Whether the ping has come back, so that all before it was read."""
    return http2.frame(http2.PING, http2.ACK, 0, b"barista!") in call.recv(65536, socket.MSG_PEEK)


# ---- What is kept ----


@pytest.mark.parametrize("end", ["terminate", "kill"])
@pytest.mark.parametrize("durability", ["fsync", "os"])
def test_restart_keeps_messages(tmp_path, start, durability, end):
    first = start(*data(tmp_path))
    first.ok("queue", "create", "orders", "--durability", durability, "--tag", "team=bar", "--visibility-timeout", "7s")
    sent = [f"order {i}" for i in range(500)]
    first.ok("send", "orders", "--lines", "--attribute", "table=7", stdin="\n".join(sent).encode())
    gone = [m["body"] for m in first.ok("receive", "orders", "--max", "50", "--delete")]
    assert gone
    getattr(first, end)()

    second = start(*data(tmp_path))
    queue = second.ok("queue", "describe", "orders")[0]
    assert queue["tags"] == {"team": "bar"} and queue["attributes"]["VisibilityTimeout"] == "7"
    received = second.ok("receive", "orders", "--all", "--delete")
    assert sorted(m["body"] for m in received) == sorted(set(sent) - set(gone))
    assert all(m["attributes"] == {"table": {"type": "String", "value": "7"}} for m in received)
    assert second.terminate() == 0


def test_receipt_handle_survives_a_restart(tmp_path, start):
    first = start(*data(tmp_path))
    first.ok("queue", "create", "orders")
    first.ok("send", "orders", "x")
    handle = first.ok("receive", "orders")[0]["receipt_handle"]
    first.kill()
    second = start(*data(tmp_path))
    assert second.ok("delete", "orders", "--", handle) == [{"deleted": 1}]
    assert second.ok("peek", "orders") == []


def test_memory_keeps_nothing(start):
    first = start("--memory")
    first.ok("queue", "create", "orders")
    assert first.terminate() == 0
    assert start("--memory").ok("queue", "list") == []
