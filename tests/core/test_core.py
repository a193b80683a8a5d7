"""Ids, traces, retries, redaction, seals: small things that everything leans on."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundplan.core.context import (
    RequestContext,
    changed,
    current,
    entered,
    parse_traceparent,
    refuse_open_transaction,
)
from groundplan.core.errors import TransactionOpen
from groundplan.core.ids import uuid7
from groundplan.core.redaction import HIDDEN, redact, redact_url
from groundplan.core.retry import Retry
from groundplan.core.sealed import Seal


def test_uuid7_is_in_order_of_time() -> None:
    ids = [uuid7(milliseconds) for milliseconds in (1, 2, 1_700_000_000_000)]
    assert ids == sorted(ids)
    assert {(each.version, each.variant) for each in ids} == {(7, "specified in RFC 4122")}
    assert len({uuid7() for _ in range(1000)}) == 1000


def test_a_traceparent_goes_there_and_back() -> None:
    context = RequestContext()
    assert parse_traceparent(context.traceparent) == (context.trace_id, context.span_id)


@given(st.one_of(st.none(), st.text(), st.from_regex(r"[0-9a-f-]{50,60}")))
def test_any_header_is_a_traceparent_or_none(header: str | None) -> None:
    parsed = parse_traceparent(header)
    assert parsed is None or [len(part) for part in parsed] == [32, 16]


@pytest.mark.parametrize(
    "header", ["00-" + "0" * 32 + "-" + "1" * 16 + "-01", "ff-" + "1" * 32 + "-" + "1" * 16 + "-01"]
)
def test_what_the_standard_forbids_is_none(header: str) -> None:
    assert parse_traceparent(header) is None


def test_contexts_nest_and_come_back() -> None:
    assert current() is None
    with entered(RequestContext(request_id="a")) as outer:
        with changed(request_id="b") as inner:
            assert current() is inner and inner.trace_id == outer.trace_id and inner.spans is outer.spans
        assert current() is outer
    assert current() is None


def test_nothing_outside_is_called_in_a_transaction() -> None:
    refuse_open_transaction("mail")
    with changed(in_transaction=True), pytest.raises(TransactionOpen, match="mail"):
        refuse_open_transaction("mail")


class Highest:
    def uniform(self, a: float, b: float, /) -> float:
        return b


@given(st.integers(1, 10_000), st.floats(0.001, 100), st.floats(0.001, 1000))
def test_a_retry_waits_no_longer_than_its_cap(attempt: int, base: float, cap: float) -> None:
    retry = Retry(base=base, cap=cap)
    assert 0 <= retry.delay(attempt, Highest()) <= cap
    assert retry.limit(1) == min(base, cap)


def test_secrets_are_hidden_at_any_depth() -> None:
    shown = redact(
        {"password": "p", "list": [{"api_key": "k", "name": "n"}], "Authorization": "Bearer x", "empty_token": ""}
    )
    assert shown == {
        "password": HIDDEN,
        "list": [{"api_key": HIDDEN, "name": "n"}],
        "Authorization": HIDDEN,
        "empty_token": "",
    }
    assert redact_url("postgresql://user:pass@host/db") == f"postgresql://user:{HIDDEN}@host/db"
    assert redact_url("not a url") == "not a url"


class Sealed(msgspec.Struct, frozen=True):
    text: str


@given(st.text(), st.data())
def test_a_seal_holds(text: str, data: Any) -> None:
    seal = Seal(b"key")
    sealed = seal.close(Sealed(text))
    assert seal.open(sealed, Sealed) == Sealed(text)
    position = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != sealed[position]))
    changed_text = sealed[:position] + other + sealed[position + 1 :]
    with suppress(ValueError):
        assert seal.open(changed_text, Sealed) == Sealed(text), "only padding bits may differ unnoticed"
    with pytest.raises(ValueError):
        Seal(b"other key").open(sealed, Sealed)


@given(st.text())
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Seal(b"key").open(text, Sealed)
