"""A span for every statement and commit, named by what it does and to which table."""

import re
import time
from functools import lru_cache
from typing import Any

from sqlalchemy import Engine, event

from groundplan.telemetry.spans import record


def record_statements(engine: Engine) -> None:
    """Measures at the driver's door: events of the engine would make it announce much more than that, to nobody."""

    @event.listens_for(engine, "do_execute")
    def execute(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        with measured(short_name(statement)):
            engine.dialect.do_execute(cursor, statement, parameters, context)
        return True

    @event.listens_for(engine, "do_executemany")
    def execute_many(cursor: Any, statement: str, parameters: Any, context: Any) -> bool:
        with measured(short_name(statement)):
            engine.dialect.do_executemany(cursor, statement, parameters, context)
        return True


class measured:
    """A block around one statement; costs nothing where there is no request."""

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
