"""The page of one dead letter: what is wrong with it, its fields to mend, and its ways out."""

from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from groundplan.app import Context, Page, Redirect
from groundplan.console import feature
from groundplan.console.api import READ
from groundplan.console.dead_letters.api import (
    DROP,
    REPLAY,
    DeadLetterDrop,
    DeadLetterReplay,
    drop_dead_letter,
    get_dead_letter,
    replay_dead_letter,
)
from groundplan.console.dead_letters.editing import Entered, command_line, rows_of
from groundplan.console.pages import show
from groundplan.console.views import DeadLetterView
from groundplan.core.errors import Conflict, FieldError, GroundplanError, Invalid, InvalidPayload, NotFound

Tab = Literal["fields", "json", "changes"]


class DropForm(msgspec.Struct, frozen=True):
    reason: str = ""


@feature.page("/console/dead-letters/{dead_letter_id}", permission=READ)
async def dead_letter_page(ctx: Context, dead_letter_id: UUID, view: Tab = "fields") -> Page:
    return await _page(ctx, await ctx.api(get_dead_letter, dead_letter_id=dead_letter_id), view)


@feature.page("/console/dead-letters/{dead_letter_id}/replay", method="POST", permission=REPLAY)
async def replay(ctx: Context, dead_letter_id: UUID, data: dict[str, str]) -> Page | Redirect:
    """Takes the form of fields or of JSON; with ``do=replay`` the payload stays as it is."""
    try:
        found = await ctx.api(get_dead_letter, dead_letter_id=dead_letter_id)
    except NotFound:
        return _list("gone")
    view: Tab = "json" if "json" in data else "fields"
    entered = Entered(found, data)
    try:
        payload = entered.payload() if data.get("do") == "save-replay" else None
        await ctx.api(replay_dead_letter, dead_letter_id=dead_letter_id, data=DeadLetterReplay(payload=payload))
    except (InvalidPayload, Invalid) as error:
        return await _page(ctx, found, view, status=error.status, entered=entered, problems=error.errors, refused=error)
    except (Conflict, NotFound):
        return _list("gone")
    return _list("replayed")


@feature.page("/console/dead-letters/{dead_letter_id}/drop", method="POST", permission=DROP)
async def drop(ctx: Context, dead_letter_id: UUID, data: DropForm) -> Page | Redirect:
    try:
        await ctx.api(drop_dead_letter, dead_letter_id=dead_letter_id, data=DeadLetterDrop(reason=data.reason.strip()))
    except Invalid as error:
        found = await ctx.api(get_dead_letter, dead_letter_id=dead_letter_id)
        return await _page(ctx, found, "fields", status=error.status, drop_problem="at least 3 characters, 500 at most")
    except Conflict:
        return _list("gone")
    return _list("dropped")


def _list(done: str) -> Redirect:
    return Redirect(f"/console/dead-letters?{urlencode({'done': done})}")


async def _page(
    ctx: Context,
    found: DeadLetterView,
    view: Tab,
    *,
    status: int = 200,
    entered: Entered | None = None,
    problems: Sequence[FieldError] = (),
    refused: GroundplanError | None = None,
    drop_problem: str = "",
) -> Page:
    dead = found.dead_letter
    rows = rows_of(found.fields, entered, problems)
    shown: Any = entered.text if entered and view == "json" else _pretty(dead.payload)
    return await show(
        ctx,
        "console/dead_letter.html",
        status=status,
        found=found,
        dead=dead,
        view=view,
        rows=rows,
        wrong=[row for row in rows if row.problem],
        text=shown,
        original=_pretty(dead.original_payload) if dead.original_payload is not None else "",
        payload_now=_pretty(dead.payload),
        problems=problems,
        refused=refused,
        drop_problem=drop_problem,
        command=command_line(dead.id, rows),
    )


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
