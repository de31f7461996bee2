"""The limits of the Python client's streams and pauses, at them and one past; without a broker."""

import pytest


def deliveries(barista, count, credit=1):
    """`count` of them, all taken, with the first request gone."""
    from barista._deliveries import Deliveries, raising
    from barista.v1 import queue_pb2 as api

    state = Deliveries(api.ConsumeStart(queue="q"), credit, raising)
    assert state.take_request().credit == credit
    state.take_response(api.ConsumeStreamResponse(first_delivery=1, messages=[api.Message()] * count))
    while state.pop():
        pass
    return state


@pytest.mark.parametrize("entries, batches", [(1000, [1000]), (1001, [1000, 1])])
def test_entries_of_a_send_request(barista, entries, batches):
    from barista._send_window import SendWindow
    from barista.types import encode_entry

    window = SendWindow("q")
    for number in range(entries):
        window.add(encode_entry("x"), number)
    requests = list(iter(window.take_request, None))
    assert [len(request.entries) for request in requests] == batches
    assert [(request.queue, request.results) for request in requests] == [("q", True), ("", False)][: len(batches)]


def test_bytes_of_a_send_request(barista):
    from barista._send_window import MAX_REQUEST_BYTES, SendWindow
    from barista.types import encode_entry

    window = SendWindow("q")
    for size in (MAX_REQUEST_BYTES // 2, MAX_REQUEST_BYTES // 2, 2 * MAX_REQUEST_BYTES, 1):
        window.add(encode_entry("x" * size), size)
    assert [len(request.entries) for request in iter(window.take_request, None)] == [1, 1, 1, 1]


@pytest.mark.parametrize("count, full", [(9_999, False), (10_000, True)])
def test_unsettled_entries_of_a_sender(barista, count, full):
    from barista._send_window import SendWindow
    from barista.types import encode_entry

    window = SendWindow("q")
    for number in range(count):
        window.add(encode_entry("x"), number)
    assert window.full is full
    list(iter(window.take_request, None))
    assert window.full is full  # what has left counts until it is settled


@pytest.mark.parametrize("count, named", [(10_000, [10_000]), (10_001, [10_000, 1])])
def test_deliveries_that_a_request_names(barista, count, named):
    state = deliveries(barista, count)
    for number in range(1, count + 1):
        state.delete(number)
    requests = list(iter(state.take_request, None))
    assert [sum(deleted.count for deleted in request.deletes) for request in requests] == named
    assert [len(request.deletes) for request in requests] == [1] * len(named)  # as ranges
    assert sum(request.credit for request in requests) == count


def test_extension_of_a_delivery_that_is_then_deleted_is_not_sent(barista):
    state = deliveries(barista, 3)
    for number in (1, 2):
        state.extend(number, 60)
    state.delete(1)
    state.release(3, 5)
    request = state.take_request()
    assert [extension.deliveries.first for extension in request.extensions] == [2]
    assert [(deleted.first, deleted.count) for deleted in request.deletes] == [(1, 1)]
    assert [(release.deliveries.first, release.delay.seconds) for release in request.releases] == [(3, 5)]


def test_credit_of_a_consumer(barista):
    deliveries(barista, 0, credit=100_000)
    for credit in (0, 100_001):
        with pytest.raises(ValueError, match=f"credit is {credit}; allowed: 1 to 100000"):
            deliveries(barista, 0, credit=credit)


def test_pauses_grow_to_a_limit_and_begin_anew(barista):
    from barista._backoff import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Backoff

    backoff = Backoff()
    pauses = [backoff.next() for _ in range(20)]
    assert FIRST_PAUSE_SECONDS / 2 <= pauses[0] <= FIRST_PAUSE_SECONDS
    assert all(LONGEST_PAUSE_SECONDS / 2 <= pause <= LONGEST_PAUSE_SECONDS for pause in pauses[10:])
    assert len(set(pauses)) == len(pauses)
    backoff.reset()
    assert backoff.next() <= FIRST_PAUSE_SECONDS
