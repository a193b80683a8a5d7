"""``groundplan queue``: how it stands, and its switches."""

from uuid import UUID

from groundplan.cli.output import print_json, print_table
from groundplan.cli.toolbox import Toolbox, whoever_is_here, with_tools
from groundplan.messaging.delivery import retirement
from groundplan.messaging.delivery.stats import QueueRow


def stats(*, as_json: bool) -> int:
    async def read(tools: Toolbox) -> tuple[list[QueueRow], list[str]]:
        return await tools.queue_stats.read(), sorted(await tools.queues.paused())

    rows, paused = with_tools(read)
    if as_json:
        print_json(rows)
        return 0
    if rows:
        columns = ("Queue", "Handler", "Ready", "Leased", "Scheduled", "Retrying", "Unclaimed", "Oldest")
        cells = [
            (r.queue, r.handler, r.ready, r.leased, r.scheduled, r.retrying, r.unclaimed, f"{r.oldest_seconds:.1f} s")
            for r in rows
        ]
        print_table(columns, cells)
    else:
        print("The queue is empty.")
    for name in paused:
        print(f"{name} is paused. It goes on with: groundplan queue resume {name}")
    return 0


def switch(name: str, *, paused: bool) -> int:
    async def act(tools: Toolbox) -> None:
        await tools.queues.check(name, tools.queue_stats.names)
        action = "queue.pause" if paused else "queue.resume"
        async with tools.audited(action, name, actor=whoever_is_here()) as transaction:
            await (tools.queues.pause if paused else tools.queues.resume)(transaction, name)

    with_tools(act)
    said = "pauses within a second, in every worker; what runs goes on to its end" if paused else "goes on"
    print(f"{name} {said}.")
    return 0


def cancel(message_id: UUID) -> int:
    async def act(tools: Toolbox) -> None:
        async with tools.audited("queue.cancel", str(message_id), actor=whoever_is_here()) as transaction:
            await tools.queues.cancel(transaction, message_id)

    with_tools(act)
    print("It is out of the queue. If its handler runs already, it is stopped and its effects are refused.")
    return 0


def retire(handler: str) -> int:
    async def act(tools: Toolbox) -> int:
        async with tools.audited("handler.retire", handler, actor=whoever_is_here()) as transaction:
            return await retirement.retire(transaction, tools.assembly.handlers, handler)

    waited = with_tools(act)
    print(f"{handler} is retired: no more messages are made for it.")
    if waited:
        print(f"{waited} waited and are dead letters now: groundplan dead-letters list --handler {handler}")
    return 0
