"""The headers that every reply has: its id, what it may do in a browser, who may keep it, and how limits stand."""

from typing import Any

from groundplan.app.health import Health
from groundplan.app.request import Request
from groundplan.backend.api.ratelimit import limit_headers
from groundplan.backend.shared import PRIVATE, control_of
from groundplan.core.context import RequestContext

Header = tuple[bytes, bytes]

_NO_SNIFFING = (b"x-content-type-options", b"nosniff")
_DOCUMENT = [
    _NO_SNIFFING,
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]
"""Of what a browser shows."""
DATA = [_NO_SNIFFING, (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")]
"""Of what it does not: where one is led to it all the same, it may do nothing there."""
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class ReplyHeaders:
    def __init__(self, health: Health, *, https: bool) -> None:
        self._health = health
        always = [_HSTS] if https else []
        self._document, self._data = [*_DOCUMENT, *always], [*DATA, *always]

    def of(self, scope: Any, request: Request, context: RequestContext) -> list[Header]:
        control = control_of(scope, request)
        headers: list[Header] = [(b"x-request-id", context.request_id.encode()), (b"cache-control", control)]
        if context.role == "web":
            headers += self._document
            headers.append((b"content-security-policy", _page_policy(scope["csp_nonce"])))
        else:
            headers += self._data
        if self._health.draining:
            headers.append((b"connection", b"close"))  # the next one is for another process
        if request.limits and control is PRIVATE:  # one caller's count is not for those who share a reply
            headers += limit_headers(request.limits)
        if request.set_cookies:
            headers += [(b"set-cookie", cookie.encode("latin-1")) for cookie in request.set_cookies]
        return headers


def _page_policy(nonce: str) -> bytes:
    """A page that others keep has no nonce: it would be the same for everybody, and known to all."""
    scripts = f"'nonce-{nonce}'" if nonce else "'self'"
    return (
        f"default-src 'self'; script-src {scripts}; style-src 'self'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ).encode()
