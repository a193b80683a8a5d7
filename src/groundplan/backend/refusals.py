"""Every exception as a GroundplanError, and every GroundplanError as a reply: problem details, or a page for people."""

import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from litestar import Request
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.response import Response
from litestar.response.base import ASGIResponse

from groundplan.app.context import Context
from groundplan.app.page import Page
from groundplan.backend.api.problem import MEDIA_TYPE, encode_problem, problem_headers, problem_of
from groundplan.backend.scope import context_if_any
from groundplan.core.errors import (
    Conflict,
    DeadlineExceeded,
    FieldError,
    Forbidden,
    GroundplanError,
    Invalid,
    NotFound,
    Refused,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from groundplan.data.database.failures import translated
from groundplan.messaging.message import field_error


class MethodNotAllowed(Refused):
    status = 405
    title = "This address does not take that method"


class UnsupportedMediaType(Refused):
    status = 415
    title = "The body is not in a format this takes"


_BY_STATUS: dict[int, type[Refused]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    405: MethodNotAllowed,
    409: Conflict,
    413: TooLarge,
    415: UnsupportedMediaType,
}
_SENTENCES: dict[int, str] = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
    413: "The body is larger than 1 MB, the most this takes.",
}


def as_groundplan_error(error: BaseException) -> GroundplanError:
    """Framework errors become members of our tree; anything unknown becomes a 500 without detail."""
    error = translated(error)
    if isinstance(error, GroundplanError):
        return error
    if isinstance(error, ValidationException):
        return Invalid("The input does not fit what this address takes.", errors=_field_errors(error))
    if isinstance(error, HTTPException) and error.status_code in _BY_STATUS:
        detail = _SENTENCES.get(error.status_code, error.detail)
        return _BY_STATUS[error.status_code](detail)
    if isinstance(error, InternalServerException) and "disconnected" in error.detail:
        return Invalid("The connection closed before the whole request had come.")
    if isinstance(error, UnicodeError):
        return Invalid("The request is not valid UTF-8.")
    if isinstance(error, RecursionError):
        return Invalid("The body is nested too deeply.")
    return GroundplanError()


def _field_errors(error: ValidationException) -> tuple[FieldError, ...]:
    found = []
    for item in error.extra if isinstance(error.extra, list) else []:
        if isinstance(item, dict):
            nested = field_error(str(item.get("message", "")))
            key = str(item.get("key", "")).replace(".", "/")
            pointer = nested.pointer or (f"/{key}" if key and key != "data" else "")
            found.append(FieldError(pointer, nested.detail))
    return tuple(found)


class Refusals:
    """Litestar's exception handler for everything, and the gate's for what happens before Litestar."""

    def __init__(self, render: Callable[[Page, Context | None, Any], bytes], log: Any) -> None:
        self._render = render
        self._log = log

    def __call__(self, request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        return _Raw(self.reply(request.scope, error))

    def reply(self, scope: Any, error: Exception) -> ASGIResponse:
        """Leaves what went wrong in the scope, for the access line; a 5xx is logged with its stack."""
        refusal = as_groundplan_error(error)
        # The framework's own words may hold the whole address, with what is secret in it.
        said = refusal if isinstance(refusal, Refused) else error
        scope["groundplan_error"] = f"{type(error).__name__}: {said}"[:500]
        if isinstance(refusal, (Unavailable, DeadlineExceeded)):
            self._log.warning("request refused", error=type(refusal).__name__, detail=refusal.detail)
        elif refusal.status >= 500:
            self._log.error(
                "request failed",
                error=type(error).__name__,
                detail=str(error)[:2000],
                stack="".join(traceback.format_exception(error))[-8000:],
            )
        if _wants_problem(scope):
            return ASGIResponse(
                body=encode_problem(problem_of(refusal, scope["path"])),
                status_code=refusal.status,
                media_type=MEDIA_TYPE,
                headers=problem_headers(refusal),
            )
        if refusal.status == 401 and scope["method"] == "GET":
            headers = {"location": f"/sign-in?next={_address(scope)}"}
            return ASGIResponse(status_code=303, headers=headers, media_type="text/plain")
        page = Page("errors/error.html", status=refusal.status, problem=problem_of(refusal, scope["path"]))
        body = self._render(page, context_if_any(scope), scope)
        headers = problem_headers(refusal) if refusal.status != 401 else {}
        return ASGIResponse(body=body, status_code=refusal.status, media_type="text/html", headers=headers)


class _Raw(Response[Any]):
    """Lets an exception handler return a finished ASGI response."""

    def __init__(self, ready: ASGIResponse) -> None:
        super().__init__(content=None)
        self._ready = ready

    def to_asgi_response(self, *args: Any, **kwargs: Any) -> ASGIResponse:
        return self._ready


def _wants_problem(scope: Any) -> bool:
    accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return scope["path"].startswith(("/api/", "/webhooks/", "/objects/")) or b"json" in accept


def _address(scope: Any) -> str:
    query = scope.get("query_string", b"").decode("latin-1")
    return quote(scope["path"] + (f"?{query}" if query else ""), safe="")
