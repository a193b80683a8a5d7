"""The span of one block: its times, its place among others, and that it is never in the way of the work."""

import asyncio
import time

import pytest

from groundplan.core.context import RequestContext, current, entered, parse_traceparent
from groundplan.telemetry import SpanRecord, record, span
from groundplan.telemetry.spans import MOST_SPANS


def by_name(context: RequestContext) -> dict[str, SpanRecord]:
    return {found.name: found for found in context.spans}


def test_spans_are_children_of_the_one_they_were_made_in() -> None:
    with entered(RequestContext(request_id="req_1", role="api")) as context:
        with span("API", "outer"):
            with span("SQL", "first", "sql"):
                pass
            with span("SQL", "second", "sql"):
                pass
        assert current() is context
    spans = by_name(context)
    assert list(spans) == ["first", "second", "outer"]
    assert spans["outer"].parent_id == context.span_id
    assert spans["first"].parent_id == spans["second"].parent_id == spans["outer"].span_id
    assert len({found.span_id for found in context.spans} | {context.span_id}) == 4
    assert {(s.trace_id, s.request_id, s.role) for s in context.spans} == {(context.trace_id, "req_1", "api")}
    assert (spans["first"].component, spans["first"].shape, spans["outer"].shape) == ("SQL", "sql", "work")


def test_a_span_lies_between_the_times_around_it() -> None:
    before = time.time_ns() // 1000
    with entered(RequestContext()) as context, span("Web", "page"):
        time.sleep(0.002)
    assert before <= context.spans[0].start_us <= time.time_ns() // 1000
    assert context.spans[0].duration_us >= 2_000


def test_attributes_are_those_given_and_those_added() -> None:
    with entered(RequestContext()) as context, span("Cache", "GET x", tier="local") as reading:
        reading.set(hit=True, bytes=12)
    assert context.spans[0].attributes == {"tier": "local", "hit": True, "bytes": 12}


def test_work_started_elsewhere_names_this_span_as_its_parent() -> None:
    with entered(RequestContext()) as context, span("Payments", "open", "out") as calling:
        assert parse_traceparent(calling.traceparent) == (context.trace_id, calling.span_id)
    assert context.spans[0].span_id == calling.span_id


def test_an_exception_is_recorded_and_goes_on() -> None:
    with entered(RequestContext()) as context:
        with pytest.raises(ValueError, match="no such size"), span("API", "outer"), span("SQL", "inner"):
            raise ValueError("no such size")
        assert current() is context
    assert [found.error for found in context.spans] == ["ValueError: no such size"] * 2


def test_a_failure_said_in_words_stands_before_the_exception() -> None:
    with entered(RequestContext()) as context, pytest.raises(OSError), span("Mail", "send") as sending:
        sending.fail("421 try later")
        raise OSError("closed")
    assert context.spans[0].error == "421 try later"


def test_an_exception_that_cannot_say_what_it_is_goes_on_as_itself() -> None:
    class Speechless(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no words")

    with entered(RequestContext()) as context, pytest.raises(Speechless), span("API", "get"):
        raise Speechless
    assert context.spans[0].error == "Speechless"


def test_outside_any_request_nothing_happens() -> None:
    with span("API", "get") as here:
        here.set(x=1)
        assert (here.span_id, here.traceparent, current()) == ("", "", None)
    record("Queue", "wait", "wait", 1, 2)
    with pytest.raises(ValueError, match="as ever"), span("API", "get"):
        raise ValueError("as ever")


def test_a_finished_span_can_be_added() -> None:
    with entered(RequestContext()) as context:
        record("Queue", "wait", "wait", 10, 20, attempt=2)
        record("Worker", "run", "work", 30, 40, span_id=context.span_id, parent_id="c" * 16, error="ValueError: x")
    waited, ran = context.spans
    assert (waited.parent_id, waited.start_us, waited.duration_us, waited.attributes) == (
        context.span_id, 10, 20, {"attempt": 2},
    )  # fmt: skip
    assert (ran.span_id, ran.parent_id, ran.error) == (context.span_id, "c" * 16, "ValueError: x")


@pytest.mark.anyio
async def test_tasks_at_the_same_time_do_not_become_each_others_parents() -> None:
    async def work(name: str, entered_both: asyncio.Barrier) -> None:
        with span("API", name):
            await entered_both.wait()
            with span("SQL", f"{name}'s statement"):
                await entered_both.wait()

    both = asyncio.Barrier(2)
    with entered(RequestContext()) as context, span("Web", "page"):
        await asyncio.gather(work("a", both), work("b", both))
    spans = by_name(context)
    assert spans["a"].parent_id == spans["b"].parent_id == spans["page"].span_id
    assert spans["a's statement"].parent_id == spans["a"].span_id
    assert spans["b's statement"].parent_id == spans["b"].span_id


def test_a_thread_of_the_request_records_into_it() -> None:
    def work() -> None:
        with span("Objects", "read"):
            pass

    async def page() -> None:
        await asyncio.to_thread(work)

    with entered(RequestContext()) as context:
        asyncio.run(page())
    assert [found.name for found in context.spans] == ["read"]


def test_too_many_spans_are_counted_and_the_requests_own_is_there() -> None:
    with entered(RequestContext()) as context:
        for number in range(MOST_SPANS + 7):
            with span("SQL", f"{number}"):
                pass
        record("SQL", "one more", "sql", 1, 2)
        assert len(context.spans) == MOST_SPANS
        assert context.spans[-1].attributes == {"spans_dropped": 8}
        record("Web", "GET /", "work", 1, 2, span_id=context.span_id, parent_id="", status=200)
    assert len(context.spans) == MOST_SPANS + 1
    assert context.spans[-1].attributes == {"status": 200, "spans_dropped": 8}
    assert all("spans_dropped" not in found.attributes for found in context.spans[:-1])
