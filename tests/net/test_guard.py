"""Where customers' URLs may lead: nothing inside is ever called, whatever a URL, a name or its addresses say."""

import asyncio

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.core.errors import AddressRefused, OutsideCallFailed
from groundplan.net.addresses import literal
from groundplan.net.customer import CustomerHttp
from groundplan.net.guard import ANYWHERE, PUBLIC, CustomerPolicy, Guard, policy_of
from groundplan.testing.clock import ManualClock
from tests.net.customers import Names, a_client, at
from tests.net.peer import Peer, status

pytestmark = pytest.mark.anyio

NOWHERE = CustomerPolicy(http=True, any_port=True)


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.7", "::1", "::ffff:127.0.0.1", "169.254.169.254", "fd00::1"])
async def test_a_name_that_leads_inside_is_not_called(peer: Peer, names: Names, inside: str) -> None:
    names.lead_to["hooks.example"] = [inside]
    async with a_client(names, NOWHERE) as http:
        with pytest.raises(AddressRefused, match=r"^hooks\.example is not a host on the public internet\.$"):
            await http.request("GET", at(peer))
        with pytest.raises(AddressRefused):
            await http.vet(at(peer))

    assert not peer.received


async def test_one_address_inside_among_others_is_one_too_many(peer: Peer, names: Names, http: CustomerHttp) -> None:
    for addresses in (["127.0.0.1", "10.0.0.7"], ["10.0.0.7", "127.0.0.1"], ["127.0.0.1", "nonsense"]):
        names.lead_to["hooks.example"] = addresses
        with pytest.raises(AddressRefused):
            await http.request("GET", at(peer))

    assert not peer.received


async def test_a_name_that_changes_where_it_leads_is_vetted_again(peer: Peer, names: Names, http: CustomerHttp) -> None:
    peer.answer = status(200, b"", b"connection: close")
    await http.vet(at(peer))
    await http.request("GET", at(peer))
    names.lead_to["hooks.example"] = ["127.0.0.2"]
    with pytest.raises(AddressRefused):
        await http.request("GET", at(peer))

    assert (len(peer.received), len(names.asked)) == (1, 3)


async def test_the_next_address_where_one_does_not_answer(peer: Peer, names: Names) -> None:
    names.lead_to["hooks.example"] = ["::1", "127.0.0.1"]
    async with a_client(names, ANYWHERE) as http:
        assert (await http.request("GET", at(peer))).status == 200
    assert len(names.asked) == 1


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.example/", "must start with https://"),
        ("ftp://hooks.example/", "must start with https://"),
        ("file:///etc/passwd", "not the address of a web server"),
        ("//hooks.example/", "must start with https://"),
        ("hooks.example", "not the address of a web server"),
        ("", "not the address of a web server"),
        ("https://", "not the address of a web server"),
        ("https:///path", "not the address of a web server"),
        ("https://[::1", "not the address of a web server"),
        ("https://hooks.example:99999/", "not the address of a web server"),
        ("https://hooks.example\\@10.0.0.1/", "not the address of a web server"),
        ("https://hooks.example/\r\nx: y", "not the address of a web server"),
        ("https://hooks. example/", "not the address of a web server"),
        ("https://user@hooks.example/", "user name"),
        ("https://user:password@hooks.example/", "user name"),
        ("https://@hooks.example/", "user name"),
        ("https://hooks.example:8443/", "names 8443"),
        ("https://hooks.example:80/", "names 80"),
        ("https://hooks.example:0/", "not the address of a web server"),
        ("https://2130706433/", "usual form"),
        ("https://0x7f000001/", "usual form"),
        ("https://0177.0.0.1/", "usual form|not the address"),
        ("https://127.1/", "usual form"),
        ("https://127.0.0.1./", "usual form"),
        ("https://[fe80::1%25eth0]/", "usual form|not the address"),
        ("https://１２７。０。０。１/", "public internet|not the address|usual form"),
        ("https://127.0.0.1/", "127.0.0.1 is not a host on the public internet"),
        ("https://[::1]/", "::1 is not a host on the public internet"),
        ("https://[::ffff:169.254.169.254]/", "not a host on the public internet"),
    ],
)
async def test_what_is_refused_without_asking_for_the_name(names: Names, url: str, why: str) -> None:
    client = CustomerHttp(ManualClock(), resolve=names)
    with pytest.raises(AddressRefused, match=why):
        await client.vet(url)
    with pytest.raises(AddressRefused, match=why):
        await client.request("GET", url)
    assert not names.asked
    await client.close()


@given(
    st.one_of(
        st.text(),
        st.tuples(
            st.sampled_from(["http://", "https://", "HTTPS:", "//", ""]),
            st.text(st.sampled_from("aZ0179xX.:-_@[]%/?#\\é。１ \t\n")),
        ).map("".join),
    )
)
def test_no_text_is_too_strange(text: str) -> None:
    """It is refused, or it is a plain host: the one that the HTTP library would call."""
    for policy in (PUBLIC, ANYWHERE):
        try:
            target = Guard(policy, Names()).checked(text)
        except AddressRefused:
            continue
        called = httpx2.Request("GET", text).url
        assert target.host == called.raw_host.decode()
        assert target.port == (called.port or {"http": 80, "https": 443}[called.scheme])
        assert literal(target.host) in (None, target.host) or ":" in target.host
        assert not called.userinfo


async def test_userinfo_is_only_what_stands_before_the_path(peer: Peer, http: CustomerHttp) -> None:
    for path in ("/@me", "?who=@me", "/#@me"):
        await http.vet(at(peer, path))


async def test_a_name_server_that_hangs() -> None:
    async def hanging(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    client = CustomerHttp(ManualClock(), policy=CustomerPolicy(dns_seconds=0.02), resolve=hanging)
    with pytest.raises(OutsideCallFailed, match=r"hooks\.example was not found within 0\.02 s"):
        await client.vet("https://hooks.example/")
    with pytest.raises(OutsideCallFailed, match=r"hooks\.example was not found within 0\.02 s"):
        await client.request("GET", "https://hooks.example/", timeout=60)
    await client.close()


async def test_a_name_without_an_address(names: Names, http: CustomerHttp) -> None:
    names.lead_to["empty.example"] = []
    for host in ("missing.example", "empty.example"):
        with pytest.raises(OutsideCallFailed, match="has no address"):
            await http.request("GET", f"https://{host}/")


async def test_the_systems_own_resolver() -> None:
    client = CustomerHttp(ManualClock())
    with pytest.raises(AddressRefused, match="localhost is not a host on the public internet"):
        await client.vet("https://localhost/")
    await client.close()


async def test_a_developers_own_services(peer: Peer) -> None:
    client = CustomerHttp(ManualClock(), policy=ANYWHERE)
    for port in (0, 65536):
        with pytest.raises(AddressRefused, match="not the address of a web server"):
            await client.vet(f"http://localhost:{port}/")
    assert (await client.request("POST", at(peer, host="localhost"), json={})).status == 200
    with pytest.raises(AddressRefused):
        await client.request("GET", "http://169.254.169.254/latest/meta-data/")
    await client.close()


async def test_networks_of_our_own_are_not_public(names: Names) -> None:
    names.lead_to["hooks.example"] = ["198.51.101.7", "2606:4700::7"]
    for denied, refused in (("", False), ("198.51.101.0/24", True), ("10.0.0.0/8,2606:4700::/32", True)):
        async with a_client(names, policy_of("public", denied)) as http:
            if refused:
                with pytest.raises(AddressRefused, match="public internet"):
                    await http.vet("https://hooks.example/")
            else:
                await http.vet("https://hooks.example/")


async def test_a_connection_is_vetted_as_the_url_was(names: Names) -> None:
    """Were the two ever read apart, the connection is what counts."""
    guard = Guard(PUBLIC, names)
    for host, port in (("hooks.example", 8443), ("2130706433", 443), ("127.0.0.1", 443), ("hooks.example", 443)):
        with pytest.raises(AddressRefused):
            await guard.vetted(host, port)
    assert names.asked == ["hooks.example"]


def test_policies() -> None:
    assert policy_of("public", "") == PUBLIC == CustomerPolicy()
    assert policy_of("any", "") == ANYWHERE
