"""The store's file: damaged, foreign, held by another or out of reach, it never stops the application."""

import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from groundplan.telemetry import make_logger
from tests.console.samples import request
from tests.console.stores import aside, opened, paths


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "telemetry.db"


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4_000])
def test_a_damaged_file_is_set_aside(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with opened(path) as store:
        store.requests([request(1, path="/new")])
        assert store.flush()
        assert paths(store) == ["/new"]
    (kept,) = aside(path)
    assert kept.read_bytes() == content
    assert "was set aside" in caplog.text


def test_a_log_left_by_a_damaged_file_does_not_spoil_the_new_one(path: Path) -> None:
    path.parent.mkdir()
    for companion in ("", "-wal", "-shm"):
        path.with_name(path.name + companion).write_bytes(b"not a database" * 400)
    with opened(path) as store:
        store.requests([request(1, path="/new")])
        assert store.flush()
        assert paths(store) == ["/new"]


def test_a_file_of_another_release_is_set_aside(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE requests (seq INTEGER PRIMARY KEY, url)")
    with opened(path) as store:
        store.requests([request(1, path="/new")])
        assert store.flush()
        assert paths(store) == ["/new"]
    assert len(aside(path)) == 1


def test_somebody_elses_database_is_left_alone(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id)")
    before = path.read_bytes()
    dropped: list[int] = []
    with opened(path, dropped=dropped) as store:
        for number in range(3):
            store.requests([request(number)])
            assert store.flush()
    assert path.read_bytes() == before
    assert dropped == [1, 1, 1]
    assert caplog.text.count("a database of something else: orders") == 1


def test_a_file_that_is_damaged_while_in_use_is_set_aside(path: Path) -> None:
    dropped: list[int] = []
    with opened(path, dropped=dropped) as store:
        store.requests([request(1, path="/before")])
        assert store.flush()
        for companion in ("", "-wal", "-shm"):
            with path.with_name(path.name + companion).open("r+b") as file:
                file.write(b"\xff" * 32_768)
        store.requests([request(2, path="/lost")])
        assert store.flush()
        assert len(aside(path)) == 1
        store.requests([request(3, path="/after")])
        assert store.flush()
        assert "/after" in paths(store)
    assert dropped == [1]


def test_where_nothing_can_be_written_the_application_runs_without(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where the folder should be")
    dropped: list[int] = []
    with opened(tmp_path / "var" / "telemetry.db", dropped=dropped) as store:
        store.requests([request(1), request(2)])
        assert store.flush()
    assert dropped == [2]


def test_writing_begins_once_it_is_possible(tmp_path: Path) -> None:
    folder = tmp_path / "var"
    folder.write_text("a file where the folder should be")
    with opened(folder / "telemetry.db") as store:
        store.requests([request(1, path="/lost")])
        assert store.flush()
        folder.unlink()
        store.requests([request(2, path="/kept")])
        assert store.flush()
        assert paths(store) == ["/kept"]


def test_a_file_that_another_process_holds_is_waited_for_and_not_set_aside(path: Path) -> None:
    with opened(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            store.requests([request(1, path="/patient")])
            assert not store.flush(0.3)
            other.execute("COMMIT")
        assert store.flush()
        assert paths(store) == ["/patient"]
    assert aside(path) == []


def test_opening_while_another_process_writes_harms_nothing(path: Path) -> None:
    with opened(path) as store:
        store.requests([request(1, path="/first")])
        assert store.flush()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with opened(path) as second:
                other.execute("COMMIT")
                second.requests([request(2, path="/second")])
                assert second.flush()
        assert paths(store) == ["/second", "/first"]
    assert aside(path) == []


def test_a_failing_store_does_not_feed_on_its_own_warnings(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where the folder should be")
    dropped: list[int] = []
    root = logging.getLogger()
    handlers = list(root.handlers)
    with opened(tmp_path / "var" / "telemetry.db", dropped=dropped) as store:
        with (tmp_path / "out").open("w") as out:
            log = make_logger("info", out, [store])
            root.handlers = [Forward(log)]
            try:
                for number in range(20):
                    log.info("working", number=number)
                    assert store.flush()
            finally:
                root.handlers = handlers
        assert (tmp_path / "out").read_text().count("Telemetry is not kept") <= 1
    assert sum(dropped) <= 21


class Forward(logging.Handler):
    def __init__(self, log: Any) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.warning(record.getMessage())
