"""Whose address it was: proxies are believed as far as they are ours, and a caller can make up nothing."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.backend.addresses import ClientAddresses

PROXIES = "10.0.0.0/8,fd00::/8"
OUTSIDE = st.one_of(st.ip_addresses(), st.ip_addresses(network="203.0.113.0/24")).filter(
    lambda address: not any(address in ip_network(each) for each in PROXIES.split(","))
)


def address(peer: str | None, *forwarded: str, trusted: str = PROXIES) -> str:
    headers = [(b"host", b"x"), *((b"x-forwarded-for", value.encode("latin-1")) for value in forwarded)]
    return ClientAddresses(trusted).of({"client": (peer, 1) if peer is not None else None, "headers": headers})


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.1.1", ["192.0.2.1, 203.0.113.9"], "203.0.113.9"),
        ("10.1.1.1", ["192.0.2.1", "203.0.113.9"], "203.0.113.9"),
        ("10.1.1.1", ["203.0.113.9, 10.2.2.2"], "203.0.113.9"),
        ("10.1.1.1", ["192.0.2.1, 203.0.113.9,10.2.2.2 , 10.3.3.3"], "203.0.113.9"),
        ("10.1.1.1", ["10.9.9.9, 10.2.2.2"], "10.9.9.9"),
        ("10.1.1.1", ["192.0.2.1, nonsense"], "10.1.1.1"),
        ("10.1.1.1", ["192.0.2.1, "], "10.1.1.1"),
        ("10.1.1.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.1.1.1", ["[2001:db8:1:2::9]:4711"], "2001:db8:1:2::/64"),
        ("10.1.1.1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("fd00::1", ["203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.1.1.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("2001:db8:1:2::9", ["203.0.113.9"], "2001:db8:1:2::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("", ["203.0.113.9"], "unknown"),
        (None, [], "unknown"),
    ],
)
def test_the_first_address_that_is_not_a_proxys(peer: str | None, forwarded: list[str], client: str) -> None:
    assert address(peer, *forwarded) == client


def test_where_no_proxy_is_known_nobody_is_believed() -> None:
    assert address("10.1.1.1", "203.0.113.9", trusted="") == "10.1.1.1"
    assert address("2001:db8:1:2::9", "203.0.113.9", trusted="") == "2001:db8:1:2::/64"


@given(OUTSIDE, st.lists(st.text(alphabet=st.characters(max_codepoint=255), max_size=80), max_size=4))
def test_what_a_caller_makes_up_stands_before_what_our_proxy_writes(client: object, made_up: list[str]) -> None:
    plain = address("10.1.1.1", str(client))
    assert address("10.1.1.1", *made_up, str(client)) == plain
    assert address("10.1.1.1", ",".join([*made_up, str(client)])) == plain


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=200))
def test_any_text_has_an_answer_which_is_an_address(text: str) -> None:
    found = address("10.1.1.1", text)
    assert ip_address(found) if "/" not in found else ip_network(found).prefixlen == 64


def test_how_many_are_remembered_is_bounded() -> None:
    addresses = ClientAddresses(PROXIES)
    for number in range(10_500):
        addresses.of({"client": ("10.1.1.1", 1), "headers": [(b"x-forwarded-for", f"made up {number}".encode())]})
    assert len(addresses._known) == 10_000
