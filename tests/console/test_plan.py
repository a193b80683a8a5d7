"""The map and its table: the same figures, and what needs a person first."""

from datetime import UTC, datetime

from groundplan.app.health import ComponentHealth
from groundplan.console.plan import Plan, draw
from groundplan.console.views import Overview, RateView
from groundplan.console.words import NBSP


def plan(*rates: tuple[str, str, int, int], dead_letters: int = 0, database: str = "ok") -> Plan:
    views = [
        RateView(caller=caller, component=component, calls=calls, errors=errors, p95_us=1500)
        for caller, component, calls, errors in rates
    ]
    return draw(overview(views, dead_letters=dead_letters, database=database))


def overview(rates: list[RateView], *, dead_letters: int = 0, database: str = "ok") -> Overview:
    health = ComponentHealth(
        component="Database", state="bad" if database == "bad" else "ok", runs_on="SQLite", detail="", ping_ms=1.0
    )
    return Overview(
        at=datetime(2026, 1, 2, tzinfo=UTC),
        window_seconds=300,
        requests=0,
        traced=0,
        components=[health],
        rates=rates,
        queue=[],
        dead_letters=dead_letters,
        newest_dead_letter=None,
        faults=[],
    )


def lines(drawn: Plan) -> dict[tuple[str, str], tuple[str, str]]:
    return {(c.source, c.target): (c.traffic, c.errors) for c in drawn.connections if c.traffic}


def states(drawn: Plan) -> dict[str, str]:
    return {room.name: room.said for room in drawn.rooms}


def test_spans_become_calls_between_rooms() -> None:
    drawn = plan(("", "Web", 600, 0), ("Web", "API", 300, 0), ("API", "SQL", 300, 0), ("Cache", "SQL", 300, 3))
    assert lines(drawn) == {
        ("Browser", "Web"): ("2.0/s", f"0{NBSP}%"),
        ("Web", "API"): ("1.0/s", f"0{NBSP}%"),
        ("API", "Database"): ("2.0/s", f"0.50{NBSP}%"),
    }


def test_few_slow_calls_do_not_pass_for_all_that_share_a_line() -> None:
    for slow, p95 in ((5, "1 ms"), (6, "40 ms")):
        rates = [("API", "Cache", 100 - slow, 0, 1_000), ("Outbox", "Cache", slow, 0, 40_000)]
        drawn = draw(
            overview([RateView(caller=a, component=b, calls=c, errors=d, p95_us=e) for a, b, c, d, e in rates])
        )
        assert [c.p95.replace(NBSP, " ") for c in drawn.connections if c.traffic] == [p95]


def test_a_handler_is_called_by_the_queue_and_a_step_inside_a_room_is_no_call() -> None:
    drawn = plan(("Outbox", "Worker", 3, 0), ("", "Worker", 3, 0), ("API", "API", 9, 0), ("API", "Outbox", 9, 0))
    assert list(lines(drawn)) == [("Queue", "Worker")]


def test_what_needs_a_person_comes_first_and_what_nobody_called_last() -> None:
    drawn = plan(("", "Web", 100, 0), ("Worker", "Mail", 10, 2))
    assert [c.status for c in drawn.connections][:3] == [f"Over limit, 0.1{NBSP}%", "Healthy", "No calls"]


def test_a_connection_that_is_not_drawn_is_in_the_table() -> None:
    drawn = plan(("Payments", "API", 5, 0))
    assert [c.path for c in drawn.connections if c.traffic] == [None]


def test_rooms_say_their_state() -> None:
    quiet = states(plan())
    assert (quiet["Web"], quiet["Database"], quiet["Worker"]) == ("Quiet", "Healthy", "Quiet")
    busy = states(plan(("", "Web", 10, 0), dead_letters=1, database="bad"))
    assert (busy["Web"], busy["Browser"], busy["Database"], busy["Worker"]) == ("Healthy", "Healthy", "Failing", "Act")
