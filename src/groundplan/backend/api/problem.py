"""Errors as problem details (RFC 9457), for everything that is not a page."""

import math

import msgspec

from groundplan.core.context import current
from groundplan.core.errors import FieldError, GroundplanError, RateLimited

MEDIA_TYPE = "application/problem+json"
_QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
"""Of draft-ietf-httpapi-ratelimit-headers."""


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
    violated_policies: tuple[str, ...] = msgspec.field(default=(), name="violated-policies")
    """Of a 429: the limits that were reached, by their names in the header RateLimit-Policy."""


def problem_of(error: GroundplanError, path: str) -> Problem:
    """Of a 5xx, only the title is told: its detail is for the log."""
    context = current()
    told = error.status < 500 or error.status in (502, 503, 504)
    violated = error.policies if isinstance(error, RateLimited) else ()
    return Problem(
        type=_QUOTA_EXCEEDED if violated else "about:blank",
        title=error.title,
        status=error.status,
        detail=error.detail if told else "The error was logged under the request id.",
        instance=path[:200],
        code=type(error).__name__,
        request_id=context.request_id if context else "",
        errors=error.errors,
        violated_policies=violated,
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
        return {"retry-after": str(max(1, math.ceil(error.retry_after or 0)))}
    return {}
