"""Values that were decoded before. Decoding takes longer than everything else that a hit in this process does."""

from collections import OrderedDict
from typing import Any, NamedTuple, TypeVar

from groundplan.data.cache.codec import Codec

T = TypeVar("T")


class _Known(NamedTuple):
    encoded: bytes
    codec: Codec[Any]
    value: Any


class Decoded:
    """Of the types that can be shared. The least recently used go first where the bytes they came from are ``most``.

    It knows nothing of lifetimes: a value is found by the very bytes that the engine has just given.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._bytes = 0

    def value(self, name: str, encoded: bytes, codec: Codec[T]) -> tuple[T] | None:
        """As ``Codec.decode``."""
        if codec.shared is None:
            return codec.decode(encoded)
        known = self._known.get(name)
        if known is not None and known.encoded is encoded and known.codec is codec:
            self._known.move_to_end(name)
            return (codec.shared(known.value),)
        found = codec.decode(encoded)
        if found is not None and len(encoded) <= self._most:
            self._remember(name, _Known(encoded, codec, found[0]))
            return (codec.shared(found[0]),)
        return found

    def _remember(self, name: str, known: _Known) -> None:
        before = self._known.pop(name, None)
        if before is not None:
            self._bytes -= len(before.encoded)
        self._known[name] = known
        self._bytes += len(known.encoded)
        while self._bytes > self._most:
            self._bytes -= len(self._known.popitem(last=False)[1].encoded)
