"""A state machine over dead letters: whatever people do to them, each message is in exactly one place."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from groundplan.core.errors import Conflict, NotFound
from groundplan.data.database.database import Database
from groundplan.data.database.sql import Sql, as_uuid
from groundplan.messaging.dead_letters.filter import DeadLetterFilter
from groundplan.testing.postgres import PostgresServer
from tests.databases import ENGINES, Templates, copy_of
from tests.messaging.dead_letters.test_dead_letters import Letters

some = st.integers(0, 15)
IDS = Sql("""SELECT id, 'waiting' AS place FROM deliveries WHERE handler = 'parcels.label'
    UNION ALL SELECT id, 'dead' FROM dead_letters""")


class Places(RuleBasedStateMachine):
    """``model`` says where each message should be: waiting, dead or gone."""

    url: Callable[[], str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.letters = Letters(Database(type(self).url()))
        self.model: dict[UUID, str] = {}
        self.old: set[UUID] = set()
        self.cutoff: datetime = self.run(self.letters.groups.cutoff(30))

    def run(self, act: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(act)

    def teardown(self) -> None:
        self.run(self.letters.database.close())
        self.runner.close()

    @rule(count=st.integers(1, 3), error=st.sampled_from(["Broken", "Late"]), old=st.booleans())
    def bury(self, count: int, error: str, old: bool) -> None:
        """New ones, and what was replayed and fails again."""
        at = self.cutoff - timedelta(days=1) if old else None
        buried = self.run(self.letters.give_up(count, slots=100, error=error, at=at))
        assert len(buried) >= count
        self.model |= dict.fromkeys(buried, "dead")
        self.old = self.old.union(buried) if old else self.old.difference(buried)

    @rule(position=some)
    def edit(self, position: int) -> None:
        chosen = self._pick(position)
        if chosen is None:
            return

        async def act() -> None:
            async with self.letters.database.transaction(None) as transaction:
                await self.letters.dead_letters.edit(transaction, chosen, {"number": 7}, by="me")

        if self.model[chosen] == "dead":
            self.run(act())
        else:
            with pytest.raises(NotFound):
                self.run(act())

    @rule(position=some, act=st.sampled_from(["replay", "drop"]))
    def one(self, position: int, act: str) -> None:
        chosen = self._pick(position)
        if chosen is None:
            return

        async def run() -> None:
            async with self.letters.database.transaction(None) as transaction:
                await getattr(self.letters.dead_letters, act)(transaction, chosen)

        if self.model[chosen] == "dead":
            self.run(run())
            self.model[chosen] = "waiting" if act == "replay" else "gone"
        else:
            with pytest.raises(Conflict):
                self.run(run())

    @rule(positions=st.lists(some, max_size=4), act=st.sampled_from(["replay", "drop"]))
    def selection(self, positions: list[int], act: str) -> None:
        chosen = {each for position in positions if (each := self._pick(position))}
        self._many(act, DeadLetterFilter(ids=tuple(chosen)), chosen)

    @rule(error=st.sampled_from(["", "Broken", "Late"]), act=st.sampled_from(["replay", "drop"]))
    def filtered(self, error: str, act: str) -> None:
        which = DeadLetterFilter(error=error)
        matching = set(self.run(self.letters.found(which, limit=500)))
        assert matching == {each for each in matching if self.model[each] == "dead"}
        self._many(act, which, matching)

    @rule()
    def prune(self) -> None:
        async def act() -> int:
            async with self.letters.database.transaction(None) as transaction:
                return (await self.letters.groups.prune(transaction, self.cutoff)).dead_letters

        expected = {each for each in self.old if self.model[each] == "dead"}
        assert self.run(act()) == len(expected)
        self.model |= dict.fromkeys(expected, "gone")

    @invariant()
    def each_is_in_exactly_one_place(self) -> None:
        places = [(as_uuid(row.id), row.place) for row in self.run(self.letters.database.execute(IDS))]
        assert sorted(places) == sorted((each, place) for each, place in self.model.items() if place != "gone")

    def _many(self, act: str, which: DeadLetterFilter, chosen: set[UUID]) -> None:
        expected = {each for each in chosen if self.model[each] == "dead"}
        done = self.run(getattr(self.letters, act)(which))
        assert (done.count, done.left) == (len(expected), 0)
        self.model |= dict.fromkeys(expected, "waiting" if act == "replay" else "gone")

    def _pick(self, position: int) -> UUID | None:
        known = sorted(self.model)
        return known[position % len(known)] if known else None


@pytest.mark.parametrize("engine", ENGINES)
def test_each_message_is_in_exactly_one_place(
    engine: str, templates: Templates, tmp_path: Path, postgres: PostgresServer
) -> None:
    made = iter(range(1_000_000))

    def fresh() -> str:
        folder = tmp_path / str(next(made))
        folder.mkdir()
        return copy_of(engine, templates, folder, postgres).app

    class OnEngine(Places):
        url = staticmethod(fresh)

    examples = 25 if engine == "sqlite" else 5
    quick = settings(
        max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(OnEngine, settings=quick)
