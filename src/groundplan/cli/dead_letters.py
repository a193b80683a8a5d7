"""``groundplan dead-letters``: the console's service, from a terminal."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from groundplan.cli.dead_letter_groups import Which
from groundplan.cli.output import print_json, print_table
from groundplan.cli.toolbox import Toolbox, whoever_is_here, with_tools
from groundplan.core.errors import Invalid


def list_(which: Which, limit: int, *, as_json: bool) -> int:
    found = with_tools(lambda tools: tools.dead_letters.page(which.meant(), limit=limit)).items
    if as_json:
        print_json(found)
    elif found:
        rows = [(d.id, d.handler, d.reason, d.died_at.strftime("%Y-%m-%d %H:%M:%S"), d.detail[:60]) for d in found]
        print_table(("Id", "Handler", "Reason", "Died at (UTC)", "Detail"), rows)
    else:
        print("No dead letters.")
    return 1 if found else 0


def show(dead_letter_id: UUID, *, as_json: bool) -> int:
    async def read(tools: Toolbox) -> dict[str, Any]:
        dead = await tools.dead_letters.get(dead_letter_id)
        return {"dead_letter": dead, "attempts": await tools.dead_letters.attempts(dead_letter_id)}

    found = with_tools(read)
    if as_json:
        print_json(found)
        return 0
    dead = found["dead_letter"]
    print(f"{dead.handler} gave up at {dead.died_at:%Y-%m-%d %H:%M:%S} UTC: {dead.reason}")
    print(f"{dead.error}: {dead.detail}")
    print(f"Trace {dead.trace_id}\n")
    print(msgspec.json.format(msgspec.json.encode(dead.payload), indent=2).decode())
    for attempt in found["attempts"]:
        print(f"Attempt {attempt.number} at {attempt.started_at:%H:%M:%S}: {attempt.error}: {attempt.detail}")
    return 0


def edit(dead_letter_id: UUID, changes: Sequence[str]) -> int:
    async def act(tools: Toolbox) -> None:
        async with tools.audited(
            "dead-letter.edit", str(dead_letter_id), actor=whoever_is_here(), changes=list(changes)
        ) as transaction:
            await _edit(tools, transaction, dead_letter_id, changes)

    with_tools(act)
    print("The payload is corrected. Replay it when you are ready.")
    return 0


def replay(dead_letter_id: UUID, changes: Sequence[str]) -> int:
    async def act(tools: Toolbox) -> None:
        async with tools.audited(
            "dead-letter.replay", str(dead_letter_id), actor=whoever_is_here(), changes=list(changes)
        ) as transaction:
            if changes:
                await _edit(tools, transaction, dead_letter_id, changes)
            await tools.dead_letters.replay(transaction, dead_letter_id)

    with_tools(act)
    print("It is on its way again.")
    return 0


def drop(dead_letter_id: UUID, reason: str) -> int:
    async def act(tools: Toolbox) -> None:
        async with tools.audited(
            "dead-letter.drop", str(dead_letter_id), actor=whoever_is_here(), reason=reason
        ) as transaction:
            await tools.dead_letters.drop(transaction, dead_letter_id)

    with_tools(act)
    print("It is gone. The reason stands in the audit log.")
    return 0


async def _edit(tools: Toolbox, transaction: Any, dead_letter_id: UUID, changes: Sequence[str]) -> None:
    dead = await tools.dead_letters.get(dead_letter_id)
    payload = changed(dead.payload, changes)
    await tools.dead_letters.edit(transaction, dead_letter_id, payload, by=whoever_is_here())


def changed(payload: Any, changes: Sequence[str]) -> Any:
    """The payload with ``path=value`` applied; a value that is JSON is taken as JSON, any other as text.

    Raises:
        Invalid: a change has no ``=``, or its path leads through something that is not an object.
    """
    result = msgspec.json.decode(msgspec.json.encode(payload))
    for change in changes:
        path, separator, text = change.partition("=")
        if not separator or not path:
            raise Invalid(f"--set takes field=value, not {change!r}.")
        *parents, last = path.split(".")
        target = result
        for step in parents:
            target = target.get(step) if isinstance(target, dict) else None
        if not isinstance(target, dict):
            raise Invalid(f"The payload has no object at {'.'.join(parents) or 'its top'}.")
        target[last] = _value(text, target.get(last))
    return result


def _value(text: str, before: Any) -> Any:
    if isinstance(before, str):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
