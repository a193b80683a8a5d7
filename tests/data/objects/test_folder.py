"""Objects as files: the suite, and what only files can get wrong."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

import pytest

from groundplan.core.errors import NotFound
from groundplan.data.objects.folder import FolderStore
from groundplan.data.objects.port import Objects, ObjectStore
from groundplan.data.objects.signing import UrlSigner
from groundplan.testing.clock import ManualClock
from groundplan.testing.objects_suite import ObjectStoreSuite, parts

TENANT = UUID(int=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def folder(tmp_path: Path, clock: ManualClock) -> AsyncIterator[FolderStore]:
    store = FolderStore(tmp_path / "objects", UrlSigner(b"k" * 32, clock))
    await store.open()
    yield store
    await store.close()


class TestFolderStore(ObjectStoreSuite):
    @pytest.fixture
    def store(self, folder: FolderStore, clock: ManualClock) -> ObjectStore:
        self.clock = clock
        return folder

    async def pass_time(self, store: ObjectStore, seconds: int) -> None:
        self.clock.seconds += seconds

    async def fetch(self, store: ObjectStore, url: str) -> bytes | None:
        """As the route behind /objects/ does."""
        address = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        key = unquote(address.path).removeprefix("/objects/")
        allowed = Objects(store).verify(
            key,
            expires=int(query.get("expires", "0")),
            signature=query.get("signature", ""),
            filename=query.get("filename"),
        )
        return await Objects(store).get(key) if allowed else None


@pytest.mark.anyio
async def test_nothing_unfinished_is_left(folder: FolderStore, tmp_path: Path) -> None:
    objects = Objects(folder).bind(TENANT)
    await objects.put("whole", b"1")
    with pytest.raises(ConnectionError):
        await objects.put("broken", parts(3, b"x", breaks=True))
    slow = asyncio.create_task(objects.put("cancelled", _never_ends()))
    await asyncio.sleep(0.05)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow

    assert list((tmp_path / "objects/.unfinished").iterdir()) == []
    assert [stat.key for stat in await objects.list()] == ["whole"]


@pytest.mark.anyio
async def test_opening_clears_what_dead_processes_left_and_nothing_else(folder: FolderStore, tmp_path: Path) -> None:
    old, fresh = tmp_path / "objects/.unfinished/old", tmp_path / "objects/.unfinished/fresh"
    for file in (old, fresh):
        file.write_bytes(b"x")
    os.utime(old, (time.time() - 100_000, time.time() - 100_000))
    await folder.open()

    assert (old.exists(), fresh.exists()) == (False, True)


@pytest.mark.anyio
async def test_a_writer_that_is_killed_leaves_the_old_object(folder: FolderStore, tmp_path: Path) -> None:
    objects = Objects(folder).bind(TENANT)
    await objects.put("key", b"before")
    writer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _WRITER, str(tmp_path / "objects"), str(TENANT)),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert writer.stdout is not None
        assert await writer.stdout.readline() == b"half way\n"
    finally:
        writer.kill()
        await writer.communicate()

    assert await objects.get("key") == b"before"
    assert len(await objects.list()) == 1


@pytest.mark.anyio
async def test_keys_cannot_leave_the_folder(folder: FolderStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"text/plain\nsecret")
    with pytest.raises(NotFound):
        await Objects(folder).get(f"t/{TENANT}/secret")


async def _never_ends() -> AsyncIterator[bytes]:
    yield b"x" * 100_000
    await asyncio.Event().wait()


_WRITER = """
import asyncio, sys
from pathlib import Path
from uuid import UUID
from groundplan.core.clock import SystemClock
from groundplan.data.objects.folder import FolderStore
from groundplan.data.objects.port import Objects
from groundplan.data.objects.signing import UrlSigner

async def chunks():
    yield b"x" * 1_000_000
    print("half way", flush=True)
    await asyncio.Event().wait()

async def main():
    store = FolderStore(Path(sys.argv[1]), UrlSigner(b"k" * 32, SystemClock()))
    await store.open()
    await Objects(store).bind(UUID(sys.argv[2])).put("key", chunks())

asyncio.run(main())
"""
