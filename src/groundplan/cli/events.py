"""``groundplan events``: what is published here, and the log of what was."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import yaml

from groundplan import __version__
from groundplan.cli.output import print_json, print_json_line, print_table
from groundplan.cli.project import find_project
from groundplan.cli.toolbox import Toolbox, with_tools
from groundplan.core.redaction import redact
from groundplan.messaging.catalogue import Catalogue, Entry
from groundplan.messaging.event_log.log import PREFIX, EventLog, Logged, Only
from groundplan.wiring import assemble

POLL_SECONDS = 0.5
_WIDTH = 100


def catalog(*, as_json: bool, as_yaml: bool) -> int:
    app = find_project().app()
    catalogue = Catalogue(assemble(app).features)
    if not (as_json or as_yaml):
        _print_catalogue(catalogue.entries())
        return 0
    document = catalogue.asyncapi(title=app.name, version=__version__)
    if as_json:
        print_json(document)
    else:
        print(yaml.safe_dump(msgspec.to_builtins(document), sort_keys=False, allow_unicode=True), end="")
    return 0


def _print_catalogue(entries: list[Entry]) -> None:
    if not entries:
        print("No event and no job is defined here.")
        return
    rows = [
        (
            entry.name,
            entry.kind,
            entry.version,
            f"{entry.feature} ({entry.owner})",
            ", ".join(handler.name for handler in entry.handlers) or "nobody",
            ", ".join(field.path if field.required else f"{field.path}?" for field in entry.fields),
        )
        for entry in entries
    ]
    print_table(("Name", "Kind", "Version", "Owner", "Handled by", "Fields (? may be left out)"), rows)


def tail(name: str, tenant: str, lines: int, *, follow: bool, as_json: bool) -> int:
    async def act(tools: Toolbox) -> None:
        log = EventLog(tools.database)
        only = Only(
            names=[name] if name else [],
            tenant_id=await tools.tenant_id(tenant),
            facts=name.startswith(PREFIX),
        )
        slugs = {each.id: each.slug for each in await tools.tenants.all()}
        place = await log.end()
        for row in reversed(await log.newest(lines, only=only)):
            place = max(place, row.cursor)
            _show(row, slugs, as_json=as_json)
        while follow:
            rows, place = await log.follow(place, only=only)
            for row in rows:
                _show(row, slugs, as_json=as_json)
            await asyncio.sleep(0 if rows else POLL_SECONDS)

    with_tools(act)
    return 0


def _show(row: Logged, slugs: dict[UUID, str], *, as_json: bool) -> None:
    tenant = slugs.get(row.tenant_id, str(row.tenant_id)) if row.tenant_id else ""
    payload: Any = redact(msgspec.json.decode(row.payload))
    if as_json:
        known = {"cursor": str(row.cursor), "tenant": tenant, "payload": payload}
        print_json_line(msgspec.structs.asdict(row) | known)
        return
    said = "(erased)" if row.erased else msgspec.json.encode(payload).decode()
    short = said if len(said) <= _WIDTH else said[: _WIDTH - 1] + "…"
    at = row.occurred_at.strftime("%Y-%m-%d %H:%M:%S")
    print(f"{at}  {row.name:<20}  {tenant or 'no tenant':<12}  trace {row.trace_id or 'none'}  {short}", flush=True)
