"""A reply whose bytes are there already: Litestar's own, without the objects that it makes for each header."""

from collections.abc import Iterable

from litestar.enums import MediaType
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

Header = tuple[bytes, bytes]
_TYPES = {
    MediaType.JSON: (b"content-type", b"application/json"),
    MediaType.HTML: (b"content-type", b"text/html; charset=utf-8"),
}
_WITHOUT_BODY = (204, 304)


class Finished(ASGIResponse):
    """``headers`` as they are sent, besides the content's type and length."""

    __slots__ = ("_sent",)

    def __init__(
        self, body: bytes = b"", status: int = 200, kind: MediaType = MediaType.JSON, headers: Iterable[Header] = ()
    ) -> None:
        self.body, self.status_code = body, status
        self._sent = (*headers,)
        if status not in _WITHOUT_BODY:
            self._sent += (_TYPES[kind], (b"content-length", b"%d" % len(body)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": list(self._sent)})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})
