"""Internal statements: written once with named parameters, compiled once for each driver, run on its own connection."""

import re
from collections import namedtuple
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import msgspec

from groundplan.core.errors import Invalid
from groundplan.data.database.statements import short_name

Dialect = Literal["sqlite", "postgresql"]
Row = Any
"""A named tuple with the columns of the statement."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z_]\w*)")
_SECONDS = re.compile(r"\bSECONDS\(:(\w+)\)")
_NOW = re.compile(r"\bNOW\b")
NEW_ID_SQLITE = "new_id"
"""A function that our connections know, as PostgreSQL has one of its own."""
NOW_SQLITE = "now_in_microseconds"
"""A function that our connections know: SQLite's own clock counts milliseconds, and much fits in one."""


class Sql:
    """One statement. ``NOW`` is the database's clock, ``SECONDS(:x)`` a duration to add to it."""

    __slots__ = ("_compiled", "_row", "name", "reads", "relaxed")

    def __init__(self, text: str = "", *, postgresql: str = "", sqlite: str = "", relaxed: bool = False) -> None:
        """``text`` for both engines, or one text for each.

        ``relaxed``: it need not be on the disk when it returns. A crash of the server may undo it, never half of it.
        """
        self.relaxed = relaxed
        self._compiled = {"postgresql": _numbered(postgresql or text), "sqlite": _marked(sqlite or text)}
        self.reads = (sqlite or text).lstrip()[:6].upper() == "SELECT"
        """Whether a reading connection will do."""
        self.name = short_name(sqlite or text or postgresql)
        self._row: Any = None

    def bind(self, dialect: Dialect, values: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """The driver's text and its positional parameters. Raises KeyError for a value that is not given."""
        text, names = self._compiled[dialect]
        given = [values[name] for name in names]
        if dialect == "sqlite":
            return text, tuple([each if type(each) in _PLAIN else _for_sqlite(each) for each in given])
        return text, tuple([checked_text(each) if isinstance(each, str) else each for each in given])

    @property
    def postgresql(self) -> str:
        """PostgreSQL's text, with numbered parameters."""
        return self._compiled["postgresql"][0]

    def literals(self, values: Mapping[str, Any]) -> str:
        """PostgreSQL's parameters written out, in their order, for a message that takes none."""
        return checked_text(", ".join([_quoted(values[name]) for name in self._compiled["postgresql"][1]]))

    def rows(self, columns: Iterable[str], found: Iterable[Iterable[Any]]) -> list[Row]:
        """What a driver returned, as named tuples. A statement returns the same columns each time."""
        if self._row is None:
            names = [re.sub(r"\W", "_", name) for name in columns]
            self._row = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        return list(map(self._row._make, found))


def as_uuid(value: Any) -> UUID:
    return value if isinstance(value, UUID) else msgspec.convert(value, UUID)


def as_instant(value: Any) -> datetime:
    """From either driver: aware, in UTC."""
    return value.astimezone(UTC) if isinstance(value, datetime) else _EPOCH + timedelta(microseconds=int(value))


def microseconds(at: datetime) -> int:
    """Since the epoch. Raises ValueError for a naive time."""
    if at.tzinfo is None:
        raise ValueError("A time needs a time zone; this one has none.")
    since = at - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def checked_text(value: str) -> str:
    """Raises Invalid for what no database stores: NUL, and surrogates that stand alone."""
    if "\x00" in value:
        raise Invalid("Text may not hold the NUL character.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Invalid("The text is not valid Unicode.") from error
    return value


def _quoted(value: Any) -> str:
    """As the text of a literal, whose type the statement says. Raises TypeError for what has no such text."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, (UUID, int, float)):
        return f"'{value}'"
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    raise TypeError(f"A {type(value).__name__} cannot be written into a statement.")


_PLAIN = frozenset({int, float, bytes, type(None)})


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, str):
        return checked_text(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return microseconds(value)
    return value


def _numbered(text: str) -> tuple[str, tuple[str, ...]]:
    text = _SECONDS.sub(r"make_interval(secs => :\1)", _NOW.sub("clock_timestamp()", text))
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    return _PARAMETER.sub(number, text), tuple(names)


def _marked(text: str) -> tuple[str, tuple[str, ...]]:
    """A subquery is asked once for the whole statement, a function of ours once for every row."""
    text = _SECONDS.sub(r"CAST(:\1 * 1000000 AS INTEGER)", _NOW.sub(f"(SELECT {NOW_SQLITE}())", text))
    names: list[str] = []

    def mark(found: re.Match[str]) -> str:
        names.append(found[1])
        return "?"

    return _PARAMETER.sub(mark, text), tuple(names)
