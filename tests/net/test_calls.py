"""Retries, breaker and bulkhead as callers of the outbound client meet them, over real sockets."""

import asyncio
from collections.abc import Container
from datetime import timedelta
from email.utils import format_datetime

import pytest

from groundplan.core.context import RequestContext, entered
from groundplan.core.errors import Misuse, OutsideCallFailed, OutsideCallRefused, PeerBusy, PeerUnavailable
from groundplan.core.retry import Retry
from groundplan.net.breaker import BreakerPolicy
from groundplan.net.budget import BudgetPolicy
from groundplan.net.client import Outbound
from groundplan.net.peers import Limits
from groundplan.testing.clock import ManualClock
from tests.net.house import House, a_house
from tests.net.peer import Answer, Peer, Received, fine, hang, hang_up, status

pytestmark = pytest.mark.anyio

THRICE = Retry(attempts=3, base=0.2, cap=0.3)


def one_after_the_other(*answers: Answer) -> Answer:
    """The last one stays."""
    left = list(answers)

    async def answer(received: Received, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(received, writer)

    return answer


async def test_a_call_is_sent_once_unless_told_otherwise(peer: Peer, house: House) -> None:
    peer.answer = status(503)
    with pytest.raises(OutsideCallFailed):
        await house.request("GET", peer.url)

    assert len(peer.received) == 1
    assert not house.waits


@pytest.mark.parametrize("trouble", [status(500), status(503), status(429), hang_up])
async def test_trouble_that_passes(peer: Peer, house: House, trouble: Answer) -> None:
    peer.answer = one_after_the_other(trouble, trouble, fine)
    with entered(RequestContext()) as context:
        answer = await house.request("GET", peer.url, retry=THRICE)

    assert (answer.status, len(peer.received)) == (200, 3)
    assert house.waits == [0.2, 0.3], "full jitter, doubled, capped"
    assert len({received.headers["traceparent"] for received in peer.received}) == 1
    (span,) = context.spans
    assert span.attributes["attempts"] == 3 and span.attributes["status"] == 200 and not span.error
    assert house.count("retries_total") == 2
    assert house.count("calls_total", outcome="ok") == 1


async def test_trouble_that_stays(peer: Peer, house: House) -> None:
    peer.answer = status(503, b"down")
    with pytest.raises(OutsideCallFailed, match="answered 503"):
        await house.request("GET", peer.url, retry=THRICE)
    assert len(peer.received) == 3

    answer = await house.request("GET", peer.url, retry=THRICE, raise_for=False)
    assert (answer.status, answer.body, len(peer.received)) == (503, b"down", 6)
    assert house.count("calls_total", outcome="failed") == 6


@pytest.mark.parametrize("code", [200, 302, 400, 404, 409])
async def test_what_would_be_said_again_is_not_asked_again(peer: Peer, house: House, code: int) -> None:
    peer.answer = status(code)
    answer = await house.request("GET", peer.url, retry=THRICE, raise_for=False)

    assert (answer.status, len(peer.received)) == (code, 1)


async def test_only_the_errors_that_the_retry_names(peer: Peer, house: House) -> None:
    peer.answer = status(503)
    await house.request("GET", peer.url, retry=Retry(on=(PeerBusy,)), raise_for=False)
    assert len(peer.received) == 1


@pytest.mark.parametrize(
    ("code", "failures", "sent"), [(503, (), 1), (503, {408}, 1), (408, {408}, 3), (408, {503}, 1)]
)
async def test_only_after_the_statuses_that_the_caller_names(
    peer: Peer, house: House, code: int, failures: Container[int], sent: int
) -> None:
    peer.answer = status(code)
    await house.request("GET", peer.url, retry=THRICE, failures=failures, raise_for=False)
    assert len(peer.received) == sent


async def test_what_is_not_safe_to_send_twice(peer: Peer, house: House) -> None:
    with pytest.raises(Misuse, match="POST is not safe to send twice"):
        await house.request("POST", peer.url, json={}, retry=THRICE)
    assert not peer.received

    peer.answer = one_after_the_other(hang_up, fine)
    await house.request("POST", peer.url, json={"a": 1}, headers={"Idempotency-Key": "k1"}, retry=THRICE)
    assert [(each.body, each.headers["idempotency-key"]) for each in peer.received] == [(b'{"a":1}', "k1")] * 2


@pytest.mark.parametrize(
    ("said", "wait"),
    [("2", 2.2), (timedelta(seconds=2), 2.2), (timedelta(days=-1), 0.2), ("soon", 0.2), ("-1", 0.2), ("", 0.2)],
)
async def test_the_peer_says_when(peer: Peer, house: House, said: str | timedelta, wait: float) -> None:
    when = said if isinstance(said, str) else format_datetime(house.clock.now() + said, usegmt=True)
    peer.answer = one_after_the_other(status(503, b"", b"retry-after: " + when.encode()), fine)
    await house.request("GET", peer.url, retry=THRICE)
    assert house.waits == [pytest.approx(wait)]


async def test_no_wait_goes_past_the_deadline(peer: Peer, house: House) -> None:
    peer.answer = status(429, b"", b"retry-after: 60")
    with pytest.raises(PeerBusy, match="answered 429") as refused:
        await house.request("GET", peer.url, retry=THRICE)
    assert (len(peer.received), house.waits) == (1, [])
    assert refused.value.retry_after == 60 and refused.value.retryable
    assert isinstance(refused.value, OutsideCallRefused)

    with entered(RequestContext(deadline=0.4)):
        await house.request("GET", peer.url, timeout=90, retry=THRICE, raise_for=False)
    peer.answer = status(503)
    with entered(RequestContext(deadline=0.4)), pytest.raises(OutsideCallFailed):
        await house.request("GET", peer.url, timeout=90, retry=THRICE)
    assert house.waits == [0.2]


async def test_a_peer_cannot_put_work_off_for_long(peer: Peer, house: House) -> None:
    for said in (b"99999999999999", b"Fri, 01 Jan 2100 00:00:00 GMT"):
        peer.answer = status(503, b"", b"retry-after: " + said)
        with pytest.raises(OutsideCallFailed) as failed:
            await house.request("GET", peer.url)
        assert failed.value.retry_after == 3600


async def test_time_for_another_attempt(peer: Peer, house: House) -> None:
    peer.answer = one_after_the_other(hang, fine)
    answer = await house.request("GET", peer.url, timeout=60, attempt_timeout=0.5, retry=THRICE)

    assert (answer.status, len(peer.received)) == (200, 2)
    assert house.count("calls_total", outcome="timeout") == 1


async def test_a_sick_peer_is_not_hammered(peer: Peer) -> None:
    limits = Limits(budget=BudgetPolicy(share=0.1, per_second=0, most=4), breaker=BreakerPolicy(minimum=1000))
    async with a_house(limits) as house:
        peer.answer = status(503)
        for _ in range(60):
            await house.request("GET", peer.url, retry=THRICE, raise_for=False)

        assert 60 < len(peer.received) <= 60 + 4 + 6
        assert house.count("retries_total") == len(peer.received) - 60
        assert house.count("retries_withheld_total") > 0


@pytest.mark.parametrize("trouble", [status(500), hang_up])
async def test_a_peer_that_keeps_failing_is_left_alone(peer: Peer, house: House, trouble: Answer) -> None:
    peer.answer = trouble
    for _ in range(10):
        with pytest.raises(OutsideCallFailed):
            await house.request("GET", peer.url)
    for method in ("GET", "POST"):
        with entered(RequestContext()) as context, pytest.raises(PeerUnavailable, match="keeps failing") as refused:
            await house.request(method, peer.url, raise_for=False)
        assert refused.value.retry_after == 10
        assert context.spans[0].attributes["breaker"] == "open" and context.spans[0].error
    assert len(peer.received) == 10
    assert house.count("calls_total", outcome="not_called") == 2
    assert house.count("breakers", state="open") == 1

    peer.answer = fine
    house.clock.seconds += 10
    assert (await house.request("GET", peer.url)).status == 200
    assert (await house.request("GET", peer.url)).status == 200
    assert house.count("breakers", state="open") == 0


async def test_other_peers_are_called_on(peer: Peer, house: House) -> None:
    peer.answer = status(500)
    for _ in range(10):
        await house.request("GET", peer.url, raise_for=False)
    async with Peer() as other:
        assert (await house.request("GET", other.url)).status == 200


async def test_peers_of_one_component_may_have_limits_of_their_own(peer: Peer) -> None:
    async with a_house(by_component={"API": Limits(breaker=BreakerPolicy(pause=1.0))}) as house:
        peer.answer = status(500)
        for component, pause in (("API", 1.0), ("Outside", 10.0)):
            for _ in range(10):
                await house.request("GET", peer.url, raise_for=False, component=component)
            with pytest.raises(PeerUnavailable) as refused:
                await house.request("GET", peer.url, component=component)
            assert refused.value.retry_after == pause


async def test_a_breaker_that_opens_ends_the_retries(peer: Peer) -> None:
    async with a_house(Limits(breaker=BreakerPolicy(minimum=2))) as house:
        peer.answer = status(503)
        answer = await house.request("GET", peer.url, retry=Retry(attempts=9, base=0.01), raise_for=False)

        assert (answer.status, len(peer.received), len(house.waits)) == (503, 2, 1)


async def test_a_breaker_that_others_open_meanwhile_leaves_the_outcome_as_it_was(peer: Peer) -> None:
    async def others_fail(seconds: float) -> None:
        for _ in range(9):
            await outbound.request("GET", peer.url, raise_for=False)

    outbound = Outbound(ManualClock(), sleep=others_fail)
    peer.answer = status(503, b"down")
    answer = await outbound.request("GET", peer.url, retry=THRICE, raise_for=False)
    assert (answer.status, answer.body, len(peer.received)) == (503, b"down", 10)
    await outbound.close()


async def test_timeouts_open_the_breaker_at_once(peer: Peer, house: House) -> None:
    peer.answer = hang
    calls = [house.request("GET", peer.url, timeout=0.05) for _ in range(5)]
    await asyncio.gather(*calls, return_exceptions=True)
    with pytest.raises(PeerUnavailable):
        await house.request("GET", peer.url)


async def test_our_own_haste_is_not_the_peers_failure(peer: Peer, house: House) -> None:
    peer.answer = hang
    for _ in range(12):
        with entered(RequestContext(deadline=0.01)), pytest.raises(OutsideCallFailed):
            await house.request("GET", peer.url)

    peer.answer = fine
    assert (await house.request("GET", peer.url)).status == 200


@pytest.mark.parametrize(("answer", "options"), [(status(404), {}), (status(500), {"failures": ()})])
async def test_answers_that_do_not_count_against_the_peer(
    peer: Peer, house: House, answer: Answer, options: dict
) -> None:
    peer.answer = answer
    for _ in range(30):
        await house.request("GET", peer.url, raise_for=False, **options)

    assert len(peer.received) == 30


async def test_a_slow_peer_takes_no_more_than_its_places(peer: Peer) -> None:
    async with a_house(Limits(calls=2, wait=0.01)) as house:
        peer.answer = hang
        running = [asyncio.create_task(house.request("GET", peer.url, timeout=60)) for _ in range(2)]
        while len(peer.received) < 2:
            peer.called.clear()
            await peer.called.wait()
        with pytest.raises(PeerUnavailable, match="2 calls to 127"):
            await house.request("GET", peer.url)
        async with Peer() as other:
            assert (await house.request("GET", other.url)).status == 200
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        peer.answer = fine
        assert (await house.request("GET", peer.url)).status == 200
        assert house.count("calls_total", outcome="cancelled") == 2


async def test_a_peer_left_alone_is_not_waited_for(peer: Peer) -> None:
    """Not even where all its places are taken: by a call from before its breaker opened, and by the probe."""
    async with a_house(Limits(calls=2, wait=60, breaker=BreakerPolicy(minimum=1))) as house:
        peer.answer = one_after_the_other(hang, status(500), hang)
        running = [asyncio.create_task(house.request("GET", peer.url, timeout=60))]
        await peer.called.wait()
        await house.request("GET", peer.url, raise_for=False)
        house.clock.seconds += 10
        peer.called.clear()
        running.append(asyncio.create_task(house.request("GET", peer.url, timeout=60)))
        await peer.called.wait()
        with pytest.raises(PeerUnavailable, match="tried with one call"):
            await house.request("GET", peer.url)
        for each in running:
            each.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_a_probe_that_is_cancelled_lets_the_next_one_try(peer: Peer, house: House) -> None:
    peer.answer = status(500)
    for _ in range(10):
        await house.request("GET", peer.url, raise_for=False)
    house.clock.seconds += 10
    peer.answer, peer.called = hang, asyncio.Event()
    probe = asyncio.create_task(house.request("GET", peer.url))
    await peer.called.wait()
    with pytest.raises(PeerUnavailable, match="tried with one call"):
        await house.request("GET", peer.url)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    peer.answer = fine
    assert (await house.request("GET", peer.url)).status == 200


@pytest.mark.parametrize("spoil", [{"x-mine": "a\r\nb"}, {"bad name": "x"}])
async def test_our_own_mistakes_are_not_the_peers(peer: Peer, house: House, spoil: dict) -> None:
    for _ in range(12):
        with pytest.raises(Misuse):
            await house.request("GET", peer.url, headers=spoil)

    assert (await house.request("GET", peer.url)).status == 200
