"""The commands and their arguments; what each does stands in the module it imports."""

from typing import Annotated, Literal
from uuid import UUID

from cyclopts import App, Parameter

from groundplan import __version__
from groundplan.cli import dead_letter_commands, queue_commands
from groundplan.cli.output import Json, Positive

Role = Literal["web", "api", "worker", "all"]


def build() -> App:
    app = App(name="groundplan", version=__version__, help="The reference architecture that runs.")
    config = App(name="config", help="Show or check the configuration.")
    events = App(name="events", help="What is published here, and the log of what was.")
    for group in (config, queue_commands.build(), dead_letter_commands.build(), events):
        app.command(group)

    @app.command
    def dev(*, port: int | None = None) -> int:
        """Migrate, seed and serve everything in one process, again after every saved change."""
        from groundplan.cli.dev import dev

        return dev(port)

    @app.command
    def run(*, role: Role = "all", port: int | None = None, host: str | None = None, prepare: bool = False) -> int:
        """Serve one role, or all of them in one process. --prepare migrates and seeds first."""
        from groundplan.cli.run import run

        return run(role, port=port, host=host, prepare=prepare)

    @app.command
    def migrate(action: Literal["up", "down", "status", "new"] = "up", name: str = "", *, json: Json = False) -> int:
        """Bring the database to this release: platform tables and the app's own. `new NAME` starts an app migration."""
        from groundplan.cli.migrate import migrate

        return migrate(action, name, as_json=json)

    @app.command
    def seed() -> int:
        """Fill an empty database with the app's demonstration data; does nothing where it is there already."""
        from groundplan.cli.seed import seed

        return seed()

    @config.command
    def show(*, json: Json = False) -> int:
        """Every setting, its value (secrets hidden) and where it came from."""
        from groundplan.cli.config import show

        return show(as_json=json)

    @config.command
    def check() -> int:
        """Exit 0 if a process could start with this configuration, 2 with every problem in words if not."""
        from groundplan.cli.config import check

        return check()

    @events.command
    def catalog(*, json: Json = False, yaml: Annotated[bool, Parameter(negative="")] = False) -> int:
        """Every event and job with its version, owner, handlers and fields; --json and --yaml give AsyncAPI 3."""
        from groundplan.cli.events import catalog

        return catalog(as_json=json, as_yaml=yaml)

    @events.command
    def tail(
        *, name: str = "", tenant: str = "", lines: Positive = 20, follow: bool = False, json: Json = False
    ) -> int:
        """The newest events, oldest of them first. --follow waits for more, --json prints one object to a line."""
        from groundplan.cli.events import tail

        return tail(name, tenant, lines, follow=follow, as_json=json)

    @events.command(name="replay")
    def replay_events(
        *,
        handler: str = "",
        from_: Annotated[str, Parameter(name="--from")] = "",
        until: str = "",
        tenant: str = "",
        rate: str = "",
        again: Annotated[bool, Parameter(negative="")] = False,
        dry_run: Annotated[bool, Parameter(negative="")] = False,
        continue_: Annotated[UUID | None, Parameter(name="--continue")] = None,
        json: Json = False,
    ) -> int:
        """Run one handler again for the events from a time on. It makes new messages, so it takes --again.

        Parameters
        ----------
        from_
            A time or a day, in UTC where it names no zone: 2026-01-31T12:00.
        until
            By default now.
        tenant
            Only this tenant's events, by its short name or id.
        rate
            At most so many messages a second: 50/s.
        dry_run
            Only count them.
        continue_
            Go on with a replay that was cut off, by the id that it printed.
        """
        from groundplan.cli.replay import Wanted, replay

        return replay(
            Wanted(
                handler=handler,
                since=from_,
                until=until,
                tenant=tenant,
                rate=rate,
                going_on=continue_,
                again=again,
                dry_run=dry_run,
                as_json=json,
            )
        )

    @events.command
    def erase(*, user: UUID | None = None, tenant: str = "", json: Json = False) -> int:
        """Empty the events and dead letters of a user or a tenant, as the owner of the tables."""
        from groundplan.cli.retention import erase

        return erase(user, tenant, as_json=json)

    @events.command
    def prune(*, older_than: int, json: Json = False) -> int:
        """Remove events that are older than so many days, as the owner of the tables."""
        from groundplan.cli.retention import prune

        return prune(older_than, as_json=json)

    return app
