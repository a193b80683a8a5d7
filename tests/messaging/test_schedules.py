"""When a schedule is due, and what becomes of ticks that nobody was there for."""

from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.core.errors import ConfigurationError
from groundplan.messaging.schedules import MOST_CATCH_UP, Schedule

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_a_schedule_goes_by_the_time_of_its_place() -> None:
    assert Schedule("30 6 * * *", "Europe/Vienna").after(NOON) == datetime(2026, 11, 25, 5, 30, tzinfo=UTC)
    assert Schedule("*/15 * * * *").after(NOON) == NOON + timedelta(minutes=15)


@pytest.mark.parametrize(
    ("missed", "late", "fired"),
    [
        ("once", timedelta(hours=3, minutes=20), [NOON + timedelta(hours=3)]),
        ("skip", timedelta(hours=3, minutes=20), []),
        ("skip", timedelta(seconds=30), [NOON]),
        ("all", timedelta(hours=2, minutes=1), [NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=2)]),
        ("once", timedelta(0), [NOON]),
    ],
)
def test_what_was_missed(missed: Literal["once", "skip", "all"], late: timedelta, fired: list[datetime]) -> None:
    assert Schedule("0 * * * *", missed=missed).due(NOON, NOON + late) == fired


@given(st.integers(0, 400_000))
def test_after_a_long_pause_one_fires_and_it_is_the_latest(seconds: int) -> None:
    now = NOON + timedelta(seconds=seconds)
    (fired,) = Schedule("* * * * *").due(NOON, now)
    assert timedelta(0) <= now - fired < timedelta(minutes=1)
    assert len(Schedule("* * * * *", missed="all").due(NOON, now)) == min(MOST_CATCH_UP, seconds // 60 + 1)


@pytest.mark.parametrize(
    ("cron", "timezone"),
    [("every day", "UTC"), ("99 * * * *", "UTC"), ("0 0 30 2 *", "UTC"), ("0 * * * *", "Mars/Base")],
)
def test_what_is_no_schedule_does_not_start(cron: str, timezone: str) -> None:
    with pytest.raises(ConfigurationError, match="tidy"):
        Schedule(cron, timezone).check("tidy")
