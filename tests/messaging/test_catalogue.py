"""The catalogue names every message of a release, and as AsyncAPI it is what the standard's own schema asks for."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import jsonschema
import msgspec
import pytest

from groundplan.app import Context, Event, Feature, Job, Retry
from groundplan.messaging.catalogue import Catalogue, Field, HandledBy
from groundplan.messaging.message import Upcast
from groundplan.wiring import assemble
from shop.app import app


class Address(msgspec.Struct, frozen=True):
    street: str
    town: str = ""


class ParcelSent(Event, frozen=True, kw_only=True):
    """``to`` is where it goes.

    Everything else follows from it.
    """

    version: ClassVar[int] = 3
    oldest: ClassVar[int] = 2
    upcasts: ClassVar[Mapping[int, Upcast]] = {2: lambda payload: payload}
    to: Address
    grams: Annotated[int, msgspec.Meta(ge=1)] | None = None
    tags: list[str] = []


class Tidy(Job, frozen=True, kw_only=True):
    topic: ClassVar[str] = "house/tidy up"
    corner: str


class Lost(Event, frozen=True, kw_only=True):
    """Nobody handles it."""


def features(*, package: str = "") -> list[Feature]:
    parcels = Feature("parcels", owner="logistics", modules=[f"{package}.anything"] if package else [])
    house = Feature("house", owner="home")

    @parcels.on(ParcelSent, name="parcels.label", retry=Retry(attempts=8), timeout=5, queue="labels")
    async def label(ctx: Context, event: ParcelSent) -> None:
        """Prints it."""

    @house.on(ParcelSent, name="house.expect")
    async def expect(ctx: Context, event: ParcelSent) -> None: ...

    @house.job(Tidy, name="house.tidy")
    async def tidy(ctx: Context, job: Tidy) -> None: ...

    return [parcels, house]


def test_an_entry_says_whose_it_is_who_handles_it_and_what_it_holds() -> None:
    tidy, sent = Catalogue(features()).entries()
    assert (sent.name, sent.kind, sent.version, sent.oldest) == ("parcel.sent", "event", 3, 2)
    assert (sent.feature, sent.owner, sent.summary) == ("parcels", "logistics", "to is where it goes.")
    assert sent.handlers == [
        HandledBy(name="parcels.label", feature="parcels", queue="labels", timeout=5, attempts=8, summary="Prints it."),
        HandledBy(name="house.expect", feature="house", queue="default", timeout=30, attempts=5, summary=""),
    ]
    assert sent.fields == [
        Field(path="to.street", type="text", required=True),
        Field(path="to.town", type="text", required=False),
        Field(path="grams", type="whole number, 1 or more or nothing", required=False),
        Field(path="tags", type="list, as JSON", required=False),
    ]
    assert (tidy.name, tidy.kind, tidy.feature) == ("house/tidy up", "job", "house")


def test_what_lies_in_a_features_package_is_its_own_though_nobody_handles_it() -> None:
    package = __name__.rpartition(".")[0]
    found = {entry.name: entry for entry in Catalogue(features(package=package)).entries()}
    assert (found["lost"].feature, found["lost"].handlers) == ("parcels", [])
    assert found["house/tidy up"].feature == "parcels", "where it lies counts, not who handles it"


def test_the_shops_own_are_all_there() -> None:
    entries = {entry.name: entry for entry in Catalogue(assemble(app).features).entries()}
    assert {name: entry.feature for name, entry in entries.items()} == {
        "order.paid": "orders",
        "order.placed": "orders",
        "product.changed": "catalog",
        "rebuild.index": "catalog",
        "sales.report": "reports",
    }
    assert [handler.name for handler in entries["order.paid"].handlers] == ["orders.send_receipt"]
    assert entries["order.placed"].handlers == []


def document(catalogue: Catalogue) -> dict[str, Any]:
    """As it leaves the house: through JSON."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(catalogue.asyncapi(title="t", version="1")))
    return found


def at(document: dict[str, Any], reference: str) -> Any:
    for step in reference.removeprefix("#/").split("/"):
        document = document[step]
    return document


@pytest.mark.parametrize("catalogue", [Catalogue(features()), Catalogue(assemble(app).features), Catalogue([])])
def test_the_document_is_asyncapi_3(catalogue: Catalogue) -> None:
    """What version 3.0.0 of the specification requires of each object, and that every reference leads somewhere."""
    found = document(catalogue)
    assert found["asyncapi"] == "3.0.0" and {"title", "version"} <= found["info"].keys()
    for channel in found["channels"].values():
        assert {"address", "messages"} <= channel.keys()
    for operation in found["operations"].values():
        assert operation["action"] in ("send", "receive") and operation["channel"]["$ref"].startswith("#/channels/")
        assert all(each["$ref"].startswith("#/channels/") for each in operation["messages"])
    references = list(_references(found))
    assert all(at(found, reference) for reference in references)
    assert bool(references) is bool(found["channels"])
    for schema in found["components"]["schemas"].values():
        jsonschema.Draft7Validator.check_schema(schema)


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == "$ref")
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _references(inner)


def test_operations_say_who_sends_and_who_receives() -> None:
    found = document(Catalogue(features()))
    operations = found["operations"]
    assert {name: each["action"] for name, each in operations.items()} == {
        "send.parcel.sent.v3": "send",
        "receive.parcels.label": "receive",
        "receive.house.expect": "receive",
        "send.house_tidy_up.v1": "send",
        "receive.house.tidy": "receive",
    }
    assert operations["receive.house.expect"]["tags"] == [{"name": "house"}]
    assert at(found, operations["receive.house.tidy"]["channel"]["$ref"])["address"] == "house/tidy up"


def test_every_reference_leads_somewhere_and_the_schema_is_the_messages_own() -> None:
    found = document(Catalogue(features()))

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [value["$ref"]] if "$ref" in value else [r for each in value.values() for r in references(each)]
        return [r for each in value for r in references(each)] if isinstance(value, list) else []

    assert len(references(found)) > 10
    for reference in references(found):
        assert at(found, reference), reference
    (operation,) = found["operations"]["receive.parcels.label"]["messages"]
    message = at(found, at(found, operation["$ref"])["$ref"])
    assert (message["x-version"], message["x-oldest-version"], message["x-kind"]) == (3, 2, "event")
    # msgspec and the published schema agree on what fits and what does not.
    schema = at(found, message["payload"]["$ref"]) | {"components": found["components"]}
    for payload, fits in (
        ({"to": {"street": "a"}, "grams": 5}, True),
        ({"to": {"street": "a"}, "grams": 0}, False),
        ({"to": {"street": "a"}, "surprise": 1}, False),
        ({}, False),
    ):
        assert jsonschema.Draft7Validator(schema).is_valid(payload) is fits
