"""``groundplan migrate``: both histories, as the owner of the tables."""

import asyncio

from groundplan.cli.output import print_json, print_table
from groundplan.cli.project import find_project
from groundplan.core.errors import ConfigurationError
from groundplan.data.database import migrate as migrations
from groundplan.wiring import application_role, histories


def migrate(action: str, name: str, *, as_json: bool) -> int:
    project = find_project()
    settings, known = project.settings().settings, histories(project.app())
    app_history = known[-1]
    url = settings.database_migrate_url or settings.database_url
    if action == "new":
        if not name:
            raise ConfigurationError("Name the migration: groundplan migrate new add_gift_cards")
        print(migrations.new(app_history, name))
        return 0
    if action == "up":
        _say(asyncio.run(migrations.upgrade(url, known, app_role=application_role(settings))))
    elif action == "down":
        _say(asyncio.run(migrations.downgrade(url, app_history)))
    rows = asyncio.run(migrations.status(url, known))
    if as_json:
        print_json([{"history": row.history, "current": row.current, "head": row.head} for row in rows])
    else:
        print_table(("History", "Current", "Head"), [(row.history, row.current or "none", row.head) for row in rows])
    return 1 if action == "status" and any(row.current != row.head for row in rows) else 0


def _say(lines: list[str]) -> None:
    for line in lines:
        print(f"Migrated {line}")
