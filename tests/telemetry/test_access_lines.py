"""One line per request or handler: JSON for machines, a short one for a person at a terminal."""

import json
import os
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest

from groundplan.telemetry import AccessLines
from groundplan.telemetry.access import FLUSH_LINES
from groundplan.testing.app import until
from tests.telemetry.kept import START, request

DONE_AT = datetime.fromtimestamp(START / 1_000_000, UTC) + timedelta(microseconds=5_250)


def test_a_line_is_one_json_object_with_the_keys_of_a_log_line() -> None:
    out = StringIO()
    AccessLines(out).write(request(path='/search/"\n{"level":"error"}'))
    (line,) = out.getvalue().splitlines()
    assert json.loads(line) == {
        "time": f"{DONE_AT:%Y-%m-%dT%H:%M:%S.%f}Z",
        "level": "info",
        "event": "api",
        "role": "api",
        "trace_id": "a" * 32,
        "span_id": "b" * 16,
        "request_id": "req_1",
        "user_id": "u1",
        "tenant": "northside",
        "method": "GET",
        "path": '/search/"\n{"level":"error"}',
        "route": "/api/v1/orders/{order_id}",
        "status": 200,
        "duration_ms": 5.25,
    }


def test_a_failure_is_an_error_and_says_what() -> None:
    out = StringIO()
    AccessLines(out).write(request(status=500, error="ValueError: x"))
    line = json.loads(out.getvalue())
    assert (line["level"], line["status"], line["error"]) == ("error", 500, "ValueError: x")


def test_a_line_for_people_is_one_line_and_harmless_to_a_terminal() -> None:
    out = StringIO()
    AccessLines(out, pretty=True).write(request(path="/\x1b[2J\nfake", status=503, error="Unavailable: full"))
    assert out.getvalue() == f"{DONE_AT:%H:%M:%S} api    503     5.2 ms  GET /\\x1b[2J\\nfake  Unavailable: full\n"


def test_a_stream_that_is_gone_does_not_fail_the_request() -> None:
    closed = StringIO()
    closed.close()
    AccessLines(closed).write(request())
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", closefd=False) as broken:
        AccessLines(broken).write(request())
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)
    os.close(writing)


def test_a_path_that_is_no_text_is_written_all_the_same() -> None:
    out = StringIO()
    AccessLines(out).write(request(path="/\ud800"))
    assert json.loads(out.getvalue())["path"] == "/?"


@pytest.mark.anyio
async def test_lines_are_written_together_and_none_is_left_behind() -> None:
    out = StringIO()
    lines = AccessLines(out)
    for _ in range(3):
        lines.write(request())
    assert out.getvalue() == "", "they wait for each other"
    await until(lambda: out.getvalue().count("\n") == 3)
    lines.write(request())
    await lines.close()
    assert out.getvalue().count("\n") == 4
    for _ in range(FLUSH_LINES):
        lines.write(request())
    assert out.getvalue().count("\n") == 4 + FLUSH_LINES, "so many are written at once"
