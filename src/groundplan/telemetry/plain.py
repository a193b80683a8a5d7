"""Values of any type made fit to be written: plain, redacted, encodable."""

from collections.abc import Mapping
from typing import Any

import msgspec

from groundplan.core.redaction import redact


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of JSON types with everything under a secret's name hidden, inside structs and dataclasses too.

    Never raises: what has no JSON form is named by its type.
    """
    try:
        return _encodable(fields)
    except Exception:
        return {text(name): _alone(text(name), value) for name, value in fields.items()}


def _encodable(fields: Mapping[str, Any]) -> dict[str, Any]:
    copy: dict[str, Any] = redact(msgspec.to_builtins(fields, enc_hook=str, str_keys=True))
    msgspec.json.encode(copy)
    return copy


def _alone(name: str, value: Any) -> Any:
    try:
        return _encodable({name: value})[name]
    except Exception:
        return redact(text(value) if isinstance(value, str) else f"[{type(value).__name__}]", name)


def text(value: str) -> str:
    """Without lone surrogates, which have no UTF-8."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def printable(value: str) -> str:
    """Safe for a terminal: what a client sent must neither move the cursor nor begin a new line."""
    return value if value.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
