"""How often a route may be called, as it is declared."""

from collections.abc import Sequence
from typing import Literal, get_args

from groundplan.core.errors import ConfigurationError
from groundplan.core.quotas import Quota, quota_of

Per = Literal["ip", "user", "tenant", "credential", "route"]


class RateLimit:
    """At most ``rate`` calls, such as ``20/min``, ``5/15min`` or ``100/h``, in a sliding window, counted apart for each

    - ``ip``: address of the caller; of IPv6 its /64, which is one customer's;
    - ``user``: signed-in user; who has not signed in is counted by address;
    - ``tenant``;
    - ``credential``: bearer token or session, so that one of a user's scripts does not use up what the others may;
      without one by address;
    - ``route``: nothing; all callers share it.
    """

    def __init__(self, rate: str, *, per: Per = "user") -> None:
        """Raises ConfigurationError where it cannot be read."""
        try:
            self.quota = quota_of(rate)
        except ValueError as error:
            raise ConfigurationError(f"The rate {rate!r} {error}.") from None
        if per not in get_args(Per):
            raise ConfigurationError(f"A rate limit is per {', '.join(get_args(Per))}, and not per {per!r}.")
        self.per = per


Declared = RateLimit | Sequence[RateLimit] | None


class Policy:
    """A limit at its place. ``name`` is what replies call it, and part of what is counted."""

    __slots__ = ("item", "name", "per", "quota", "said")

    def __init__(self, name: str, quota: Quota, per: Per) -> None:
        self.name, self.quota, self.per = name, quota, per
        self.item = f'"{name}"'.encode()
        """As it begins in the headers of replies."""
        self.said = self.said_with(quota.limit)
        """As an item of the header RateLimit-Policy."""

    def said_with(self, limit: int) -> bytes:
        """Where a stricter limit holds."""
        return b"%s;q=%d;w=%d" % (self.item, limit, round(self.quota.window))

    def __str__(self) -> str:
        return f"{self.quota} per {self.per}"


def policies(place: str, declared: Declared) -> tuple[Policy, ...]:
    """``place`` names the route. Raises ConfigurationError where two of its limits count the same in the same time."""
    limits = (declared,) if isinstance(declared, RateLimit) else tuple(declared or ())
    counted = [limit.per for limit in limits]
    if len({(limit.per, limit.quota.window) for limit in limits}) < len(limits):
        raise ConfigurationError(f"{place} has two limits per the same, in the same time. Keep the lower one.")
    return tuple(
        Policy(
            f"{place}.{limit.per}" + (f".{limit.quota.window:.0f}s" if counted.count(limit.per) > 1 else ""),
            limit.quota,
            limit.per,
        )
        for limit in limits
    )
