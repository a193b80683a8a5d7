"""Object storage: the port that adapters fill, and its wrapper, which is what everyone else uses."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from groundplan.core.context import refuse_open_transaction
from groundplan.core.errors import Invalid
from groundplan.data.objects.keys import check_content_type, check_filename, check_key, check_prefix
from groundplan.telemetry.spans import span

LONGEST_URL_SECONDS = 7 * 24 * 3600


class ObjectStat(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    size: int
    content_type: str
    modified_at: datetime


class OpenObject(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an object, which stays the same while it is read."""

    stat: ObjectStat
    chunks: AsyncIterator[bytes]


class ObjectStore(Protocol):
    """Keys, content types and file names are checked already. A missing object is a NotFound."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> str:
        """A sentence about how it is doing; raises where it is not well."""
        ...

    async def put(self, key: str, data: bytes | AsyncIterator[bytes], content_type: str) -> ObjectStat:
        """Stored whole and for good when this returns, or not at all."""
        ...

    def read(self, key: str) -> AbstractAsyncContextManager[OpenObject]: ...

    async def stat(self, key: str) -> ObjectStat: ...

    async def delete(self, key: str) -> None:
        """A missing object is fine."""
        ...

    async def list(self, prefix: str, *, after: str, limit: int) -> Sequence[ObjectStat]:
        """In the order of their keys, those after ``after``."""
        ...

    async def signed_url(self, key: str, expires_in: int, filename: str | None) -> str:
        """Where anyone may fetch the object for ``expires_in`` seconds, saved under ``filename``."""
        ...

    def verify(self, key: str, *, expires: int, signature: str, filename: str | None) -> bool:
        """Whether a URL below ``/objects/`` is one of ours and has not expired; False where others serve the URLs."""
        ...


class Objects:
    """Object storage for everyone. Bound to a tenant, keys are relative to it; else they start with ``t/<tenant>/``."""

    def __init__(self, store: ObjectStore, prefix: str = "") -> None:
        self.store = store
        self._prefix = prefix

    def bind(self, tenant_id: UUID) -> "Objects":
        return Objects(self.store, f"t/{tenant_id}/")

    async def put(
        self, key: str, data: bytes | AsyncIterator[bytes], *, content_type: str = "application/octet-stream"
    ) -> ObjectStat:
        """Stored whole and for good when this returns, or not at all; replaces what was there."""
        full = self._full(key)
        check_content_type(content_type)
        refuse_open_transaction(f"Storing {key!r}")
        with span("Objects", f"PUT {_name(key)}", "out", key=full) as storing:
            stat = await self.store.put(full, data, content_type)
            storing.set(bytes=stat.size)
        return self._relative(stat)

    async def get(self, key: str) -> bytes:
        """The whole object, for small ones. Raises NotFound."""
        async with self.read(key) as found:
            return b"".join([chunk async for chunk in found.chunks])

    @asynccontextmanager
    async def read(self, key: str) -> AsyncIterator[OpenObject]:
        """The object in chunks, for large ones. Raises NotFound."""
        full = self._full(key)
        refuse_open_transaction(f"Reading {key!r}")
        with span("Objects", f"GET {_name(key)}", "out", key=full):
            async with self.store.read(full) as found:
                yield OpenObject(stat=self._relative(found.stat), chunks=found.chunks)

    async def stat(self, key: str) -> ObjectStat:
        """Raises NotFound."""
        full = self._full(key)
        refuse_open_transaction(f"Looking up {key!r}")
        with span("Objects", f"HEAD {_name(key)}", "out", key=full):
            return self._relative(await self.store.stat(full))

    async def delete(self, key: str) -> None:
        """A missing object is fine."""
        full = self._full(key)
        refuse_open_transaction(f"Deleting {key!r}")
        with span("Objects", f"DELETE {_name(key)}", "out", key=full):
            await self.store.delete(full)

    async def list(self, prefix: str = "", *, after: str = "", limit: int = 1000) -> Sequence[ObjectStat]:
        """Those whose keys start with ``prefix``, in order; ``after`` is the last key of the page before."""
        full = self._prefix + prefix
        check_prefix(full)
        refuse_open_transaction(f"Listing {prefix!r}")
        with span("Objects", f"LIST {prefix or '/'}", "out", prefix=full):
            found = await self.store.list(full, after=self._prefix + after if after else "", limit=limit)
        return [self._relative(stat) for stat in found]

    async def signed_url(self, key: str, expires_in: int, filename: str | None = None) -> str:
        """Where anyone may fetch the object for ``expires_in`` seconds, saved under ``filename``."""
        if not 1 <= expires_in <= LONGEST_URL_SECONDS:
            raise Invalid(f"A signed URL is valid for 1 to {LONGEST_URL_SECONDS} seconds, not {expires_in}.")
        if filename is not None:
            check_filename(filename)
        return await self.store.signed_url(self._full(key), expires_in, filename)

    def verify(self, key: str, *, expires: int, signature: str, filename: str | None = None) -> bool:
        """Whether this is a URL of ours that has not expired."""
        return self.store.verify(self._prefix + key, expires=expires, signature=signature, filename=filename)

    def _full(self, key: str) -> str:
        full = self._prefix + key
        check_key(full)
        return full

    def _relative(self, stat: ObjectStat) -> ObjectStat:
        return msgspec.structs.replace(stat, key=stat.key.removeprefix(self._prefix))


def _name(key: str) -> str:
    return key.rpartition("/")[2]
