"""What the console asks of the telemetry store."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from groundplan.console.telemetry.queries import TelemetryQueries
from groundplan.console.telemetry.store import TelemetryStore
from groundplan.telemetry.pipeline import LogRecord
from tests.console.samples import BETWEEN_US, START, request, trace_id_of


class Asked:
    def __init__(self, store: TelemetryStore) -> None:
        self.store = store
        self.queries = TelemetryQueries(store)

    def paths(self, **query: object) -> list[str]:
        assert self.store.flush()
        return [found.path for found in self.queries.requests(**query)]  # type: ignore[arg-type]

    def events(self, **query: object) -> list[str]:
        assert self.store.flush()
        return [found.event for found in self.queries.logs(**query)]  # type: ignore[arg-type]


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Asked]:
    store = TelemetryStore(tmp_path / "telemetry.db", max_rows=1_000)
    asyncio.run(store.open())
    yield Asked(store)
    asyncio.run(store.close())


def test_newest_first_and_older_ones_on_demand(asked: Asked) -> None:
    asked.store.requests([request(number, path=f"/{number}") for number in range(5)])
    assert asked.paths(limit=2) == ["/4", "/3"]
    assert asked.paths(limit=9, before_us=START + 3 * BETWEEN_US) == ["/2", "/1", "/0"]


def test_sections_are_left_out_whole_and_alone(asked: Asked) -> None:
    paths = ["/console", "/console/queue", "/consoles", "/a_b", "/a_b/c", "/axb/c", "/"]
    asked.store.requests([request(number, path=path) for number, path in enumerate(paths)])
    assert asked.paths(without=("/console", "/a_b")) == ["/", "/axb/c", "/consoles"]


def test_what_is_asked_for_is_not_lost_behind_what_is_left_out(asked: Asked) -> None:
    asked.store.requests([request(0, path="/orders")])
    asked.store.requests([request(number, path="/console") for number in range(1, 900)])
    assert asked.paths(limit=50, without=("/console",)) == ["/orders"]


def test_filters(asked: Asked) -> None:
    asked.store.requests(
        [
            request(1, path="/fine"),
            request(2, path="/refused", status=422),
            request(3, path="/run", role="worker", kind="handler", name="orders.send_receipt", status=500),
            request(4, path="/100%"),
        ]
    )
    assert asked.paths(status="4") == ["/refused"]
    assert asked.paths(role="worker", status="5") == ["/run"]
    assert asked.paths(q="send_receipt") == ["/run"]
    assert asked.paths(q="req_2") == ["/refused"]
    assert asked.paths(q="%") == ["/100%"]
    assert asked.paths(q="sendXreceipt") == []


def test_a_level_holds_what_is_worse(asked: Asked) -> None:
    levels = ["debug", "info", "warning", "error", "critical"]
    asked.store.logs(
        [LogRecord(START + at, level, "web", level, "", "", "", "", "", {}) for at, level in enumerate(levels)]
    )
    assert asked.events(level="warning") == ["critical", "error", "warning"]
    assert asked.events(level="error") == ["critical", "error"]
    assert asked.events() == levels[::-1]


def test_lines_of_a_section_are_left_out_but_not_its_warnings(asked: Asked) -> None:
    asked.store.requests([request(1, path="/console/queue"), request(2, path="/orders")])
    asked.store.logs(
        [
            LogRecord(START, level, "web", f"{level} {at}", trace_id_of(at), "", f"req_{at}", "", "", {})
            for at in (1, 2)
            for level in ("info", "warning")
        ]
    )
    assert sorted(asked.events(without=("/console",))) == ["info 2", "warning 1", "warning 2"]
    assert len(asked.events()) == 4


def test_lines_of_a_trace_are_in_order_and_its_own(asked: Asked) -> None:
    asked.store.logs(
        [
            LogRecord(START + at, "info", "web", event, trace, "", "", "", "", {"basket": event})
            for at, (trace, event) in enumerate([("t", "first"), ("u", "other"), ("t", "second")])
        ]
    )
    assert asked.events(trace_id="t") == ["first", "second"]
    assert asked.events(trace_id="t", q="SECOND") == ["second"]
