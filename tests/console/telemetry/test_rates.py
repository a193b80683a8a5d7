"""The figures of the map are true of all requests, however few keep their spans."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from groundplan.console.telemetry import rates
from groundplan.console.telemetry.rates import Rate, Rates, read
from groundplan.console.telemetry.store import TelemetryStore
from tests.console.samples import BETWEEN_US, SLOW_US, START, Recorder, request


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    with_store = Recorder(_opened(tmp_path), sample=0.05)
    yield with_store
    asyncio.run(with_store.store.close())


def _opened(folder: Path) -> TelemetryStore:
    store = TelemetryStore(folder / f"{uuid4().hex}.db", max_rows=100_000)
    asyncio.run(store.open())
    return store


def found(recorder: Recorder, since_us: int = START) -> tuple[Rates, dict[tuple[str, str], Rate]]:
    recorder.flush()
    answer = read(recorder.store, since_us, slow_us=SLOW_US)
    return answer, {(rate.caller, rate.component): rate for rate in answer.rates}


def test_failures_are_not_made_more_frequent_by_keeping_all_of_them(recorder: Recorder) -> None:
    for number in range(2_000):
        fails = number % 1_000 == 7
        recorder.finish(
            request(number, status=500 if fails else 200), inside=["API", "SQL"], error="Boom: x" if fails else ""
        )
    answer, rate = found(recorder)
    assert answer.requests == 2_000
    assert 60 < answer.kept < 160
    for pair in (("", "Web"), ("Web", "API"), ("API", "SQL")):
        assert rate[pair].calls == 2_000
    assert [rate["", "Web"].errors, rate["Web", "API"].errors, rate["API", "SQL"].errors] == [0, 0, 2]


def test_a_failure_that_its_request_survived_counts_once(recorder: Recorder) -> None:
    for number in range(500):
        recorder.finish(request(number), inside=["Cache"], error="Away: x" if number == 3 else "")
    _, rate = found(recorder)
    assert (rate["Web", "Cache"].calls, rate["Web", "Cache"].errors) == (500, 1)


def test_few_slow_requests_do_not_pass_for_the_usual_ones(recorder: Recorder) -> None:
    for number in range(1_000):
        recorder.finish(request(number, duration_us=SLOW_US * 2 if number % 50 == 0 else 4_000))
    _, rate = found(recorder)
    assert rate["", "Web"].p95_us == 4_000


def test_writes_and_handler_runs_stand_for_themselves(recorder: Recorder) -> None:
    for number in range(100):
        recorder.finish(request(number, wrote=True), inside=["API"])
    for number in range(100, 130):
        recorder.finish(request(number, kind="handler", role="worker", wrote=True), inside=["Mail"])
    answer, rate = found(recorder)
    assert (answer.requests, answer.kept) == (130, 130)
    assert (rate["Web", "API"].calls, rate["Worker", "Mail"].calls) == (100, 30)


def test_of_many_at_once_one_stands_for_the_others(recorder: Recorder) -> None:
    for number in range(2_000):
        recorder.finish(request(number, start_us=START + number * 100))  # ten thousand a second
    answer, rate = found(recorder)
    assert recorder.rows() < 400
    assert 1_900 <= answer.requests <= 2_000
    assert rate["", "Web"].calls == answer.requests


def test_what_was_before_is_left_out(recorder: Recorder) -> None:
    for number in range(10):
        recorder.finish(request(number, wrote=True))
    answer, rate = found(recorder, START + 6 * BETWEEN_US)
    assert (answer.requests, rate["", "Web"].calls) == (4, 4)


def test_where_there_is_too_much_to_read_the_time_gets_shorter(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "MOST_SPANS", 50)
    for number in range(200):
        recorder.finish(request(number, wrote=True))
    answer, rate = found(recorder)
    assert answer.since_us == START + 150 * BETWEEN_US
    assert (answer.requests, rate["", "Web"].calls) == (50, 50)


def test_nothing_kept_is_nothing_told(recorder: Recorder) -> None:
    assert found(recorder)[0] == Rates(START, [], 0, 0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    sample=st.floats(0, 1),
    kinds=st.lists(st.sampled_from(["fine", "slow", "wrote", "failed", "inner"]), min_size=1, max_size=60),
)
def test_calls_and_errors_are_those_of_all_requests(folder: Path, sample: float, kinds: list[str]) -> None:
    store = _opened(folder)
    recorder = Recorder(store, sample=sample)
    for number, kind in enumerate(kinds):
        recorder.finish(
            request(
                number,
                status=500 if kind == "failed" else 200,
                wrote=kind == "wrote",
                duration_us=SLOW_US if kind == "slow" else 4_000,
            ),
            inside=["API"],
            error="Boom: x" if kind in ("failed", "inner") else "",
        )
    answer, rate = found(recorder)
    asyncio.run(store.close())
    assert answer.requests == len(kinds)
    told = rate.get(("Web", "API"), Rate("", "", 0, 0, 0))
    assert told.errors == sum(kind in ("failed", "inner") for kind in kinds)
    certain = sum(kind != "fine" for kind in kinds)
    some_fine_kept = answer.kept > certain
    assert told.calls == (len(kinds) if some_fine_kept else certain)
