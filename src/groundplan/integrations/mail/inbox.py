"""The dev inbox: a mail server that keeps every message in a folder, where the console shows it."""

import asyncio
import hashlib
import os
import re
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from groundplan.core.clock import Clock
from groundplan.core.errors import NotFound
from groundplan.core.ids import uuid7
from groundplan.integrations.mail.port import Message, Sent, StoredMail

_ID = re.compile(r"[0-9a-f]{32}")
_ABANDONED_SECONDS = 3600


class MailInbox:
    """One file per key, so sending twice stores once; processes may share the folder."""

    def __init__(self, folder: Path, clock: Clock, *, keep: int = 2000) -> None:
        """``keep``: how many mails stay; the oldest go first."""
        self.folder = folder
        self._clock = clock
        self._keep = keep

    async def open(self) -> None:
        await asyncio.to_thread(self._prepare)

    async def close(self) -> None:
        """Nothing is held open."""

    async def ping(self) -> str:
        count = await asyncio.to_thread(lambda: len(list(self.folder.glob("*.json"))))
        return f"{count} {'mail' if count == 1 else 'mails'} kept."

    async def send(self, message: Message, key: str) -> Sent:
        return await asyncio.to_thread(self._send, message, key)

    def list(self, limit: int = 50) -> list[StoredMail]:
        """Newest first. Blocking."""
        found = []
        for path in _oldest_first(self.folder)[::-1][:limit]:
            with suppress(FileNotFoundError):  # pruned meanwhile
                found.append(_read(path))
        return found

    def get(self, mail_id: str) -> StoredMail:
        """Blocking. Raises NotFound."""
        if _ID.fullmatch(mail_id):
            with suppress(FileNotFoundError):
                return _read(self._path(mail_id))
        raise NotFound(f"There is no mail {mail_id[:64]}.")

    def _path(self, mail_id: str) -> Path:
        return self.folder / f"{mail_id}.json"

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in self.folder.glob("*.part"):
            with suppress(FileNotFoundError):
                if part.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                    part.unlink()

    def _send(self, message: Message, key: str) -> Sent:
        mail_id = hashlib.sha256(key.encode()).hexdigest()[:32]
        path = self._path(mail_id)
        if path.exists():
            return Sent(mail_id)
        stored = StoredMail(
            id=mail_id,
            to=message.to,
            subject=message.subject,
            text=message.text,
            html=message.html,
            key=key,
            sent_at=self._clock.now(),
        )
        part = self.folder / f"{uuid7().hex}.part"
        try:
            _write(part, msgspec.json.encode(stored), stored.sent_at)
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _flush_folder(self.folder)
        self._prune()
        return Sent(mail_id)

    def _prune(self) -> None:
        if len(list(self.folder.glob("*.json"))) > self._keep:
            for path in _oldest_first(self.folder)[: -self._keep]:
                path.unlink(missing_ok=True)


def _oldest_first(folder: Path) -> list[Path]:
    found = []
    for path in folder.glob("*.json"):
        with suppress(FileNotFoundError):  # pruned meanwhile
            found.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(found)]


def _read(path: Path) -> StoredMail:
    return msgspec.json.decode(path.read_bytes(), type=StoredMail)


def _write(path: Path, content: bytes, at: datetime) -> None:
    """Onto the disk; the file's time is the mail's, finer than many a file system's own."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        nanoseconds = int(at.timestamp() * 1e9)
        os.utime(file.fileno(), ns=(nanoseconds, nanoseconds))
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Makes the new name last, as the file's own flush made its content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
