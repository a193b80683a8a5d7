"""``groundplan migrate``: both histories, as the owner of the tables."""

from groundplan.cli.output import print_json, print_table
from groundplan.cli.project import find_project
from groundplan.core.errors import ConfigurationError
from groundplan.wiring import histories, migrate_down, migrate_up, migration_status, new_migration


def migrate(action: str, name: str, *, as_json: bool) -> int:
    project = find_project()
    loaded, app = project.settings(), project.app()
    if action == "new":
        if not name:
            raise ConfigurationError("Name the migration: groundplan migrate new add_gift_cards")
        print(new_migration(app, name))
        return 0
    if action == "up":
        for line in migrate_up(loaded.settings, app):
            print(line)
    elif action == "down":
        for line in migrate_down(loaded.settings, app):
            print(line)
    rows = migration_status(loaded.settings, app)
    if as_json:
        print_json([{"history": row.history, "current": row.current, "head": row.head} for row in rows])
    else:
        print_table(("History", "Current", "Head"), [(row.history, row.current or "none", row.head) for row in rows])
    behind = any(row.current != row.head for row in rows)
    return 1 if behind and action == "status" and histories(app) else 0
