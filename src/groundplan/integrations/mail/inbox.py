"""The dev inbox: a mail server that keeps every message in a folder, where the console shows it."""

import asyncio
import hashlib
import os
from pathlib import Path

import msgspec

from groundplan.core.clock import Clock
from groundplan.core.errors import NotFound
from groundplan.core.ids import uuid7
from groundplan.integrations.mail.port import Message, Sent, StoredMail

_KEPT = 2000


class MailInbox:
    """One file per key, so sending twice stores once; processes may share the folder."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder = folder
        self._clock = clock

    async def open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    async def close(self) -> None:
        """Nothing is held open."""

    async def ping(self) -> str:
        count = await asyncio.to_thread(lambda: len(list(self.folder.glob("*.json"))))
        return f"{count} mails kept."

    async def send(self, message: Message, key: str) -> Sent:
        return await asyncio.to_thread(self._send, message, key)

    def list(self, limit: int = 50) -> list[StoredMail]:
        """Newest first. Blocking."""
        newest = sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        return [msgspec.json.decode(path.read_bytes(), type=StoredMail) for path in newest[:limit]]

    def get(self, mail_id: str) -> StoredMail:
        """Blocking. Raises NotFound."""
        path = self.folder / f"{mail_id}.json"
        if not mail_id.isalnum() or not path.is_file():
            raise NotFound(f"There is no mail {mail_id[:64]}.")
        return msgspec.json.decode(path.read_bytes(), type=StoredMail)

    def _send(self, message: Message, key: str) -> Sent:
        mail_id = hashlib.sha256(key.encode()).hexdigest()[:32]
        path = self.folder / f"{mail_id}.json"
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
        part = path.with_suffix(f".{uuid7().hex}.part")
        with part.open("wb") as file:
            file.write(msgspec.json.encode(stored))
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        self._prune()
        return Sent(mail_id)

    def _prune(self) -> None:
        paths = list(self.folder.glob("*.json"))
        if len(paths) > _KEPT:
            for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns)[: len(paths) - _KEPT]:
                path.unlink(missing_ok=True)
