"""Many dead letters at once: grouped, filtered, replayed at a rate, dropped, by form and over the API, and audited."""

from typing import Any

import pytest

from tests.console.conftest import HANDLER, House
from tests.console.dead_letters.test_pages import OPERATOR
from tests.console.test_pages import check

pytestmark = pytest.mark.anyio
API = "/api/v1/console/dead-letters"


async def post(house: House, act: str, body: Any) -> Any:
    return await house.operator.post(f"{API}/{act}", json=body)


async def test_groups_count_what_failed_alike(house_on_each_engine: House) -> None:
    house = house_on_each_engine
    for reason in ("invalid", "invalid", "exhausted"):
        await house.dead_letter(reason=reason)
    (both,) = (await house.operator.get(f"{API}/groups")).json()
    assert (both["handler"], both["error"], both["count"]) == (HANDLER, "InvalidPayload", 3)
    by_reason = (await house.operator.get(f"{API}/groups?by=reason&tenant=north")).json()
    assert [(group["reason"], group["count"]) for group in by_reason] == [("invalid", 2), ("exhausted", 1)]
    for wrong in ("by=colour", "tenant=nobody", "since=yesterday", "reason=fun"):
        refused = await house.operator.get(f"{API}/groups?{wrong}")
        assert refused.status_code == 400 and refused.json()["errors"], wrong


async def test_a_group_is_replayed_at_a_rate(house_on_each_engine: House) -> None:
    house = house_on_each_engine
    for _ in range(3):
        await house.dead_letter()
    await house.dead_letter(reason="exhausted")
    done = await post(house, "replay", {"which": {"reason": "invalid"}, "rate": 0.5})
    assert done.json() == {"count": 3, "left": 0}
    due = [row.run_at for row in await house.due()]
    assert [round((after - due[0]) / 1_000_000) for after in due] == [0, 2, 4], "one every other second"
    assert [row.action for row in await house.audit_rows()] == ["dead-letters.replay"]
    assert await house.dead_letters.count() == 1


async def test_nothing_chosen_is_not_everything(house: House) -> None:
    await house.dead_letter()
    for act, more in (("replay", {}), ("drop", {"reason": "a test"})):
        refused = await post(house, act, {"which": {}} | more)
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (400, "/which")
    assert (await house.dead_letters.count(), await house.audited()) == (1, [])
    done = await post(house, "drop", {"which": {"everything": True}, "reason": "a test"})
    assert done.json() == {"count": 1, "left": 0}
    assert await house.audited() == [("dead-letters.drop", OPERATOR)]


@pytest.mark.parametrize(
    "body",
    [
        {"which": {"ids": []}},
        {"which": {"handler": "x", "colour": "red"}},
        {"which": {"handler": "x"}, "rate": 0},
        {"which": {"handler": "x"}, "rate": 1e9},
        {"which": {"ids": ["nonsense"]}},
        {},
    ],
)
async def test_what_makes_no_sense_is_refused(house: House, body: Any) -> None:
    await house.dead_letter()
    refused = await post(house, "replay", body)
    assert refused.status_code == 400 and refused.headers["content-type"] == "application/problem+json"
    assert await house.dead_letters.count() == 1


async def test_the_boxes_that_were_ticked_are_replayed(house: House) -> None:
    letters = [await house.dead_letter() for _ in range(3)]
    page = await house.operator.get("/console/dead-letters")
    check(page.text)
    assert all(f'name="id.{letter}"' in page.text for letter in letters)
    chosen = {f"id.{letter}": "on" for letter in letters[:2]}
    done = await house.operator.post("/console/dead-letters/replay", data=chosen | {"rate": "10"})
    assert done.headers["location"] == "/console/dead-letters?done=replayed&count=2&left=0"
    told = await house.operator.get(done.headers["location"])
    check(told.text)
    assert "2 messages are in the queue again" in told.text
    assert await house.dead_letters.count() == 1
    none = await house.operator.post("/console/dead-letters/replay", data={"rate": "10"})
    assert none.status_code == 400


async def test_the_page_of_groups_acts_on_one_of_them(house: House) -> None:
    await house.dead_letter()
    await house.dead_letter(reason="exhausted")
    page = await house.operator.get("/console/dead-letters/groups?by=handler,error,tenant,reason")
    check(page.text)
    for words in (HANDLER, "InvalidPayload", "north", "Does not fit its schema", "Attempts used up"):
        assert words in page.text
    group = {"handler": HANDLER, "reason": "exhausted"}
    done = await house.operator.post("/console/dead-letters/drop", data=group | {"because": "test orders"})
    assert done.headers["location"] == "/console/dead-letters?done=dropped&count=1&left=0"
    assert (await house.audit_rows())[0].detail.count("test orders") == 1
    refused = await house.operator.post("/console/dead-letters/drop", data=group | {"because": ""})
    assert refused.status_code == 400
    assert "No message matches" in (await house.operator.get("/console/dead-letters/groups?handler=nobody")).text


async def test_an_hour_of_dead_letters_is_a_group(house: House) -> None:
    await house.dead_letter()
    page = await house.operator.get("/console/dead-letters/groups?by=hour")
    check(page.text)
    (address,) = [part for part in page.text.split('"') if part.startswith("/console/dead-letters?since=")]
    listed = await house.operator.get(address.replace("&amp;", "&"))
    assert HANDLER in listed.text


async def test_older_ones_follow_without_a_gap(house: House) -> None:
    letters = {str(await house.dead_letter()) for _ in range(5)}
    seen: list[str] = []
    cursor = ""
    while True:
        found = (await house.operator.get(f"{API}?limit=2&cursor={cursor}")).json()
        seen += [dead["id"] for dead in found["items"]]
        if not (cursor := found["cursor"]):
            break
    assert len(seen) == 5 and set(seen) == letters
    assert (await house.operator.get(f"{API}?cursor=nonsense")).status_code == 400


async def test_only_an_operator_may(house: House) -> None:
    for act in ("replay", "drop"):
        body = {"which": {"everything": True}, "reason": "mine"} if act == "drop" else {"which": {"everything": True}}
        assert (await house.customer.post(f"{API}/{act}", json=body)).status_code == 403
    assert (await house.customer.get(f"{API}/groups")).status_code == 403
