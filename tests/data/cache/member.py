"""One of several real processes that share a cache: does what its standard input says, a line at a time.

    python -m tests.data.cache.member URL APP FOLDER LEASE

``read KEY VALUE COUNT`` reads that often at once, with a fill of VALUE that notes itself in FOLDER/fills and waits
until FOLDER/gate is there; ``forget TAG`` invalidates. Each answers with one line of JSON. FOLDER/claims has a line
with its process for each answer to a claim.
"""

import asyncio
import json
import os
import random
import sys
from pathlib import Path
from uuid import UUID

from groundplan.core.clock import SystemClock
from groundplan.data.cache.memory import MemoryCache
from groundplan.data.cache.port import Address, Claim, Kept
from groundplan.data.cache.read_through import Cache
from groundplan.data.cache.redis import RedisCache
from groundplan.data.valkey import Link
from groundplan.testing.app import until

TAG = "a"


def note(file: Path, value: str) -> None:
    with file.open("a") as noted:
        noted.write(f"{value}\n")


class TellingCache(RedisCache):
    """Notes the answers to its claims."""

    claims: Path

    async def claim(self, address: Address, lease: float) -> Claim | Kept | None:
        answer = await super().claim(address, lease)
        note(self.claims, str(os.getpid()))
        return answer


async def main(url: str, app: str, folder: Path, lease: float) -> None:
    link = Link(url, deadline=5.0)
    store = TellingCache(link, MemoryCache(SystemClock(), max_entries=10_000, max_bytes=10**8), app)
    store.claims = folder / "claims"
    cache = Cache(store, app=app, version="1", random=random.Random(7), lease=lease)
    mine = cache.bind(UUID(int=1))
    await link.open()
    await cache.open()
    await until(lambda: store._hears)

    async def read(key: str, value: str) -> str:
        async def fill() -> str:
            note(folder / "fills", value)
            await until((folder / "gate").exists, seconds=3600)
            return value

        return await mine.read_through(key, fill, ttl=600, type=str, tags=[TAG])

    print(json.dumps("ready"), flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        act, *words = line.split()
        if act == "read":
            key, value, count = words
            answer = sorted(set(await asyncio.gather(*(read(key, value) for _ in range(int(count))))))
            print(json.dumps(answer), flush=True)
        else:
            await mine.invalidate(tags=words)
            print(json.dumps("forgotten"), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4])))
