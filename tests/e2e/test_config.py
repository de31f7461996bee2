"""Settings of `barista serve` as a process: queues in the file, `config check`, SIGHUP, the log, request ids, systemd."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading

import grpc
import pytest
from harness import BINARY, DEADLINE_SECONDS, ROOT, clean_environment, run, wait_until

QUEUES = """\
queues:
  - name: orders
    attributes:
      VisibilityTimeout: 60
      RedrivePolicy: {deadLetterQueue: orders-dead, maxReceiveCount: 5}
    tags: {team: bar}
  - name: orders-dead
"""


@pytest.fixture
def config(tmp_path):
    """A settings file; config(text) writes it."""

    class Config:
        path = tmp_path / "barista.yaml"

        def __call__(self, text):
            self.path.write_text(text)
            return self.path

    return Config()


def describe(broker, queue):
    return broker.ok("queue", "describe", queue)[0]


def reload(broker, told):
    """SIGHUP, and waits until the log has one more line that holds `told`."""
    before = broker.log.read_text().count(told)
    broker.process.send_signal(signal.SIGHUP)
    wait_until(lambda: broker.log.read_text().count(told) > before, f"{told!r}; log:\n{broker.log.read_text()}")


READ_AGAIN = "settings and queues are read again"
REFUSED = "all settings and queues stay as they are"


# ---- Queues in the file ----


def test_queues_are_there_before_the_ready_file(tmp_path, start, config):
    broker = start("--config", config(QUEUES), "--data-dir", tmp_path / "data")
    orders = describe(broker, "orders")
    assert orders["attributes"]["VisibilityTimeout"] == "60" and orders["tags"] == {"team": "bar"}
    assert json.loads(orders["attributes"]["RedrivePolicy"])["deadLetterTargetArn"].endswith(":orders-dead")
    broker.ok("queue", "create", "by-hand")
    broker.ok("send", "orders", "an espresso")
    assert broker.terminate() == 0

    # The file wins where it says something; nothing is deleted, and messages stay.
    again = start("--config", config("queues: [{name: orders, attributes: {VisibilityTimeout: 7}}]"), "--data-dir", tmp_path / "data")
    assert describe(again, "orders")["attributes"]["VisibilityTimeout"] == "7"
    assert describe(again, "orders")["tags"] == {"team": "bar"}
    assert "queue orders has changed: VisibilityTimeout 7 (was 60)" in again.log.read_text()
    assert [line["name"] for line in again.ok("queue", "list")] == ["by-hand", "orders", "orders-dead"]
    assert [m["body"] for m in again.ok("receive", "orders")] == ["an espresso"]


def test_a_durability_that_cannot_change_keeps_it_from_starting(tmp_path, start, config):
    text = "queues:\n  - name: orders\n    attributes: {Durability: %s}\n"
    broker = start("--config", config(text % "os"), "--data-dir", tmp_path / "data")
    assert broker.terminate() == 0
    failed = run("serve", "--config", config(text % "fsync"), "--data-dir", tmp_path / "data")
    assert failed.code == 2, failed
    for part in (f"{config.path}:2: ", "queue orders", "Durability", '"fsync"', "limit os"):
        assert part in failed.err


def test_all_errors_come_together(config):
    failed = run("serve", "--config", config("sugar: 2\nqueues:\n  - name: orders\n    attributes: {DelaySeconds: 901}\n"), "--region", "EU")
    assert failed.code == 2, failed
    lines = [line for line in failed.err.splitlines() if line.startswith("barista serve: ")]
    assert len(lines) == 3, failed
    for part in (f"{config.path}:1: unknown key", f"{config.path}:4: queue orders: ", '"901"', "0 to 900", "--region"):
        assert part in failed.err


# ---- barista config check ----


def test_config_check_shows_what_is_in_force(tmp_path, config):
    config("region: eu-1\n" + QUEUES)
    arguments = ["config", "check", "--config", config.path, "--data-dir", tmp_path / "data"]
    people = run(*arguments, env={"BARISTA_ACCOUNT": "000000000007"})
    assert people.code == 0, people
    rows = [line.split() for line in people.text.splitlines()]
    assert ["region", "eu-1", f"{config.path}:1"] in rows
    assert ["account", "000000000007", "BARISTA_ACCOUNT"] in rows
    assert ["data_dir", str(tmp_path / "data"), "--data-dir"] in rows
    assert ["sync_interval", "100ms", "default"] in rows
    assert ["orders", f"{config.path}:3"] in rows
    assert not (tmp_path / "data").exists()

    for programs in (run(*arguments, "--output", "json"), run("--output", "json", *arguments)):
        assert programs.code == 0, programs
        found = {line["setting"]: line for line in programs.lines if "setting" in line}
        assert found["region"] == {"setting": "region", "value": "eu-1", "source": "file", "reload": False, "where": f"{config.path}:1"}
        assert found["log_level"] == {"setting": "log_level", "value": "info", "source": "default", "reload": True}
        assert [line["queue"] for line in programs.lines if "queue" in line] == ["orders", "orders-dead"]


def test_config_check_tells_everything_that_is_wrong(tmp_path, config):
    tokens = tmp_path / "tokens.yaml"
    tokens.write_text("tokens: []\n")
    tokens.chmod(0o644)
    (tmp_path / "file").write_text("")
    arguments = ["config", "check", "--data-dir", tmp_path / "file" / "data", "--token-file", tokens, "--tls-cert", tmp_path / "none.pem",
                 "--grpc-listen", "127.0.0.1:0"]  # fmt: skip
    failed = run(*arguments, "--output", "json")
    assert failed.code == 2 and failed.out == b"", failed
    messages = [json.loads(line)["error"]["message"] for line in failed.err.splitlines()]
    assert len(messages) == 3, failed
    for part in ("chmod 600", "tls_", "data_dir: "):
        assert any(part in message for message in messages), failed
    assert run("config", "check", "--brew").code == 2
    assert run("config").code == 2
    assert "barista config check" in run("config", "check", "--help").text


def test_config_check_beside_a_broker(tmp_path, start, config):
    arguments = ["--config", config(QUEUES), "--data-dir", tmp_path / "data"]
    broker = start(*arguments)
    assert run("config", "check", *arguments).code == 0
    assert broker.http("/readyz")[0] == 200


# ---- Reload ----


def test_the_readme_names_what_a_reload_takes():
    live = {line["setting"] for line in run("config", "check", "--memory", "--output", "json").lines if line["reload"]}
    said = (ROOT / "README.md").read_text().split("At once come into force:", 1)[1].split(" and the queues", 1)[0]
    assert {name.strip(" `-\n").replace("-", "_") for name in said.split(",")} == live


def test_reload_takes_what_it_can_and_names_the_rest(tmp_path, start, config):
    broker = start("--config", config("metrics_queues: 1\nmemory: true\nregion: eu-1\n" + QUEUES))
    assert "barista_metrics_queues_omitted 1" in broker.http("/metrics")[1]
    config("metrics_queues: 0\nmemory: true\nregion: eu-2\nlog_format: json\nqueues: [{name: late}, {name: orders, tags: {}}]\n")
    reload(broker, READ_AGAIN)
    assert "barista_metrics_queues_omitted 3" in broker.http("/metrics")[1]
    assert describe(broker, "late")["arn"].split(":")[3] == "eu-1"
    assert describe(broker, "orders")["tags"] == {}
    log = [json.loads(line) for line in broker.log.read_text().splitlines() if line.startswith("{")]
    messages = [line["message"] for line in log]
    assert f"SIGHUP: metrics-queues is 0, 1 before ({config.path}:1)" in messages
    region = next(line for line in log if line.get("setting") == "region")
    assert region["level"] == "warning"
    assert region["message"] == (
        f"SIGHUP: region is eu-2 in the settings, eu-1 in force until the process starts again ({config.path}:3)"
    )
    config("memory: true\n")
    reload(broker, READ_AGAIN)
    assert "SIGHUP: metrics-queues is 100, 0 before (default)" in broker.log.read_text()
    assert "barista_metrics_queues_omitted 0" in broker.http("/metrics")[1]
    assert broker.terminate() == 0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("metrics_queues: 0\nsugar: 2\n", [":2: unknown key", "sugar"]),
        ("metrics_queues: 0\nqueues: [{name: late}, {name: a, attributes: {DelaySeconds: x}}]\n", [":2: queue a: ", '"x"']),
        ("metrics_queues: 0\nqueues: [{name: late}, {name: a, attributes: {RedrivePolicy: {deadLetterQueue: none, maxReceiveCount: 1}}}]\n",
         [":2: queue a: RedrivePolicy", '"none"']),
        ("metrics_queues: 0\nqueues: [{name: late}, {name: orders, attributes: {Durability: fsync}}]\n", [":2: queue orders: Durability"]),
        ("{", [":1: "]),
    ],
    ids=["unknown key", "attribute", "dead-letter queue", "durability", "no YAML"],
)  # fmt: skip
def test_a_reload_of_what_is_wrong_changes_nothing(start, config, text, parts):
    broker = start("--memory", "--config", config(QUEUES + "metrics_queues: 7\n"))
    config(text)
    reload(broker, REFUSED)
    log = broker.log.read_text()
    for part in parts:
        assert part in log
    assert "barista_metrics_queues_omitted 0" in broker.http("/metrics")[1]
    assert [line["name"] for line in broker.ok("queue", "list")] == ["orders", "orders-dead"]


def test_limits_of_requests_and_connections_are_live(start, config):
    broker = start("--memory", "--config", config("max_requests_per_second: 0\n"))

    def codes():
        return {broker.http("/metrics")[0] for _ in range(20)}

    assert codes() == {200}
    config("max_requests_per_second: 1\nmax_client_connections: 1\n")
    reload(broker, READ_AGAIN)
    assert 429 in codes()
    host, port = broker.ready["admin"].rsplit(":", 1)
    with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as first:
        first.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in first.recv(4096)
        with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as second, contextlib.suppress(ConnectionError):
            assert second.recv(4096) == b""
    config("")
    reload(broker, READ_AGAIN)
    assert codes() == {200}


# ---- The log and request ids ----


def call(broker, method, request=b"", metadata=()):
    """(code, trailing metadata) of a unary call of QueueService."""
    with grpc.insecure_channel(broker.ready["grpc"]) as channel:
        invoke = channel.unary_unary(f"/barista.v1.QueueService/{method}")
        try:
            _, done = invoke.with_call(request, metadata=metadata, timeout=DEADLINE_SECONDS)
        except grpc.RpcError as error:
            done = error
        return done.code(), dict(done.trailing_metadata())


def named(queue):
    return b"\x0a" + bytes([len(queue)]) + queue.encode()


def json_lines(broker):
    return [json.loads(line) for line in broker.log.read_text().splitlines()]


def test_a_call_that_fails_is_in_the_log_under_its_id(start):
    broker = start("--memory", "--log-format", "json", "--log-level", "debug")
    code, metadata = call(broker, "GetQueue", named("none"))
    assert code == grpc.StatusCode.NOT_FOUND
    line = next(line for line in json_lines(broker) if line.get("request_id") == metadata["x-request-id"])
    assert line["level"] == "debug" and line["method"] == "barista.v1.QueueService/GetQueue"
    assert (line["queue"], line["client"], line["code"], line["reason"]) == ("none", "127.0.0.1", "NOT_FOUND", "QueueDoesNotExist")
    assert line["duration_ms"] >= 0
    other = call(broker, "GetQueue", named("none"))[1]["x-request-id"]
    assert other != metadata["x-request-id"]


def test_an_id_of_the_client_comes_back(start):
    broker = start("--memory", "--log-format", "json", "--log-level", "debug")
    broker.ok("queue", "create", "orders")
    given = "trace/1;" + "x" * 120
    assert call(broker, "GetQueue", named("orders"), [("x-request-id", given)]) == (grpc.StatusCode.OK, {"x-request-id": given})
    assert "x-request-id" not in call(broker, "GetQueue", named("orders"))[1]
    code, metadata = call(broker, "GetQueue", named("none"), [("x-request-id", given)])
    assert code == grpc.StatusCode.NOT_FOUND and metadata["x-request-id"] == given
    assert any(line.get("request_id") == given for line in json_lines(broker))
    for bad in (given + "x", "a b"):
        assert call(broker, "GetQueue", named("none"), [("x-request-id", bad)])[1]["x-request-id"] != bad


def test_streams_and_http_have_ids_too(start):
    broker = start("--memory", "--log-format", "json", "--log-level", "debug")
    with grpc.insecure_channel(broker.ready["grpc"]) as channel:
        stream = channel.stream_stream("/barista.v1.QueueService/SendStream")(iter([named("none")]), metadata=[("x-request-id", "s1")])
        for _ in stream:
            pass
        assert dict(stream.trailing_metadata())["x-request-id"] == "s1"

    def header(path, given=None):
        host, port = broker.ready["admin"].rsplit(":", 1)
        lines = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + (f"x-request-id: {given}\r\n" if given else "")
        with socket.create_connection((host, int(port)), DEADLINE_SECONDS) as connection:
            connection.sendall(lines.encode() + b"\r\n")
            text = b"".join(iter(lambda: connection.recv(4096), b"")).decode()
        return next(line.split(": ", 1)[1] for line in text.splitlines() if line.lower().startswith("x-request-id: "))

    assert header("/healthz", "h1") == "h1"
    assert header("/healthz") != header("/healthz")
    missing = header("/no/such/page?token=secret")
    line = next(line for line in json_lines(broker) if line.get("request_id") == missing)
    assert line["status"] == 404 and line["method"] == "GET /no/such/page"
    assert "secret" not in broker.log.read_text()


def test_the_log_holds_no_body_and_no_receipt_handle(start):
    broker = start("--memory", "--log-format", "json", "--log-level", "trace")
    broker.ok("queue", "create", "orders")
    broker.ok("send", "orders", "very private")
    handle = broker.ok("receive", "orders")[0]["receipt_handle"]
    assert broker.cli("delete", "orders", "--", handle + "x").code == 1
    assert broker.cli("send", "none", "very private").code == 1
    assert broker.cli("send", "orders", stdin=b"very private\x01").code == 1
    log = broker.log.read_text()
    assert "very private" not in log and handle not in log
    for line in json_lines(broker):
        assert {"time", "level", "message"} <= line.keys()


def test_a_start_that_fails_is_a_json_line_too(tmp_path):
    (tmp_path / "file").write_text("")
    failed = run("serve", "--log-format", "json", "--data-dir", tmp_path / "file" / "data")
    assert failed.code == 1
    assert json.loads(failed.err.splitlines()[-1])["level"] == "error"


# ---- systemd ----


class NotifySocket:
    """Hears what the broker tells the service manager."""

    def __init__(self, name):
        self.messages = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name.replace("@", "\0", 1))
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while data := self.socket.recv(4096):
            self.messages.append(data.decode())

    def index(self, start, after=-1):
        """Where the first message after `after` stands that begins with `start`; None: nowhere."""
        return next((i for i, text in enumerate(self.messages) if i > after and text.startswith(start)), None)

    def wait(self, start, after=-1):
        wait_until(lambda: self.index(start, after) is not None, f"{start} after {after} in {self.messages}")
        return self.index(start, after)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_start_reload_watchdog_and_end(tmp_path, start, config, abstract):
    name = f"@barista-{os.getpid()}-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    manager = NotifySocket(name)
    broker = start("--memory", "--drain-time", "7s", "--config", config(QUEUES), env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "20000"})
    ready = manager.wait("READY=1")
    assert f"STATUS=gRPC on {broker.ready['grpc']}" in manager.messages[ready]
    fed = manager.wait("WATCHDOG=1")
    for _ in range(3):  # each needs an answer of every part to the question before
        fed = manager.wait("WATCHDOG=1", fed)
    broker.process.send_signal(signal.SIGHUP)
    reloading = manager.wait("RELOADING=1\nMONOTONIC_USEC=")
    manager.wait("READY=1", reloading)
    assert broker.terminate() == 0
    stopping = manager.wait("STOPPING=1")
    assert "EXTEND_TIMEOUT_USEC=67000000" in manager.messages[stopping]
    assert manager.index("READY=1", stopping) is None


def test_a_start_that_fails_is_never_ready(tmp_path, config):
    manager = NotifySocket(str(tmp_path / "notify"))
    (tmp_path / "file").write_text("")
    failed = run("serve", "--data-dir", tmp_path / "file" / "data", env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert failed.code == 1
    manager.wait("STATUS=opening")
    assert manager.index("READY=1") is None


def test_a_stopped_process_feeds_no_watchdog(tmp_path, start):
    manager = NotifySocket(str(tmp_path / "notify"))
    broker = start("--memory", env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"})
    manager.wait("WATCHDOG=1")
    broker.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: "State:\tT" in open(f"/proc/{broker.process.pid}/status").read(), "stopped")
    last = len(manager.messages) - 1
    broker.process.send_signal(signal.SIGCONT)
    manager.wait("WATCHDOG=1", last)


def test_the_unit_is_sound(tmp_path):
    analyze = shutil.which("systemd-analyze")
    assert analyze, "systemd-analyze is of the package systemd; deploy/install-packages.sh installs it"
    unit = tmp_path / "barista.service"
    text = (ROOT / "deploy/systemd/barista.service").read_text()
    unit.write_text(text.replace("/usr/bin/barista ", f"{BINARY.resolve()} "))

    def run_analyze(*arguments):
        return subprocess.run([analyze, *arguments, str(unit)], capture_output=True, text=True, timeout=DEADLINE_SECONDS,
                              env=clean_environment())  # fmt: skip

    verified = run_analyze("verify")
    assert verified.returncode == 0 and verified.stderr == "", verified
    # Exposure in tenths: 2.0 of 10.
    secured = run_analyze("security", "--offline=true", "--threshold=20")
    assert secured.returncode == 0, secured.stdout
