"""`barista serve` with certificates and tokens, and the command and a Python client against it."""

import hashlib
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from harness import DEADLINE_SECONDS, FREE_PORTS, clean_environment, run, wait_until

SECRET = "correct-horse-battery-staple"


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=DEADLINE_SECONDS)


class Authority:
    """A root with which certificates for 127.0.0.1 are signed."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.root, self.key = directory / f"{name}-root.pem", directory / f"{name}-root-key.pem"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.root)  # fmt: skip

    def issue(self, owner):
        """Writes OWNER.pem and OWNER-key.pem and returns both."""
        certificate, key = self.directory / f"{owner}.pem", self.directory / f"{owner}-key.pem"
        request, names = self.directory / "request.pem", self.directory / "names.txt"
        names.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={owner}",
                "-keyout", key, "-out", request)  # fmt: skip
        openssl("x509", "-req", "-in", request, "-CA", self.root, "-CAkey", self.key, "-CAcreateserial", "-days", "1",
                "-extfile", names, "-out", certificate)  # fmt: skip
        return certificate, key


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "root")


def write_tokens(path, **roles):
    """A token file in which the secret of NAME is NAME-SECRET."""
    lines = ["tokens:"]
    for name, grants in roles.items():
        digest = hashlib.sha256(f"{name}-{SECRET}".encode()).hexdigest()
        lines += [f"  - name: {name}", f"    sha256: {digest}", *(f"    {grant}" for grant in grants)]
    path.touch(mode=0o600)
    path.write_text("\n".join(lines) + "\n")
    return path


def token(name):
    return {"BARISTA_TOKEN": f"{name}-{SECRET}"}


def https_status(broker, root, path, secret=""):
    request = urllib.request.Request(f"https://{broker.ready['admin']}{path}")
    if secret:
        request.add_header("Authorization", f"Bearer {secret}")
    context = ssl.create_default_context(cafile=root)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=DEADLINE_SECONDS) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def test_command_with_tls_client_certificate_and_token(tmp_path, start, authority):
    certificate, key = authority.issue("server")
    tokens = write_tokens(tmp_path / "tokens.yaml", ops=["admin: all"], shop=["send: [orders]"])
    broker = start("--memory", "--tls-cert", certificate, "--tls-key", key, "--tls-client-ca", authority.root,
                   "--token-file", tokens)  # fmt: skip
    client, client_key = authority.issue("client")
    tls = ("--tls-ca", authority.root, "--tls-cert", client, "--tls-key", client_key)
    secret = tmp_path / "ops.token"
    secret.write_text(f"ops-{SECRET}\n")

    assert broker.cli(*tls, "--token-file", secret, "queue", "create", "orders").code == 0
    assert broker.cli("send", "orders", "two espressos", *tls, env=token("shop")).code == 0
    denied = broker.cli("--output", "json", *tls, "receive", "orders", env=token("shop"))
    assert denied.code == 1 and denied.error["reason"] == "AccessDenied", denied
    assert "ReceiveMessage" in denied.error["message"] and "orders" in denied.error["message"]
    received = broker.cli(*tls, "--output", "json", "receive", "orders", "--delete", env=token("ops"))
    assert [message["body"] for message in received.lines] == ["two espressos"]

    unknown = broker.cli(*tls, "queue", "list", env={"BARISTA_TOKEN": "guess"})
    assert unknown.code == 1 and "InvalidClientTokenId" in unknown.err and "--token-file" in unknown.err
    assert broker.cli("--tls-ca", authority.root, "queue", "list", env=token("ops")).code == 3
    assert broker.cli("queue", "list", env=token("ops")).code == 3
    assert broker.terminate() == 0
    assert SECRET not in broker.log.read_text() and "guess" not in broker.log.read_text()


def test_command_without_tls_sends_its_token_too(tmp_path, start):
    tokens = write_tokens(tmp_path / "tokens.yaml", ops=["admin: all"])
    broker = start("--memory", "--token-file", tokens)
    assert broker.cli("queue", "create", "orders", env=token("ops")).code == 0
    missing = broker.cli("--output", "json", "queue", "list")
    assert missing.code == 1 and missing.error["reason"] == "MissingAuthenticationToken"
    assert "tokens travel in the clear" in broker.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--tls-ca", "/no/such.pem"], "/no/such.pem"),
        (["--tls-cert", "/no/such.pem"], "go together"),
        (["--tls-cert", "/no/a.pem", "--tls-key", "/no/b.pem"], "needs the CA"),
        (["--token-file", "/no/such.token"], "/no/such.token"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_command_with_wrong_files_is_wrong_usage(arguments, part):
    result = run("queue", "list", *arguments)
    assert result.code == 2 and part in result.err, result


def test_token_that_is_no_word_is_wrong_usage_and_not_shown():
    result = run("queue", "list", env={"BARISTA_TOKEN": "two words\n"})
    assert result.code == 2 and "token" in result.err and "two words" not in result.err, result


def test_sighup_reads_certificates_and_tokens_again(tmp_path, start, authority):
    certificate, key = authority.issue("server")
    tokens = write_tokens(tmp_path / "tokens.yaml", old=["admin: all"])
    broker = start("--memory", "--tls-cert", certificate, "--tls-key", key, "--token-file", tokens)

    def listed(root, name):
        return broker.cli("--tls-ca", root, "queue", "list", env=token(name)).code

    assert listed(authority.root, "old") == 0
    other = Authority(tmp_path, "other")
    other.issue("server")
    write_tokens(tokens, new=["admin: all"])
    broker.process.send_signal(signal.SIGHUP)
    wait_until(lambda: listed(other.root, "new") == 0, "the new certificate and token")
    assert listed(other.root, "old") == 1
    assert listed(authority.root, "new") == 3

    tokens.chmod(0o644)
    broker.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "chmod 600" in broker.log.read_text(), "the refusal in the log")
    assert listed(other.root, "new") == 0
    assert broker.terminate() == 0


def test_sighup_without_files_changes_nothing(start):
    broker = start("--memory")
    broker.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "SIGHUP" in broker.log.read_text(), "the reload in the log")
    broker.ok("queue", "create", "orders")
    assert broker.terminate() == 0


@pytest.mark.parametrize("flag", list(FREE_PORTS))
def test_other_machines_with_authentication(flag, tmp_path, start, authority):
    ports = [word for pair in {**FREE_PORTS, flag: "0.0.0.0:0"}.items() for word in pair]
    certificate, key = authority.issue("server")
    tls = ("--tls-cert", certificate, "--tls-key", key)
    refused = run("serve", "--memory", *ports, *tls)
    assert refused.code == 2 and "--token-file" in refused.err and "--tls-client-ca" in refused.err, refused
    tokens = write_tokens(tmp_path / "tokens.yaml", ops=["admin: all"])
    for authentication in (("--token-file", tokens), ("--tls-client-ca", authority.root)):
        assert start("--memory", *ports, *tls, *authentication, free_ports=False).terminate() == 0


def test_wrong_files_end_the_start_with_one_line(tmp_path, authority):
    certificate, key = authority.issue("server")
    ports = [word for pair in FREE_PORTS.items() for word in pair]
    tokens = write_tokens(tmp_path / "tokens.yaml", ops=["admin: all"])
    tokens.chmod(0o640)
    for arguments, parts in (
        (["--token-file", tokens], [str(tokens), "0640", "chmod 600"]),
        (["--tls-cert", certificate], ["tls_cert", "needs tls_key"]),
        (["--tls-cert", certificate, "--tls-key", authority.key], ["tls_key", "is not the key of"]),
        (["--tls-cert", key, "--tls-key", key], ["tls_cert", "has no certificate"]),
    ):
        result = run("serve", "--memory", *ports, *arguments)
        assert result.code == 2, result
        for part in parts:
            assert part in result.err, result


def test_administration_over_tls_asks_for_a_token(tmp_path, start, authority):
    certificate, key = authority.issue("server")
    tokens = write_tokens(tmp_path / "tokens.yaml", prometheus=[])
    broker = start("--memory", "--tls-cert", certificate, "--tls-key", key, "--token-file", tokens)
    assert https_status(broker, authority.root, "/healthz") == 200
    assert https_status(broker, authority.root, "/metrics") == 401
    assert https_status(broker, authority.root, "/metrics", f"prometheus-{SECRET}") == 200
    assert https_status(broker, authority.root, "/admin/queues/orders/messages", f"prometheus-{SECRET}") == 403


PYTHON_CLIENT = """
import os, grpc
from barista.v1 import queue_pb2 as api
from barista.v1.queue_pb2_grpc import QueueServiceStub

def broker(token):
    credentials = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(open(os.environ["ROOT"], "rb").read()), grpc.access_token_call_credentials(token))
    return QueueServiceStub(grpc.secure_channel(os.environ["BARISTA_SERVER"], credentials))

broker(os.environ["OPS"]).CreateQueue(api.CreateQueueRequest(queue="orders"))
shop = broker(os.environ["SHOP"])
shop.SendMessage(api.SendMessageRequest(queue="orders", entries=[api.SendMessageEntry(body=b"two espressos")]))
try:
    shop.PurgeQueue(api.PurgeQueueRequest(queue="orders"))
except grpc.RpcError as error:
    print(error.code().name)
"""


def test_python_client_with_tls_and_token(tmp_path, start, authority, stubs):
    certificate, key = authority.issue("server")
    tokens = write_tokens(tmp_path / "tokens.yaml", ops=["admin: all"], shop=["send: [orders]"])
    broker = start("--memory", "--tls-cert", certificate, "--tls-key", key, "--token-file", tokens)
    environment = {"PYTHONPATH": str(stubs), "BARISTA_SERVER": broker.ready["grpc"], "ROOT": str(authority.root),
                   "OPS": f"ops-{SECRET}", "SHOP": f"shop-{SECRET}"}  # fmt: skip
    printed = subprocess.run([sys.executable, "-c", PYTHON_CLIENT], env=clean_environment(environment), check=True,
                             capture_output=True, text=True, timeout=DEADLINE_SECONDS).stdout  # fmt: skip
    assert printed == "PERMISSION_DENIED\n"
