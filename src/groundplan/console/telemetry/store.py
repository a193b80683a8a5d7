"""The telemetry store: requests, spans and log lines in an SQLite file of their own, bounded, never in a request's way.

Any number of processes may write the same file. What does not fit the queue, or the file, is dropped and counted.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from groundplan.console.telemetry.store_file import TABLES, StoreFile
from groundplan.telemetry import LogRecord, RequestRecord, SpanRecord
from groundplan.telemetry.plain import plain, text

_BATCH_SECONDS = 0.1
_STATEMENT_ROWS = 64
_MOST_WAITING_ROWS = 20_000
_CLOSE_SECONDS = 5.0
_BUSY_TRIES = 3


class _Mark:
    """A place among the records: ``reached`` is set once everything before it is written."""

    def __init__(self, *, last: bool = False) -> None:
        self.reached = threading.Event()
        self.last = last


class _Waiting:
    """What is not written yet, bounded by rows. Handing over costs an append: no waiting, no waking per record."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
        self._count = 0
        self._marks: list[_Mark] = []
        self._some = threading.Event()
        self._marked = threading.Event()

    def add(self, table: str, records: Sequence[tuple[Any, ...]]) -> bool:
        with self._lock:
            if self._count + len(records) > self._most:
                return False
            self._rows[table].extend(records)
            self._count += len(records)
        if not self._some.is_set():
            self._some.set()
        return True

    def mark(self, mark: _Mark) -> None:
        with self._lock:
            self._marks.append(mark)
        self._marked.set()
        self._some.set()

    def take(self) -> tuple[dict[str, list[tuple[Any, ...]]], list[_Mark]]:
        """What came within a tenth of a second of the first record, or up to a mark."""
        self._some.wait()
        self._marked.wait(_BATCH_SECONDS)
        with self._lock:
            rows, self._rows = self._rows, {table: [] for table in TABLES}
            marks, self._marks = self._marks, []
            self._count = 0
            self._some.clear()
            self._marked.clear()
        return rows, marks


class TelemetryStore:
    """A Sink. ``max_rows`` bounds each table; ``dropped`` is told how many records were given up."""

    def __init__(self, path: Path, *, max_rows: int, dropped: Callable[[int], None] = lambda count: None) -> None:
        self.path = path
        self._file = StoreFile(path)
        self._max_rows = max_rows
        self._dropped = dropped
        self._waiting = _Waiting(_MOST_WAITING_ROWS)
        self._thread: threading.Thread | None = None
        self._failing = False

    async def open(self) -> None:
        """Starts writing. Where the file cannot be used the application runs without: telemetry must not stop it."""
        self._thread = threading.Thread(target=self._write_loop, name="telemetry store", daemon=True)
        self._thread.start()
        await asyncio.to_thread(self.flush)

    async def close(self) -> None:
        """Writes what is waiting."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(self._mark, _Mark(last=True), _CLOSE_SECONDS)
            await asyncio.to_thread(thread.join, _CLOSE_SECONDS)

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until what was handed over so far is written; False if that took longer than ``timeout`` seconds."""
        return self._mark(_Mark(), timeout)

    def requests(self, records: Sequence[RequestRecord]) -> None:
        self._put("requests", records)

    def spans(self, records: Sequence[SpanRecord]) -> None:
        self._put("spans", records)

    def logs(self, records: Sequence[LogRecord]) -> None:
        self._put("logs", records)

    def connect(self) -> sqlite3.Connection:
        """A connection for the calling thread, which closes it."""
        return self._file.connect()

    def _put(self, table: str, records: Sequence[tuple[Any, ...]]) -> None:
        if records and not self._waiting.add(table, records):
            self._dropped(len(records))

    def _mark(self, mark: _Mark, timeout: float) -> bool:
        self._waiting.mark(mark)
        return mark.reached.wait(timeout)

    def _write_loop(self) -> None:
        connection = self._connection()
        last = False
        while not last:
            rows, marks = self._waiting.take()
            if any(rows.values()):
                connection = self._written(connection or self._connection(), rows)
            for mark in marks:
                last = last or mark.last
                mark.reached.set()
        if connection is not None:
            connection.close()

    def _connection(self) -> sqlite3.Connection | None:
        try:
            return self._file.open_for_writing()
        except (OSError, sqlite3.Error) as error:
            self._warn(error)
            return None

    def _written(
        self, connection: sqlite3.Connection | None, batch: dict[str, list[tuple[Any, ...]]]
    ) -> sqlite3.Connection | None:
        """The connection to go on with: none after a failure, so that the next batch begins by opening the file."""
        if connection is not None:
            try:
                _write(connection, batch, self._max_rows)
                self._failing = False
                return connection
            except Exception as error:
                self._warn(error)
                connection.close()
                with suppress(OSError, sqlite3.Error):
                    self._file.set_aside_if_damaged(error)
        self._dropped(sum(map(len, batch.values())))
        return None

    def _warn(self, error: Exception) -> None:
        """Once until a write succeeds: a warning is telemetry too."""
        if self._failing:
            return
        self._failing = True
        logging.getLogger("groundplan.telemetry").warning(
            "Telemetry is not kept in %s: %s: %s", self.path.name, type(error).__name__, error
        )


def _write(connection: sqlite3.Connection, batch: dict[str, list[tuple[Any, ...]]], max_rows: int) -> None:
    _begin(connection)
    try:
        for table, records in batch.items():
            for start in range(0, len(records), _STATEMENT_ROWS):
                _insert(connection, table, records[start : start + _STATEMENT_ROWS])
            connection.execute(f"DELETE FROM {table} WHERE seq <= (SELECT MAX(seq) FROM {table}) - ?", (max_rows,))
        connection.execute("COMMIT")
    except Exception:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _insert(connection: sqlite3.Connection, table: str, records: list[tuple[Any, ...]]) -> None:
    """Many rows in one statement: row by row, this thread would take the interpreter from the event loop."""
    columns = TABLES[table]._fields
    try:
        encoded = msgspec.json.encode(records)
    except Exception:
        encoded = b""
    if not encoded or b"\\u0000" in encoded:
        records = [tuple(_storable(value) for value in record) for record in records]
    rows = ", ".join([f"({', '.join('?' * len(columns))})"] * len(records))
    values = [_bound(value) for record in records for value in record]
    connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {rows}", values)


def _bound(value: Any) -> Any:
    """Whatever SQLite does not know is JSON text."""
    if value is None or isinstance(value, str | int | float):
        return value
    return msgspec.json.encode(value, enc_hook=str).decode()


def _begin(connection: sqlite3.Connection) -> None:
    """Waits for other processes as long as SQLite waits, a few times over."""
    for left in reversed(range(_BUSY_TRIES)):
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not left:
                raise


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return text(value).replace("\0", "\N{REPLACEMENT CHARACTER}")
    if isinstance(value, dict):
        return {_storable(name): _storable(inner) for name, inner in plain(value).items()}
    if isinstance(value, list | tuple):
        return [_storable(inner) for inner in value]
    return value
