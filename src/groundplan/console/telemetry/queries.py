"""What the console asks the telemetry store. Blocking: call it in a thread."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

import msgspec

from groundplan.console.telemetry.rates import Rates, read
from groundplan.console.telemetry.store import TelemetryStore
from groundplan.telemetry import LogRecord, RequestRecord, SpanRecord

FAILURES = ("error", "critical")
"""Levels of log lines that tell of a failure."""


class TelemetryQueries:
    def __init__(self, store: TelemetryStore) -> None:
        self._store = store

    def requests(
        self,
        *,
        limit: int = 50,
        before_us: int | None = None,
        q: str = "",
        status: str = "",
        role: str = "",
        without: Sequence[str] = (),
    ) -> list[RequestRecord]:
        """Newest first. ``status`` is a class (``2`` to ``5``), ``q`` is looked for in path, name and ids.

        ``without`` leaves out what is at or below these paths.
        """
        where, values = ["1 = 1"], list[Any]()
        if before_us is not None:
            where.append("start_us < ?")
            values.append(before_us)
        if status:
            where.append("status / 100 = ?")
            values.append(int(status) if status.isdigit() else -1)
        if role:
            where.append("role = ?")
            values.append(role)
        if q:
            where.append("(path LIKE ? ESCAPE '\\' OR name LIKE ? ESCAPE '\\' OR request_id = ? OR trace_id = ?)")
            values += [_like(q), _like(q), q, q]
        for path in without:
            where.append("path != ? AND path NOT LIKE ? ESCAPE '\\'")
            values += [path, f"{_escaped(path)}/%"]
        return self._read(RequestRecord, "requests", where, values, "start_us DESC", limit)

    def trace(self, trace_id: str) -> list[SpanRecord]:
        """The spans of a trace from every process, in the order they began."""
        return self._read(SpanRecord, "spans", ["trace_id = ?"], [trace_id], "start_us, duration_us DESC, seq", 2000)

    def trace_requests(self, trace_id: str) -> list[RequestRecord]:
        return self._read(RequestRecord, "requests", ["trace_id = ?"], [trace_id], "start_us", 200)

    def logs(
        self, *, trace_id: str = "", level: str = "", q: str = "", limit: int = 200, without: Sequence[str] = ()
    ) -> list[LogRecord]:
        """Of a trace in order, else the newest first. ``level`` "warning" means warning and up.

        ``without`` leaves out what was logged by requests at or below these paths, but for warnings and failures.
        """
        where, values = ["1 = 1"], list[Any]()
        if trace_id:
            where.append("trace_id = ?")
            values.append(trace_id)
        if level in ("warning", "error"):
            levels = ("warning", *FAILURES) if level == "warning" else FAILURES
            where.append(f"level IN ({', '.join('?' * len(levels))})")
            values += levels
        if q:
            where.append("(event LIKE ? ESCAPE '\\' OR fields LIKE ? ESCAPE '\\')")
            values += [_like(q), _like(q)]
        for path in without:
            where.append(_NOT_OF_A_PATH)
            values += [path, f"{_escaped(path)}/%"]
        if trace_id:
            return self._read(LogRecord, "logs", where, values, "at_us", limit)
        newest = self._read(LogRecord, "logs", where, values, "seq DESC", limit)
        return sorted(newest, key=lambda line: line.at_us, reverse=True)

    def rates(self, since_us: int, *, slow_us: int) -> Rates:
        """Who called whom since then; ``slow_us`` is from where every request keeps its spans."""
        return read(self._store, since_us, slow_us=slow_us)

    def _read(self, kind: Any, table: str, where: list[str], values: list[Any], order: str, limit: int) -> list[Any]:
        columns = ", ".join(kind._fields)
        with closing(self._store.connect()) as connection:
            rows = connection.execute(
                f"SELECT {columns} FROM {table} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?", (*values, limit)
            ).fetchall()
        return [kind(*(_loaded(name, value) for name, value in zip(kind._fields, row, strict=True))) for row in rows]


def _like(q: str) -> str:
    return f"%{_escaped(q)}%"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _loaded(name: str, value: Any) -> Any:
    if name in ("attributes", "fields"):
        return msgspec.json.decode(value)
    return bool(value) if name == "wrote" else value


_NOT_OF_A_PATH = """(level NOT IN ('debug', 'info') OR NOT EXISTS (
    SELECT 1 FROM requests r WHERE r.trace_id = logs.trace_id AND r.request_id = logs.request_id
        AND (r.path = ? OR r.path LIKE ? ESCAPE '\\')))"""
