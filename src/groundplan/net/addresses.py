"""Which IP addresses are on the public internet, and which only seem to be."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

DENIED = tuple(
    (ip_network(network), what)
    for network, what in (
        # IPv4: the registry of special purposes (RFC 6890 and later), and what clouds keep for themselves
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier, or a cloud's metadata"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata"),
        ("169.254.0.0/16", "link-local, or a cloud's metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments, or a cloud's metadata"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "a sink for reverse lookups"),
        ("192.52.193.0/24", "multicast tunnels"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "a sink for reverse lookups"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved, or broadcast"),
        # IPv6 that holds an IPv4 address: whoever routes it decides where it ends
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "IPv4-compatible"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("2001::/32", "Teredo"),
        ("2002::/16", "6to4"),
        # the rest of IPv6; what is public lies in 2000::/3
        ("100::/64", "discarded"),
        ("2001::/23", "protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("2620:4f:8000::/48", "a sink for reverse lookups"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private, or a cloud's metadata"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
PUBLIC_IPV6 = IPv6Network("2000::/3")
INSIDE = tuple(
    ip_network(network)
    for network in ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fd00::/8")
)
"""Where a developer's own services are; never a cloud's metadata, but for those in ``METADATA``."""
METADATA = frozenset({"fd00:ec2::254", "fd20:ce::254"})
_ISATAP = 0x5EFE
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")


def why_not_public(text: str) -> str:
    """What is at this address instead of a public host; empty where it is public.

    Raises:
        ValueError: it is no address.
    """
    address = ip_address(text)
    for network, what in DENIED:
        if address in network:
            return what
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return "link-local"
        if address not in PUBLIC_IPV6:
            return "reserved"
        if (int(address) >> 32) & 0xFDFFFFFF == _ISATAP:
            return "ISATAP"
    return ""


def is_within(text: str, networks: tuple[Network, ...]) -> bool:
    """Whether it stands there as itself, not inside another address."""
    address = ip_address(text)
    return str(address) not in METADATA and any(address in network for network in networks)


def literal(host: str) -> str | None:
    """The address that this host is in its own spelling, or None for a name.

    Raises:
        ValueError: neither, or an address as only some programs read it: 2130706433, 0x7f.1, 0177.0.0.1, 127.1.
    """
    if ":" in host:
        if "%" in host:
            raise ValueError("an address with a zone")
        return str(IPv6Address(host))
    if _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return str(IPv4Address(host))
    if len(host) > 254 or not _NAME.fullmatch(host):
        raise ValueError("not a host name")
    return None
