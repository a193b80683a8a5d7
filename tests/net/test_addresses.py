"""What is not the public internet, in every form that it can take."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.net.addresses import DENIED, INSIDE, is_within, literal, why_not_public

EMBEDDINGS = {
    "mapped": lambda v4: int(IPv6Address("::ffff:0:0")) | v4,
    "compatible": lambda v4: v4,
    "translated": lambda v4: int(IPv6Address("::ffff:0:0:0")) | v4,
    "NAT64": lambda v4: int(IPv6Address("64:ff9b::")) | v4,
    "local NAT64": lambda v4: int(IPv6Address("64:ff9b:1::")) | v4,
    "6to4": lambda v4: int(IPv6Address("2002::")) | v4 << 80,
    "Teredo": lambda v4: int(IPv6Address("2001::")) | v4 ^ 0xFFFFFFFF,
    "Teredo's server": lambda v4: int(IPv6Address("2001::")) | v4 << 64,
    "ISATAP": lambda v4: int(IPv6Address("2001:4860::5efe:0:0")) | v4,
    "unique ISATAP": lambda v4: int(IPv6Address("2001:4860::200:5efe:0:0")) | v4,
}


@st.composite
def denied(draw: st.DrawFn) -> IPv4Address | IPv6Address:
    network, _ = draw(st.sampled_from(DENIED))
    return network[draw(st.integers(0, network.num_addresses - 1))]


@given(denied(), st.sampled_from([None, *EMBEDDINGS]))
def test_denied_networks_are_denied_in_every_embedding(address: IPv4Address | IPv6Address, form: str | None) -> None:
    assert why_not_public(str(address))
    if form and isinstance(address, IPv4Address):
        embedded = IPv6Address(EMBEDDINGS[form](int(address)))
        assert why_not_public(str(embedded)), embedded
        assert why_not_public(embedded.exploded)
        assert not is_within(str(embedded), INSIDE)


@given(st.one_of(st.ip_addresses(), denied()))
def test_what_the_registries_call_not_global_is_denied(address: IPv4Address | IPv6Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert why_not_public(str(address))


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("127.0.0.1", "loopback"),
        ("169.254.169.254", "metadata"),
        ("169.254.170.2", "metadata"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("192.0.0.192", "metadata"),
        ("fd00:ec2::254", "metadata"),
        ("fd20:ce::254", "metadata"),
        ("255.255.255.255", "broadcast"),
        ("::ffff:8.8.8.8", "IPv4-mapped"),
        ("64:ff9b::808:808", "NAT64"),
        ("2002:808:808::1", "6to4"),
        ("2001:0:808:808::1", "Teredo"),
        ("2606:4700::5efe:a00:1", "ISATAP"),
        ("4000::1", "reserved"),
        ("fe80::1%eth0", "link-local"),
        ("2606:4700::1%eth0", "link-local"),
    ],
)
def test_it_says_what_is_there(address: str, what: str) -> None:
    assert what in why_not_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0"),
        *("100.63.255.255", "100.128.0.0", "223.255.255.255"),
        *("2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "2001:200::1"),
    ],
)
def test_the_public_internet(address: str) -> None:
    assert why_not_public(address) == ""


def test_what_is_no_address() -> None:
    for text in ("", "localhost", "1.2.3", "0177.0.0.1", "1.2.3.4.5"):
        with pytest.raises(ValueError):
            why_not_public(text)


def test_inside_is_for_addresses_as_they_stand() -> None:
    assert is_within("127.0.0.1", INSIDE) and is_within("10.1.2.3", INSIDE) and is_within("fd12::1", INSIDE)
    for other in ("::ffff:127.0.0.1", "64:ff9b::7f00:1", "169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "8.8.8.8"):
        assert not is_within(other, INSIDE)
    assert not is_within("127.0.0.1", ())


@given(st.ip_addresses(v=4), st.data())
def test_other_spellings_of_an_address_are_no_host(address: IPv4Address, data: st.DataObject) -> None:
    """As the C library's inet_aton reads them: 1 to 4 parts, each decimal, octal or hexadecimal."""
    number, count = int(address), data.draw(st.integers(1, 4))
    parts = [number >> 8 * (3 - place) & 0xFF for place in range(count - 1)]
    parts.append(number & (1 << 8 * (5 - count)) - 1)
    forms = [data.draw(st.sampled_from(["{}", "0x{:x}", "0X{:X}", "0{:o}", "00{:o}"])) for _ in parts]
    spelled = ".".join(form.format(part) for form, part in zip(forms, parts, strict=True))
    for host in (spelled, spelled + "."):
        if host == str(address):
            assert literal(host) == host
        else:
            with pytest.raises(ValueError):
                literal(host)


@pytest.mark.parametrize("host", ["example.com", "example.com.", "a", "xn--bcher-kva.de", "1e100.net", "_x.y-z.io"])
def test_names(host: str) -> None:
    assert literal(host) is None


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "a..b", "-a.com", "a-.com", "a b", "a%2eb", "ex%61mple.com", "a/b", "a@b", "a\\b", "a.com\n"),
        *("A.example", "é.example", "a" * 64, "a." * 128),
        *("fe80::1%25eth0", "fe80::1%eth0", ":::", "[::1]"),
        *("0x", "0x7f000001", "2130706433", "127.1", "127.0.0.1.", "127.0.0.01", "256.0.0.1", "1.2.3.4.5"),
    ],
)
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(ValueError):
        literal(host)


def test_addresses_as_hosts() -> None:
    assert literal("8.8.8.8") == "8.8.8.8"
    assert literal("2606:4700:0::1") == str(ip_address("2606:4700::1"))
    assert IPv4Network("127.0.0.0/8") in INSIDE and ip_network("169.254.0.0/16") not in INSIDE
