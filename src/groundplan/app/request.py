"""The HTTP request as business code may see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from http.cookies import CookieError, SimpleCookie

from groundplan.app.rate_limit import Policy
from groundplan.data.coordination.port import Decision


@dataclass(slots=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case; the last value where a name is repeated."""
    scheme: str
    host: str
    secure_cookies: bool
    """False only on plain http://localhost, where a browser would drop a Secure cookie."""
    set_cookies: list[str] = field(default_factory=list)
    """Set-Cookie header values to send with the reply."""
    client: str = ""
    """Whose address it came from, where it came from outside; of IPv6 the /64."""
    asserted_credential: str | None = None
    """What ``credential`` was where the request came in, if that was another role of ours."""
    limits: dict[Policy, Decision] = field(default_factory=dict)
    """Those that were asked, for the reply to tell."""

    @property
    def base_url(self) -> str:
        return f"{self.scheme}://{self.host}"

    @property
    def credential(self) -> str:
        """A digest of the bearer token or the session that came with it; empty where none did."""
        if self.asserted_credential is not None:
            return self.asserted_credential
        found = self.headers.get("authorization") or self.cookie("session")
        return blake2b(found.encode(), digest_size=16).hexdigest() if found else ""

    def cookie(self, name: str) -> str | None:
        """The value of our cookie of that name, whatever prefix it travels under."""
        jar = SimpleCookie()
        try:
            jar.load(self.headers.get("cookie", ""))
        except CookieError:
            return None
        found = jar.get(self._cookie_name(name))
        return found.value if found else None

    def set_cookie(self, name: str, value: str, *, max_age: int) -> None:
        """HttpOnly, SameSite=Lax, and off localhost Secure with the ``__Host-`` prefix. ``max_age`` in seconds."""
        parts = [f"{self._cookie_name(name)}={value}", "Path=/", "HttpOnly", "SameSite=Lax", f"Max-Age={max_age}"]
        if self.secure_cookies:
            parts.append("Secure")
        self.set_cookies.append("; ".join(parts))

    def _cookie_name(self, name: str) -> str:
        return f"__Host-{name}" if self.secure_cookies else name
