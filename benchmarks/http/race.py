"""Contenders side by side: each has a server and a database of its own, and they take turns under the load."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.common.environments import ready
from benchmarks.common.machine import BenchmarkFailed
from benchmarks.common.results import number
from benchmarks.http import catalogue, platform, rows
from benchmarks.http.bench import Bench
from benchmarks.http.catalogue import Contender
from benchmarks.http.load import Sample, Work
from benchmarks.http.server import Server
from groundplan.testing.servers import free_port

TEMPLATE = "bench_http"


class Lane(NamedTuple):
    name: str
    server: Server
    work: Work


class Entrants:
    """The servers of one part, started when they are asked for, gone with their databases at the end of the block."""

    def __init__(self, bench: Bench, folder: Path, stack: ExitStack) -> None:
        self._bench, self._folder, self._stack = bench, folder, stack
        self._started = 0

    def serve(self, contender: Contender) -> Server:
        self._started += 1
        database = f"bench_{self._started}"
        folder = self._folder / database
        folder.mkdir()
        urls = self._bench.postgres.create_database(database, template=template(self._bench))
        self._stack.callback(self._bench.postgres.drop_database, database)
        server = (
            self._peer(contender, database, folder) if contender.module else self._ours(contender, urls.app, folder)
        )
        self._stack.enter_context(server)
        if not contender.module:
            server.sign_in(rows.EMAIL, rows.PASSWORD)
        return server

    def _ours(self, contender: Contender, url: str, folder: Path) -> Server:
        platform.project(folder, "benchmarks.http.app:app")
        return platform.serve(
            contender.name,
            folder,
            {"DATABASE_URL": url.replace("+asyncpg", ""), **contender.more},
            role=contender.role,
            host=rows.HOST,
            core=self._bench.core,
        )

    def _peer(self, contender: Contender, database: str, folder: Path) -> Server:
        """It sees the database as its superuser, so that row-level security, which is ours, costs it nothing."""
        bench, port = self._bench, free_port()
        programs = Path(sys.executable).parent
        if contender.environment:
            programs = ready(bench.folder, catalogue.REQUIREMENTS / f"{contender.environment}.txt", bench.say)
        return Server(
            contender.name,
            catalogue.command(contender, programs, port),
            {"DATABASE_URL": bench.postgres.url(database)},
            port=port,
            folder=folder,
            core=bench.core,
            ready="/api/v1/products",
            token=rows.token(),
            host=rows.HOST,
        )


@contextmanager
def entrants(bench: Bench) -> Iterator[Entrants]:
    with bench.place("race") as folder, ExitStack() as stack:
        yield Entrants(bench, folder, stack)


def run(bench: Bench, lanes: Sequence[Lane]) -> dict[str, list[Sample]]:
    """By the lane's name, a sample for each round. Raises BenchmarkFailed where they do not do the same work."""
    _compare(lanes)
    found: dict[str, list[Sample]] = {lane.name: [] for lane in lanes}
    for lane in lanes:
        bench.load.sample(lane.server, lane.work, seconds=bench.warm_up)
    for turn in range(bench.rounds):
        first = turn % len(lanes)
        for lane in [*lanes[first:], *lanes[:first]]:
            sample = bench.load.sample(lane.server, lane.work, seconds=bench.seconds)
            found[lane.name].append(sample)
            bench.say(
                f"  round {turn + 1}  {lane.name}: {number(sample.cpu)} us CPU, {number(sample.rate)}/s, "
                f"p50 {number(sample.p50)} ms, p99 {number(sample.p99)} ms; others {sample.others:.0%}"
            )
    return found


def _compare(lanes: Sequence[Lane]) -> None:
    """Reads of one part have one answer, whoever gives it; a time may be written in several ways."""
    reads = [lane for lane in lanes if not lane.work.bodies and lane.work.paths[0].startswith("/api/")]
    answers = [(lane.name, _answer(lane)) for lane in reads]
    for name, answer in answers[1:]:
        if answer != answers[0][1]:
            said = f"{str(answer)[:300]} is not {str(answers[0][1])[:300]}"
            raise BenchmarkFailed(f"{name} answers otherwise than {answers[0][0]}: {said}")


def _answer(lane: Lane) -> Any:
    answer = lane.server.json("GET", lane.work.paths[0])
    if isinstance(answer, dict):
        answer.pop("placed_at", None)
    return answer


def template(bench: Bench) -> str:
    """The name of a database with the platform's tables and the benchmark's rows, to be copied."""
    if TEMPLATE not in bench.made:
        urls = bench.postgres.create_database(TEMPLATE)
        app = {"DATABASE_URL": urls.app.replace("+asyncpg", "")}
        with bench.place(TEMPLATE) as folder:
            platform.project(folder, "benchmarks.http.app:app")
            owner = app | {"DATABASE_MIGRATE_URL": urls.owner.replace("+asyncpg", "")}
            platform.command(folder, owner, "migrate")
            platform.command(folder, app, "seed")
        bench.postgres.run("VACUUM ANALYZE", database=TEMPLATE)
        bench.made.add(TEMPLATE)
    return TEMPLATE
