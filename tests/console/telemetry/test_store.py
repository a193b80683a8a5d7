"""The telemetry store: everything comes back, bounded, whoever wrote it and however they ended."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from groundplan.console.telemetry.queries import TelemetryQueries
from groundplan.console.telemetry.store import TelemetryStore
from groundplan.core.context import RequestContext, entered
from groundplan.telemetry import LogRecord, span
from tests.console.samples import request, spans_of
from tests.console.stores import aside, opened, paths

WRITER = """
import asyncio, sys
from pathlib import Path
from groundplan.console.telemetry.store import TelemetryStore
from tests.console.samples import request, spans_of

async def main(path, role, count):
    store = TelemetryStore(Path(path), max_rows=100_000)
    await store.open()
    for number in range(int(count)):
        done = request(number, trace_id="one trace", request_id=f"{role}_{number}", role=role)
        store.requests([done])
        store.spans(spans_of(done, inside=["SQL"]))
    assert store.flush(30)
    print("written", flush=True)
    sys.stdin.readline()
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""

REFUSE = """CREATE TRIGGER refuse BEFORE INSERT ON requests WHEN NEW.path = '/refused'
    BEGIN SELECT RAISE(ABORT, 'refused'); END"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "telemetry.db"


def line(number: int, **fields: Any) -> LogRecord:
    return LogRecord(number, "info", "api", f"event {number}", "t", "s", "r", "northside", "u", fields)


def test_what_was_handed_over_comes_back_unchanged(path: Path) -> None:
    done = request(1, path="/caf\N{LATIN SMALL LETTER E WITH ACUTE}", wrote=True, error="ValueError: x")
    with entered(RequestContext(trace_id=done.trace_id)) as context, span("SQL", "INSERT", "sql", rows=3, fast=True):
        pass
    logged = line(1, order=12, nested={"list": [1, None, "x"]})
    with opened(path) as store:
        store.requests([done])
        store.spans(context.spans)
        store.logs([logged])
        assert store.flush()
        queries = TelemetryQueries(store)
        assert queries.requests() == [done]
        assert queries.trace(done.trace_id) == context.spans
        assert queries.logs() == [logged]


def test_what_was_handed_over_before_closing_is_there_after_a_restart(path: Path) -> None:
    with opened(path) as store:
        store.requests([request(1, path="/before")])
    with opened(path) as store:
        assert paths(store) == ["/before"]
        store.requests([request(2, path="/after")])
    assert paths(store) == ["/after", "/before"]


def test_a_store_can_be_opened_again(path: Path) -> None:
    store = TelemetryStore(path, max_rows=1_000)
    for number in range(3):
        asyncio.run(store.open())
        store.requests([request(number, path=f"/{number}")])
        asyncio.run(store.close())
    assert paths(store) == ["/2", "/1", "/0"]


def test_the_oldest_rows_make_room(path: Path) -> None:
    with opened(path, max_rows=100) as store:
        for number in range(1_200):
            store.requests([request(number, path=f"/{number}")])
            store.logs([line(number)])
        assert store.flush()
        assert paths(store) == [f"/{number}" for number in range(1_199, 1_099, -1)]
        assert len(TelemetryQueries(store).logs(limit=10_000)) == 100


def test_rows_of_an_earlier_life_make_room_too(path: Path) -> None:
    with opened(path, max_rows=1_000) as store:
        store.requests([request(number, path="/old") for number in range(500)])
    with opened(path, max_rows=10) as store:
        store.requests([request(1_000, path="/new")])
        assert store.flush()
        assert paths(store) == ["/new", *["/old"] * 9]


def test_what_does_not_fit_the_queue_is_dropped_and_counted(path: Path) -> None:
    dropped: list[int] = []
    store = TelemetryStore(path, max_rows=100_000, dropped=dropped.append)
    hundred = [request(number) for number in range(100)]
    for _ in range(500):
        store.requests(hundred)
    assert 0 < sum(dropped) < 50_000
    asyncio.run(store.open())
    try:
        assert store.flush(30)
        with closing(store.connect()) as connection:
            (written,) = connection.execute("SELECT count(*) FROM requests").fetchone()
    finally:
        asyncio.run(store.close())
    assert written + sum(dropped) == 50_000


def test_flushing_a_store_that_is_not_open_gives_up(path: Path) -> None:
    assert not TelemetryStore(path, max_rows=10).flush(0.01)


def test_values_that_are_no_text_or_json_spoil_nothing(path: Path) -> None:
    odd: dict[str, Any] = {"half": "\ud800", "key": {("a", 1): 2}, "any": object(), "fine": 1}
    spans = spans_of(request(1))
    with opened(path) as store:
        store.requests([request(1, path="/\ud800")])
        store.spans([spans[0]._replace(attributes=odd)])
        store.logs([line(1, **odd)])
        assert store.flush()
        assert paths(store) == ["/?"]
        assert TelemetryQueries(store).trace(spans[0].trace_id)[0].attributes["fine"] == 1
        assert TelemetryQueries(store).logs()[0].fields["half"] == "?"


def test_a_record_that_cannot_be_stored_is_counted_and_the_next_one_is_stored(path: Path) -> None:
    dropped: list[int] = []
    with opened(path, dropped=dropped) as store:
        assert store.flush()
        with closing(store.connect()) as other:
            other.execute(REFUSE)
        store.requests([request(1, path="/refused")])
        assert store.flush()
        store.requests([request(2, path="/next")])
        assert store.flush()
        assert (paths(store), dropped) == (["/next"], [1])


@pytest.mark.processes
def test_several_processes_write_one_file(path: Path) -> None:
    writers = [start(path, role) for role in ("web", "api", "worker")]
    for writer in writers:
        finish(writer)
    store = TelemetryStore(path, max_rows=100_000)
    with closing(store.connect()) as connection:
        counts = dict(connection.execute("SELECT role, count(DISTINCT request_id) FROM requests GROUP BY role"))
    assert counts == {"web": 400, "api": 400, "worker": 400}
    roles = {found.role for found in TelemetryQueries(store).trace("one trace")}
    assert roles == {"web", "api", "worker"}
    assert aside(path) == []


@pytest.mark.processes
def test_what_is_written_survives_a_killed_process(path: Path) -> None:
    writer = start(path, "api")
    assert writer.stdout is not None
    assert writer.stdout.readline() == "written\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    with opened(path, max_rows=100_000) as store:
        assert len(paths(store)) == 400
        assert aside(path) == []


def start(path: Path, role: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, path, role, "400"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def finish(writer: "subprocess.Popen[str]") -> None:
    out, _ = writer.communicate("\n", timeout=60)
    assert (out, writer.returncode) == ("written\n", 0)
