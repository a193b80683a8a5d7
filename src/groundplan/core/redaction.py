"""What must not be seen: field names that mean a secret, and how a secret is shown."""

from collections.abc import Mapping
from typing import Any

HIDDEN = "[hidden]"
_WORDS = ("password", "secret", "token", "authorization", "cookie", "api_key", "apikey", "credential", "private_key")


def is_secret(name: str) -> bool:
    lowered = name.lower().replace("-", "_")
    return any(word in lowered for word in _WORDS)


def redact(value: Any, name: str = "") -> Any:
    """A copy of ``value`` in which everything under a secret's name is hidden, at any depth."""
    if name and is_secret(name) and value not in (None, ""):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: redact(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redact(item) for item in value]
    return value


def redact_url(url: str) -> str:
    """The URL with the password of its user part hidden, also where it does not parse."""
    scheme, separator, rest = url.partition("://")
    authority, at, tail = rest.rpartition("@")
    if not separator or not at:
        return url
    user, colon, _ = authority.partition(":")
    return f"{scheme}://{user}{':' + HIDDEN if colon else ''}@{tail}"
