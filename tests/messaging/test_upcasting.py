"""Payloads of older versions reach today's handlers as today's messages."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from groundplan.app import App, Context, Event, Feature, Retry
from groundplan.core.errors import ConfigurationError, InvalidPayload
from groundplan.data.database.sql import Sql
from groundplan.messaging.handlers import Handler, Handlers
from groundplan.messaging.message import Message, decode, encode
from groundplan.testing.app import RunningApp, running, until

pytestmark = pytest.mark.anyio


class Sent1(Event, frozen=True, kw_only=True):
    topic = "parcel.sent"
    to: str
    cents: int


def with_currency(payload: dict[str, Any]) -> dict[str, Any]:
    return payload | {"currency": "EUR"}


def with_price(payload: dict[str, Any]) -> dict[str, Any]:
    currency = payload.pop("currency")
    return payload | {"price": f"{payload.pop('cents') / 100:.2f} {currency}"}


class Sent3(Event, frozen=True, kw_only=True):
    topic = "parcel.sent"
    version = 3
    upcasts = {1: with_currency, 2: with_price}
    to: str
    price: str


FIRST = Sent1(to="Mara", cents=1250)
LIFTED = Sent3(to="Mara", price="12.50 EUR")


def test_every_step_from_the_old_version_on() -> None:
    assert decode(Sent3, encode(FIRST), 1) == LIFTED
    assert decode(Sent3, b'{"to": "Mara", "cents": 1250, "currency": "EUR"}', 2) == LIFTED


def test_todays_version_takes_no_step() -> None:
    def never(payload: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError

    class Today(Sent3, frozen=True, kw_only=True):
        upcasts = {1: never, 2: never}

    assert decode(Today, encode(LIFTED), 3) == Today(to="Mara", price="12.50 EUR")


class Gap(Sent3, frozen=True, kw_only=True):
    upcasts = {1: with_currency}


class Young(Sent3, frozen=True, kw_only=True):
    oldest = 2
    upcasts = {2: with_price}


@pytest.mark.parametrize(
    ("kind", "version", "payload", "says"),
    [
        (Gap, 1, '{"to": "Mara", "cents": 1}', "no step from version 2 to 3"),
        (
            Sent3,
            2,
            '{"to": "Mara", "cents": 1}',
            "sent from version 2 to 3 failed: KeyError: 'currency'",
        ),
        (Sent3, 1, "[]", "step of parcel.sent from version 1 to 2 failed: TypeError"),
        (Sent3, 4, "{}", "This is version 4 of parcel.sent, and this release understands 1 to 3."),
        (Sent1, 2, "{}", "This is version 2 of parcel.sent, and this release understands 1."),
        (Young, 1, "{}", "understands 2 to 3"),
        (Sent3, 1, "no JSON", "does not fit its schema"),
    ],
)
def test_what_cannot_be_lifted_says_why(kind: type[Message], version: int, payload: str, says: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        decode(kind, payload, version)
    assert says in caught.value.detail


def test_a_step_that_gives_no_object_is_named() -> None:
    def forget(payload: dict[str, Any]) -> Any:
        """Changes it, as it may, and forgets to return it."""
        payload["price"] = "1.00 EUR"

    class Forgetful(Sent3, frozen=True, kw_only=True):
        topic = "parcel.sent"
        upcasts = {1: with_currency, 2: forget}

    with pytest.raises(InvalidPayload, match="from version 2 to 3 failed: ValidationError"):
        decode(Forgetful, encode(FIRST), 1)


def test_a_lifted_payload_meets_the_schema_like_any_other() -> None:
    with pytest.raises(InvalidPayload) as caught:
        decode(Sent3, '{"to": 7, "cents": 1}', 1)
    assert [error.pointer for error in caught.value.errors] == ["/to"]


async def _handle(ctx: object, message: object) -> None:
    """Never called: what is tested is whether the release may start."""


def test_a_release_that_lacks_a_step_does_not_start() -> None:
    class Bare(Event, frozen=True, kw_only=True):
        version = 3

    with pytest.raises(ConfigurationError) as caught:
        Handlers([Handler("a", Gap, _handle), Handler("b", Bare, _handle), Handler("c", Sent3, _handle)])
    first, second = caught.value.detail.splitlines()
    assert "Gap is at version 3 and cannot lift version 2." in first
    assert "Bare is at version 3 and cannot lift version 1, 2." in second
    assert len(Handlers([Handler("a", Young, _handle), Handler("b", Sent3, _handle)])) == 2


class Shipping:
    """One release of an app that hears of parcels."""

    def __init__(self, kind: type[Event]) -> None:
        self.heard: list[Event] = []
        feature = Feature("shipping", owner="tests")

        @feature.on(kind, name="shipping.note", retry=Retry(attempts=1))
        async def note(ctx: Context, event: Event) -> None:
            self.heard.append(event)

        self.app = App("shipping", features=[feature], roles={}, package="groundplan.testing")


async def publish(app: RunningApp, event: Event) -> None:
    context = app.context(system=True)
    async with context.transaction():
        context.publish(event)


async def test_what_the_old_release_left_the_new_one_handles(tmp_path: Path) -> None:
    old, new = Shipping(Sent1), Shipping(Sent3)
    async with running(old.app, tmp_path, role="web") as app:
        await publish(app, FIRST)
    async with running(new.app, tmp_path) as app:
        await publish(app, Sent3(to="Ines", price="1.00 EUR"))
        await app.until_idle()
        assert await app.dead_letters.count() == 0
    assert sorted(new.heard, key=str) == [Sent3(to="Ines", price="1.00 EUR"), LIFTED]


async def test_what_the_new_release_sent_the_old_one_leaves(tmp_path: Path) -> None:
    old, new = Shipping(Sent1), Shipping(Sent3)
    async with running(new.app, tmp_path, role="web") as app:
        await publish(app, LIFTED)
    async with running(old.app, tmp_path) as app:
        await publish(app, FIRST)

        async def one_left() -> bool:
            return bool(old.heard) and await app.rows("deliveries") == 1

        await until(one_left)
        assert await app.dead_letters.count() == 0
    assert old.heard == [FIRST]


async def test_an_old_dead_letter_is_mended_as_one_of_today(tmp_path: Path) -> None:
    old, new = Shipping(Sent1), Shipping(Sent3)
    async with running(old.app, tmp_path, role="web") as app:
        await publish(app, FIRST)
        await app.services.database.execute(Sql('UPDATE deliveries SET payload = \'{"to": 7, "cents": 1250}\''))
    async with running(new.app, tmp_path) as app:
        await until(app.dead_letters.count)
        (dead,) = await app.dead_letters.newest()
        assert (dead.reason, dead.version, dead.payload) == ("invalid", 3, {"to": 7, "price": "12.50 EUR"})
        assert {field.path: bool(field.problem) for field in app.dead_letters.fields(dead)} == {
            "to": True,
            "price": False,
        }
        async with app.services.database.transaction(None) as transaction:
            await app.dead_letters.edit(transaction, dead.id, dead.payload | {"to": "Mara"}, by="me")
        async with app.services.database.transaction(None) as transaction:
            await app.dead_letters.replay(transaction, dead.id)
        await until(lambda: new.heard)
        assert new.heard == [LIFTED]
        await app.until_idle()


async def test_a_dead_letter_that_no_step_lifts_stays_as_it_is(tmp_path: Path) -> None:
    old, new = Shipping(Sent1), Shipping(Young)
    async with running(old.app, tmp_path, role="web") as app:
        await publish(app, FIRST)
    async with running(new.app, tmp_path) as app:
        await until(app.dead_letters.count)
        (dead,) = await app.dead_letters.newest()
        assert (dead.version, dead.payload) == (1, msgspec.to_builtins(FIRST))
        assert "understands 2 to 3" in dead.detail
        with pytest.raises(InvalidPayload) as caught:
            async with app.services.database.transaction(None) as transaction:
                await app.dead_letters.edit(transaction, dead.id, dead.payload, by="me")
        assert "understands 2 to 3" in str(caught.value)
