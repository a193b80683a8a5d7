"""The app with a schedule, a tick a second; and a release that ends what was scheduled, and schedules no more."""

from sqlalchemy import Column, MetaData, Table, Text, insert

from groundplan.app import App, Context, Feature, Tick
from tests.chaos.app import PACKAGE, RETRY, TIMEOUT_SECONDS, feature

TICKS = Table("ticks", MetaData(), Column("at", Text))
ticking = Feature("ticking", owner="platform")


still = Feature("ticking", owner="platform")


@still.job(Tick, name="ticking.tick", timeout=TIMEOUT_SECONDS, retry=RETRY)
@ticking.schedule("* * * * * *", name="ticking.tick", timeout=TIMEOUT_SECONDS, retry=RETRY)
async def tick(ctx: Context, tick: Tick) -> None:
    async with ctx.transaction() as db:
        await db.execute(insert(TICKS), {"at": tick.at.isoformat()})


app = App("chaos", features=[feature, ticking], roles={}, package=PACKAGE)
over = App("chaos", features=[feature, still], roles={}, package=PACKAGE)
