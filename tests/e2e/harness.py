"""What the end-to-end and crash tests share: the binary, brokers that run it, and the `barista` command.

BARISTA_BIN names the binary (default: build/release/bin/barista of this tree). Every broker listens on free ports and has a directory of its own.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("BARISTA_BIN", ROOT / "build/release/bin/barista"))
DEADLINE_SECONDS = 30
FREE_PORTS = {"--http-listen": "127.0.0.1:0", "--grpc-listen": "127.0.0.1:0", "--admin-listen": "127.0.0.1:0"}


def clean_environment(extra=None):
    """The environment without settings that a developer may have for barista or for a proxy."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BARISTA_") and not name.lower().endswith("_proxy")
    }
    return {**kept, **(extra or {})}


def wait_until(condition, what, seconds=DEADLINE_SECONDS):
    """Returns the first true value of condition()."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(0.01)


class Result:
    """What a finished command left behind."""

    def __init__(self, completed):
        self.code = completed.returncode
        self.out = completed.stdout
        self.err = completed.stderr.decode(errors="replace")

    @property
    def text(self):
        return self.out.decode()

    @property
    def lines(self):
        """Standard output as one JSON object per line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self):
        """The one error on standard error in the JSON format."""
        return json.loads(self.err)["error"]

    def __repr__(self):
        return f"exit {self.code}\nout: {self.out!r}\nerr: {self.err}"


def run(*arguments, stdin=b"", env=None, timeout=DEADLINE_SECONDS):
    """Runs the command to its end."""
    return Result(
        subprocess.run(
            [str(BINARY), *map(str, arguments)],
            input=stdin,
            capture_output=True,
            env=clean_environment(env),
            timeout=timeout,
        )
    )


class Broker:
    """A `barista serve` process."""

    def __init__(self, directory, *arguments, env=None, cwd=None, free_ports=True):
        self.directory = pathlib.Path(directory)
        self.ready_file = self.directory / "ready.json"
        self.log = self.directory / "broker.log"
        command = [str(BINARY), "serve", "--ready-file", str(self.ready_file), *map(str, arguments)]
        if free_ports:
            for flag, value in FREE_PORTS.items():
                if flag not in arguments:
                    command += [flag, value]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(env), cwd=cwd
            )
        self.ready = {}

    def wait_ready(self):
        def is_ready():
            assert self.process.poll() is None, f"the broker ended early:\n{self.log.read_text()}"
            # An old file of another process is not ours.
            with contextlib.suppress(FileNotFoundError, ValueError):
                self.ready = json.loads(self.ready_file.read_text())
                return self.ready.get("pid") == self.process.pid
            return False

        wait_until(is_ready, f"ready; log:\n{self.log.read_text()}")
        return self

    def cli(self, *arguments, **options):
        """Runs the command against this broker."""
        return run("--server", self.ready["grpc"], *arguments, **options)

    def ok(self, *arguments, **options):
        """The same, in JSON, and it must succeed; returns the lines."""
        result = self.cli("--output", "json", *arguments, **options)
        assert result.code == 0, result
        return result.lines

    def http(self, path, listener="admin", method=None, body=None):
        """(status, body) of a request to the named listener."""
        request = urllib.request.Request(f"http://{self.ready[listener]}{path}", data=body, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=DEADLINE_SECONDS) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def terminate(self):
        """Ends it in order and returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_SECONDS)

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)


def generate_stubs(folder):
    """Generates the Python classes of the proto files of this tree into `folder`."""
    protos = [str(path.relative_to(ROOT / "proto")) for path in sorted((ROOT / "proto/barista/v1").glob("*.proto"))]
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={folder}", f"--grpc_python_out={folder}", *protos],
        cwd=ROOT / "proto",
        check=True,
        timeout=DEADLINE_SECONDS,
    )


def install_python_client(folder, source=ROOT / "client/python"):
    """Installs the Python client of this tree (or of a source distribution) into `folder`; what it needs is in our environment."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps",
               "--no-build-isolation", "--target", str(folder), str(source)]  # fmt: skip
    completed = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert completed.returncode == 0, completed.stderr
