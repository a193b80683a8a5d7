"""The outbound client against real sockets: what it carries, when it gives up, and how it says so."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from groundplan.core.context import RequestContext, entered
from groundplan.core.errors import (
    DeadlineExceeded,
    GroundplanError,
    Misuse,
    OutsideCallFailed,
    OutsideCallRefused,
    TransactionOpen,
)
from groundplan.net.breaker import BreakerPolicy
from groundplan.net.client import Outbound
from groundplan.net.peers import Limits
from groundplan.testing.clock import ManualClock
from groundplan.testing.servers import free_port
from tests.net.peer import Peer, drip, hang, hang_up, status

pytestmark = pytest.mark.anyio


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    outbound = Outbound(ManualClock())
    await outbound.open()
    yield outbound
    await outbound.close()


async def test_a_call(peer: Peer, outbound: Outbound) -> None:
    peer.answer = status(201, b"made", b"X-Thing: one")
    answer = await outbound.request("POST", f"{peer.url}/things?a=1", content=b"\x00\xff", headers={"x-mine": "yes"})

    assert (answer.status, answer.body, answer.headers["x-thing"]) == (201, b"made", "one")
    (received,) = peer.received
    assert (received.method, received.target, received.body) == ("POST", "/things?a=1", b"\x00\xff")
    assert received.headers["x-mine"] == "yes"
    assert "traceparent" not in received.headers


async def test_a_json_body(peer: Peer, outbound: Outbound) -> None:
    await outbound.request("POST", peer.url, json={"à": [1, None]})
    await outbound.request("POST", peer.url, json=0, headers={"Content-Type": "application/special+json"})

    first, second = peer.received
    assert (first.body, first.headers["content-type"]) == ('{"à":[1,null]}'.encode(), "application/json")
    assert (second.body, second.headers["content-type"]) == (b"0", "application/special+json")


async def test_the_trace_goes_on_at_the_peer(peer: Peer, outbound: Outbound) -> None:
    context = RequestContext(request_id="req_12345678")
    with entered(context):
        await outbound.request("POST", f"{peer.url}/pay?token=x", component="Payments")

    (span,) = context.spans
    assert (span.component, span.name, span.shape) == ("Payments", "POST 127.0.0.1/pay", "out")
    assert (span.trace_id, span.parent_id, span.error) == (context.trace_id, context.span_id, "")
    assert span.attributes["status"] == 200
    headers = peer.received[0].headers
    assert headers["traceparent"] == f"00-{context.trace_id}-{span.span_id}-01"
    assert headers["x-request-id"] == "req_12345678"


async def test_a_trace_that_the_caller_names_stays(peer: Peer, outbound: Outbound) -> None:
    named = f"00-{'a' * 32}-{'b' * 16}-01"
    with entered(RequestContext()):
        await outbound.request("GET", peer.url, headers={"Traceparent": named})

    headers = peer.received[0].headers
    assert headers["traceparent"] == named
    assert "x-request-id" not in headers


async def test_refusals_and_failures(peer: Peer, outbound: Outbound) -> None:
    for code, kind in ((400, OutsideCallRefused), (429, OutsideCallRefused), (500, OutsideCallFailed)):
        peer.answer = status(code, b"why")
        context = RequestContext()
        with entered(context), pytest.raises(kind, match=f"127.0.0.1 answered {code}"):
            await outbound.request("GET", peer.url)
        assert context.spans[0].error
        answer = await outbound.request("GET", peer.url, raise_for=False)
        assert (answer.status, answer.body) == (code, b"why")
    assert OutsideCallFailed.retryable and not OutsideCallRefused.retryable


async def test_redirects_are_the_callers_to_follow(peer: Peer, outbound: Outbound) -> None:
    peer.answer = status(302, b"", b"location: http://127.0.0.1:1/elsewhere")
    answer = await outbound.request("GET", peer.url)

    assert (answer.status, len(peer.received)) == (302, 1)


async def test_peers_cannot_leave_cookies(peer: Peer, outbound: Outbound) -> None:
    peer.answer = status(200, b"", b"set-cookie: session=of-one-user; Path=/")
    await outbound.request("GET", peer.url)
    await outbound.request("GET", peer.url)

    assert "cookie" not in peer.received[1].headers


@pytest.mark.parametrize("answer", [hang, drip])
async def test_the_timeout_is_for_the_whole_call(peer: Peer, outbound: Outbound, answer: object) -> None:
    peer.answer = answer  # type: ignore[assignment]
    started = time.monotonic()
    with pytest.raises(OutsideCallFailed, match=r"did not answer within 0\.3 s"):
        await outbound.request("GET", peer.url, timeout=0.3)

    assert time.monotonic() - started < 2


async def test_the_deadline_of_the_request_cuts_the_timeout(peer: Peer, outbound: Outbound) -> None:
    peer.answer = hang
    started = time.monotonic()
    with entered(RequestContext(deadline=0.2)), pytest.raises(OutsideCallFailed, match=r"within 0\.2 s"):
        await outbound.request("GET", peer.url, timeout=60)

    assert time.monotonic() - started < 2


async def test_nothing_is_sent_once_the_deadline_has_passed(peer: Peer, outbound: Outbound) -> None:
    with entered(RequestContext(deadline=0.0)), pytest.raises(DeadlineExceeded):
        await outbound.request("GET", peer.url)

    assert not peer.received


async def test_nothing_is_sent_inside_a_transaction(peer: Peer, outbound: Outbound) -> None:
    with entered(RequestContext(in_transaction=True)), pytest.raises(TransactionOpen, match="POST 127"):
        await outbound.request("POST", f"{peer.url}/?secret=x")

    assert not peer.received


async def test_nobody_there(outbound: Outbound) -> None:
    with pytest.raises(OutsideCallFailed, match="ConnectError"):
        await outbound.request("GET", f"http://127.0.0.1:{free_port()}/")


async def test_a_peer_that_hangs_up(peer: Peer, outbound: Outbound) -> None:
    peer.answer = hang_up
    with pytest.raises(OutsideCallFailed):
        await outbound.request("GET", peer.url)


async def test_a_peer_that_does_not_speak_http(peer: Peer, outbound: Outbound) -> None:
    for said in (b"+PONG\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc"):

        async def answer(received: object, writer: asyncio.StreamWriter, said: bytes = said) -> None:
            writer.write(said)

        peer.answer = answer
        with pytest.raises(OutsideCallFailed):
            await outbound.request("GET", peer.url)


async def test_calls_given_up_on_leave_room_for_others(peer: Peer) -> None:
    """More of them than the client keeps connections, and no breaker that would spare the peer the last one."""
    patient = Limits(calls=130, breaker=BreakerPolicy(minimum=1000, timeouts=1000))
    outbound = Outbound(ManualClock(), limits=patient)
    peer.answer = hang
    calls = [outbound.request("GET", peer.url, timeout=0.3) for _ in range(130)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {OutsideCallFailed}

    peer.answer = status(200)
    assert (await outbound.request("GET", peer.url)).status == 200
    await outbound.close()


async def test_being_cancelled_is_not_a_failure_of_the_peer(peer: Peer, outbound: Outbound) -> None:
    peer.answer = hang
    call = asyncio.create_task(outbound.request("GET", peer.url))
    await peer.called.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "/path", "ftp://x/", "http://", "http://[::1", "http://x:99999/", "http://x:0/", "http://a b/"],
)
async def test_what_is_not_an_address(outbound: Outbound, url: str) -> None:
    with pytest.raises(Misuse):
        await outbound.request("GET", url)


async def test_headers_cannot_be_smuggled(peer: Peer, outbound: Outbound) -> None:
    with pytest.raises(GroundplanError) as caught:
        await outbound.request("GET", peer.url, headers={"x-mine": "a\r\nx-other: b"})

    assert isinstance(caught.value, Misuse)
    assert not peer.received


async def test_it_can_be_opened_again(peer: Peer, outbound: Outbound) -> None:
    await outbound.close()
    await outbound.request("GET", peer.url)
    await outbound.close()
    await outbound.close()
    await outbound.request("GET", peer.url)

    assert len(peer.received) == 2


def test_the_http_library_is_loaded_by_the_first_call() -> None:
    source = "import sys, groundplan.net.client; print('httpx2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == "False"
