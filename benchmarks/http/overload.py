"""Part 6: three times the load that it can carry, the time after it, and a herd that wants one cold key."""

import statistics
import uuid
from collections.abc import Sequence

from benchmarks.common.results import Figure, number
from benchmarks.http import race, rows
from benchmarks.http.bench import Bench
from benchmarks.http.catalogue import OURS
from benchmarks.http.load import Work
from benchmarks.http.openloop import OpenLoop, Reply
from benchmarks.http.server import Server

CALM, TIMES, AFTERWARDS = 0.1, 3.0, 0.5
"""Of the capacity: before, during and after the overload."""
CALM_SECONDS, OVERLOAD_SECONDS, AFTER_SECONDS = 10.0, 15.0, 35.0
GOODPUT_LEAST, P99_TIMES_MOST, RECOVERY_MOST = 0.8, 5.0, 30.0
HERD = 1_000
BODIES = 2_000


async def measure(bench: Bench, chosen: list[str]) -> list[Figure]:
    bench.say("\n[bold]Overload[/]: orders placed at three times the capacity")
    bodies = list(rows.bodies(BODIES))
    with race.entrants(bench) as entrants:
        server = entrants.serve(OURS)
        work = Work(["/api/v1/orders"], bodies)
        bench.load.sample(server, work, seconds=bench.warm_up)
        capacity = bench.load.sample(server, work, seconds=bench.seconds).rate
        prefix = uuid.uuid4().hex

        def place(turn: int) -> bytes:
            return _request(server, "POST /api/v1/orders", bodies[turn % BODIES], f"{prefix}-{turn}")

        phases = [(CALM, CALM_SECONDS), (TIMES, OVERLOAD_SECONDS), (AFTERWARDS, AFTER_SECONDS)]
        replies = await OpenLoop(server.port, place).run([(capacity * share, seconds) for share, seconds in phases])
        found = [*_judged(bench, capacity, replies), await _herd(bench, server)]
    for figure in found:
        figure.durability = bench.on_postgresql()
    return found


def _judged(bench: Bench, capacity: float, replies: Sequence[Reply]) -> list[Figure]:
    begin, end = CALM_SECONDS, CALM_SECONDS + OVERLOAD_SECONDS
    calm = [reply for reply in replies if reply.due < begin]
    unloaded = _p99([reply for reply in calm if _good(reply)])
    loaded = [reply for reply in replies if begin <= reply.due < end]
    admitted = [reply for reply in loaded if _good(reply)]
    goodput = sum(_good(reply) and begin <= reply.due + reply.taken < end for reply in replies) / OVERLOAD_SECONDS
    slow = _p99(admitted) if admitted else None
    back = _recovery([reply for reply in replies if reply.due >= end], end, unloaded)
    bench.say(
        f"  capacity {number(capacity)}/s; {len(admitted)} of {len(loaded)} admitted, {number(goodput)}/s in time; "
        f"back after {'more than ' * (back is None)}{number(AFTER_SECONDS if back is None else back)} s"
    )
    return [
        Figure(name="overload, capacity", value=capacity, unit="req/s"),
        Figure(name="overload, p99 unloaded", value=unloaded * 1000, unit="ms"),
        Figure(
            name="overload, goodput",
            value=goodput,
            unit="req/s",
            against="capacity",
            ratio=goodput / capacity,
            goal=f">= {GOODPUT_LEAST:.0%} of capacity",
            met=goodput >= GOODPUT_LEAST * capacity,
        ),
        Figure(
            name="overload, p99 of the admitted",
            value=None if slow is None else slow * 1000,
            unit="ms",
            against="p99 unloaded",
            ratio=None if slow is None else slow / unloaded,
            goal=f"<= {P99_TIMES_MOST:g} times p99 unloaded",
            met=slow is not None and slow <= P99_TIMES_MOST * unloaded,
            note="" if slow is not None else "not a single request was admitted",
        ),
        Figure(
            name="overload, back to normal",
            value=back,
            unit="s",
            goal=f"<= {RECOVERY_MOST:.0f} s",
            met=back is not None and back <= RECOVERY_MOST,
            note="" if back is not None else f"not back within {AFTER_SECONDS:.0f} s",
        ),
    ]


async def _herd(bench: Bench, server: Server) -> Figure:
    key = uuid.uuid4().hex
    replies = await OpenLoop(server.port, lambda turn: _request(server, f"GET /api/v1/herd/{key}")).at_once(HERD)
    good = [reply for reply in replies if _good(reply)]
    fills = len({reply.body for reply in good})
    bench.say(f"  {len(good)} of a herd of {HERD} answered; {fills} fills")
    return Figure(
        name=f"herd of {HERD:,} on a cold key, fills",
        value=float(fills),
        unit="fills",
        goal="1, and all answered",
        met=fills == 1 and len(good) == HERD,
        note="" if len(good) == HERD else f"{HERD - len(good)} of the herd were not answered well",
    )


def _request(server: Server, line: str, body: str = "", key: str = "") -> bytes:
    headers = {**server.headers, "Content-Length": str(len(body))}
    if key:
        headers |= {"Content-Type": "application/json", "Idempotency-Key": key}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{line} HTTP/1.1\r\n{head}\r\n{body}".encode()


def _good(reply: Reply) -> bool:
    return 200 <= reply.status < 300


def _p99(replies: Sequence[Reply]) -> float:
    """Seconds."""
    return statistics.quantiles([reply.taken for reply in replies], n=100)[98]


def _recovery(replies: Sequence[Reply], end: float, unloaded: float) -> float | None:
    """Seconds until two in a row in which every request was answered as fast as the admitted should be."""
    calm = 0
    for second in range(int(AFTER_SECONDS)):
        within = [reply for reply in replies if second <= reply.due - end < second + 1]
        good = all(_good(reply) for reply in within)
        calm = calm + 1 if good and _p99(within) <= P99_TIMES_MOST * unloaded else 0
        if calm == 2:
            return float(second - 1)
    return None
