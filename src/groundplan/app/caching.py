"""What others may keep of a reply: browsers, the CDN, and this process (RFC 9111)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Public:
    """The reply is the same for everybody who is not signed in and brings no cookie; everyone else gets their own.

    ``seconds`` is how long it counts as fresh; for ``stale`` seconds more it may be shown while a new one is fetched
    (RFC 5861). ``tags`` name what it was made from: invalidating one of them ends it here. What the function does
    beside making the reply is not done again for one that is kept.
    """

    seconds: int
    stale: int = 0
    tags: tuple[str, ...] = ()

    @property
    def control(self) -> str:
        """The value of Cache-Control."""
        more = f", stale-while-revalidate={self.stale}" if self.stale else ""
        return f"public, max-age={self.seconds}{more}"
