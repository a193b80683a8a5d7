"""The file of the telemetry store: made where it is missing, set aside where it is damaged or of another release."""

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from groundplan.telemetry import LogRecord, RequestRecord, SpanRecord

TABLES: dict[str, type[Any]] = {"requests": RequestRecord, "spans": SpanRecord, "logs": LogRecord}
_BUSY_SECONDS = 5.0
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_COMPANIONS = ("", "-wal", "-shm")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (seq INTEGER PRIMARY KEY, request_id, trace_id, span_id, role, kind, method, name,
    path, status INTEGER, tenant, user, start_us INTEGER, duration_us INTEGER, wrote INTEGER, error,
    stands_for INTEGER);
CREATE INDEX IF NOT EXISTS requests_trace ON requests (trace_id);
CREATE INDEX IF NOT EXISTS requests_start ON requests (start_us);
CREATE TABLE IF NOT EXISTS spans (seq INTEGER PRIMARY KEY, trace_id, span_id, parent_id, request_id, role, component,
    name, shape, start_us INTEGER, duration_us INTEGER, error, attributes);
CREATE INDEX IF NOT EXISTS spans_trace ON spans (trace_id);
CREATE INDEX IF NOT EXISTS spans_start ON spans (start_us);
CREATE TABLE IF NOT EXISTS logs (seq INTEGER PRIMARY KEY, at_us INTEGER, level, role, event, trace_id, span_id,
    request_id, tenant, user, fields);
CREATE INDEX IF NOT EXISTS logs_trace ON logs (trace_id);
"""


class StoreFile:
    """Several processes may prepare, write and read the same file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing_to: int | None = None

    def connect(self) -> sqlite3.Connection:
        """A connection for the calling thread, which closes it."""
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def open_for_writing(self) -> sqlite3.Connection:
        """Raises OSError or sqlite3.Error where the place cannot be written, is held by another for too long, or is
        a sound database of somebody else, which is left alone.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            problem = self._problem()
            if problem:
                self._set_aside(problem)
            connection = self.connect()
            try:
                connection.executescript(_SCHEMA)
            except sqlite3.Error:
                connection.close()
                raise
            self._writing_to = self.path.stat().st_ino
        return connection

    def set_aside_if_damaged(self, error: Exception) -> None:
        """After a write failed. What another process has put in the damaged file's place is left alone."""
        if not _damaged(error):
            return
        with self._alone():
            if self.path.exists() and self.path.stat().st_ino == self._writing_to:
                self._set_aside("is damaged")

    def _problem(self) -> str:
        """Why a new file must begin; empty if this one can be written, or is missing."""
        if not self.path.exists():
            return ""
        try:
            with closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as connection:
                rows = connection.execute(
                    "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c "
                    "WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY c.cid"
                ).fetchall()
        except sqlite3.DatabaseError as error:
            if _damaged(error):
                return "is damaged"
            raise
        found: dict[str, list[str]] = {}
        for table, column in rows:
            found.setdefault(table, []).append(column)
        ours = {table: ["seq", *kind._fields] for table, kind in TABLES.items()}
        if found.keys() - ours.keys():
            raise sqlite3.DatabaseError(f"it is a database of something else: {', '.join(sorted(found))}")
        return "is of another release" if any(columns != ours[table] for table, columns in found.items()) else ""

    def _set_aside(self, problem: str) -> None:
        aside = self.path.with_name(f"{self.path.name}.aside-{time.time_ns() // 1000}")
        for companion in _COMPANIONS:
            file = self.path.with_name(self.path.name + companion)
            if file.exists():
                file.rename(aside.with_name(aside.name + companion))
        logging.getLogger("groundplan.telemetry").warning(
            "%s %s: it was set aside as %s, and a new telemetry store begins.", self.path.name, problem, aside.name
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time, so that two do not set aside each other's new file."""
        lock = os.open(self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


def _damaged(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
