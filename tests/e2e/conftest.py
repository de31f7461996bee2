"""Fixtures of the end-to-end tests; harness.py has what they are made of."""

import importlib
import signal
import sys

import pytest
from harness import BINARY, Broker, generate_stubs, install_python_client


@pytest.fixture(scope="session", autouse=True)
def binary_exists():
    assert BINARY.exists(), f"{BINARY} does not exist; build it or set BARISTA_BIN"


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Shells start background jobs with SIGINT ignored, and children inherit that; the tests send it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def start(tmp_path):
    """start(*flags) starts a broker in tmp_path and waits until it is ready; all are ended with the test."""
    brokers = []

    def start_broker(*arguments, wait=True, **options):
        directory = options.pop("directory", tmp_path)
        directory.mkdir(exist_ok=True)
        broker = Broker(directory, *arguments, **options)
        brokers.append(broker)
        return broker.wait_ready() if wait else broker

    yield start_broker
    for broker in brokers:
        if broker.process.poll() is None:
            broker.kill()


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A broker on disk that the tests of a module share; each uses queues of its own."""
    directory = tmp_path_factory.mktemp("broker")
    shared = Broker(directory, "--data-dir", directory / "data").wait_ready()
    yield shared
    if shared.process.poll() is None:
        assert shared.terminate() == 0, shared.log.read_text()


@pytest.fixture
def queue(broker, request):
    """A fresh queue on the shared broker, named after the test."""
    name = "".join(c if c.isalnum() or c in "-_" else "-" for c in request.node.name)[:80]
    broker.ok("queue", "create", name)
    yield name
    broker.cli("queue", "delete", name)


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    """The folder of the Python classes generated from the proto files of this tree."""
    folder = tmp_path_factory.mktemp("stubs")
    generate_stubs(folder)
    return folder


@pytest.fixture(scope="session")
def client_folder(tmp_path_factory):
    """The folder where the Python client of this tree is installed."""
    folder = tmp_path_factory.mktemp("client")
    install_python_client(folder)
    return folder


@pytest.fixture(scope="session")
def barista(client_folder):
    """The module `barista`, with `barista.aio`."""
    # Other tests may have imported the generated classes alone, which are a package `barista` too.
    for name in [name for name in sys.modules if name.partition(".")[0] == "barista"]:
        del sys.modules[name]
    sys.path.insert(0, str(client_folder))
    importlib.import_module("barista.aio")
    yield sys.modules["barista"]
    sys.path.remove(str(client_folder))
