"""The telemetry store: requests, spans and log lines in an SQLite file of their own, bounded, never in a request's way.

Any number of processes may write the same file. What does not fit the queue is dropped and counted.
"""

import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from groundplan.telemetry import LogRecord, RequestRecord, SpanRecord

_BATCH_SECONDS = 0.1
_BATCH_ROWS = 500
_QUEUE_ROWS = 20_000
_BUSY_SECONDS = 5.0
_PRUNE_EVERY = 50
"""Batches between two prunings."""

TABLES: dict[str, type[Any]] = {"requests": RequestRecord, "spans": SpanRecord, "logs": LogRecord}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (seq INTEGER PRIMARY KEY, request_id, trace_id, span_id, role, kind, method, name,
    path, status INTEGER, tenant, user, start_us INTEGER, duration_us INTEGER, wrote INTEGER, error);
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


class TelemetryStore:
    """A Sink. ``max_rows`` bounds each table; ``dropped`` is told how many records were given up."""

    def __init__(self, path: Path, *, max_rows: int, dropped: Callable[[int], None] = lambda count: None) -> None:
        self.path = path
        self._max_rows = max_rows
        self._dropped = dropped
        self._queue: queue.Queue[tuple[str, tuple[Any, ...]] | threading.Event] = queue.Queue(_QUEUE_ROWS)
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    async def open(self) -> None:
        """Makes the file where it is missing; a broken one is set aside: telemetry must not stop the app."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._prepare()
        except sqlite3.DatabaseError:
            self.path.rename(self.path.with_suffix(f".broken-{int(time.time())}"))
            self._prepare()
        self._thread = threading.Thread(target=self._write_loop, name="telemetry store", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join(5)

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until what was handed over so far is written; False if that took longer than ``timeout`` seconds."""
        written = threading.Event()
        self._queue.put(written)
        return written.wait(timeout)

    def requests(self, records: Sequence[RequestRecord]) -> None:
        self._put("requests", records)

    def spans(self, records: Sequence[SpanRecord]) -> None:
        self._put("spans", records)

    def logs(self, records: Sequence[LogRecord]) -> None:
        self._put("logs", records)

    def connect(self) -> sqlite3.Connection:
        """A connection for the calling thread, which closes it."""
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def _prepare(self) -> None:
        connection = self.connect()
        try:
            connection.executescript(_SCHEMA)
        finally:
            connection.close()

    def _put(self, table: str, records: Sequence[tuple[Any, ...]]) -> None:
        for position, record in enumerate(records):
            try:
                self._queue.put_nowait((table, tuple(record)))
            except queue.Full:
                self._dropped(len(records) - position)
                return

    def _write_loop(self) -> None:
        connection = self.connect()
        batches = 0
        while not (self._closing.is_set() and self._queue.empty()):
            rows, waiting = self._batch()
            if rows:
                try:
                    self._write(connection, rows)
                    batches += 1
                    if batches % _PRUNE_EVERY == 0:
                        self._prune(connection)
                except sqlite3.Error:
                    self._dropped(len(rows))
            for written in waiting:
                written.set()
        connection.close()

    def _batch(self) -> tuple[list[tuple[str, tuple[Any, ...]]], list[threading.Event]]:
        """What came within a tenth of a second of the first record."""
        rows: list[tuple[str, tuple[Any, ...]]] = []
        waiting: list[threading.Event] = []
        until = time.monotonic() + _BATCH_SECONDS
        while len(rows) < _BATCH_ROWS and (left := until - time.monotonic()) > 0 and not waiting:
            try:
                item = self._queue.get(timeout=left)
            except queue.Empty:
                break
            if isinstance(item, threading.Event):
                waiting.append(item)
            else:
                rows.append(item)
        return rows, waiting

    def _write(self, connection: sqlite3.Connection, rows: list[tuple[str, tuple[Any, ...]]]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        try:
            for table, kind in TABLES.items():
                fields = kind._fields
                marks = ", ".join("?" * len(fields))
                connection.executemany(
                    f"INSERT INTO {table} ({', '.join(fields)}) VALUES ({marks})",
                    [tuple(_stored(value) for value in row) for name, row in rows if name == table],
                )
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.execute("ROLLBACK")
            raise

    def _prune(self, connection: sqlite3.Connection) -> None:
        for table in TABLES:
            connection.execute(
                f"DELETE FROM {table} WHERE seq <= (SELECT MAX(seq) FROM {table}) - ?", (self._max_rows,)
            )


def _stored(value: Any) -> Any:
    if isinstance(value, dict):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return value
