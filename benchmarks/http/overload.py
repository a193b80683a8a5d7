"""Part 6: three times the load that it can carry, the time after it, and a herd that wants one cold key."""

import uuid

from benchmarks.common.results import Figure, number
from benchmarks.http import race, rows
from benchmarks.http.bench import Bench
from benchmarks.http.catalogue import OURS
from benchmarks.http.figures import believed
from benchmarks.http.load import Work
from benchmarks.http.meter import Use
from benchmarks.http.openloop import OpenLoop, good
from benchmarks.http.server import Server
from benchmarks.http.trial import (
    AFTER_SECONDS,
    AFTERWARDS,
    CALM,
    CALM_SECONDS,
    OVERLOAD_SECONDS,
    P99_TIMES_MOST,
    TIMES,
    Trial,
)

GOODPUT_LEAST, RECOVERY_MOST = 0.8, 30.0
CAPACITY_SECONDS = 5.0
TRIES = 3
"""On a busy machine, until one can be believed."""
HERD = 1_000
BODIES = 2_000


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]Overload[/]: orders placed at three times the capacity")
    bodies = list(rows.bodies(BODIES))
    with race.entrants(bench) as entrants:
        server = entrants.serve(OURS)
        work = Work(["/api/v1/orders"], bodies)
        bench.load.sample(server, work, seconds=bench.warm_up)
        for _ in range(TRIES):
            trial = await _trial(bench, server, work)
            bench.say(f"  {_told(trial)}")
            if not trial.doubt:
                break
        found = [*_judged(trial), await _herd(bench, server)]
    for figure in found:
        figure.durability = bench.on_postgresql()
    return found


async def _trial(bench: Bench, server: Server, work: Work) -> Trial:
    """Its capacity is measured before and after, because a busy machine takes some of it away in between."""
    before = bench.load.sample(server, work, seconds=CAPACITY_SECONDS).rate
    prefix = uuid.uuid4().hex

    def place(turn: int) -> bytes:
        return _request(server, "POST /api/v1/orders", work.bodies[turn % len(work.bodies)], f"{prefix}-{turn}")

    phases = [(CALM, CALM_SECONDS), (TIMES, OVERLOAD_SECONDS), (AFTERWARDS, AFTER_SECONDS)]
    use = Use(server)
    replies = await OpenLoop(server.port, place).run([(before * share, seconds) for share, seconds in phases])
    _, others = use.so_far()
    after = bench.load.sample(server, work, seconds=CAPACITY_SECONDS).rate
    return Trial.of(before, after, others, replies)


def _told(trial: Trial) -> str:
    back = f"more than {AFTER_SECONDS:.0f}" if trial.back is None else number(trial.back)
    return (
        f"capacity {number(trial.capacity)}/s, afterwards {number(trial.capacity_after)}/s; "
        f"{trial.admitted} of {trial.offered} admitted, {number(trial.goodput)}/s in time; back after {back} s"
        + (f". In doubt: {trial.doubt}" if trial.doubt else "")
    )


def _judged(trial: Trial) -> list[Figure]:
    doubt, slow, back = trial.doubt, trial.slow, trial.back
    goodput_met = trial.goodput >= GOODPUT_LEAST * trial.capacity
    slow_met = slow is not None and slow <= P99_TIMES_MOST * trial.unloaded
    return [
        Figure(
            name="overload, capacity",
            value=trial.capacity,
            unit="req/s",
            rounds=[trial.capacity, trial.capacity_after],
            note=f"in doubt: {trial.doubt}" if trial.doubt else "",
        ),
        Figure(name="overload, p99 unloaded", value=trial.unloaded * 1000, unit="ms"),
        Figure(
            name="overload, goodput",
            value=trial.goodput,
            unit="req/s",
            against="capacity",
            ratio=trial.goodput / trial.capacity,
            goal=f">= {GOODPUT_LEAST:.0%} of capacity",
            met=believed(goodput_met, doubt),
        ),
        Figure(
            name="overload, p99 of the admitted",
            value=None if slow is None else slow * 1000,
            unit="ms",
            against="p99 unloaded",
            ratio=None if slow is None else slow / trial.unloaded,
            goal=f"<= {P99_TIMES_MOST:g} times p99 unloaded",
            met=believed(slow_met, doubt),
            note="" if slow is not None else "too few requests were admitted",
        ),
        Figure(
            name="overload, back to normal",
            value=back,
            unit="s",
            goal=f"<= {RECOVERY_MOST:.0f} s",
            met=believed(back is not None and back <= RECOVERY_MOST, doubt),
            note="" if back is not None else f"not back within {AFTER_SECONDS:.0f} s",
        ),
    ]


async def _herd(bench: Bench, server: Server) -> Figure:
    key = uuid.uuid4().hex
    replies = await OpenLoop(server.port, lambda turn: _request(server, f"GET /api/v1/herd/{key}")).at_once(HERD)
    answered = [reply for reply in replies if good(reply)]
    fills = len({reply.body for reply in answered})
    bench.say(f"  {len(answered)} of a herd of {HERD} answered; {fills} fills")
    return Figure(
        name=f"herd of {HERD:,} on a cold key, fills",
        value=float(fills),
        unit="fills",
        goal="1, and all answered",
        met=fills == 1 and len(answered) == HERD,
        note="" if len(answered) == HERD else f"{HERD - len(answered)} of the herd were not answered well",
    )


def _request(server: Server, line: str, body: str = "", key: str = "") -> bytes:
    headers = {**server.headers, "Content-Length": str(len(body))}
    if key:
        headers |= {"Content-Type": "application/json", "Idempotency-Key": key}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{line} HTTP/1.1\r\n{head}\r\n{body}".encode()
