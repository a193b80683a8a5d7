"""Log lines: complete, without secrets, copied to the sinks, and never a reason for the work to fail."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.core.context import RequestContext, entered
from groundplan.telemetry import make_logger
from tests.telemetry.kept import Kept

USER = UUID(int=7)


class Written:
    def __init__(self, level: str = "info", *, pretty: bool = False) -> None:
        self.stream = StringIO()
        self.kept = Kept()
        self.log = make_logger(level, self.stream, [self.kept], pretty=pretty)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().split("\n") if line]


@pytest.fixture
def context() -> RequestContext:
    return RequestContext(request_id="req_1", role="worker", tenant="northside", user_id=USER)


class Card(msgspec.Struct):
    number: str
    api_key: str


@dataclass
class Account:
    email: str
    password: str


def test_a_line_has_the_ids_of_the_request_and_the_fields(context: RequestContext) -> None:
    written = Written()
    with entered(context):
        written.log.info("order placed", order=12, at=datetime(2026, 1, 2, tzinfo=UTC), total=Decimal("1.20"))
    (line,) = written.lines
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("time"))
    assert line == {
        "level": "info",
        "event": "order placed",
        "role": "worker",
        "trace_id": context.trace_id,
        "span_id": context.span_id,
        "request_id": "req_1",
        "user_id": str(USER),
        "tenant": "northside",
        "order": 12,
        "at": "2026-01-02T00:00:00Z",
        "total": "1.20",
    }


def test_a_line_outside_any_request_has_no_ids() -> None:
    written = Written()
    written.log.warning("ready", role="api", port=8080)
    (line,) = written.lines
    assert list(line) == ["time", "level", "event", "role", "port"]
    assert written.kept.lines[0].role == "api"


def test_bound_fields_are_on_every_line() -> None:
    written = Written()
    log = written.log.bind(handler="orders.send_receipt")
    log.info("one")
    log.info("two")
    assert [line["handler"] for line in written.lines] == ["orders.send_receipt"] * 2


def test_a_field_cannot_pass_for_one_of_the_lines_own(context: RequestContext) -> None:
    written = Written()
    with entered(context):
        written.log.info("sent", level="error", time="never", trace_id="other", role="admin")
    (line,) = written.lines
    assert (line["level"], line["role"], line["trace_id"]) == ("info", "worker", context.trace_id)
    assert (line["level_"], line["time_"], line["trace_id_"], line["role_"]) == ("error", "never", "other", "admin")


@pytest.mark.parametrize(("level", "shown"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_lines_below_the_level_are_not_written(level: str, shown: int) -> None:
    written = Written(level)
    written.log.debug("a")
    written.log.info("b")
    written.log.warning("c")
    written.log.error("d")
    assert len(written.lines) == len(written.kept.lines) == shown


def test_critical_is_shown_among_the_errors() -> None:
    written = Written()
    written.log.critical("out of disk")
    assert (written.lines[0]["level"], written.kept.lines[0].level) == ("error", "error")


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "hunter2"},
        {"headers": {"Authorization": "Bearer hunter2", "accept": "*/*"}},
        {"tries": [{"refresh_token": "hunter2"}]},
        {"card": Card("4242", "hunter2")},
        {"accounts": (Account("a@b.example", "hunter2"),)},
        {"session_cookie": b"hunter2"},
        {"client_secret": "hunter2\ud800"},
        {"fine": "\ud800", "card": Card("4242", "hunter2")},
    ],
)
def test_secrets_are_hidden_at_any_depth(fields: dict[str, Any]) -> None:
    for pretty in (False, True):
        written = Written(pretty=pretty)
        written.log.info("got", **fields)
        for shown in (written.stream.getvalue(), str(written.kept.lines[0].fields)):
            assert "[hidden]" in shown
            assert "hunter2" not in shown
            assert "aHVudGVyMg==" not in shown


def test_what_is_logged_is_not_changed() -> None:
    fields = {"headers": {"cookie": "c"}, "list": [1, {"token": "t"}]}
    Written().log.info("got", **fields)
    assert fields == {"headers": {"cookie": "c"}, "list": [1, {"token": "t"}]}


@pytest.mark.parametrize("form", ["exception", "true", "instance", "tuple"])
def test_an_exception_is_its_class_words_and_stack(form: str) -> None:
    written = Written()
    try:
        raise LookupError("no such size")
    except LookupError as error:
        if form == "exception":
            written.log.exception("failed")
        else:
            forms = {"true": True, "instance": error, "tuple": sys.exc_info()}
            written.log.error("failed", exc_info=forms[form])
    (line,) = written.lines
    assert (line["level"], line["error"], line["detail"]) == ("error", "LookupError", "no such size")
    assert "test_an_exception_is_its_class_words_and_stack" in line["stack"]
    assert "exc_info" not in line


def test_no_exception_in_hand_is_no_fields() -> None:
    written = Written()
    written.log.error("failed", exc_info=True)
    assert list(written.lines[0]) == ["time", "level", "event"]


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


def cyclic() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["self"] = found
    return found


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("\ud800 half", "? half"),
        (Unspeakable(), "[Unspeakable]"),
        (cyclic(), "[dict]"),
        ({("a", 1): 2}, "[dict]"),
        ({1: 2}, {"1": 2}),
        (10**400, 10**400),
        (float("nan"), None),
        ({3}, [3]),
        (None, None),
    ],
)
def test_any_value_can_be_logged_beside_others(value: Any, shown: Any) -> None:
    written = Written()
    written.log.info("got", value=value, other=1)
    (line,) = written.lines
    assert (line["value"], line["other"]) == (shown, 1)


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary() | st.uuids(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(st.characters()), st.dictionaries(st.text(st.characters()).filter(lambda n: n != "event"), JSON_LIKE))
def test_every_event_is_one_line_of_json(event: str, fields: dict[str, Any]) -> None:
    written = Written()
    written.log.info(event, **{f"x{name}": value for name, value in fields.items()})
    assert len(written.lines) == 1
    assert len(written.kept.lines) == 1


def test_sinks_get_the_line_as_data(context: RequestContext) -> None:
    written = Written()
    with entered(context):
        written.log.warning("slow", ms=812)
    (line,) = written.kept.lines
    assert line._replace(at_us=0) == (
        0, "warning", "worker", "slow", context.trace_id, context.span_id, "req_1", "northside", str(USER), {"ms": 812},
    )  # fmt: skip


def test_a_stream_that_is_gone_is_no_reason_to_fail() -> None:
    closed = StringIO()
    kept = Kept()
    log = make_logger("info", closed, [kept])
    closed.close()
    log.info("still running")
    assert [line.event for line in kept.lines] == ["still running"]


def test_a_reader_that_went_away_does_not_stop_the_process(tmp_path: Path) -> None:
    program = tmp_path / "logs.py"
    done = tmp_path / "done"
    program.write_text(
        "import pathlib, sys\n"
        "from groundplan.telemetry import make_logger\n"
        "log = make_logger('info')\n"
        "log.info('first')\n"
        "sys.stdin.readline()\n"
        "for number in range(100): log.info('on', number=number)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
    )
    process = subprocess.Popen(
        [sys.executable, program, done],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "first"
    process.stdout.close()
    process.communicate(b"\n", timeout=60)
    assert done.exists()


def test_a_line_for_people(context: RequestContext) -> None:
    written = Written(pretty=True)
    with entered(context):
        written.log.warning("slow\x1b[2J", ms=812)
    line = written.stream.getvalue()
    ids = f"\x1b[2m{context.trace_id} req_1\x1b[0m"
    assert re.fullmatch(r"\d\d:\d\d:\d\d worker warning slow\\x1b\[2J  ms=812  ", line.removesuffix(f"{ids}\n"))


def test_a_stack_for_people_has_its_lines() -> None:
    written = Written(pretty=True)
    try:
        raise LookupError("no such size")
    except LookupError:
        written.log.exception("failed")
    first, *stack = written.stream.getvalue().splitlines()
    assert first.endswith("failed  error=LookupError detail=no such size")
    assert stack[0] == "Traceback (most recent call last):"
    assert stack[-1] == "LookupError: no such size"
