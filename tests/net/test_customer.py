"""Calls to customers' URLs: what goes out, what comes back and how much of it, and where redirects may lead."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from groundplan.core.context import RequestContext, entered
from groundplan.core.errors import (
    AddressRefused,
    DeadlineExceeded,
    Misuse,
    OutsideCallFailed,
    OutsideCallRefused,
    PeerUnavailable,
    TransactionOpen,
)
from groundplan.core.retry import Retry
from groundplan.net.breaker import BreakerPolicy
from groundplan.net.customer import CustomerHttp
from groundplan.net.peers import Limits
from groundplan.testing.clock import ManualClock
from tests.net.customers import HERE, Names, a_client, at
from tests.net.peer import Peer, Received, drip, fine, hang, status

pytestmark = pytest.mark.anyio

PEM = Path(__file__).with_name("hooks.example.pem")
"""A certificate of hooks.example, which vouches for itself, and its key."""


async def test_a_call(peer: Peer, names: Names, http: CustomerHttp) -> None:
    peer.answer = status(202, b"taken")
    answer = await http.request("POST", at(peer, "/in?a=1"), json={"a": 1}, headers={"webhook-id": "msg_1"})

    assert (answer.status, answer.body) == (202, b"taken")
    (received,) = peer.received
    assert (received.method, received.target, received.body) == ("POST", "/in?a=1", b'{"a":1}')
    assert received.headers["host"] == f"hooks.example:{peer.port}"
    assert received.headers["webhook-id"] == "msg_1"
    assert names.asked == ["hooks.example"]


async def test_our_trace_stays_with_us_and_their_secret_out_of_it(peer: Peer, http: CustomerHttp) -> None:
    with entered(RequestContext(request_id="req_12345678")) as context:
        await http.request("POST", at(peer, "/services/T0/B0/secret"))

    assert not {"traceparent", "x-request-id"} & peer.received[0].headers.keys()
    (span,) = context.spans
    assert (span.component, span.name, span.shape) == ("Customer", "POST hooks.example", "out")
    assert "secret" not in repr(span)


async def test_over_tls_the_certificate_is_the_names_own(names: Names) -> None:
    asked_for: list[str] = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(PEM)
    server.sni_callback = lambda connection, name, context: asked_for.append(name)
    async with Peer(server) as peer, a_client(names, tls=ssl.create_default_context(cafile=PEM)) as http:
        answer = await http.request("GET", f"https://hooks.example:{peer.port}/")
        assert answer.status == 200 and asked_for == ["hooks.example"]
        with pytest.raises(OutsideCallFailed, match=r"other\.example did not answer: ConnectError"):
            await http.request("GET", f"https://other.example:{peer.port}/")
        assert len(peer.received) == 1 and asked_for == ["hooks.example", "other.example"]
    async with Peer(server) as peer, a_client(names) as http:
        with pytest.raises(OutsideCallFailed, match="ConnectError"):
            await http.request("GET", f"https://hooks.example:{peer.port}/")


async def test_redirects_are_answers_unless_told_otherwise(peer: Peer, http: CustomerHttp) -> None:
    peer.answer = status(302, b"", b"location: http://127.0.0.1:1/elsewhere")
    assert (await http.request("POST", at(peer))).status == 302
    assert len(peer.received) == 1


@pytest.mark.parametrize(
    "where",
    [
        *("http://10.0.0.7/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://inside.example/"),
        *(
            "file:///etc/passwd",
            "http://u:p@hooks.example/",
            "http://2130706433/",
            "//127.0.0.2/",
            "http://0/",
            "http://[::1",
        ),
    ],
)
async def test_a_redirect_is_vetted_like_a_url(peer: Peer, names: Names, http: CustomerHttp, where: str) -> None:
    names.lead_to["inside.example"] = ["192.168.0.1"]
    peer.answer = status(302, b"", b"location: " + where.encode())
    with pytest.raises(AddressRefused):
        await http.request("GET", at(peer), redirects=3)
    assert len(peer.received) == 1


async def test_three_redirects_at_most(peer: Peer, http: CustomerHttp) -> None:
    async def answer(received: Received, writer: asyncio.StreamWriter) -> None:
        if received.target == "/3":
            return await fine(received, writer)
        following = b"location: /%d" % (int(received.target[1:] or 0) + 1)
        return await status(307, b"", following)(received, writer)

    peer.answer = answer
    assert (await http.request("PUT", at(peer), content=b"x", redirects=3)).status == 200
    assert [(each.target, each.method, each.body) for each in peer.received] == [
        (target, "PUT", b"x") for target in ("/", "/1", "/2", "/3")
    ]
    for redirects in (1, 3, 99):
        peer.received.clear()
        peer.answer = status(301, b"", b"location: /again")
        with pytest.raises(OutsideCallRefused, match="redirects again and again"):
            await http.request("GET", at(peer), redirects=redirects)
        assert len(peer.received) == min(redirects, 3) + 1


async def test_secrets_do_not_follow_to_another_host(peer: Peer, http: CustomerHttp) -> None:
    secrets = {"Authorization": "Bearer x", "X-Api-Key": "y", "Accept": "text/plain"}
    for host, kept in (("hooks.example", True), ("other.example", False)):
        peer.received.clear()

        async def answer(received: Received, writer: asyncio.StreamWriter, host: str = host) -> None:
            there = b"location: " + at(peer, "/there", host).encode()
            await (fine if received.target == "/there" else status(303, b"", there))(received, writer)

        peer.answer = answer
        await http.request("POST", at(peer), json={"a": 1}, headers=secrets, redirects=1)
        first, second = peer.received
        assert (second.method, second.body, second.headers["accept"]) == ("GET", b"", "text/plain")
        assert "content-type" not in second.headers
        assert {"authorization", "x-api-key"} <= first.headers.keys()
        assert ({"authorization", "x-api-key"} <= second.headers.keys()) is kept


class Flood:
    """Writes until the other side hangs up."""

    def __init__(self, *headers: bytes) -> None:
        self.headers = headers
        self.hung_up = asyncio.Event()

    async def __call__(self, received: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\r\n".join([b"HTTP/1.1 200 OK", *self.headers]) + b"\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            self.hung_up.set()


async def test_no_more_is_read_than_the_limit(peer: Peer, http: CustomerHttp) -> None:
    for headers in ((), (b"content-length: 99999999999",), (b"content-encoding: gzip",)):
        peer.answer = flood = Flood(*headers)
        with pytest.raises(OutsideCallRefused, match="more than the 1,000 bytes") as refused:
            await http.request("GET", at(peer), most_bytes=1000)
        assert not refused.value.retryable
        await flood.hung_up.wait()
    peer.answer = flood = Flood()
    answer = await http.request("GET", at(peer), most_bytes=1000, cut=True)
    assert answer.body == b"x" * 1000
    await flood.hung_up.wait()
    peer.answer = status(200, b"x" * 1000)
    assert len((await http.request("GET", at(peer), most_bytes=1000)).body) == 1000


async def test_answers_are_left_packed(peer: Peer, http: CustomerHttp) -> None:
    peer.answer = status(200, b"\x1f\x8bpacked", b"content-encoding: gzip")
    answer = await http.request("GET", at(peer), headers={"Accept-Encoding": "gzip"})
    assert answer.body == b"\x1f\x8bpacked"
    assert peer.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("answer", [hang, drip])
async def test_the_timeout_is_for_the_whole_call(peer: Peer, http: CustomerHttp, answer: Any) -> None:
    peer.answer = answer
    with pytest.raises(OutsideCallFailed, match=r"hooks\.example did not answer within 0\.2 s"):
        await http.request("GET", at(peer), timeout=0.2)


async def test_the_timeout_is_for_all_redirects(peer: Peer, names: Names) -> None:
    clock = ManualClock()

    async def answer(received: Received, writer: asyncio.StreamWriter) -> None:
        clock.seconds += 4
        await status(302, b"", b"location: /on")(received, writer)

    peer.answer = answer
    client = CustomerHttp(clock, policy=HERE, resolve=names)
    with pytest.raises(OutsideCallFailed, match="in time"):
        await client.request("GET", at(peer), redirects=3)
    assert len(peer.received) == 3
    await client.close()


async def test_each_host_has_a_breaker(peer: Peer, names: Names) -> None:
    async with a_client(names, limits=Limits(breaker=BreakerPolicy(minimum=3))) as http:
        peer.answer = status(500)
        for _ in range(3):
            with pytest.raises(OutsideCallFailed):
                await http.request("POST", at(peer))
        with pytest.raises(PeerUnavailable, match=r"hooks\.example:"):
            await http.request("POST", at(peer))
        peer.answer = fine
        assert (await http.request("POST", at(peer, host="other.example"))).status == 200


async def test_a_refused_address_says_nothing_of_the_peer(peer: Peer, names: Names) -> None:
    async with a_client(names, limits=Limits(breaker=BreakerPolicy(minimum=1))) as http:
        names.lead_to["hooks.example"] = ["10.0.0.7"]
        for _ in range(3):
            with pytest.raises(AddressRefused):
                await http.request("GET", at(peer))
        names.lead_to["hooks.example"] = ["127.0.0.1"]
        assert (await http.request("GET", at(peer))).status == 200


async def test_the_rules_of_every_call(peer: Peer, http: CustomerHttp) -> None:
    with entered(RequestContext(in_transaction=True)):
        with pytest.raises(TransactionOpen):
            await http.request("POST", at(peer))
        with pytest.raises(TransactionOpen):
            await http.vet(at(peer))
    with entered(RequestContext(deadline=0.0)), pytest.raises(DeadlineExceeded):
        await http.request("POST", at(peer))
    with pytest.raises(Misuse, match="not safe to send twice"):
        await http.request("POST", at(peer), retry=Retry())
    with pytest.raises(Misuse, match="not valid HTTP"):
        await http.request("GET", at(peer), headers={"x-mine": "a\r\nb"})
    assert not peer.received
