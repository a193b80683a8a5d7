"""A span for every statement and commit, named by what it does and to which table."""

import re
import time
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, event

from groundplan.telemetry.spans import record


def record_statements(engine: Engine) -> None:
    """Listens to the engine; costs nothing where there is no request."""

    @event.listens_for(engine, "before_cursor_execute")
    def started(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        context._groundplan_started = time.time_ns()

    @event.listens_for(engine, "after_cursor_execute")
    def ended(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        began = context._groundplan_started
        record("SQL", short_name(statement), "sql", began // 1000, (time.time_ns() - began) // 1000)


class measured:
    """The same for a statement that goes to the driver directly."""

    __slots__ = ("_began", "_name")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._began = time.time_ns()

    def __exit__(self, *_: object) -> None:
        record("SQL", self._name, "sql", self._began // 1000, (time.time_ns() - self._began) // 1000)


@lru_cache(maxsize=1_000)
def short_name(statement: str) -> str:
    """``INSERT INTO orders``; the statement's first words where it is something unusual."""
    words = statement.split(None, 2)
    verb = words[0].upper() if words else ""
    if "set_config" in statement:
        return "set tenant"
    found = re.search(_TABLE.get(verb, r"(?!)"), statement, re.IGNORECASE)
    return f"{_VERBS.get(verb, verb)} {found[1]}".strip() if found else " ".join(words[:2])[:60]


_TABLE = {
    "SELECT": r"\b(?:FROM|JOIN)\s+\"?(\w+)",
    "INSERT": r"\bINTO\s+\"?(\w+)",
    "UPDATE": r"\bUPDATE\s+\"?(\w+)",
    "DELETE": r"\bFROM\s+\"?(\w+)",
    "WITH": r"\b((?:INSERT INTO|UPDATE|DELETE FROM)\s+\w+)",
}
_VERBS = {"INSERT": "INSERT INTO", "DELETE": "DELETE FROM", "WITH": ""}
