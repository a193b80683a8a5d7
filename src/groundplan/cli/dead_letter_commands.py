"""The commands of ``groundplan dead-letters`` and their arguments."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from cyclopts import App, Parameter

from groundplan.cli.output import Json, Positive

if TYPE_CHECKING:
    from groundplan.cli.dead_letter_groups import Which

Changes = Annotated[list[str], Parameter(name="--set", negative="")]
All = Annotated[bool, Parameter(name="--all", negative="", help="All there are, where nothing else says which.")]
Reason = Annotated[str, Parameter(help="Why they gave up: invalid, not retryable, exhausted, crashed or retired.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Chosen:
    """All that is given must hold."""

    handler: str = ""
    error: str = ""
    tenant: str = ""
    """Its short name, or - for messages of none."""
    since: str = ""
    """A time, or how long ago: 90m, 24h, 7d."""
    until: str = ""

    def which(self, reason: str = "") -> "Which":
        from groundplan.cli.dead_letter_groups import Which

        return Which(reason=reason, **vars(self))


ANY = Chosen()


def build() -> App:
    dead = App(name="dead-letters", help="Messages that gave up: look, mend, replay, drop.")

    @dead.command(name="list")
    def list_(*, chosen: Chosen = ANY, reason: Reason = "", limit: Positive = 50, json: Json = False) -> int:
        """Newest first. Exit code 1 if there are any."""
        from groundplan.cli.dead_letters import list_

        return list_(chosen.which(reason), limit, as_json=json)

    @dead.command
    def groups(*, by: str = "handler,error", chosen: Chosen = ANY, reason: Reason = "", json: Json = False) -> int:
        """How many there are, the largest group first. --by takes some of handler,error,reason,tenant,hour."""
        from groundplan.cli.dead_letter_groups import groups

        return groups(chosen.which(reason), by, as_json=json)

    @dead.command
    def show(dead_letter_id: UUID, *, json: Json = False) -> int:
        """One dead letter with its payload and every attempt."""
        from groundplan.cli.dead_letters import show

        return show(dead_letter_id, as_json=json)

    @dead.command
    def edit(dead_letter_id: UUID, *, set: Changes) -> int:
        """Correct fields of the payload: --set email=mara@example.com. Checked against the schema."""
        from groundplan.cli.dead_letters import edit

        return edit(dead_letter_id, set)

    @dead.command
    def replay(
        dead_letter_id: UUID | None = None,
        *,
        set: Changes | None = None,
        chosen: Chosen = ANY,
        reason: Reason = "",
        everything: All = False,
        rate: str = "",
        json: Json = False,
    ) -> int:
        """Deliver one again, corrected first where --set is given; or all that are chosen, --rate 10/s."""
        if dead_letter_id is not None:
            from groundplan.cli.dead_letters import replay

            return replay(dead_letter_id, set or [])
        from groundplan.cli.dead_letter_groups import replay as replay_many

        return replay_many(chosen.which(reason), rate, everything=everything, as_json=json)

    @dead.command
    def drop(
        dead_letter_id: UUID | None = None,
        *,
        reason: str,
        chosen: Chosen = ANY,
        everything: All = False,
        json: Json = False,
    ) -> int:
        """Delete one for good, or all that are chosen; the reason goes into the audit log."""
        if dead_letter_id is not None:
            from groundplan.cli.dead_letters import drop

            return drop(dead_letter_id, reason)
        from groundplan.cli.dead_letter_groups import drop as drop_many

        return drop_many(chosen.which(), reason, everything=everything, as_json=json)

    @dead.command
    def prune(*, older_than: int, json: Json = False) -> int:
        """Remove what gave up more than so many days ago, and the notes of attempts that are as old."""
        from groundplan.cli.dead_letter_groups import prune

        return prune(older_than, as_json=json)

    return dead
