"""The stamp of a type: equal for the same shape, another for every change that gives old bytes another meaning."""

import enum
from dataclasses import make_dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import pytest

from groundplan.core.errors import Misuse, NotFound
from groundplan.data.cache.codec import Codec


def struct(*fields: Any, name: str = "View", **options: Any) -> type:
    return msgspec.defstruct(name, list(fields), **options)


def enumeration(**members: str) -> Any:
    return enum.Enum("Size", members)


class Tree(msgspec.Struct):
    name: str
    below: "list[Tree]" = []


class Pair(NamedTuple):
    one: int
    two: int


SHAPES: dict[str, Any] = {
    "int": int,
    "str": str,
    "optional": int | None,
    "list": list[int],
    "list of str": list[str],
    "uuid": UUID,
    "datetime": datetime,
    "literal": Literal["a", "b"],
    "another literal": Literal["a", "c"],
    "limited": Annotated[int, msgspec.Meta(ge=1)],
    "struct": struct(("a", int), ("b", str)),
    "another type": struct(("a", int), ("b", int)),
    "another name": struct(("a", int), ("c", str)),
    "a field more": struct(("a", int), ("b", str), ("c", int)),
    "a field less": struct(("a", int)),
    "another default": struct(("a", int), ("b", str, "x"), omit_defaults=True),
    "yet another default": struct(("a", int), ("b", str, "y"), omit_defaults=True),
    "renamed in the bytes": struct(("a", int), ("b", str), rename="upper"),
    "as an array": struct(("a", int), ("b", int), array_like=True),
    "as an array, swapped": struct(("b", int), ("a", int), array_like=True),
    "tagged": struct(("a", int), ("b", str), tag="x"),
    "tagged otherwise": struct(("a", int), ("b", str), tag="y"),
    "within": list[struct(("a", struct(("b", int))))],  # type: ignore[misc]
    "changed within": list[struct(("a", struct(("b", str))))],  # type: ignore[misc]
    "enum": enumeration(SMALL="s", LARGE="l"),
    "another enum": enumeration(SMALL="l", LARGE="s"),
    "itself": Tree,
    "named tuple": Pair,
    "dataclass": make_dataclass("View", [("a", int), ("b", str)]),
}


def test_every_change_has_another_stamp() -> None:
    stamps = {name: Codec(kind).stamp for name, kind in SHAPES.items()}
    same = {stamp: [name for name in stamps if stamps[name] == stamp] for stamp in stamps.values()}
    assert all(len(names) == 1 for names in same.values()), same


def test_the_same_shape_has_the_same_stamp() -> None:
    one, other = (Codec(struct(("a", int), ("b", list[str]))).stamp for _ in range(2))
    assert one == other


def test_values_and_absences_come_back() -> None:
    codec = Codec(Tree)
    tree = Tree("a", [Tree("b")])
    assert codec.decode(codec.encode(tree)) == (tree,)
    with pytest.raises(NotFound, match="Nothing here"):
        codec.decode(codec.encode_absence(NotFound("Nothing here.")))
    assert codec.decode(b"\x00\xc1nonsense") is None


def test_a_value_of_another_type_is_refused() -> None:
    wrong: Any = "text"
    with pytest.raises(Misuse, match="not of the type"):
        Codec(int).encode(wrong)
