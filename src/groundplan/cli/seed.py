"""``groundplan seed``: the app's demonstration data, with progress."""

import asyncio
import sys

from groundplan.app.application import App
from groundplan.cli.project import find_project
from groundplan.core.clock import SystemClock
from groundplan.security.passwords import Passwords
from groundplan.settings import Settings
from groundplan.wiring import load, open_database, search_in


def seed() -> int:
    project = find_project()
    settings, app = project.settings().settings, project.app()
    if app.seed is None:
        print("This app has no seed.")
        return 0
    if not asyncio.run(seed_database(settings, app)):
        print("The data is there already.")
    return 0


async def seed_database(settings: Settings, app: App) -> bool:
    """Whether anything was added. Does nothing outside local and ci, where data is not ours to make up."""
    if app.seed is None or settings.env not in ("local", "ci"):
        return False
    database = open_database(settings, exclusive=True)
    await database.open()
    try:
        report = await load(app.seed)(
            database,
            search=search_in(database),
            hash_password=lambda password: Passwords().hash_now(password),
            clock=SystemClock(),
            progress=_show,
        )
    finally:
        await database.close()
    return bool(report.stores)


def accounts_of(app: App) -> list[str]:
    """The demonstration accounts, for the greeting of ``groundplan dev``."""
    if app.demo is None:
        return []
    password, accounts = load(app.demo)()
    width = max(len(email) for email, _ in accounts)
    return [
        f"  Sign in with the password  {password}",
        *(f"    {email:<{width}}  {role}" for email, role in accounts),
        "",
    ]


def _show(step: str, done: int, total: int) -> None:
    bar = "#" * (20 * done // max(total, 1))
    end = "\n" if done == total else "\r" if sys.stdout.isatty() else "\n"
    print(f"Seeding [{bar:<20}] {step:<40}", end=end, flush=True)
