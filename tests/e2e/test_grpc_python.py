"""The gRPC API from Python: the example of the README as it stands there, and what a client in another language relies on."""

import re
import subprocess
import sys
import textwrap

import pytest
from harness import DEADLINE_SECONDS, ROOT, clean_environment


@pytest.fixture
def python(broker, stubs):
    """python(source) runs a program with the generated classes at hand and returns its output."""

    def run_program(source):
        completed = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(source)],
            env=clean_environment({"PYTHONPATH": str(stubs), "BARISTA_SERVER": broker.ready["grpc"]}),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
        )
        assert completed.returncode == 0, completed.stderr
        return completed.stdout

    return run_program


PROLOGUE = """
import os, grpc
from google.protobuf.duration_pb2 import Duration
from barista.v1 import queue_pb2 as api
from barista.v1.queue_pb2_grpc import QueueServiceStub
broker = QueueServiceStub(grpc.insecure_channel(os.environ["BARISTA_SERVER"]))
"""


def readme_example():
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    examples = [block for block in blocks if "import grpc" in block]
    assert len(examples) == 1, "README.md has one Python example of the gRPC API"
    return examples[0]


def test_example_of_the_readme(broker, python):
    example = readme_example()
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    assert "two espressos" in python(example)
    assert broker.ok("peek", "orders") == []


def test_streams_of_the_readme(broker, python):
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (example,) = [block for block in blocks if "SendStream" in block]
    broker.ok("queue", "create", "orders")
    assert "1000 stored" in python(PROLOGUE + "import queue\n" + example)
    assert broker.ok("peek", "orders") == []


def test_error_of_a_call_is_its_status(python):
    code, details = python(
        PROLOGUE
        + """
try:
    broker.GetQueue(api.GetQueueRequest(queue="no-such-queue"))
except grpc.RpcError as error:
    print(error.code().name)
    trailers = dict(error.trailing_metadata())
    print(b"QueueDoesNotExist" in trailers["grpc-status-details-bin"])
"""
    ).split()
    assert (code, details) == ("NOT_FOUND", "True")


def test_errors_of_entries(python, queue):
    printed = python(
        PROLOGUE
        + f"""
reply = broker.SendMessage(api.SendMessageRequest(queue="{queue}", entries=[
    api.SendMessageEntry(body=b"good"), api.SendMessageEntry(body=b"")]))
print(reply.failed, reply.results[0].HasField("error"), reply.results[1].error.reason, reply.results[1].error.field)
"""
    ).split()
    assert printed == ["1", "False", "MissingParameter", "MessageBody"]


def test_cancelled_receive_takes_nothing(broker, python, queue):
    python(
        PROLOGUE
        + f"""
call = broker.ReceiveMessage.future(api.ReceiveMessageRequest(queue="{queue}", wait=Duration(seconds=3600)))
call.cancel()
try:
    broker.ReceiveMessage(api.ReceiveMessageRequest(queue="{queue}", wait=Duration(seconds=3600)), timeout=0.05)
    raise SystemExit("the deadline did not pass")
except grpc.RpcError as error:
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
"""
    )
    broker.ok("send", queue, "x")
    assert broker.ok("receive", queue, "--wait", "20s")[0]["receive_count"] == 1
