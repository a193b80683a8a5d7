"""Real processes on one Valkey: a herd, an invalidation, and a filler that is killed."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from groundplan.testing.app import until
from groundplan.testing.servers import ValkeyServer
from tests.data.cache.member import TAG

pytestmark = [pytest.mark.anyio, pytest.mark.processes]

ROOT = Path(__file__).parents[3]


class Member:
    def __init__(self, url: str, app: str, folder: Path, lease: float) -> None:
        command = [sys.executable, "-m", "tests.data.cache.member", url, app, str(folder), str(lease)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PYTHONPATH": "src:."}
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    async def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(await asyncio.wait_for(asyncio.to_thread(self.process.stdout.readline), 60))

    async def ask(self, line: str) -> Any:
        self.tell(line)
        return await self.answer()

    def end(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()


class Members:
    """As many as asked for, each ready; what they fill is noted in a file they share."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self._app = f"test-{uuid4().hex}"
        self.all = list[Member]()

    async def start(self, count: int, lease: float = 60) -> list[Member]:
        started = [Member(self._url, self._app, self._folder, lease) for _ in range(count)]
        self.all += started
        assert [await member.answer() for member in started] == ["ready"] * count
        return started

    @property
    def fills(self) -> list[str]:
        return self._noted("fills")

    @property
    def claims(self) -> list[str]:
        """The processes whose claims were answered."""
        return self._noted("claims")

    def _noted(self, name: str) -> list[str]:
        file = self._folder / name
        return file.read_text().split() if file.exists() else []

    def open_gate(self) -> None:
        (self._folder / "gate").touch()


@pytest.fixture
def members(valkey: ValkeyServer, tmp_path: Path) -> Iterator[Members]:
    members = Members(valkey.url, tmp_path)
    yield members
    for member in members.all:
        member.end()


async def test_a_thousand_in_each_of_three_processes_are_one_fill(members: Members) -> None:
    three = await members.start(3)
    for number, member in enumerate(three):
        member.tell(f"read cold value-{number} 1000")
    await until(lambda: set(members.claims) == {f"{member.process.pid}" for member in three})
    members.open_gate()
    answers = [await member.answer() for member in three]

    assert len(members.fills) == 1
    assert answers == [members.fills] * 3


async def test_an_invalidation_reaches_every_process(members: Members) -> None:
    members.open_gate()
    one, other = await members.start(2)
    assert [await member.ask("read n old 1") for member in (one, other)] == [["old"]] * 2
    assert await one.ask(f"forget {TAG}") == "forgotten"
    assert await one.ask("read n new 1") == ["new"]

    async def heard() -> bool:
        return await other.ask("read n unused 1") == ["new"]

    await until(heard)
    assert members.fills == ["old", "new"]


async def test_what_one_began_to_fill_before_another_outdated_it_is_never_kept(members: Members) -> None:
    one, other = await members.start(2)
    one.tell("read n old 5")
    await until(lambda: members.fills == ["old"])
    assert await other.ask(f"forget {TAG}") == "forgotten"
    members.open_gate()

    assert await one.answer() == ["old"]
    assert await other.ask("read n new 1") == ["new"]
    assert members.fills == ["old", "new"]


async def test_a_killed_filler_is_succeeded(members: Members) -> None:
    one, other = await members.start(2, lease=1.0)
    one.tell("read n never 5")
    await until(lambda: members.fills == ["never"])
    other.tell("read n made 100")
    one.end()
    await until(lambda: members.fills == ["never", "made"])
    members.open_gate()

    assert await other.answer() == ["made"]
