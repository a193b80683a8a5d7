"""Sealed values: a msgspec Struct as URL-safe text that nobody without the key can make or change. Not encrypted."""

import base64
import binascii
import hmac
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Seal:
    """HMAC-SHA256 over the JSON of the value. Use one key for one purpose."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def close(self, value: msgspec.Struct) -> str:
        body = msgspec.json.encode(value)
        return f"{_text(body)}.{_text(self._mac(body))}"

    def open(self, sealed: str, kind: type[T]) -> T:
        """Raises ValueError where the text is malformed, was changed, or holds something else."""
        try:
            body, mac = (base64.b64decode(part, altchars=b"-_", validate=True) for part in sealed.split("."))
        except binascii.Error as error:
            raise ValueError("not sealed text") from error
        if not hmac.compare_digest(mac, self._mac(body)):
            raise ValueError("the seal is broken")
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.DecodeError as error:
            raise ValueError("sealed, but not what was expected") from error

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()
