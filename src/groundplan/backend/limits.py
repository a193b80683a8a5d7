"""What a request may be: how long its address, how many its headers, and how slowly its body may come."""

import asyncio
from typing import Any

from groundplan.backend.admission import Admission
from groundplan.backend.deadlines import Deadlines
from groundplan.core.errors import Refused

URL_LIMIT = 8_192
"""Bytes of path and query; more is a 414."""
HEADER_COUNT = 100
HEADER_LIMIT = 32_768
"""Bytes of all names and values; more is a 431."""
BODY_LIMIT = 1_000_000
"""Bytes of a request body; more is a 413."""


class TooSlow(Refused):
    status = 408
    title = "The request came too slowly"
    retryable = True


class AddressTooLong(Refused):
    status = 414
    title = "The address is too long"


class HeadersTooLarge(Refused):
    status = 431
    title = "The headers are too large"


def check_size(scope: Any) -> None:
    """Raises AddressTooLong or HeadersTooLarge. Of HTTP/1 the server itself refuses what is far beyond."""
    if len(scope["path"]) + len(scope.get("query_string", b"")) > URL_LIMIT:
        raise AddressTooLong(f"An address may have {URL_LIMIT:,} bytes, its query included.")
    headers = scope["headers"]
    if len(headers) > HEADER_COUNT or sum([len(name) + len(value) for name, value in headers]) > HEADER_LIMIT:
        raise HeadersTooLarge(f"A request may have {HEADER_COUNT} headers of together {HEADER_LIMIT:,} bytes.")


def too_slow(seconds: float) -> TooSlow:
    return TooSlow(f"The whole body has to come within {seconds:g} s.")


class Body:
    """``receive`` with an end to patience. Who waits for the client is not at work: that is not counted meanwhile.

    ``patience`` watches the bodies of all requests.
    """

    def __init__(self, receive: Any, admission: Admission, patience: Deadlines, seconds: float) -> None:
        self._receive, self._admission, self._patience, self._seconds = receive, admission, patience, seconds
        self._due: float | None = None
        self._complete = False

    async def __call__(self) -> Any:
        """Raises what ``patience`` makes of it where the whole body has not come in time."""
        if self._complete:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        if self._due is None:
            self._due = now + self._seconds
        self._admission.leave()
        try:
            with self._patience.within(self._due - now):
                message = await self._receive()
        finally:
            self._admission.rejoin()
        self._complete = not message.get("more_body", False)
        return message
