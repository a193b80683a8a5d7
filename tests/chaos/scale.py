"""How hard it is shaken: a short form that every `make test` takes, and the full one of `make chaos`."""

import os
from dataclasses import dataclass

FULL = os.environ.get("GROUNDPLAN_CHAOS") == "full"


@dataclass(frozen=True, kw_only=True)
class Scale:
    """``lease`` and ``reap`` are the workers' in seconds, ``outage`` how long a server is away."""

    seeds: tuple[int, ...]
    lease: int
    reap: float
    outage: float
    rounds: int
    messages: int


SHORT = Scale(seeds=(1,), lease=2, reap=0.5, outage=2, rounds=1, messages=40)
LONG = Scale(
    seeds=tuple(int(seed) for seed in (os.environ.get("GROUNDPLAN_CHAOS_SEEDS") or "1,2,3").split(",")),
    lease=5,  # the shortest that the settings allow, and the reaper's own pace
    reap=5,
    outage=60,
    rounds=1,
    messages=200,
)
SCALE = LONG if FULL else SHORT


def full_or(short: list[str], full: list[str]) -> list[str]:
    return full if FULL else short
