"""Calls to URLs that customers give: to public hosts only, whatever the URL, the name or a redirect says."""

import asyncio
import ssl
from collections.abc import Container, Mapping
from typing import Any
from urllib.parse import urljoin

from groundplan.core.clock import Clock, Random, system_random
from groundplan.core.context import refuse_open_transaction
from groundplan.core.errors import AddressRefused, OutsideCallFailed, OutsideCallRefused
from groundplan.core.retry import Retry
from groundplan.net.calls import SERVER_ERRORS, Calls, Sleep, Terms
from groundplan.net.client import encoded, judged, seconds_left
from groundplan.net.guard import PUBLIC, CustomerPolicy, Guard, Target
from groundplan.net.peers import Limits, Peers
from groundplan.net.resolver import Resolve, SystemResolver
from groundplan.net.wire import Request, Response, Wire
from groundplan.telemetry.metrics import Metrics
from groundplan.telemetry.spans import Span, span

DEFAULT_TIMEOUT = 10.0
"""Seconds."""
MOST_BYTES = 1_048_576
MOST_REDIRECTS = 3
CUSTOMER_LIMITS = Limits(calls=10)
"""Of one host: no customer takes all places for calls to customers."""
FOLLOWED = frozenset({301, 302, 303, 307, 308})
BORING = frozenset({"accept", "accept-encoding", "accept-language", "content-type", "user-agent"})
"""Headers that go along to another host; any other may be a secret of the first."""


class CustomerHttp:
    """As Outbound, for URLs that are not ours. The trace does not go along: it is nobody's business outside."""

    def __init__(
        self,
        clock: Clock,
        metrics: Metrics | None = None,
        *,
        policy: CustomerPolicy = PUBLIC,
        limits: Limits = CUSTOMER_LIMITS,
        random: Random | None = None,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """``tls`` in place of the certificates that the system trusts."""
        metrics = metrics or Metrics()
        self._clock = clock
        self._resolver = SystemResolver()
        self._guard = Guard(policy, resolve or self._resolver)
        self._wire = Wire("groundplan.net.dialling", lambda: _transport(self._guard, tls))
        self._peers = Peers(clock, metrics, limits)
        self._calls = Calls(self._wire, clock, random or system_random(), metrics, sleep)

    async def open(self) -> None:
        """Connects at the first call; the HTTP library is loaded then."""

    async def close(self) -> None:
        await self._wire.close()
        self._resolver.close()

    async def vet(self, url: str) -> None:
        """For a URL as a customer enters it. Each call vets it again: names change where they lead.

        Raises:
            AddressRefused: it would not be called, and why.
            OutsideCallFailed: its host was not found.
        """
        refuse_open_transaction("Looking up a customer's host")
        await self._wire.ready()
        target = self._guard.checked(url)
        await self._guard.vetted(target.host, target.port)

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        attempt_timeout: float | None = None,
        component: str = "Customer",
        raise_for: bool = True,
        retry: Retry | None = None,
        failures: Container[int] = SERVER_ERRORS,
        redirects: int = 0,
        most_bytes: int = MOST_BYTES,
        cut: bool = False,
    ) -> Response:
        """One call, as ``Outbound.request`` makes it.

        Up to ``redirects`` (at most 3) are followed, each vetted like the first URL and all within ``timeout``; without
        them a redirect is an answer. Of the answer, asked for unpacked and left as it comes, ``most_bytes`` are read; a
        longer one is refused, or with ``cut`` ends there.

        Raises:
            AddressRefused: the URL, or one it redirects to, is not a public host's.
            TransactionOpen, DeadlineExceeded, PeerUnavailable, OutsideCallFailed, PeerBusy, OutsideCallRefused:
                as ``Outbound.request``.
        """
        refuse_open_transaction(f"{method} to a customer's host")
        await self._wire.ready()
        target = self._guard.checked(url)
        terms = Terms(timeout, attempt_timeout, retry, failures)
        until = self._clock.monotonic() + seconds_left(self._clock, timeout, component)
        content, sent = encoded(json, content, headers)
        sent["accept-encoding"] = "identity"
        request = Request(method, url, target.host, content, sent, most_bytes, cut)
        terms.check(request)
        # the path of a customer's URL is often its secret
        with span(component, f"{method} {target.host}", "out") as calling:
            for left in range(min(redirects, MOST_REDIRECTS), -1, -1):
                answer = await self._hop(request, target, component, terms, until, calling)
                where = answer.headers.get("location")
                if answer.status not in FOLLOWED or not where or not redirects:
                    return judged(answer, target.host, calling, self._clock, raise_for=raise_for)
                if left:
                    request, target = self._redirected(request, target, answer.status, where)
            raise OutsideCallRefused(f"{target.host} redirects again and again.")

    async def _hop(
        self, request: Request, target: Target, component: str, terms: Terms, until: float, calling: Span
    ) -> Response:
        left = until - self._clock.monotonic()
        if left <= 0:
            raise OutsideCallFailed(f"{target.host} did not answer in time.")
        peer = self._peers.of(component, target.host, target.port)
        return await self._calls.make(request, peer, terms, left, calling)

    def _redirected(self, request: Request, target: Target, status: int, where: str) -> tuple[Request, Target]:
        try:
            url = urljoin(request.url, where)
        except ValueError:
            raise AddressRefused(f"{target.host} redirects to what is not the address of a web server.") from None
        following = self._guard.checked(url)
        headers, method, content = dict(request.headers), request.method, request.content
        if following != target:
            headers = {name: value for name, value in headers.items() if name in BORING}
        if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
            method, content = "GET", None
            headers.pop("content-type", None)
        return request._replace(
            method=method, url=url, host=following.host, content=content, headers=headers
        ), following


def _transport(guard: Guard, tls: ssl.SSLContext | None) -> Any:
    from groundplan.net.dialling import CustomerTransport

    return CustomerTransport(guard, tls)
