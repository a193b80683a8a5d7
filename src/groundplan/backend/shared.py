"""Replies that are the same for everybody: validators, 304, and who may keep them (RFC 9110, RFC 9111).

Personal is whatever comes with a cookie or with credentials, and whatever sets a cookie. That is never shared,
whatever its route says.
"""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import msgspec
from litestar.enums import MediaType
from litestar.response.base import ASGIResponse

from groundplan.app.caching import Public
from groundplan.app.context import Context
from groundplan.app.request import Request
from groundplan.backend.finished import Finished
from groundplan.backend.identity import ASSERTION_HEADER

_PERSONAL = ("cookie", "authorization", ASSERTION_HEADER)
_CONTROL = "groundplan_cache_control"
_ETAG = re.compile(r'(?:W/)?("[^"]*")')
PRIVATE = b"private, no-store"
VARY = b"Cookie, Authorization"


class Made(msgspec.Struct, frozen=True):
    """A reply as it was made: ``at`` to the second, as HTTP tells time."""

    body: bytes
    etag: str
    at: datetime

    @classmethod
    def now(cls, body: bytes, media_type: str, now: datetime) -> "Made":
        etag = hashlib.blake2b(body, digest_size=12, person=media_type.encode()[:16]).hexdigest()
        return cls(body, f'"{etag}"', now.astimezone(UTC).replace(microsecond=0))


def allowed(cache: Public | None, context: Context) -> Public | None:
    """What the route says, where this request gets what everybody gets; else None."""
    if cache is None:
        return None
    request = context.request
    personal = request is None or any(name in request.headers for name in _PERSONAL)
    return None if personal or not context.has_tenant else cache


async def reply(
    scope: Any, context: Context, cache: Public, make: Callable[[], Awaitable[bytes]], media_type: MediaType
) -> ASGIResponse:
    """What is kept of this address, or what ``make`` makes; 304 where the caller has it already."""
    request_headers = context.request.headers if context.request else {}

    async def fill() -> Made:
        return Made.now(await make(), media_type, context.now())

    address = f"http {scope['path']}?{scope['query_string'].decode('latin-1')}"
    made = await context.cache.read_through(
        address, fill, ttl=cache.seconds, stale=cache.stale, tags=cache.tags, type=Made
    )
    scope[_CONTROL] = cache.control.encode()
    modified = format_datetime(made.at, usegmt=True).encode()
    headers = [(b"etag", made.etag.encode()), (b"last-modified", modified), (b"vary", VARY)]
    if _has_it(request_headers, made):
        return Finished(status=304, headers=headers)
    return Finished(made.body, kind=media_type, headers=headers)


def control_of(scope: Any, request: Request) -> bytes:
    """What the gate writes as Cache-Control."""
    control: bytes = scope.get(_CONTROL, PRIVATE)
    return PRIVATE if request.set_cookies else control


def _has_it(headers: Mapping[str, str], made: Made) -> bool:
    """If-None-Match counts alone where it is there; else If-Modified-Since (RFC 9110, 13.2.2)."""
    if (tags := headers.get("if-none-match")) is not None:
        return tags.strip() == "*" or made.etag in _ETAG.findall(tags)
    try:
        since = parsedate_to_datetime(headers["if-modified-since"])
    except (KeyError, ValueError):
        return False
    return since.tzinfo is not None and made.at <= since
