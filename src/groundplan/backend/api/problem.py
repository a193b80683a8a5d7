"""Errors as problem details (RFC 9457), for everything that is not a page."""

import msgspec

from groundplan.core.context import current
from groundplan.core.errors import FieldError, GroundplanError

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    instance: str = ""
    code: str = ""
    """The name of the error class: what a program should branch on."""
    request_id: str = ""
    errors: tuple[FieldError, ...] = ()


def problem_of(error: GroundplanError, path: str) -> Problem:
    """Of a 5xx, only the title is told: its detail is for the log."""
    context = current()
    told = error.status < 500 or error.status in (502, 503, 504)
    return Problem(
        title=error.title,
        status=error.status,
        detail=error.detail if told else "The error was logged under the request id.",
        instance=path[:200],
        code=type(error).__name__,
        request_id=context.request_id if context else "",
        errors=error.errors,
    )


def encode_problem(problem: Problem) -> bytes:
    raw = msgspec.to_builtins(problem)
    if problem.errors:
        raw["errors"] = [{"pointer": e.pointer, "detail": e.detail} for e in problem.errors]
    return msgspec.json.encode(raw)


def problem_headers(error: GroundplanError) -> dict[str, str]:
    if error.status == 401:
        return {"www-authenticate": "Bearer"}
    if error.status == 408:
        return {"connection": "close"}
    if error.status in (409, 429, 503) and error.retryable:
        return {"retry-after": "1"}
    return {}
