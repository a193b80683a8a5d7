"""The page of the queue: its messages, its switches, and the jobs that run long."""

from typing import Literal

import msgspec

from groundplan.app import Context, Page, Redirect
from groundplan.console import feature
from groundplan.console.api import READ
from groundplan.console.pages import OLDEST_SECONDS, show
from groundplan.console.work.queue_api import PAUSE, QueueSwitch, get_jobs, get_queue, get_queues, switch_queue


class QueueForm(msgspec.Struct, frozen=True):
    paused: Literal["yes", "no"]


@feature.page("/console/queue", permission=READ)
async def queue_page(ctx: Context) -> Page:
    return await show(
        ctx,
        "console/queue.html",
        rows=await ctx.api(get_queue),
        queues=await ctx.api(get_queues),
        jobs=await ctx.api(get_jobs),
        late_limit=OLDEST_SECONDS,
    )


@feature.page("/console/queues/{name}", method="POST", permission=PAUSE)
async def switch(ctx: Context, name: str, data: QueueForm) -> Page | Redirect:
    await ctx.api(switch_queue, name=name, data=QueueSwitch(paused=data.paused == "yes"))
    return Redirect("/console/queue")
