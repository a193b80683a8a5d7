"""A message that gave up is mended, replayed or dropped: by form, as JSON and over the API, and audited."""

import json
from typing import Any
from uuid import UUID

import pytest

from tests.console.conftest import House
from tests.console.test_pages import check

pytestmark = pytest.mark.anyio
OPERATOR = "operator@n.example"


async def send(house: House, letter: UUID, act: str, **form: str) -> Any:
    return await house.operator.post(f"/console/dead-letters/{letter}/{act}", data=form)


async def payload(house: House, letter: UUID) -> dict[str, Any]:
    found = await house.dead_letters.get(letter)
    return dict(found.payload)


def fields(values: dict[str, Any], **changes: str) -> dict[str, str]:
    """The form as the page renders it, with ``changes`` typed in."""
    return {f"field.{name}": changes.get(name, str(value)) for name, value in values.items()}


async def test_the_list_says_which_why_whose_and_where_to_look(house: House) -> None:
    letter = await house.dead_letter()
    page = await house.operator.get("/console/dead-letters")
    check(page.text)
    for words in (str(letter), "Does not fit its schema", "InvalidPayload", 'data-label="Tenant">north<'):
        assert words in page.text
    assert "<b>not</b>" not in page.text


async def test_the_wrong_field_is_marked_and_says_why(house: House) -> None:
    page = await house.operator.get(f"/console/dead-letters/{await house.dead_letter()}")
    check(page.text)
    assert "fails its schema in 1 field" in page.text
    assert page.text.count('aria-invalid="true"') == 1
    assert "this is not an email address" in page.text
    assert "<script>" not in page.text.replace("<script src", "")


async def test_a_corrected_field_is_saved_and_replayed_under_its_own_id(house_on_each_engine: House) -> None:
    house = house_on_each_engine
    letter = await house.dead_letter()
    form = fields(await payload(house, letter), email="mara@n.example")
    done = await send(house, letter, "replay", do="save-replay", **form)
    assert (done.status_code, done.headers["location"]) == (303, "/console/dead-letters?done=replayed")
    (waiting,) = await house.waiting()
    assert UUID(str(waiting.id)) == letter
    assert json.loads(waiting.payload)["email"] == "mara@n.example"
    assert await house.audited() == [("dead-letter.edit", OPERATOR), ("dead-letter.replay", OPERATOR)]


async def test_what_still_does_not_fit_is_shown_at_its_field_and_nothing_happens(house_on_each_engine: House) -> None:
    house = house_on_each_engine
    letter = await house.dead_letter()
    before = await payload(house, letter)
    form = fields(before, email="mara@n.example", total_cents="ten")
    page = await send(house, letter, "replay", do="save-replay", **form)
    assert page.status_code == 422
    check(page.text)
    assert "Nothing was saved or replayed" in page.text
    assert 'value="ten" aria-invalid="true"' in page.text
    assert 'value="mara@n.example"' in page.text
    assert await payload(house, letter) == before
    assert await house.waiting() == []
    assert await house.audited() == []


async def test_a_payload_is_shown_as_it_is_and_never_as_markup(house: House) -> None:
    hostile = '"><script>alert(1)</script>@@'
    letter = await house.dead_letter(email=hostile)
    for view in ("fields", "json"):
        page = await house.operator.get(f"/console/dead-letters/{letter}?view={view}")
        check(page.text)
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert(1)" in page.text


@pytest.mark.parametrize("text", ['{"email":', "[]", '{"email": 7}'])
async def test_json_that_does_not_fit_stays_in_the_editor(house: House, text: str) -> None:
    letter = await house.dead_letter()
    page = await send(house, letter, "replay", do="save-replay", json=text)
    assert page.status_code == 422
    check(page.text)
    assert text.replace('"', "&#34;") in page.text
    assert 'aria-invalid="true"' in page.text


async def test_replay_alone_leaves_the_payload_as_it_is(house: House) -> None:
    letter = await house.dead_letter()
    done = await send(house, letter, "replay", do="replay", **{"field.email": "else@n.example"})
    assert done.status_code == 303
    assert json.loads((await house.waiting())[0].payload)["email"] == "mara@@n.example"
    assert await house.audited() == [("dead-letter.replay", OPERATOR)]


async def test_dropping_takes_a_reason(house_on_each_engine: House) -> None:
    house = house_on_each_engine
    letter = await house.dead_letter()
    page = await send(house, letter, "drop", reason=" a ")
    assert page.status_code == 400
    check(page.text)
    assert "at least 3 characters" in page.text
    assert (await house.dead_letters.count(), await house.audited()) == (1, [])
    done = await send(house, letter, "drop", reason="a test order")
    assert done.headers["location"] == "/console/dead-letters?done=dropped"
    assert (await house.dead_letters.count(), await house.audited()) == (0, [("dead-letter.drop", OPERATOR)])


async def test_the_api_edits_without_replaying_and_keeps_the_first_payload(house_on_each_engine: House) -> None:
    house = house_on_each_engine
    letter = await house.dead_letter()
    first = await payload(house, letter)
    address = f"/api/v1/console/dead-letters/{letter}"
    refused = await house.operator.put(f"{address}/payload", json={"payload": first})
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/email"]
    done = await house.operator.put(f"{address}/payload", json={"payload": first | {"email": "mara@n.example"}})
    assert done.status_code == 200
    found = (await house.operator.get(address)).json()
    assert found["dead_letter"]["original_payload"] == first
    assert found["dead_letter"]["edited_by"] == OPERATOR
    assert [field["problem"] for field in found["fields"]] == [""] * len(first)
    changes = await house.operator.get(f"/console/dead-letters/{letter}?view=changes")
    check(changes.text)
    assert "mara@@n.example" in changes.text


@pytest.mark.parametrize(("act", "form"), [("replay", {"do": "replay"}), ("drop", {"reason": "a second click"})])
async def test_a_second_click_says_that_it_is_gone(house: House, act: str, form: dict[str, str]) -> None:
    letter = await house.dead_letter()
    await send(house, letter, act, **form)
    again = await send(house, letter, act, **form)
    assert (again.status_code, again.headers["location"]) == (303, "/console/dead-letters?done=gone")
    assert "Gone already" in (await house.operator.get(again.headers["location"])).text
    assert len(await house.audited()) == 1


async def test_filters_narrow_and_the_total_stays(house: House) -> None:
    await house.dead_letter()
    await house.dead_letter(reason="exhausted")
    answer = (await house.operator.get("/api/v1/console/dead-letters?reason=exhausted")).json()
    assert [len(answer["items"]), answer["total"]] == [1, 2]
    assert (answer["tenants"], answer["items"][0]["tenant"]) == (["north"], "north")
    none = await house.operator.get("/console/dead-letters?handler=nobody")
    check(none.text)
    assert "No message matches" in none.text
