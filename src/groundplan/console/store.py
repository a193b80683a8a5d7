"""The telemetry store: requests, spans and log lines in an SQLite file of their own, bounded, never in a request's way.

Any number of processes may write the same file. What does not fit the queue, or the file, is dropped and counted.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from groundplan.console.store_file import TABLES, StoreFile
from groundplan.telemetry import LogRecord, RequestRecord, SpanRecord
from groundplan.telemetry.plain import plain, text

_BATCH_SECONDS = 0.1
_BATCH_ROWS = 500
_QUEUE_ROWS = 20_000
_CLOSE_SECONDS = 5.0
_BUSY_TRIES = 3


class _Rows(NamedTuple):
    """Records handed over together."""

    table: str
    records: Sequence[tuple[Any, ...]]


class _Mark(NamedTuple):
    """A place in the queue: ``reached`` is set once everything before it is written."""

    reached: threading.Event
    last: bool = False


class _Queue(queue.Queue[_Rows | _Mark]):
    """Bounded by rows, not by how many were handed over together."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._rows = 0

    def _qsize(self) -> int:
        return self._rows

    def _put(self, item: _Rows | _Mark) -> None:
        super()._put(item)
        self._rows += _size(item)

    def _get(self) -> _Rows | _Mark:
        item = super()._get()
        self._rows -= _size(item)
        return item


class TelemetryStore:
    """A Sink. ``max_rows`` bounds each table; ``dropped`` is told how many records were given up."""

    def __init__(self, path: Path, *, max_rows: int, dropped: Callable[[int], None] = lambda count: None) -> None:
        self.path = path
        self._file = StoreFile(path)
        self._max_rows = max_rows
        self._dropped = dropped
        self._queue = _Queue(_QUEUE_ROWS)
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
            await asyncio.to_thread(self._mark, _Mark(threading.Event(), last=True), _CLOSE_SECONDS)
            await asyncio.to_thread(thread.join, _CLOSE_SECONDS)

    def flush(self, timeout: float = 5.0) -> bool:
        """Waits until what was handed over so far is written; False if that took longer than ``timeout`` seconds."""
        return self._mark(_Mark(threading.Event()), timeout)

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
        if records:
            try:
                self._queue.put_nowait(_Rows(table, records))
            except queue.Full:
                self._dropped(len(records))

    def _mark(self, mark: _Mark, timeout: float) -> bool:
        until = time.monotonic() + timeout
        try:
            self._queue.put(mark, timeout=timeout)
        except queue.Full:
            return False
        return mark.reached.wait(max(0.0, until - time.monotonic()))

    def _write_loop(self) -> None:
        connection = self._connection()
        last = False
        while not last:
            batch, mark = self._batch()
            if batch:
                connection = self._written(connection or self._connection(), batch)
            if mark is not None:
                last = mark.last
                mark.reached.set()
        if connection is not None:
            connection.close()

    def _batch(self) -> tuple[list[_Rows], _Mark | None]:
        """What came within a tenth of a second of the first record, up to the next mark."""
        batch: list[_Rows] = []
        rows = 0
        until: float | None = None
        while rows < _BATCH_ROWS:
            try:
                item = self._queue.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except queue.Empty:
                break
            if isinstance(item, _Mark):
                return batch, item
            batch.append(item)
            rows += len(item.records)
            until = until or time.monotonic() + _BATCH_SECONDS
        return batch, None

    def _connection(self) -> sqlite3.Connection | None:
        try:
            return self._file.open_for_writing()
        except (OSError, sqlite3.Error) as error:
            self._warn(error)
            return None

    def _written(self, connection: sqlite3.Connection | None, batch: list[_Rows]) -> sqlite3.Connection | None:
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
        self._dropped(sum(len(rows.records) for rows in batch))
        return None

    def _warn(self, error: Exception) -> None:
        """Once until a write succeeds: a warning is telemetry too."""
        if self._failing:
            return
        self._failing = True
        logging.getLogger("groundplan.telemetry").warning(
            "Telemetry is not kept in %s: %s: %s", self.path.name, type(error).__name__, error
        )


def _write(connection: sqlite3.Connection, batch: list[_Rows], max_rows: int) -> None:
    _begin(connection)
    try:
        for table, kind in TABLES.items():
            records = [record for rows in batch if rows.table == table for record in rows.records]
            if not records:
                continue
            marks = ", ".join("?" * len(kind._fields))
            connection.executemany(
                f"INSERT INTO {table} ({', '.join(kind._fields)}) VALUES ({marks})",
                [tuple(_stored(value) for value in record) for record in records],
            )
            connection.execute(f"DELETE FROM {table} WHERE seq <= (SELECT MAX(seq) FROM {table}) - ?", (max_rows,))
        connection.execute("COMMIT")
    except Exception:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _begin(connection: sqlite3.Connection) -> None:
    """Waits for other processes as long as SQLite waits, a few times over."""
    for left in reversed(range(_BUSY_TRIES)):
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not left:
                raise


def _size(item: _Rows | _Mark) -> int:
    return len(item.records) if isinstance(item, _Rows) else 1


def _stored(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        try:
            return msgspec.json.encode(value, enc_hook=str).decode()
        except Exception:
            return msgspec.json.encode(plain(value)).decode()
    return value
