"""``groundplan events erase`` and ``prune``: as the owner of the tables, in batches, each audited with what it did."""

from datetime import timedelta
from uuid import UUID

from groundplan.cli.output import print_json
from groundplan.cli.toolbox import Toolbox, whoever_is_here, with_tools
from groundplan.core.clock import SystemClock
from groundplan.core.errors import Invalid
from groundplan.data.database.uow import Transaction
from groundplan.messaging.event_log.retention import Retention, Subject

WINDOW = 20_000
"""How many places of the log one transaction looks through, or how many rows it removes."""


def erase(user: UUID | None, tenant: str, *, as_json: bool) -> int:
    async def act(tools: Toolbox) -> None:
        retention = Retention(tools.database)
        await retention.check_rights()
        subject = await _subject(tools, user, tenant)
        counts = {"events": await _erase_events(tools, retention, subject)}
        counts["dead_letters"] = await _erase_dead_letters(tools, retention, subject)
        counts["waiting"] = await retention.waiting(subject)
        if as_json:
            print_json(counts)
            return
        print(f"Erased what {counts['events']:,} events and {counts['dead_letters']:,} dead letters said.")
        if counts["waiting"]:
            print(f"{counts['waiting']:,} messages still wait for a worker and keep theirs. Run this again after them.")

    with_tools(act, owner=True)
    return 0


async def _subject(tools: Toolbox, user: UUID | None, tenant: str) -> Subject:
    tenant_id = await tools.tenant_id(tenant)
    if user is not None and tenant_id is None:
        return Subject("user", user)
    if user is None and tenant_id is not None:
        return Subject("tenant", tenant_id)
    raise Invalid("Say whose events: --user ID, or --tenant NAME.")


async def _erase_events(tools: Toolbox, retention: Retention, subject: Subject) -> int:
    total = 0
    for after in range(0, await retention.last_position(), WINDOW):
        async with tools.database.transaction(None) as transaction:
            erased = await retention.erase_events(transaction, subject, after=after, up_to=after + WINDOW)
            _note(tools, transaction, "events.erase", f"{subject.kind}:{subject.id}", erased)
        total += erased
    return total


async def _erase_dead_letters(tools: Toolbox, retention: Retention, subject: Subject) -> int:
    total, erased = 0, WINDOW
    while erased == WINDOW:
        async with tools.database.transaction(None) as transaction:
            erased = await retention.erase_dead_letters(transaction, subject, limit=WINDOW)
            _note(tools, transaction, "dead-letters.erase", f"{subject.kind}:{subject.id}", erased)
        total += erased
    return total


def prune(older_than: int, *, as_json: bool) -> int:
    if older_than < 1:
        raise Invalid("Events are kept for a day at least: --older-than 365.")
    before = SystemClock().now() - timedelta(days=older_than)

    async def act(tools: Toolbox) -> int:
        retention = Retention(tools.database)
        await retention.check_rights()
        total, removed = 0, WINDOW
        while removed == WINDOW:
            async with tools.database.transaction(None) as transaction:
                removed = await retention.prune(transaction, before=before, limit=WINDOW)
                _note(tools, transaction, "events.prune", f"before {before.isoformat()}", removed)
            total += removed
        return total

    total = with_tools(act, owner=True)
    if as_json:
        print_json({"events": total})
    else:
        print(f"Removed {total:,} events from before {before:%Y-%m-%d %H:%M} UTC.")
    return 0


def _note(tools: Toolbox, transaction: Transaction, action: str, subject: str, count: int) -> None:
    """What changed nothing leaves no trace in the audit log."""
    if count:
        tools.audit.add(transaction, action, subject, actor=whoever_is_here(), tenant_id=None, detail={"rows": count})
