"""What our dependencies log ends up in the same stream as our own lines."""

import asyncio
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest

from groundplan.core.context import RequestContext, entered
from groundplan.telemetry import make_logger, route_library_logs


class Routed:
    def __init__(self) -> None:
        self.stream = StringIO()
        route_library_logs(make_logger("info", self.stream))

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


Route = Callable[[], Routed]


@pytest.fixture
def route() -> Iterator[Route]:
    """To be called in the test itself, when pytest's own handlers are in place and can be replaced."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    yield Routed
    logging.captureWarnings(False)
    root.handlers, root.level = before


def test_warnings_and_errors_become_lines(route: Route) -> None:
    routed = route()
    context = RequestContext(request_id="req_1")
    with entered(context):
        logging.getLogger("sqlalchemy.pool").warning("connection %s is %d s old", "c1", 9)
    logging.getLogger("some.library").critical("gone")
    logging.getLogger("some.library").info("chatter")
    first, second = routed.lines
    assert (first["level"], first["event"], first["logger"]) == (
        "warning",
        "connection c1 is 9 s old",
        "sqlalchemy.pool",
    )
    assert (first["trace_id"], first["request_id"]) == (context.trace_id, "req_1")
    assert (second["level"], second["event"]) == ("error", "gone")


def test_a_chatty_library_stays_quiet(route: Route) -> None:
    routed = route()
    logger = logging.getLogger("chatty.library")
    logger.setLevel(logging.DEBUG)
    try:
        logger.info("chatter")
    finally:
        logger.setLevel(logging.NOTSET)
    assert routed.lines == []


def test_an_exception_keeps_its_stack(route: Route) -> None:
    routed = route()
    try:
        raise LookupError("no such size")
    except LookupError:
        logging.getLogger("some.library").exception("failed")
    (line,) = routed.lines
    assert (line["error"], line["detail"]) == ("LookupError", "no such size")
    assert "Traceback" in line["stack"]


def test_a_librarys_mistake_is_a_line_too(route: Route) -> None:
    routed = route()
    logging.getLogger("some.library").warning("%d rows", "many")
    assert routed.lines[0]["event"] == "%d rows"


def test_percent_signs_and_braces_are_taken_as_they_are(route: Route) -> None:
    routed = route()
    logging.getLogger("some.library").warning("100 %s of {this}")
    assert routed.lines[0]["event"] == "100 %s of {this}"


def test_a_task_that_nobody_awaited_is_a_line(route: Route) -> None:
    routed = route()

    async def fails() -> None:
        raise LookupError("no such size")

    async def forgets() -> None:
        task = asyncio.ensure_future(fails())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task

    asyncio.run(forgets())
    assert [(line["logger"], line["error"]) for line in routed.lines] == [("asyncio", "LookupError")]


@pytest.mark.filterwarnings("always::RuntimeWarning")
def test_warnings_of_python_are_lines(route: Route) -> None:
    routed = route()
    warnings.warn("coroutine was never awaited", RuntimeWarning, stacklevel=1)
    (line,) = routed.lines
    assert (line["level"], line["logger"]) == ("warning", "py.warnings")
    assert "RuntimeWarning: coroutine was never awaited" in line["event"]


def test_routing_twice_writes_once(route: Route) -> None:
    routed = route()
    route_library_logs(make_logger("info", routed.stream))
    logging.getLogger("some.library").warning("once")
    assert len(routed.lines) == 1
