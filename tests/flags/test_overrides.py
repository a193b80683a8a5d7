"""Stored overrides, on each engine: in force at once here, soon elsewhere, never after a rollback."""

import json
from contextlib import AsyncExitStack

import pytest

from groundplan.core.errors import Invalid, Unavailable
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql
from groundplan.flags.flags import Flags
from groundplan.flags.overrides import Overrides
from groundplan.testing.app import until
from groundplan.testing.clock import ManualClock
from groundplan.testing.postgres import DatabaseUrls
from tests.databases import opened

pytestmark = pytest.mark.anyio

DEFINED = json.dumps(
    {
        "flags": {
            "new": {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "on"},
            "colour": {"state": "ENABLED", "variants": {"a": "blue"}, "defaultVariant": "a"},
            "beta": {
                "state": "ENABLED",
                "variants": {"on": True, "off": False},
                "defaultVariant": "off",
                "targeting": {"if": [{"==": [{"var": "tenant"}, "north"]}, "on"]},
            },
        }
    }
)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def overrides(database: Database, clock: ManualClock) -> Overrides:
    return Overrides(database, clock)


@pytest.fixture
def elsewhere(database: Database, clock: ManualClock) -> Overrides:
    """As another process sees it."""
    return Overrides(database, clock)


async def test_an_override_wins_and_ends(database: Database, overrides: Overrides, clock: ManualClock) -> None:
    flags = Flags(DEFINED, overrides)
    async with database.transaction(None) as transaction:
        await overrides.set(transaction, "new", False, "mara")
        await overrides.set(transaction, "beta", False, "mara")
        await overrides.set(transaction, "colour", "red", "mara")
        await overrides.set(transaction, "fault:receipt", True, "mara")
        assert flags.enabled("new")

    assert not flags.enabled("new")
    assert not flags.enabled("beta", tenant="north")
    assert flags.variant("colour") == "red"
    assert flags.enabled("fault:receipt")
    assert flags.provider.resolve_boolean_details("new", True).value is False
    assert [(f.name, f.value, f.set_by, f.set_at) for f in flags.all() if f.name in ("new", "fault:receipt")] == [
        ("fault:receipt", True, "mara", clock.now()),
        ("new", False, "mara", clock.now()),
    ]

    async with database.transaction(None) as transaction:
        await overrides.clear(transaction, "new")
        await overrides.clear(transaction, "beta")
    assert flags.enabled("new")
    assert flags.enabled("beta", tenant="north")


async def test_a_rollback_changes_nothing(database: Database, overrides: Overrides, clock: ManualClock) -> None:
    with pytest.raises(Unavailable):
        async with database.transaction(None) as transaction:
            await overrides.set(transaction, "new", False, "mara")
            raise Unavailable("No.")
    clock.seconds += 5
    await overrides.refresh()

    assert overrides.all() == []


async def test_other_processes_are_told(
    database: Database, overrides: Overrides, migrated_urls: DatabaseUrls, clock: ManualClock
) -> None:
    async with AsyncExitStack() as stack:
        theirs = database
        if database.dialect == "postgresql":
            theirs = await stack.enter_async_context(opened(migrated_urls.app))
        elsewhere = Overrides(theirs, clock)
        await elsewhere.refresh()

        async def seen() -> bool:
            await elsewhere.refresh()
            return elsewhere.get("new") is False

        async with database.transaction(None) as transaction:
            await overrides.set(transaction, "new", False, "mara")
        await until(seen)
        assert elsewhere.all() == overrides.all()


async def test_without_a_notice_they_look_once_a_second(
    database: Database, elsewhere: Overrides, clock: ManualClock
) -> None:
    await elsewhere.refresh()
    await database.execute(
        Sql("INSERT INTO flag_overrides (name, value, set_by, set_at) VALUES ('new', 'false', 'mara', :at)"),
        at=clock.now(),
    )
    clock.seconds += 1
    await elsewhere.refresh()
    assert elsewhere.get("new") is False


async def test_the_last_one_to_set_it_stands_there(
    database: Database, overrides: Overrides, elsewhere: Overrides
) -> None:
    for value, by in ((True, "mara"), (False, "jon")):
        async with database.transaction(None) as transaction:
            await overrides.set(transaction, "new", value, by)
    await elsewhere.refresh()

    assert [(o.name, o.value, o.set_by) for o in elsewhere.all()] == [("new", False, "jon")]


async def test_a_reading_that_a_change_has_overtaken_does_not_undo_it(
    database: Database, overrides: Overrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = database.execute

    async def slow(sql: Sql, **values: object) -> list[object]:
        rows = await read(sql, **values)
        async with database.transaction(None) as transaction:
            await overrides.set(transaction, "new", False, "mara")
        return rows

    monkeypatch.setattr(database, "execute", slow)
    await overrides.refresh()

    assert overrides.get("new") is False


async def test_a_value_that_is_none_is_passed_over(
    database: Database, overrides: Overrides, clock: ManualClock
) -> None:
    write = Sql("INSERT INTO flag_overrides (name, value, set_by, set_at) VALUES (:name, :value, '', :at)")
    async with database.transaction(None) as transaction:
        for name, value in (("broken", "{"), ("list", "[1]"), ("fine", "true")):
            await transaction.execute(write, name=name, value=value, at=clock.now())
    await overrides.refresh()

    assert [override.name for override in overrides.all()] == ["fine"]


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\x00b"])
async def test_what_is_no_name(database: Database, overrides: Overrides, name: str) -> None:
    with pytest.raises(Invalid):
        async with database.transaction(None) as transaction:
            await overrides.set(transaction, name, True, "mara")
