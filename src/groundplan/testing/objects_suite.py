"""What every object storage must do. An adapter's test subclasses the suite and says how to make one."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID, uuid4

import pytest

from groundplan.core.errors import NotFound
from groundplan.data.objects.port import Objects, ObjectStore

_LARGE = 3_000_000


@pytest.mark.anyio
class ObjectStoreSuite:
    """A subclass has the fixture ``store``, an open storage, and says how a browser would fetch from it."""

    async def fetch(self, store: ObjectStore, url: str) -> bytes | None:
        """What the URL leads to; None where it is refused."""
        raise NotImplementedError

    async def pass_time(self, store: ObjectStore, seconds: int) -> None:
        await asyncio.sleep(seconds)

    @pytest.fixture
    def tenant(self) -> UUID:
        return uuid4()

    @pytest.fixture
    def objects(self, store: ObjectStore, tenant: UUID) -> Objects:
        return Objects(store).bind(tenant)

    async def test_an_object_comes_back_as_it_went_in(self, objects: Objects) -> None:
        for data in (b"", b"a,b\n1,2\n", b"\n\x00\xff", b"x" * _LARGE):
            stored = await objects.put("reports/sales.csv", data, content_type="text/csv; charset=utf-8")
            assert await objects.get("reports/sales.csv") == data
            found = await objects.stat("reports/sales.csv")
            assert (found.key, found.size, found.content_type) == (stored.key, len(data), "text/csv; charset=utf-8")
            assert found.key == "reports/sales.csv"
            assert abs(datetime.now(UTC) - found.modified_at) < timedelta(minutes=5)

    async def test_a_stream_comes_back_in_chunks(self, objects: Objects) -> None:
        await objects.put("large", parts(30, b"x" * 100_000))
        async with objects.read("large") as found:
            chunks = [chunk async for chunk in found.chunks]

        assert found.stat.size == _LARGE
        assert b"".join(chunks) == b"x" * _LARGE
        assert len(chunks) > 1

    async def test_a_missing_object(self, objects: Objects) -> None:
        for act in (objects.get, objects.stat):
            with pytest.raises(NotFound):
                await act("nothing")
        with pytest.raises(NotFound):
            async with objects.read("nothing"):
                pass

    async def test_the_last_write_wins_with_its_type(self, objects: Objects) -> None:
        await objects.put("key", b"one", content_type="text/plain")
        await objects.put("key", b"2", content_type="application/json")

        assert await objects.get("key") == b"2"
        assert (await objects.stat("key")).content_type == "application/json"

    async def test_a_key_may_be_the_start_of_another(self, objects: Objects) -> None:
        await objects.put("a", b"1")
        await objects.put("a/b", b"2")
        await objects.put("a/b/c", b"3")

        assert [await objects.get(key) for key in ("a", "a/b", "a/b/c")] == [b"1", b"2", b"3"]

    async def test_deleting(self, objects: Objects) -> None:
        await objects.put("key", b"1")
        await objects.delete("key")
        await objects.delete("key")

        with pytest.raises(NotFound):
            await objects.stat("key")
        await objects.put("key", b"2")
        assert await objects.get("key") == b"2"

    async def test_a_stream_that_breaks_stores_nothing(self, objects: Objects) -> None:
        await objects.put("key", b"before")
        with pytest.raises(ConnectionError):
            await objects.put("key", parts(3, b"x" * 100_000, breaks=True))

        assert await objects.get("key") == b"before"
        assert [stat.key for stat in await objects.list()] == ["key"]

    async def test_readers_see_one_version_whole(self, objects: Objects) -> None:
        versions = {bytes([letter]) * 400_000 for letter in b"abcdef"}
        await objects.put("key", b"a" * 400_000)

        async def write() -> None:
            for version in sorted(versions) * 3:
                await objects.put("key", version)

        writing = asyncio.create_task(write())
        reads = 0
        while not writing.done():
            assert await objects.get("key") in versions
            reads += 1
        await writing
        assert reads > 1

    async def test_a_version_stays_the_same_while_it_is_read(self, objects: Objects) -> None:
        await objects.put("key", b"a" * _LARGE)
        async with objects.read("key") as found:
            first = await anext(found.chunks)
            await objects.put("key", b"b")
            rest = [chunk async for chunk in found.chunks]

        assert b"".join([first, *rest]) == b"a" * _LARGE

    async def test_listing(self, objects: Objects) -> None:
        for key in ("a/2", "a/1", "a", "a.txt", "ab", "b/1"):
            await objects.put(key, key.encode())

        async def keys(prefix: str = "", *, after: str = "", limit: int = 1000) -> list[str]:
            return [stat.key for stat in await objects.list(prefix, after=after, limit=limit)]

        assert await keys() == ["a", "a.txt", "a/1", "a/2", "ab", "b/1"]
        assert await keys("a/") == ["a/1", "a/2"]
        assert await keys("a") == ["a", "a.txt", "a/1", "a/2", "ab"]
        assert await keys("nothing/") == []
        assert await keys(limit=2) == ["a", "a.txt"]
        assert await keys(after="a.txt", limit=2) == ["a/1", "a/2"]

    async def test_tenants_are_apart(self, store: ObjectStore, objects: Objects, tenant: UUID) -> None:
        other = Objects(store).bind(uuid4())
        await objects.put("key", b"mine")
        await other.put("key", b"theirs")

        assert (await objects.get("key"), await other.get("key")) == (b"mine", b"theirs")
        assert len(await objects.list()) == 1
        assert await Objects(store).get(f"t/{tenant}/key") == b"mine"

    async def test_a_signed_url_leads_to_the_object(self, store: ObjectStore, objects: Objects) -> None:
        await objects.put("reports/a+b,c=d.csv", b"1")

        assert await self.fetch(store, await objects.signed_url("reports/a+b,c=d.csv", 60)) == b"1"
        named = await objects.signed_url("reports/a+b,c=d.csv", 60, filename="Umsätze & mehr.csv")
        assert await self.fetch(store, named) == b"1"

    async def test_a_signed_url_expires(self, store: ObjectStore, objects: Objects) -> None:
        await objects.put("key", b"1")
        url = await objects.signed_url("key", 2)
        assert await self.fetch(store, url) == b"1"
        await self.pass_time(store, 3)

        assert await self.fetch(store, url) is None

    async def test_a_signed_url_that_was_touched_is_refused(self, store: ObjectStore, objects: Objects) -> None:
        await objects.put("key", b"1")
        await objects.put("keys", b"2")
        parts = urlsplit(await objects.signed_url("key", 60, filename="a.csv"))
        query = parse_qsl(parts.query)
        for number, (name, value) in enumerate(query):
            touched = [*query[:number], (name, _touched(value)), *query[number + 1 :]]
            assert await self.fetch(store, parts._replace(query=urlencode(touched)).geturl()) is None, name
            missing = [*query[:number], *query[number + 1 :]]
            assert await self.fetch(store, parts._replace(query=urlencode(missing)).geturl()) is None, name
        assert await self.fetch(store, parts._replace(path=f"{parts.path}s").geturl()) is None

    async def test_it_says_how_it_is_doing(self, store: ObjectStore) -> None:
        assert await store.ping()


async def parts(count: int, chunk: bytes, *, breaks: bool = False) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield chunk
    if breaks:
        raise ConnectionError("The sender went away.")


def _touched(value: str) -> str:
    """The value with its last character changed, a digit to a digit."""
    return value[:-1] + ("1" if value[-1] != "1" else "2")
