"""The wrapper that everyone uses: what it refuses, what it records, and the signature."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from groundplan.core.context import RequestContext, changed, entered
from groundplan.core.errors import Invalid, NotFound, TenantMissing, TransactionOpen
from groundplan.data.objects.folder import FolderStore
from groundplan.data.objects.port import Objects
from groundplan.data.objects.signing import UrlSigner
from groundplan.testing.clock import ManualClock

TENANT = UUID(int=1)
BAD_KEYS = [
    "",
    "/",
    "/etc/passwd",
    "a//b",
    "a/",
    "..",
    "../x",
    "a/../b",
    "a/..",
    "./a",
    ".hidden",
    "a\x00b",
    "a\nb",
    "a b",
    "a\\b",
    "a%2fb",
    "a#object",
    "C:/x",
    "ä",
    "a" * 201,
    "a/" * 600 + "a",
]


@pytest.fixture
async def unbound(tmp_path: Path) -> AsyncIterator[Objects]:
    store = FolderStore(tmp_path, UrlSigner(b"k" * 32, ManualClock()))
    await store.open()
    yield Objects(store)


@pytest.fixture
def objects(unbound: Objects) -> Objects:
    return unbound.bind(TENANT)


@pytest.mark.anyio
@pytest.mark.parametrize("key", BAD_KEYS)
async def test_what_is_no_key(objects: Objects, unbound: Objects, key: str) -> None:
    acts: list[Callable[[], Awaitable[object]]] = [
        partial(objects.put, key, b""),
        partial(objects.get, key),
        partial(objects.stat, key),
        partial(objects.delete, key),
        partial(objects.signed_url, key, 60),
        partial(unbound.get, f"t/{TENANT}/{key}"),
    ]
    for act in acts:
        with pytest.raises(Invalid):
            await act()


@pytest.mark.anyio
@pytest.mark.parametrize("key", ["a", "t/a", f"x/{TENANT}/a", f"t/{TENANT}", f"t/{str(TENANT)[:-1]}/a"])
async def test_a_key_without_a_tenant_fails_closed(unbound: Objects, key: str) -> None:
    with pytest.raises(TenantMissing):
        await unbound.get(key)
    with pytest.raises(TenantMissing):
        await unbound.put(key, b"")


@pytest.mark.anyio
@pytest.mark.parametrize("prefix", ["", "t/", "../", "/"])
async def test_nobody_lists_across_tenants(unbound: Objects, prefix: str) -> None:
    with pytest.raises((Invalid, TenantMissing)):
        await unbound.list(prefix)


@pytest.mark.anyio
@pytest.mark.parametrize("content_type", ["", "text", "text/html\r\nx: y", "text/html; a", "täxt/html"])
async def test_what_is_no_content_type(objects: Objects, content_type: str) -> None:
    with pytest.raises(Invalid):
        await objects.put("key", b"", content_type=content_type)


@pytest.mark.anyio
async def test_what_no_url_is_signed_for(objects: Objects) -> None:
    for expires_in in (0, -1, 8 * 24 * 3600):
        with pytest.raises(Invalid):
            await objects.signed_url("key", expires_in)
    for filename in ("", " ", "a/b", 'a"b', "a\\b", "a\r\nb", "x" * 201):
        with pytest.raises(Invalid):
            await objects.signed_url("key", 60, filename=filename)


@pytest.mark.anyio
async def test_no_file_work_inside_a_transaction(objects: Objects) -> None:
    acts: list[Callable[[], Awaitable[object]]] = [
        partial(objects.put, "key", b""),
        partial(objects.get, "key"),
        partial(objects.stat, "key"),
        partial(objects.delete, "key"),
        partial(objects.list),
    ]
    with changed(in_transaction=True):
        for act in acts:
            with pytest.raises(TransactionOpen):
                await act()
        await objects.signed_url("key", 60)


@pytest.mark.anyio
async def test_the_trace_shows_what_was_stored(objects: Objects) -> None:
    context = RequestContext()
    with entered(context):
        await objects.put("reports/sales.csv", b"12345")
        with pytest.raises(NotFound):
            await objects.get("reports/none.csv")

    stored, missing = context.spans
    assert (stored.component, stored.name, stored.shape) == ("Objects", "PUT sales.csv", "out")
    assert stored.attributes == {"key": f"t/{TENANT}/reports/sales.csv", "bytes": 5}
    assert str(missing.attributes["refused"]).startswith("NotFound")


def test_signatures_are_of_one_key_one_time_one_name_and_one_secret() -> None:
    clock = ManualClock()
    signer, other = UrlSigner(b"k" * 32, clock), UrlSigner(b"j" * 32, clock)
    url = signer.url("t/a/b", expires_in=60, filename=None)
    expires, signature = int(clock.now().timestamp()) + 60, url.rpartition("=")[2]

    def valid(key: str = "t/a/b", by: UrlSigner = signer, at: int = expires, name: str | None = None) -> bool:
        return by.verify(key, expires=at, signature=signature, filename=name)

    assert url == f"/objects/t/a/b?expires={expires}&signature={signature}"
    assert valid()
    assert not valid(key="t/a/c")
    assert not valid(by=other)
    assert not valid(at=expires + 1)
    assert not valid(name="")
    for wrong in ("", "0" * 64, signature.upper(), signature[:-1], "é" * 64, "\ud800", signature + "\x00"):
        assert not signer.verify("t/a/b", expires=expires, signature=wrong, filename=None)
    clock.seconds = 59.9
    assert valid()
    clock.seconds = 60
    assert not valid()
