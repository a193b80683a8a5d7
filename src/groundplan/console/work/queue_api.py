"""The queue over the API: what waits, what runs long, and the switches of each queue."""

from uuid import UUID

import msgspec

from groundplan.app import Context
from groundplan.console import feature
from groundplan.console.api import READ, Limit
from groundplan.console.views import JobView, QueueView
from groundplan.messaging.delivery.queues import Queues
from groundplan.messaging.delivery.stats import QueueRow, QueueStats
from groundplan.messaging.progress import ProgressBoard

PAUSE = "console:queue:pause"
CANCEL = "console:queue:cancel"


class QueueSwitch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    paused: bool


@feature.get("/console/queue", permission=READ)
async def get_queue(ctx: Context) -> list[QueueRow]:
    """What waits, runs and is to be tried again, by handler."""
    return await ctx.service(QueueStats).read()


@feature.get("/console/queues", permission=READ)
async def get_queues(ctx: Context) -> list[QueueView]:
    """The queues that this release's handlers take from, and those that were paused."""
    paused = await ctx.service(Queues).paused_now()
    names = paused.union(ctx.service(QueueStats).names)
    return [QueueView(name=name, paused=name in paused) for name in sorted(names)]


@feature.put("/console/queues/{name}", permission=PAUSE)
async def switch_queue(ctx: Context, name: str, data: QueueSwitch) -> None:
    """Pauses or resumes a queue within a second, in every worker. What runs already goes on to its end.

    Raises:
        NotFound: no handler of this release takes from it, and it is not paused.
    """
    queues = ctx.service(Queues)
    await queues.check(name, ctx.service(QueueStats).names)
    await (queues.pause if data.paused else queues.resume)(ctx.tx, name)
    ctx.audit("queue.pause" if data.paused else "queue.resume", name)


@feature.delete("/console/messages/{message_id}", permission=CANCEL)
async def cancel_message(ctx: Context, message_id: UUID) -> None:
    """Takes a message out of the queue. A handler that runs already is stopped, and its effects are refused."""
    await ctx.service(Queues).cancel(ctx.tx, message_id)
    ctx.audit("queue.cancel", str(message_id))


@feature.get("/console/jobs", permission=READ)
async def get_jobs(ctx: Context, limit: Limit = 20) -> list[JobView]:
    """How far the jobs are that tell it; those that run come first, then the last that ended."""
    found = await ctx.service(ProgressBoard).newest(limit)
    theirs = {each.tenant_id for each in found if each.tenant_id}
    slugs: dict[UUID | None, str] = {each: (await ctx.for_tenant(each)).tenant.slug for each in theirs}
    return [JobView(progress=each, tenant=slugs.get(each.tenant_id, "")) for each in found]
