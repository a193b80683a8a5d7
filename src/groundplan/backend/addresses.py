"""Whose address a request came from, behind proxies too."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, NamedTuple

_MOST_KNOWN = 10_000
_LONGEST = 60
"""Characters of an address with its port."""
_UNKNOWN = "unknown"
"""A peer that has no address, as at a socket of the file system: all such callers are one."""


class _Known(NamedTuple):
    name: str
    is_trusted: bool


class ClientAddresses:
    """X-Forwarded-For is believed as far as it was written by ``trusted`` networks, which are separated by commas: from
    its end to the first address that is not one of theirs. ``Forwarded`` (RFC 7239) is not read, since a proxy that
    writes the one may pass on the other as it came.
    """

    def __init__(self, trusted: str) -> None:
        self._trusted = tuple(ip_network(each) for each in trusted.split(",") if each)
        self._known: dict[str, _Known | None] = {}

    def of(self, scope: Any) -> str:
        """The address; of IPv6 the /64, which is what one customer has."""
        peer = scope.get("client")
        text: str = peer[0] if peer else ""
        if not self._trusted and ":" not in text:
            return text or _UNKNOWN
        found = self._read(text)
        if found is None:
            return text or _UNKNOWN
        if not found.is_trusted:
            return found.name
        written = [value for name, value in scope["headers"] if name.lower() == b"x-forwarded-for"]
        for before in reversed(b",".join(written).decode("latin-1").split(",")):
            came_from = self._read(before.strip())
            if came_from is None:
                break
            found = came_from
            if not found.is_trusted:
                break
        return found.name

    def _read(self, text: str) -> _Known | None:
        """None for what is no address."""
        if len(text) > _LONGEST:
            return None
        if text not in self._known:
            while len(self._known) >= _MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[text] = self._judge(text)
        return self._known[text]

    def _judge(self, text: str) -> _Known | None:
        try:
            address = ip_address(_without_port(text))
        except ValueError:
            return None
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        is_trusted = any(address in network for network in self._trusted)
        return _Known(_name(address), is_trusted)


def _without_port(text: str) -> str:
    """Some proxies write the port too: ``192.0.2.1:4711``, ``[2001:db8::1]:4711``."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _name(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv4Address):
        return str(address)
    return str(ip_network((int(address), 64), strict=False))
