"""Objects as files in a folder of this machine.

A file holds its content type in its first line, so that one rename replaces both. Its name ends in a mark that no key
can contain, so that the keys ``a`` and ``a/b`` can exist side by side.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from groundplan.core.errors import NotFound, Unavailable
from groundplan.data.objects.port import ObjectStat, OpenObject
from groundplan.data.objects.signing import UrlSigner

_MARK = "#object"
_CHUNK_BYTES = 256 * 1024
_HEADER_BYTES = 1024
_ABANDONED_SECONDS = 24 * 3600


class FolderStore:
    def __init__(self, root: Path, signer: UrlSigner) -> None:
        self._root = root
        self._unfinished = root / ".unfinished"
        self._signer = signer

    async def open(self) -> None:
        await asyncio.to_thread(self._prepare)

    async def close(self) -> None:
        """Nothing to close."""

    async def ping(self) -> str:
        if not await asyncio.to_thread(os.access, self._unfinished, os.W_OK):
            raise Unavailable(f"The folder {self._root} cannot be written.")
        usage = await asyncio.to_thread(shutil.disk_usage, self._root)
        return f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.1f} GiB free."

    async def put(self, key: str, data: bytes | AsyncIterator[bytes], content_type: str) -> ObjectStat:
        unfinished = self._unfinished / uuid4().hex
        try:
            if isinstance(data, bytes):
                await asyncio.to_thread(_write, unfinished, content_type, data)
            else:
                await _write_stream(unfinished, content_type, data)
            return await asyncio.to_thread(self._finish, unfinished, key)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise

    @asynccontextmanager
    async def read(self, key: str) -> AsyncIterator[OpenObject]:
        file, stat = await asyncio.to_thread(self._open, key)
        try:
            yield OpenObject(stat=stat, chunks=_chunks(file))
        finally:
            await asyncio.to_thread(file.close)

    async def stat(self, key: str) -> ObjectStat:
        return await asyncio.to_thread(self._stat, key)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, key)

    async def list(self, prefix: str, *, after: str, limit: int) -> Sequence[ObjectStat]:
        return await asyncio.to_thread(self._list, prefix, after, limit)

    async def signed_url(self, key: str, expires_in: int, filename: str | None) -> str:
        return self._signer.url(key, expires_in=expires_in, filename=filename)

    def verify(self, key: str, *, expires: int, signature: str, filename: str | None) -> bool:
        return self._signer.verify(key, expires=expires, signature=signature, filename=filename)

    def _prepare(self) -> None:
        """Also clears away what was left by processes that died while they wrote."""
        self._unfinished.mkdir(parents=True, exist_ok=True)
        for file in self._unfinished.iterdir():
            if time.time() - file.stat().st_mtime > _ABANDONED_SECONDS:
                file.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._root / f"{key}{_MARK}"

    def _finish(self, unfinished: Path, key: str) -> ObjectStat:
        path = self._path(key)
        stat = _stat_of(unfinished, key)
        _make_folder(path.parent)
        unfinished.replace(path)
        _sync_folder(path.parent)
        return stat

    def _open(self, key: str) -> tuple[BinaryIO, ObjectStat]:
        try:
            file = self._path(key).open("rb")
        except FileNotFoundError:
            raise NotFound(f"There is no object {key}.") from None
        return file, _read_header(file, key)

    def _stat(self, key: str) -> ObjectStat:
        file, stat = self._open(key)
        file.close()
        return stat

    def _delete(self, key: str) -> None:
        path = self._path(key)
        try:
            path.unlink()
        except FileNotFoundError:
            return
        _sync_folder(path.parent)

    def _list(self, prefix: str, after: str, limit: int) -> Sequence[ObjectStat]:
        keys = sorted(key for key in self._keys(prefix.rpartition("/")[0]) if key.startswith(prefix) and key > after)
        found = []
        for key in keys[:limit]:
            try:
                found.append(self._stat(key))
            except NotFound:
                continue  # deleted since the folder was read
        return found

    def _keys(self, folder: str) -> Iterator[str]:
        for directory, _, names in os.walk(self._root / folder):
            for name in names:
                if name.endswith(_MARK):
                    yield (Path(directory) / name.removesuffix(_MARK)).relative_to(self._root).as_posix()


def _write(path: Path, content_type: str, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(f"{content_type}\n".encode() + data)
        _sync(file)


async def _write_stream(path: Path, content_type: str, data: AsyncIterator[bytes]) -> None:
    file = await asyncio.to_thread(path.open, "xb")
    try:
        file.write(f"{content_type}\n".encode())
        async for chunk in data:
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(_sync, file)
    finally:
        file.close()


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
        yield chunk


def _read_header(file: BinaryIO, key: str) -> ObjectStat:
    """Leaves the file where the object begins."""
    header = file.readline(_HEADER_BYTES)
    status = os.fstat(file.fileno())
    return ObjectStat(
        key=key,
        size=status.st_size - len(header),
        content_type=header.decode().rstrip("\n"),
        modified_at=datetime.fromtimestamp(status.st_mtime, UTC),
    )


def _stat_of(path: Path, key: str) -> ObjectStat:
    with path.open("rb") as file:
        return _read_header(file, key)


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Makes a new, renamed or removed name in it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
