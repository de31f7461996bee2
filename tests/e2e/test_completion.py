"""`barista completion`: the scripts, in the shells that they are for."""

import os
import pathlib
import shlex
import subprocess

import pytest
from harness import BINARY, DEADLINE_SECONDS, clean_environment, run
from test_command import closed_port


def in_shell(command, broker=None, cwd=None):
    environment = {"PATH": f"{BINARY.parent}:{os.environ['PATH']}", "HOME": str(cwd or pathlib.Path("/nonexistent"))}
    if broker is not None:
        environment["BARISTA_SERVER"] = broker.ready["grpc"]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=cwd,
                               env=clean_environment(environment))  # fmt: skip
    assert completed.returncode == 0 and completed.stderr == "", completed
    return completed.stdout.splitlines()


def bash(line, **options):
    """What bash offers at the end of `line`: COMP_WORDS is split as readline does it, at = and : too."""
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    split = []
    for word in words:
        split += [part for part in word.replace("=", "\0=\0").replace(":", "\0:\0").split("\0") if part] or [""]
    script = (
        f"source <(barista completion bash); COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}};"
        f"COMP_WORDS=({shlex.join(split)}); COMP_CWORD={len(split) - 1}; _barista; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    return [line for line in in_shell(["bash", "--norc", "-c", script], **options) if line]


def zsh(line, **options):
    """The same of zsh, whose own functions only show what they were given."""
    words = shlex.split(line) + ([""] if line.endswith(" ") else [])
    script = (
        "compdef() { : }; compset() { : }; _files() { print -l FILES $* }; _describe() { print -rl -- ${(P)2} };"
        f"source <(barista completion zsh); words=({shlex.join(words)}); CURRENT=$#words; _barista"
    )
    return in_shell(["zsh", "-f", "-c", script], **options)


def fish(line, **options):
    script = f"barista completion fish | source; complete -C {shlex.quote(line)}"
    return in_shell(["fish", "--no-config", "-c", script], **options)


def names(lines):
    """Without descriptions, and without what zsh and fish have in front of or behind a name."""
    return [line.split("\t")[0].split(":")[0] for line in lines if line]


@pytest.fixture(params=[bash, zsh, fish], ids=lambda shell: shell.__name__)
def shell(request):
    return request.param


def test_commands(shell):
    assert {"serve", "queue", "send", "receive", "bench", "completion"} <= set(names(shell("barista ")))
    assert names(shell("barista re")) == ["receive", "restore"]
    assert names(shell("barista queue d")) == ["describe", "delete"] or names(shell("barista queue d")) == [
        "delete", "describe"]  # fmt: skip


def test_options_of_a_command_and_of_all(shell):
    assert {"--max", "--wait", "--delete", "--server", "--output"} <= set(names(shell("barista receive orders --")))
    assert names(shell("barista bench --send")) == ["--send-batch"]
    assert names(shell("barista serve --sync")) == ["--sync-interval"]
    assert "--server" not in names(shell("barista serve --"))


def test_values(shell):
    assert sorted(names(shell("barista --output "))) == ["json", "text"]
    assert sorted(names(shell("barista queue create orders --durability "))) == ["fsync", "memory", "os"]
    assert names(shell("barista serve --default-durability f")) == ["fsync"]
    assert sorted(names(shell("barista serve --log-level "))) == ["debug", "error", "info", "off", "trace", "warn"]
    assert sorted(names(shell("barista completion "))) == ["bash", "fish", "zsh"]


def test_values_behind_an_equals_sign():
    assert bash("barista --output=j") == ["json"]
    assert sorted(bash("barista --output=")) == ["json", "text"]
    assert names(zsh("barista --output=j")) == names(fish("barista --output=j")) == ["--output=json"]


def test_queues_of_the_broker(shell, broker):
    for name in ("orders", "orders-dead", "other"):
        broker.ok("queue", "create", name)
    assert names(shell("barista send ord", broker=broker)) == ["orders", "orders-dead"]
    assert {"orders", "orders-dead", "other"} <= set(names(shell("barista queue purge ", broker=broker)))
    # The line beats the environment.
    server = broker.ready["grpc"]
    assert names(shell(f"barista --server {server} receive --max 3 ot")) == ["other"]
    assert names(shell(f"barista receive --server={server} --max=3 ot")) == ["other"]
    assert names(shell("barista queue set orders --dead-letter-queue orders-", broker=broker)) == ["orders-dead"]


def test_quiet_without_a_broker(shell):
    assert names(shell(f"barista --server 127.0.0.1:{closed_port()} send ")) == []
    assert names(shell("barista --server nonsense send ")) == []
    assert names(shell("barista --token-file /nonexistent/file send ")) == []


def test_files_and_directories(tmp_path):
    (tmp_path / "ca.pem").touch()
    (tmp_path / "cellar").mkdir()
    assert sorted(bash("barista --tls-ca c", cwd=tmp_path)) == ["ca.pem", "cellar"]
    assert sorted(bash("barista --tls-ca=c", cwd=tmp_path)) == ["ca.pem", "cellar"]
    assert bash("barista verify --data-dir c", cwd=tmp_path) == ["cellar"]
    assert bash("barista restore c", cwd=tmp_path) == ["cellar"]
    assert sorted(bash("barista serve --config c", cwd=tmp_path)) == ["ca.pem", "cellar"]
    assert zsh("barista --tls-ca c") == ["FILES"]
    assert zsh("barista restore c") == ["FILES", "-/"]
    assert "ca.pem" in names(fish("barista --tls-ca c", cwd=tmp_path))
    assert names(fish("barista verify --data-dir c", cwd=tmp_path)) == ["cellar/"]


def test_an_alias_is_completed():
    script = (
        f"shopt -s expand_aliases; alias b={BINARY}\n"
        "source <(b completion bash); COMP_LINE='b vers'; COMP_POINT=6; COMP_WORDS=(b vers); COMP_CWORD=1\n"
        "_barista; echo \"${COMPREPLY[@]}\""
    )
    assert in_shell(["bash", "--norc", "-c", script]) == ["version"]


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_script_in_json(name):
    plain = run("completion", name)
    assert plain.code == 0
    assert run("--output", "json", "completion", name).lines == [{"shell": name, "script": plain.text}]


def test_wrong_shell():
    result = run("completion", "tcsh")
    assert result.code == 2 and "tcsh" in result.err and "fish" in result.err, result
