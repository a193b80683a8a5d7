"""What those are answered who are turned away, from bytes made beforehand: a refusal must cost next to nothing."""

from typing import Any

from groundplan.backend.api.problem import MEDIA_TYPE, Problem, encode_problem
from groundplan.backend.reply_headers import DATA

Reply = tuple[dict[str, Any], dict[str, Any]]

_RETRY_AFTER = (1, 2, 3)
"""Seconds, in turn, so that those turned away together do not come back together."""
_DETAIL = "Too many requests at the moment. Nothing was done; try again in a few seconds."
_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    f"<title>Busy</title><h1>We are busy right now</h1><p>{_DETAIL}</p></html>"
).encode()


def _refusal(body: bytes, media_type: str, retry_after: int) -> Reply:
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(retry_after).encode()),
        (b"cache-control", b"no-store"),
        *DATA,
    ]
    start = {"type": "http.response.start", "status": 503, "headers": headers}
    return start, {"type": "http.response.body", "body": body, "more_body": False}


def _problem() -> bytes:
    return encode_problem(Problem(title="Temporarily unavailable", status=503, detail=_DETAIL, code="Unavailable"))


_REFUSALS = {
    False: [_refusal(_PAGE, "text/html; charset=utf-8", seconds) for seconds in _RETRY_AFTER],
    True: [_refusal(_problem(), MEDIA_TYPE, seconds) for seconds in _RETRY_AFTER],
}


def busy_reply(turn: int, *, is_problem: bool) -> Reply:
    """The ASGI messages of a 503 with Retry-After. ``turn`` counts who was turned away."""
    return _REFUSALS[is_problem][turn % len(_RETRY_AFTER)]
