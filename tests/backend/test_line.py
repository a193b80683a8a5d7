"""The line in front of the door: who is called, in which order, and who is sent away."""

import asyncio

import pytest

from groundplan.backend.line import Line, Priority

pytestmark = pytest.mark.anyio


def _answers(turns: list[asyncio.Future[bool] | None]) -> list[bool | None]:
    return [turn.result() if turn is not None and turn.done() else None for turn in turns]


async def test_whoever_matters_most_is_called_first_then_whoever_came_first() -> None:
    line = Line(10)
    turns = [line.join(each, 1.0) for each in (Priority.READ, Priority.READ, Priority.CRITICAL, Priority.WRITE)]
    rooms = iter([True, True, True, False])
    line.call(lambda priority: next(rooms))
    assert _answers(turns) == [True, None, True, True]
    assert len(line) == 1


async def test_where_those_who_matter_find_no_room_nobody_does() -> None:
    line = Line(10)
    turns = [line.join(each, 1.0) for each in (Priority.READ, Priority.WRITE)]
    line.call(lambda priority: priority is Priority.READ)
    assert _answers(turns) == [None, None]


async def test_whoever_has_gone_is_passed_over() -> None:
    line = Line(10)
    gone, here = line.join(Priority.READ, 1.0), line.join(Priority.READ, 2.0)
    assert gone and here
    gone.cancel()
    rooms = iter([True, False])
    line.call(lambda priority: next(rooms))
    assert here.result() is True
    assert len(line) == 0


async def test_who_came_before_is_sent_away() -> None:
    line = Line(10)
    turns = [line.join(each, at) for each, at in ((Priority.READ, 1.0), (Priority.WRITE, 1.5), (Priority.READ, 2.0))]
    line.send_away(1.8)
    assert _answers(turns) == [False, False, None]
    line.send_away(9.0)
    assert _answers(turns) == [False, False, False]
    assert len(line) == 0


async def test_a_full_line_takes_nobody() -> None:
    line = Line(2)
    assert line.join(Priority.READ, 1.0) and line.join(Priority.WRITE, 1.0)
    assert line.join(Priority.CRITICAL, 1.0) is None


async def test_a_line_is_shortened_by_those_who_matter_least_and_came_last() -> None:
    line = Line(10)
    order = (Priority.READ, Priority.WRITE, Priority.CRITICAL, Priority.READ, Priority.WRITE)
    turns = [line.join(each, 1.0) for each in order]
    line.shorten(4)
    assert _answers(turns) == [None, None, None, False, None]
    line.shorten(2)
    assert _answers(turns) == [False, None, None, False, False]
    line.shorten(0)
    assert _answers(turns) == [False, False, None, False, False]
    assert len(line) == 1
