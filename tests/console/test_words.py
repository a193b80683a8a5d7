"""Figures in words: always with a unit, never with a digit too many."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.console import words
from groundplan.console.words import NBSP

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("microseconds", "said"),
    [
        (0, "0_ms"),
        (40, "40_µs"),
        (412, "0.4_ms"),
        (186_000, "186_ms"),
        (1_240_000, "1.2_s"),
        (59_960_000, "60_s"),
        (200_000_000, "3_min 20_s"),
        (7_500_000_000, "2_h 5_min"),
    ],
)
def test_durations(microseconds: int, said: str) -> None:
    assert words.duration(microseconds) == said.replace("_", NBSP)


@given(st.integers(0, 10**12))
def test_every_duration_has_a_unit_joined_to_its_figure(microseconds: int) -> None:
    parts = words.duration(microseconds).split(" ")
    assert all(part.count(NBSP) == 1 and part[0].isdigit() for part in parts)


@pytest.mark.parametrize(
    ("part", "whole", "said"), [(0, 0, "0"), (0, 9, "0"), (1, 5000, "0.02"), (1, 8, "12"), (9, 9, "100")]
)
def test_shares(part: int, whole: int, said: str) -> None:
    assert words.share(part, whole) == f"{said}{NBSP}%"


def test_rates_are_per_minute_where_a_second_says_nothing() -> None:
    assert words.rate(600, 300) == "2.0/s"
    assert words.rate(3, 300) == "0.6/min"


def test_one_of_a_thing_and_more() -> None:
    assert (words.count(1, "crash", "crashes"), words.count(2, "crash", "crashes")) == ("1 crash", "2 crashes")
    assert words.count(1200, "line") == "1,200 lines"


@pytest.mark.parametrize(
    ("before", "said"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=4, milliseconds=900), "4_s ago"),
        (timedelta(minutes=12), "12_min ago"),
        (timedelta(days=3), "3 days ago"),
    ],
)
def test_how_long_ago(before: timedelta, said: str) -> None:
    assert words.ago(NOW - before, NOW) == said.replace("_", NBSP)
