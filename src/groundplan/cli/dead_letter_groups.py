"""``groundplan dead-letters`` on many at once: counted in groups, replayed at a rate, dropped, pruned."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from groundplan.cli.output import print_json, print_table
from groundplan.cli.rates import per_second
from groundplan.cli.toolbox import Toolbox, whoever_is_here, with_tools
from groundplan.core.errors import Invalid
from groundplan.data.database.uow import Transaction
from groundplan.messaging.dead_letters.filter import DeadLetterFilter, filter_of
from groundplan.messaging.dead_letters.groups import MOST, NORMAL_RATE, DeadLetterGroup, Done

Act = Callable[[Transaction, DeadLetterFilter, int], Awaitable[Done]]
"""In a transaction, on these, after so many that are done already."""


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """The filter as it was written."""

    handler: str = ""
    error: str = ""
    reason: str = ""
    tenant: str = ""
    since: str = ""
    until: str = ""

    def meant(self) -> DeadLetterFilter:
        return filter_of(now=datetime.now(UTC), **msgspec.structs.asdict(self))

    def __str__(self) -> str:
        given = [f"{name}={value}" for name, value in msgspec.structs.asdict(self).items() if value]
        return ", ".join(given) or "everything"


def groups(which: Which, by: str, *, as_json: bool) -> int:
    keys = by.split(",")
    found = with_tools(lambda tools: tools.dead_letter_groups.groups(which.meant(), by=keys))
    if as_json:
        print_json(found)
    elif found:
        columns = (*(key.capitalize() for key in keys), "Messages", "First gave up (UTC)", "Last gave up (UTC)")
        print_table(columns, [_row(group, keys) for group in found])
    else:
        print("No dead letters.")
    return 1 if found else 0


def replay(which: Which, rate: str, *, everything: bool, as_json: bool) -> int:
    wanted = per_second(rate) if rate else NORMAL_RATE

    async def act(tools: Toolbox) -> int:
        async def some(transaction: Transaction, chosen: DeadLetterFilter, before: int) -> Done:
            return await tools.dead_letter_groups.replay(transaction, chosen, rate=wanted, delay=before / wanted)

        return await _all(tools, which, some, "dead-letters.replay", everything=everything, rate=wanted)

    count = with_tools(act)
    if as_json:
        print_json({"replayed": count, "rate": wanted})
    else:
        print(f"{count:,} messages are on their way again, {wanted:g} a second: {count / wanted:,.0f} s for all.")
    return 0


def drop(which: Which, reason: str, *, everything: bool, as_json: bool) -> int:
    async def act(tools: Toolbox) -> int:
        async def some(transaction: Transaction, chosen: DeadLetterFilter, before: int) -> Done:
            return await tools.dead_letter_groups.drop(transaction, chosen)

        return await _all(tools, which, some, "dead-letters.drop", everything=everything, reason=reason)

    count = with_tools(act)
    if as_json:
        print_json({"dropped": count})
    else:
        print(f"{count:,} messages are gone. The reason stands in the audit log.")
    return 0


def prune(older_than: int, *, as_json: bool) -> int:
    async def act(tools: Toolbox) -> dict[str, int]:
        service, total = tools.dead_letter_groups, {"dead_letters": 0, "attempts": 0}
        before = await service.cutoff(older_than)
        more = True
        while more:
            async with tools.database.transaction(None) as transaction:
                pruned = await service.prune(transaction, before)
                if pruned.dead_letters or pruned.attempts:
                    detail = msgspec.structs.asdict(pruned)
                    _note(tools, transaction, "dead-letters.prune", f"before {before.isoformat()}", detail)
            total = {name: count + getattr(pruned, name) for name, count in total.items()}
            more = MOST in (pruned.dead_letters, pruned.attempts)
        return total

    total = with_tools(act)
    if as_json:
        print_json(total)
    else:
        print(f"Removed {total['dead_letters']:,} dead letters and {total['attempts']:,} notes of attempts.")
    return 0


async def _all(tools: Toolbox, which: Which, act: Act, action: str, *, everything: bool, **detail: Any) -> int:
    """Some thousands to a transaction, so that others may write in between; each is audited with what it did."""
    chosen = which.meant()
    if chosen.is_everything and not everything:
        raise Invalid("Say which dead letters: --handler, --error, --reason, --tenant, --since, --until, or --all.")
    chosen = await tools.dead_letter_groups.pinned(chosen)
    count, left = 0, 1
    while left:
        async with tools.database.transaction(None) as transaction:
            done = await act(transaction, chosen, count)
            if done.count:
                _note(tools, transaction, action, str(which), detail | {"count": done.count})
        count, left = count + done.count, done.left
    return count


def _note(tools: Toolbox, transaction: Transaction, action: str, subject: str, detail: dict[str, Any]) -> None:
    tools.audit.add(transaction, action, subject, actor=whoever_is_here(), tenant_id=None, detail=detail)


def _row(group: DeadLetterGroup, keys: list[str]) -> tuple[str, ...]:
    own = [f"{group.hour:%Y-%m-%d %H:00}" if key == "hour" else str(getattr(group, key)) for key in keys]
    times = [f"{at:%Y-%m-%d %H:%M:%S}" for at in (group.first_at, group.last_at)]
    return (*own, f"{group.count:,}", *times)
