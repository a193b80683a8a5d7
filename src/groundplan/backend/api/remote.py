"""``ctx.api`` over HTTP: user and tenant in a signed assertion, with trace, request id and idempotency key."""

from typing import Any
from urllib.parse import urlencode

import msgspec

from groundplan.app.calls import nested_key
from groundplan.app.context import Context
from groundplan.app.route import Route
from groundplan.backend.identity import ASSERTION_HEADER
from groundplan.core import errors
from groundplan.core.context import current
from groundplan.core.errors import FieldError, GroundplanError, OutsideCallFailed
from groundplan.core.retry import Retry
from groundplan.net.client import Outbound
from groundplan.security.assertion import Assertions

ONCE_MORE = Retry(attempts=2, base=0.1)
"""For a read that met an API process as it stopped."""


class _FieldProblem(msgspec.Struct, frozen=True):
    pointer: str
    detail: str


class RemoteApi:
    def __init__(self, api_url: str, outbound: Outbound, assertions: Assertions) -> None:
        self._api_url = api_url.rstrip("/")
        self._outbound = outbound
        self._assertions = assertions

    async def __call__(self, caller: Context, route: Route, arguments: dict[str, Any]) -> Any:
        """The reply as the route's return type; a problem comes back as the error it was there.

        Raises:
            OutsideCallFailed: the api role did not answer.
        """
        rest = dict(arguments)
        data = rest.pop("data", None)
        path = route.url(rest)
        query = urlencode({k: msgspec.to_builtins(v) for k, v in rest.items() if v is not None})
        headers = {
            ASSERTION_HEADER: self._assertions.sign(caller.tenant.slug, caller.user),
            "accept": "application/json",
        }
        if (key := nested_key(caller, route)) is not None:
            headers["idempotency-key"] = key
        content = None
        if route.body is not None:
            content = msgspec.json.encode(data)
            headers["content-type"] = "application/json"
        url = f"{self._api_url}{path}{'?' + query if query else ''}"
        response = await self._outbound.request(
            route.method,
            url,
            content=content,
            headers=headers,
            component="API",
            raise_for=False,
            retry=ONCE_MORE if route.method == "GET" else None,
            failures=(),  # a problem is an answer, and one broken route must not cut off the others
        )
        if response.status >= 400:
            raise _error_of(response.status, response.body)
        if route.method != "GET" and (here := current()) is not None:
            here.tally.commits += 1
        return msgspec.json.decode(response.body, type=route.returns) if response.body else None


def _error_of(status: int, body: bytes) -> GroundplanError:
    try:
        raw = msgspec.json.decode(body, type=dict[str, Any])
        problems = msgspec.convert(raw.get("errors", []), type=list[_FieldProblem])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return OutsideCallFailed(f"The API answered {status} with something that is not a problem.")
    kind = getattr(errors, str(raw.get("code")), None)
    if not (isinstance(kind, type) and issubclass(kind, GroundplanError)):
        kind = OutsideCallFailed
    return kind(str(raw.get("detail", "")), errors=tuple(FieldError(p.pointer, p.detail) for p in problems))
