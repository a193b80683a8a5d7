"""How values become bytes: msgpack, for one type in the shape it has in this release."""

from collections.abc import Callable, Iterator
from enum import Enum
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import inspect

from groundplan.core.errors import Misuse, NotFound

T = TypeVar("T")
_VALUE, _NOT_FOUND = b"\x00", b"\x01"


class Codec(Generic[T]):
    """For one type. ``stamp`` is a part of every name that its values are kept under.

    ``shared`` makes of a value what one of many readers gets: nobody can change what another sees. It is None for types
    of which everybody has to get a new one.
    """

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decoder = msgspec.msgpack.Decoder(kind)
        self.stamp = blake2b("\n".join(shape(kind)).encode(), digest_size=6).hexdigest()
        self.shared: Callable[[T], T] | None = _sharing(inspect.type_info(kind))

    def encode(self, value: T) -> bytes:
        """Raises Misuse for a value that is not of the type."""
        encoded = msgspec.msgpack.encode(value)
        try:
            self._decoder.decode(encoded)
        except msgspec.MsgspecError as error:
            raise Misuse(f"What was filled is not of the type {self._kind} that it is read as: {error}") from error
        return _VALUE + encoded

    def encode_absence(self, error: NotFound) -> bytes:
        return _NOT_FOUND + msgspec.msgpack.encode(error.detail)

    def decode(self, encoded: bytes) -> tuple[T] | None:
        """The value, a new one; None for bytes that are none. Raises NotFound where that was kept."""
        try:
            if encoded[:1] == _NOT_FOUND:
                raise NotFound(msgspec.msgpack.decode(encoded[1:], type=str))
            return (self._decoder.decode(memoryview(encoded)[1:]),)
        except msgspec.MsgspecError:
            return None

    def can_decode(self, encoded: bytes) -> bool:
        try:
            return self.decode(encoded) is not None
        except NotFound:
            return True

    def is_absence(self, encoded: bytes) -> bool:
        """Whether it is None, or was not found."""
        return encoded[:1] == _NOT_FOUND or encoded == _VALUE + b"\xc0"


def _sharing(node: inspect.Type) -> Callable[[Any], Any] | None:
    if is_immutable(node):
        return _as_it_is
    if isinstance(node, inspect.ListType) and is_immutable(node.item_type):
        return list
    if isinstance(node, inspect.DictType) and is_immutable(node.key_type) and is_immutable(node.value_type):
        return dict
    return None


def _as_it_is(value: Any) -> Any:
    return value


def is_immutable(node: inspect.Type, above: tuple[inspect.Type, ...] = ()) -> bool:
    """Whether no value of the type can change, nor anything in it. ``above`` are the types that this one is inside."""
    if isinstance(node, _PLAIN) or any(node is each for each in above):
        return True
    inside = (*above, node)
    if isinstance(node, inspect.StructType):
        config = node.cls.__struct_config__
        sealed = config.frozen and not config.dict  # a dict could hold what is made of it later
        return sealed and all(is_immutable(field.type, inside) for field in node.fields)
    if isinstance(node, inspect.Metadata):
        return is_immutable(node.type, inside)
    if isinstance(node, inspect.UnionType):
        return all(is_immutable(each, inside) for each in node.types)
    if isinstance(node, inspect.TupleType):
        return all(is_immutable(each, inside) for each in node.item_types)
    return isinstance(node, inspect.VarTupleType | inspect.FrozenSetType) and is_immutable(node.item_type, inside)


_PLAIN = (
    *(inspect.NoneType, inspect.BoolType, inspect.IntType, inspect.FloatType, inspect.DecimalType),
    *(inspect.StrType, inspect.BytesType, inspect.UUIDType, inspect.EnumType, inspect.LiteralType),
    *(inspect.DateTimeType, inspect.DateType, inspect.TimeType, inspect.TimeDeltaType),
)


def shape(kind: Any) -> Iterator[str]:
    """Every line says one thing on which the meaning of encoded bytes depends; a type inside itself is said once."""
    yield from _lines(inspect.type_info(kind), "", [])


def _lines(node: Any, path: str, above: list[Any]) -> Iterator[str]:
    if isinstance(node, inspect.Metadata):
        node = node.type
    if any(node is each for each in above):
        yield f"{path} again {[node is each for each in above].index(True)}"
    elif isinstance(node, inspect.Type | inspect.Field):
        yield f"{path} {type(node).__name__}"
        for name in node.__struct_fields__:
            yield from _lines(getattr(node, name), f"{path}.{name}", [*above, node])
    elif isinstance(node, tuple | list):
        for position, each in enumerate(node):
            yield from _lines(each, f"{path}[{position}]", above)
    elif isinstance(node, type) and issubclass(node, Enum):
        yield f"{path} {node.__qualname__} {[(each.name, each.value) for each in node]}"
    elif isinstance(node, type) or callable(node):
        yield f"{path} {getattr(node, '__qualname__', type(node).__name__)}"
    elif node is None or isinstance(node, str | bytes | int | float | Enum):
        yield f"{path} {node!r}"
    else:
        yield f"{path} {type(node).__qualname__}"
