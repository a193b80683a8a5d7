import asyncio

from groundplan.cli.output import print_json, print_table
from groundplan.cli.project import find_project
from groundplan.cli.toolbox import toolbox
from groundplan.messaging.stats import QueueRow


def stats(*, as_json: bool) -> int:
    async def read() -> list[QueueRow]:
        async with toolbox(find_project()) as tools:
            return await tools.queue_stats.read()

    rows = asyncio.run(read())
    if as_json:
        print_json(rows)
    elif rows:
        columns = ("Queue", "Handler", "Ready", "Leased", "Scheduled", "Retrying", "Unclaimed", "Oldest")
        cells = [
            (r.queue, r.handler, r.ready, r.leased, r.scheduled, r.retrying, r.unclaimed, f"{r.oldest_seconds:.1f} s")
            for r in rows
        ]
        print_table(columns, cells)
    else:
        print("The queue is empty.")
    return 0
