"""The console's pages, empty and full, through the whole stack."""

import re
from html.parser import HTMLParser

import pytest

from groundplan.integrations.mail.port import Message
from tests.console.conftest import HANDLER, House
from tests.console.samples import request, trace_id_of

pytestmark = pytest.mark.anyio

PAGES = ["", "/requests", "/logs", "/events", "/queue", "/dead-letters", "/idempotency-keys", "/inbox", "/faults"]


class _Checks(HTMLParser):
    """Ids once each; what refers to one finds it; nothing that the content security policy would drop."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.meant: list[str] = []
        self.dropped: list[str] = []
        self.nameless: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if identity := found.get("id"):
            self.ids.append(identity)
        for name in ("for", "aria-labelledby", "aria-describedby"):
            self.meant += (found.get(name) or "").split()
        if tag == "script" and not found.get("nonce"):
            self.dropped.append(self.get_starttag_text() or "")
        if any(name == "style" or name.startswith("on") for name in found):
            self.dropped.append(self.get_starttag_text() or "")
        typed = tag in ("input", "select", "textarea") and found.get("type") != "hidden"
        if typed and not (found.get("id") or found.get("aria-label")):
            self.nameless.append(self.get_starttag_text() or "")


def check(text: str) -> None:
    """Raises AssertionError naming what is wrong with the page."""
    checks = _Checks()
    checks.feed(text)
    assert sorted(set(checks.ids)) == sorted(checks.ids)
    assert set(checks.meant) <= set(checks.ids)
    assert not checks.dropped
    assert not checks.nameless
    assert "<html lang=" in text
    assert 'id="main"' in text


async def fetch(house: House, path: str, status: int = 200) -> str:
    page = await house.operator.get(path)
    assert page.status_code == status, page.text[:2000]
    check(page.text)
    return page.text


@pytest.mark.parametrize("path", PAGES)
async def test_an_empty_console_says_what_there_is_not(house: House, path: str) -> None:
    text = await fetch(house, f"/console{path}")
    assert 'aria-current="page"' in text


async def test_a_full_console(house: House) -> None:
    await house.dead_letter()
    house.keep(request(1, path="/checkout", method="POST", wrote=True), inside=["API", "SQL"])
    sent = await house.services.mail.send(Message(to="a@n.example", subject="<i>Hi</i>", text="<b>"), key="k")
    for path in [*PAGES, f"/inbox/{sent.id}", f"/traces/{trace_id_of(1)}"]:
        text = await fetch(house, f"/console{path}")
        assert re.search(r'class="count">1<', text), path
        assert "<i>Hi" not in text


async def test_what_needs_a_person_is_on_the_map(house: House) -> None:
    assert "Nothing" in await fetch(house, "/console")
    letter = await house.dead_letter()
    await house.operator.post("/console/faults/orders.spoil-receipt", data={"on": "yes"})
    text = await fetch(house, "/console")
    assert f"/console/dead-letters/{letter}" in text
    assert "A fault is on" in text


async def test_the_consoles_own_requests_do_not_hide_the_others(house: House) -> None:
    house.keep(request(1, path="/checkout"))
    house.telemetry.requests([request(number, path="/console") for number in range(2, 700)])
    assert house.telemetry.flush()
    text = await fetch(house, "/console/requests")
    assert "GET /checkout" in text
    assert "GET /console<" not in text
    assert "Older requests" not in text
    assert "Older requests" in await fetch(house, "/console/requests?own=on")


@pytest.mark.parametrize("kept", [99, 100, 101])
async def test_older_requests_follow_without_a_gap_and_end(house: House, kept: int) -> None:
    house.telemetry.requests([request(number, path=f"/p{number}-") for number in range(kept)])
    assert house.telemetry.flush()
    seen: list[str] = []
    path = "/console/requests?status=2"
    for _ in range(-(-kept // 50)):
        assert path
        text = await fetch(house, path)
        seen += re.findall(r"GET /(p\d+)-", text)
        older = re.search(r'href="([^"]+)">Older', text)
        path = older[1].replace("&amp;", "&") if older else ""
    assert seen == [f"p{number}" for number in reversed(range(kept))]
    assert path == ""


async def test_a_trace_shows_its_steps_and_the_one_that_was_chosen(house: House) -> None:
    done = request(1, method="POST", path="/checkout", wrote=True)
    house.keep(done, inside=["API", "SQL"], error="Boom: <script>")
    address = f"/console/traces/{done.trace_id}"
    text = await fetch(house, address)
    assert re.findall(r'wf-kind">(\w+)<', text) == ["Web", "API", "SQL"]
    assert "Boom: &lt;script&gt;" in text
    chosen = await fetch(house, f"{address}?span={done.span_id}")
    assert f'href="?span={done.span_id}#step" aria-current="true"' in chosen


async def test_a_trace_without_steps_says_why(house: House) -> None:
    house.telemetry.requests([request(1)])
    assert house.telemetry.flush()
    assert "Steps not kept" in await fetch(house, f"/console/traces/{trace_id_of(1)}")


@pytest.mark.parametrize("path", ["/traces/none", "/inbox/none", f"/dead-letters/{'0' * 8}-0000-7000-8000-{'0' * 12}"])
async def test_what_is_not_there_is_a_page_that_says_so(house: House, path: str) -> None:
    await fetch(house, f"/console{path}", 404)


@pytest.mark.parametrize("query", ["status=9", "role=x", "before_us=x", f"q={'x' * 201}", "level=loud"])
async def test_filters_that_make_no_sense_are_refused(house: House, query: str) -> None:
    path = "/console/logs" if query.startswith("level") else "/console/requests"
    assert (await house.operator.get(f"{path}?{query}")).status_code == 400


async def test_a_fault_is_switched_and_audited(house: House) -> None:
    for state in ("yes", "no"):
        done = await house.operator.post("/console/faults/orders.spoil-receipt", data={"on": state})
        assert (done.status_code, done.headers["location"]) == (303, "/console/faults")
    assert await house.audited() == [("fault.set", "operator@n.example")] * 2
    assert (await house.operator.post("/console/faults/none", data={"on": "yes"})).status_code == 404


async def test_the_queue_shows_what_waits(house: House) -> None:
    letter = await house.dead_letter()
    async with house.services.database.transaction(None) as transaction:
        await house.dead_letters.replay(transaction, letter)
    text = await fetch(house, "/console/queue")
    assert HANDLER in text
    assert "1 message" in text
