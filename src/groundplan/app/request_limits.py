"""Rate limits of requests: the platform's own at the door, and what routes declare, however they are called."""

import math
from collections.abc import Iterable

from groundplan.app.rate_limit import Per, Policy
from groundplan.app.request import Request
from groundplan.core.errors import RateLimited
from groundplan.core.quotas import Quota
from groundplan.data.coordination.limits import Limits
from groundplan.security.principal import Tenant, User

_WHOSE = {
    "ip": "from one address",
    "user": "of one user",
    "tenant": "of one tenant",
    "credential": "with one token or session",
    "route": "of all together",
}


class RequestLimits:
    """Only what somebody outside asks for is counted, and once for each limit: the platform's where the request comes
    in, a route's where it is called. What has no ``client`` is work of our own. Each limit is taken in turn, so what a
    later one refuses has counted for those before it.

    Every method raises RateLimited.
    """

    def __init__(self, door: Limits, routes: Limits, *, on: bool, ip: Quota | None, user: Quota | None) -> None:
        """``door`` decides on every request, about ``ip`` and ``user``; ``routes`` on what is declared."""
        self._door, self._routes, self._on = door, routes, on
        self._ip = Policy("ip", ip, "ip") if on and ip else None
        self._user = Policy("user", user, "user") if on and user else None

    async def arrive(self, request: Request) -> None:
        """Before anybody knows whose it is."""
        if self._ip is not None and request.client:
            await _take(self._door, self._ip, request.client, request)

    async def identified(self, request: Request, user: User | None) -> None:
        if self._user is not None and user is not None and request.client:
            await _take(self._door, self._user, user.id.hex, request)

    async def call(
        self, policies: Iterable[Policy], request: Request, tenant: Tenant | None, user: User | None
    ) -> None:
        """What a route declares."""
        if self._on and request.client:
            for policy in policies:
                await _take(self._routes, policy, _subject(policy.per, request, tenant, user), request)

    async def named(self, name: str, subject: str, quota: Quota) -> None:
        """Of something that only the function knows, such as the account that somebody tries to sign in to."""
        if self._on:
            await _take(self._routes, Policy(name, quota, "user"), subject, None)


def _subject(per: Per, request: Request, tenant: Tenant | None, user: User | None) -> str:
    address = f"ip {request.client}"
    if per == "user":
        return user.id.hex if user else address
    if per == "tenant":
        return tenant.id.hex if tenant else ""
    if per == "credential":
        return request.credential or address
    return address if per == "ip" else ""


async def _take(limits: Limits, policy: Policy, subject: str, request: Request | None) -> None:
    decision = await limits.take(f"{policy.name} {subject}", policy.quota)
    if request is not None:
        request.limits[policy] = decision
    if decision.allowed:
        return
    wait = max(1, math.ceil(decision.reset))
    raise RateLimited(
        f"At most {decision.limit:,} requests {_WHOSE[policy.per]} are taken here in {policy.quota.window:.0f} s. "
        f"Try again in {wait} s.",
        retry_after=wait,
        policies=(policy.name,),
    )
