"""``ctx.api`` over HTTP: user and tenant in a signed assertion, with trace, request id and idempotency key."""

from collections import deque
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from groundplan.app.calls import nested_key
from groundplan.app.context import Context
from groundplan.app.route import Route
from groundplan.backend.deadlines import TIMEOUT_HEADER
from groundplan.backend.identity import ASSERTION_HEADER
from groundplan.core import errors
from groundplan.core.context import current, seconds_left
from groundplan.core.errors import (
    DeadlineExceeded,
    FieldError,
    GroundplanError,
    OutsideCallFailed,
    PeerUnavailable,
    Unavailable,
)
from groundplan.core.retry import Retry
from groundplan.net.client import Outbound
from groundplan.net.wire import Response
from groundplan.security.assertion import Assertions

ONCE_MORE = Retry(attempts=2, base=0.1, on=(OutsideCallFailed,))
"""For a read that met the only API process as it stopped."""
_MOST_SECONDS = 30.0
"""Where the work itself has no deadline."""


class _FieldProblem(msgspec.Struct, frozen=True):
    pointer: str
    detail: str


class RemoteApi:
    """Instances of the api role take turns. Where one does not answer, the next is asked if that is safe."""

    def __init__(self, addresses: Sequence[str], outbound: Outbound, assertions: Assertions) -> None:
        self._addresses = deque(addresses)
        self._outbound = outbound
        self._assertions = assertions

    async def __call__(self, caller: Context, route: Route, arguments: dict[str, Any]) -> Any:
        """The reply as the route's return type; a problem comes back as the error it was there.

        Raises:
            Unavailable: no instance of the api role did answer.
            DeadlineExceeded: not in the time that is left.
        """
        rest = dict(arguments)
        data = rest.pop("data", None)
        path = route.url(rest)
        query = urlencode({k: msgspec.to_builtins(v) for k, v in rest.items() if v is not None})
        headers = {
            ASSERTION_HEADER: self._assertion(caller),
            "accept": "application/json",
        }
        if (key := nested_key(caller, route)) is not None:
            headers["idempotency-key"] = key
        content = None
        if route.body is not None:
            content = msgspec.json.encode(data)
            headers["content-type"] = "application/json"
        response = await self._ask(route.method, f"{path}{'?' + query if query else ''}", content, headers)
        if response.status >= 400:
            raise _error_of(response)
        if route.method != "GET" and (here := current()) is not None:
            here.tally.commits += 1
        return msgspec.json.decode(response.body, type=route.returns) if response.body else None

    def _assertion(self, caller: Context) -> str:
        request = caller.request
        client, credential = (request.client, request.credential) if request else ("", "")
        return self._assertions.sign(caller.tenant.slug, caller.user, client=client, credential=credential)

    async def _ask(self, method: str, target: str, content: bytes | None, headers: dict[str, str]) -> Response:
        repeatable = method == "GET" or "idempotency-key" in headers
        self._addresses.rotate(-1)
        for left, address in reversed(list(enumerate(self._addresses))):
            seconds = seconds_left()
            if seconds is not None:
                headers[TIMEOUT_HEADER] = str(max(0, int(seconds * 1000)))
            try:
                return await self._outbound.request(
                    method,
                    f"{address}{target}",
                    content=content,
                    headers=headers,
                    timeout=_MOST_SECONDS if seconds is None else seconds,
                    component="API",
                    raise_for=False,
                    retry=ONCE_MORE if method == "GET" and len(self._addresses) == 1 else None,
                    failures=(),  # a problem is an answer, and one broken route must not cut off the others
                )
            except OutsideCallFailed as error:
                if isinstance(error.__cause__, TimeoutError):
                    raise DeadlineExceeded("The API took too long for this. Try again in a few seconds.") from error
                if not left or not _may_ask_another(error, repeatable=repeatable):
                    raise Unavailable("The API does not answer at the moment. Try again in a few seconds.") from error
        raise Unavailable("No address of the API is known.")


def _may_ask_another(error: OutsideCallFailed, *, repeatable: bool) -> bool:
    """Where the request has not been sent, or the connection broke and repeating it does no harm."""
    import httpx2

    if isinstance(error, PeerUnavailable) or isinstance(error.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        return True
    return repeatable and isinstance(error.__cause__, (httpx2.NetworkError, httpx2.RemoteProtocolError))


def _error_of(response: Response) -> GroundplanError:
    try:
        raw = msgspec.json.decode(response.body, type=dict[str, Any])
        problems = msgspec.convert(raw.get("errors", []), type=list[_FieldProblem])
    except (msgspec.DecodeError, msgspec.ValidationError):
        return OutsideCallFailed(f"The API answered {response.status} with something that is not a problem.")
    kind = getattr(errors, str(raw.get("code")), None)
    if not (isinstance(kind, type) and issubclass(kind, GroundplanError)):
        kind = OutsideCallFailed
    found = kind(str(raw.get("detail", "")), errors=tuple(FieldError(p.pointer, p.detail) for p in problems))
    wait = response.headers.get("retry-after", "")
    if wait.isascii() and wait.isdigit():
        found.retry_after = float(wait)
    return found
