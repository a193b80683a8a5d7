"""The guard: which URLs of customers are called, and at which addresses."""

import asyncio
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Literal, NamedTuple

from groundplan.core.errors import AddressRefused, OutsideCallFailed
from groundplan.net.addresses import INSIDE, Network, is_within, literal, why_not_public
from groundplan.net.resolver import Resolve

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class CustomerPolicy:
    http: bool = False
    """Whether http:// is called too."""
    any_port: bool = False
    """Whether other ports than 443 (and 80 of http://) are."""
    inside: tuple[Network, ...] = ()
    """Networks that are called although they are not public."""
    denied: tuple[Network, ...] = ()
    """Networks that are not called although they are: of our own."""
    dns_seconds: float = 2.0
    """For the name's addresses."""


PUBLIC = CustomerPolicy()
ANYWHERE = CustomerPolicy(http=True, any_port=True, inside=INSIDE)
"""For a laptop, whose customers are its developer's own services. Metadata of clouds stays out of reach."""


def policy_of(where: Literal["public", "any"], denied: str) -> CustomerPolicy:
    """``denied``: networks, separated by commas."""
    networks = tuple(ip_network(each) for each in denied.split(",") if each)
    return replace(ANYWHERE if where == "any" else PUBLIC, denied=networks)


class Target(NamedTuple):
    scheme: str
    host: str
    """As it is looked up and dialled: in lower case, international names encoded."""
    port: int


class Guard:
    def __init__(self, policy: CustomerPolicy, resolve: Resolve) -> None:
        self._policy = policy
        self._resolve = resolve

    def checked(self, url: str) -> Target:
        """What can be told without looking the name up; read by the same parser that the call is made with.

        Raises:
            AddressRefused: why, in words for whoever gave the URL.
        """
        import httpx2

        try:
            parsed = httpx2.URL(url)
            scheme, host, port = parsed.scheme, parsed.raw_host.decode("ascii"), parsed.port
        except (httpx2.InvalidURL, UnicodeError, ValueError):
            raise AddressRefused("This is not the address of a web server.") from None
        if not host or not url.isprintable() or " " in url or "\\" in url or not (port is None or 0 < port < 65536):
            raise AddressRefused("This is not the address of a web server.")
        if scheme != "https" and not (scheme == "http" and self._policy.http):
            raise AddressRefused("The address must start with https://.")
        if "@" in url.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0]:
            raise AddressRefused("The address must not hold a user name or a password.")
        target = Target(scheme, host, PORTS[scheme] if port is None else port)
        if target.port != PORTS[scheme]:
            self._check_port(target.port)
        self._literal(host)
        return target

    async def vetted(self, host: str, port: int) -> list[str]:
        """The host's addresses, looked up once and every one of them public.

        Raises:
            AddressRefused: one is not. Which one is not said: it would draw a map of the inside for outsiders.
            OutsideCallFailed: it has none, or none was found in time.
        """
        if port not in PORTS.values():
            self._check_port(port)
        address = self._literal(host)
        addresses = [address] if address else await self._addresses(host, port)
        if not all(self._may_be_called(each) for each in addresses):
            raise AddressRefused(f"{host} is not a host on the public internet.")
        return addresses

    def _may_be_called(self, address: str) -> bool:
        try:
            public = not why_not_public(address) and not is_within(address, self._policy.denied)
            return public or is_within(address, self._policy.inside)
        except ValueError:
            return False

    def _check_port(self, port: int) -> None:
        if not self._policy.any_port:
            raise AddressRefused(f"The address must not name a port, but names {port}.")

    def _literal(self, host: str) -> str | None:
        try:
            return literal(host)
        except ValueError:
            raise AddressRefused("The address must hold a host name, or an IP address in its usual form.") from None

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            async with asyncio.timeout(self._policy.dns_seconds):
                addresses = await self._resolve(host, port)
        except TimeoutError:
            raise OutsideCallFailed(f"{host} was not found within {self._policy.dns_seconds:.3g} s.") from None
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise OutsideCallFailed(f"{host} was not found: the name has no address.")
        return addresses
