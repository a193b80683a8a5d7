"""The waterfall: every span once, inside the drawing, in the order that it was caused."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from groundplan.console.views import SpanView
from groundplan.console.waterfall import IDLE_US, draw

START = 1_760_000_000_000_000


def span(
    span_id: str, start_ms: float, ms: float, parent: str = "", *, role: str = "web", shape: str = "work"
) -> SpanView:
    return SpanView(
        trace_id="t",
        span_id=span_id,
        parent_id=parent,
        request_id="r",
        role=role,
        component="API",
        name=span_id,
        shape=shape,
        start_us=START + int(start_ms * 1000),
        duration_us=int(ms * 1000),
        error="",
        attributes={},
    )


def test_nothing_is_drawn_of_no_spans() -> None:
    assert draw([]).rows == []


def test_children_follow_their_parent_one_step_in() -> None:
    drawn = draw([span("sql", 20, 10, "api"), span("web", 0, 100), span("api", 10, 80, "web")])
    assert [(row.span.span_id, row.depth) for row in drawn.rows] == [("web", 0), ("api", 1), ("sql", 2)]
    assert [(row.x, row.width) for row in drawn.rows] == [(0, 100), (10, 80), (20, 10)]


def test_the_axis_has_round_figures_and_names_its_unit() -> None:
    drawn = draw([span("web", 0, 800)])
    assert drawn.unit == "ms"
    assert [(tick.x, tick.label) for tick in drawn.ticks] == [(0, "0"), (25, "200"), (50, "400"), (75, "600")]


def test_work_of_a_worker_stands_on_its_own() -> None:
    drawn = draw(
        [
            span("web", 0, 100),
            span("publish", 50, 5, "web"),
            span("wait", 55, 145, "publish", role="worker", shape="wait"),
            span("handler", 200, 50, "publish", role="worker"),
            span("mail", 210, 30, "handler", role="worker", shape="out"),
        ]
    )
    depths = [(row.span.span_id, row.depth) for row in drawn.rows]
    assert depths == [("web", 0), ("publish", 1), ("wait", 0), ("handler", 0), ("mail", 1)]
    assert drawn.answered is not None
    assert drawn.answered.x == 40


def test_a_long_idle_stretch_is_cut_and_said() -> None:
    drawn = draw([span("web", 0, 100), span("callback", 60_100, 100, "web")])
    web, callback = drawn.rows
    assert callback.pause == "1\N{NO-BREAK SPACE}min without work, not drawn to scale"
    assert web.width == callback.width
    assert web.width > 40
    assert len(drawn.cuts) == 1


def test_a_stretch_is_cut_from_two_seconds_on() -> None:
    assert draw([span("a", 0, 100), span("b", 2_100, 100)]).cuts == []
    assert len(draw([span("a", 0, 100), span("b", 2_101, 100)]).cuts) == 1


def test_long_waiting_counts_as_idle() -> None:
    drawn = draw(
        [span("web", 0, 100), span("wait", 101, 9_899, "web", shape="wait"), span("handler", 10_000, 100, "web")]
    )
    assert next(row.width for row in drawn.rows if row.span.span_id == "wait") < 10
    assert [bool(row.pause) for row in drawn.rows] == [False, True, False]


def test_spans_that_cause_each_other_are_drawn_once() -> None:
    drawn = draw([span("a", 0, 1, "b"), span("b", 0, 1, "a"), span("c", 0, 1, "c")])
    assert sorted(row.span.span_id for row in drawn.rows) == ["a", "b", "c"]


SPANS = st.lists(
    st.builds(
        span,
        st.uuids().map(str),
        st.floats(0, 100_000),
        st.floats(0, 20_000),
        st.sampled_from(["", "elsewhere"]),
        role=st.sampled_from(["web", "api", "worker"]),
        shape=st.sampled_from(["work", "sql", "out", "wait"]),
    ),
    max_size=30,
)


@given(SPANS, st.randoms())
def test_every_span_once_and_inside_the_drawing(spans: list[SpanView], random: Random) -> None:
    parents = [random.choice(["", *(s.span_id for s in spans)]) for _ in spans]
    spans = [structs.replace(each, parent_id=parent) for each, parent in zip(spans, parents, strict=True)]
    drawn = draw(spans)
    assert sorted(row.span.span_id for row in drawn.rows) == sorted(s.span_id for s in spans)
    for row in drawn.rows:
        assert 0 <= row.x <= 100
        assert row.width >= 0
        assert row.x + row.width <= 100.01
    by_start = sorted(drawn.rows, key=lambda row: row.span.start_us)
    assert [row.x for row in by_start] == sorted(row.x for row in by_start)
    assert [tick.x for tick in drawn.ticks] == sorted(tick.x for tick in drawn.ticks)
    assert all(0 <= tick.x <= 100 for tick in drawn.ticks)


@given(SPANS)
def test_only_long_stretches_are_cut(spans: list[SpanView]) -> None:
    drawn = draw(spans)
    assert len(drawn.cuts) <= drawn.total_us // IDLE_US
    assert bool(drawn.cuts) == any(row.pause for row in drawn.rows)
