"""The next release of the app: its event has a second version, and one handler more hears it."""

from typing import Any

from groundplan.app import App, Context, Event, Feature
from tests.chaos.app import PACKAGE, RETRY, TIMEOUT_SECONDS, Record, note_outside, record, write_effect


def _by_hand(payload: dict[str, Any]) -> dict[str, Any]:
    return payload | {"source": "hand"}


class Noted(Event, frozen=True, kw_only=True):
    topic = "chaos.noted"
    version = 2
    upcasts = {1: _by_hand}

    number: int
    source: str = "machine"


feature = Feature("chaos", owner="platform")
feature.job(Record, name="chaos.record", timeout=TIMEOUT_SECONDS, retry=RETRY)(record)


@feature.on(Noted, name="chaos.hear", timeout=TIMEOUT_SECONDS, retry=RETRY)
async def hear(ctx: Context, event: Noted) -> None:
    note_outside(ctx, event.number)
    await write_effect(ctx, event.number, release="new")


@feature.on(Noted, name="chaos.greet", timeout=TIMEOUT_SECONDS, retry=RETRY)
async def greet(ctx: Context, event: Noted) -> None:
    note_outside(ctx, event.number)
    await write_effect(ctx, event.number, release="new")


app = App("chaos", features=[feature], roles={}, package=PACKAGE)
