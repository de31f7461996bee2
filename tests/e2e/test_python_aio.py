"""The asyncio twin of the Python client (client/python) against a broker. What both share is shown in test_python_client.py."""

import asyncio
import os
import signal
import sys

import pytest
from harness import DEADLINE_SECONDS
from test_python_client import MESSAGES


@pytest.fixture
def run(barista, broker):
    """run(scenario, *arguments) runs scenario(client, *arguments) with a client of the shared broker, within the deadline."""

    def run_scenario(scenario, *arguments, server=None):
        async def connected():
            async with await barista.aio.connect(server or broker.ready["grpc"]) as client:
                await asyncio.wait_for(scenario(client, *arguments), DEADLINE_SECONDS)

        asyncio.run(connected())

    return run_scenario


async def until(condition, what):
    """Waits for `await condition()` to be true; the scenario's deadline is the deadline."""
    try:
        while not await condition():
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        raise AssertionError(f"still not: {what}") from None


def test_calls(barista, run):
    async def scenario(client):
        orders = await client.create_queue("aio-orders", visibility_timeout=60, tags={"team": "bar"})
        await orders.set_attributes(delay_seconds=0)
        await orders.tag({"shift": "late"})
        await orders.untag(["team"])
        info = await orders.describe()
        assert (info.tags, info.attributes["VisibilityTimeout"]) == ({"shift": "late"}, "60")
        assert [name async for name in client.list_queues("aio-", page_size=1)] == ["aio-orders"]

        sent = await orders.send("two espressos", attributes={"table": 7})
        (message,) = await orders.receive()
        assert (message.message_id, message.text, message.attributes) == (
            sent.message_id,
            "two espressos",
            {"table": 7},
        )
        await message.change_visibility(3600)
        assert (await orders.peek())[0].state == "in_flight"
        await message.release()
        (again,) = await orders.receive()
        assert again.receive_count == 2
        await again.delete()

        results = await orders.send_batch(["first", ""])
        assert results[0].error is None and isinstance(results[1].error, barista.MissingParameter)
        assert await orders.delete_batch(await orders.receive()) == [None]
        await orders.send("x")
        await orders.purge()
        assert await orders.peek() == []
        await orders.delete()
        with pytest.raises(barista.QueueDoesNotExist):
            await orders.describe()

    run(scenario)


def test_no_broker(barista, run):
    async def scenario(client):
        with pytest.raises(barista.Unavailable):
            await client.queue("orders").send("x")

    run(scenario, server="127.0.0.1:1")


def test_ten_thousand_messages_exactly_once(run, queue):
    async def scenario(client):
        orders = client.queue(queue)
        async with orders.sender() as sender:
            sent = [await sender.send(f"{number}") for number in range(MESSAGES)]
        assert len({(await future).message_id for future in sent}) == MESSAGES
        received = []
        async with orders.consume(credit=1000) as consumer:
            async for message in consumer:
                received.append(int(message.text))
                await message.delete()
                if len(received) == MESSAGES:
                    break
        assert sorted(received) == list(range(MESSAGES))
        assert await orders.peek() == []

    run(scenario)


def test_sender_holds_its_caller_up_and_tells_of_refusals(barista, run, queue, monkeypatch):
    monkeypatch.setattr(sys.modules["barista._send_window"], "MAX_UNSETTLED_ENTRIES", 10)

    async def scenario(client):
        async with client.queue(queue).sender() as sender:
            futures = []
            for number in range(100):
                futures.append(await sender.send(f"{number}"))
                assert sum(not future.done() for future in futures) <= 10
            bad = await sender.send("")
            with pytest.raises(barista.MissingParameter):
                await sender.flush()
            with pytest.raises(barista.MissingParameter):
                await bad
            await sender.flush()  # told once
        with pytest.raises(ValueError, match="closed"):
            await sender.send("x")
        assert (await client.queue(queue).describe()).visible == 100

    run(scenario)


def test_what_is_not_deleted_is_released_at_the_end(barista, run, queue):
    async def scenario(client):
        orders = client.queue(queue)
        await orders.send_batch(["1", "2", "3"])
        async with orders.consume(credit=10) as consumer:
            first, second = await consumer.__anext__(), await consumer.__anext__()
            await first.delete()
            with pytest.raises(barista.InvalidParameterValue, match="already"):
                await first.release()
            await second.change_visibility(3600)
            await consumer.flush()
        assert {message.text for message in await orders.receive()} == {"1", "2", "3"} - {first.text}

    run(scenario)


def test_abort_and_a_broker_that_dies(barista, run, start):
    broker = start("--memory")

    async def scenario(client):
        orders = await client.create_queue("orders")
        given_up = orders.consume()
        await given_up.abort()
        with pytest.raises(StopAsyncIteration):
            await given_up.__anext__()
        sender, consumer = orders.sender(), orders.consume()
        await (await sender.send("stored"))
        message = await consumer.__anext__()
        os.kill(broker.process.pid, signal.SIGSTOP)
        lost = await sender.send("lost")
        broker.kill()
        for failing in (lost, sender.flush(), consumer.__anext__()):
            with pytest.raises(barista.Unavailable):
                await failing
        with pytest.raises(barista.Unavailable):
            await message.delete()

    run(scenario, server=broker.ready["grpc"])


def test_worker_deletes_after_success_and_releases_after_failure(run, queue):
    attempts = {}

    async def handle(message):
        attempts[message.text] = attempts.get(message.text, 0) + 1
        if message.text == "17" and attempts["17"] < 3:
            raise RuntimeError("spilled")

    async def scenario(client):
        orders = client.queue(queue)
        await orders.send_batch([str(number) for number in range(100)])
        worker = orders.worker(handle, concurrency=4)
        running = asyncio.ensure_future(worker.run())

        async def drained():
            return await orders.peek() == []

        await until(drained, "all are deleted")
        worker.stop()
        await running

    run(scenario)
    assert attempts == {str(number): 3 if number == 17 else 1 for number in range(100)}


def test_run_returns_after_a_signal_and_when_it_is_cancelled(barista, run, queue):
    begun = []

    async def handle(message):
        begun.append(message.text)
        if message.text == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            await asyncio.Event().wait()

    async def scenario(client):
        orders = client.queue(queue)
        await orders.send("signal")
        await orders.run(handle)
        assert begun == ["signal"] and await orders.peek() == []

        await orders.send("cancel")
        running = asyncio.ensure_future(orders.run(handle))

        async def at_work():
            return len(begun) == 2

        await until(at_work, "the handler is at work")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await orders.describe()).visible == 1
        with pytest.raises(barista.QueueDoesNotExist):
            await client.queue("none").run(handle)

    before = signal.getsignal(signal.SIGTERM)
    run(scenario)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_worker_survives_a_restart(run, start, tmp_path, end):
    # A port could be taken by somebody else meanwhile.
    flags = ("--data-dir", tmp_path / "data", "--grpc-listen", f"unix:{tmp_path}/grpc")
    broker = start(*flags)
    handled = set()

    async def handle(message):
        handled.add(message.text)

    async def scenario(client):
        orders = await client.create_queue("orders")
        await orders.send("before")
        worker = orders.worker(handle)
        running = asyncio.ensure_future(worker.run())

        async def handled_is(*bodies):
            return handled == set(bodies)

        await until(lambda: handled_is("before"), "the worker is at work")
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, getattr(broker, end))
        again = await loop.run_in_executor(None, lambda: start(*flags))
        await loop.run_in_executor(None, lambda: again.ok("send", "orders", "after"))
        await until(lambda: handled_is("before", "after"), "the worker is at work again")
        worker.stop()
        await running

    run(scenario, server=broker.ready["grpc"])
