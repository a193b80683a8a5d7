"""Mail: the port that adapters fill, and the wrapper that everyone else uses."""

import re
from datetime import datetime
from typing import Protocol

import msgspec

from groundplan.core.context import refuse_open_transaction
from groundplan.core.errors import OutsideCallRefused
from groundplan.telemetry.spans import span

_ADDRESS = re.compile(r"[^@\s<>\"(),:;\\\[\]\x00-\x20\x7f]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    to: str
    subject: str
    text: str
    html: str = ""


class Sent(msgspec.Struct, frozen=True):
    id: str


class StoredMail(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    to: str
    subject: str
    text: str
    html: str
    key: str
    sent_at: datetime


class MailRejected(OutsideCallRefused):
    title = "The mail server rejected the message"


class MailTransport(Protocol):
    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def ping(self) -> str:
        """A sentence about how it is doing; raises where it is not well."""
        ...

    async def send(self, message: Message, key: str) -> Sent:
        """Accepted for good when this returns; the same ``key`` twice is one mail. Raises MailRejected."""
        ...


class Mailbox(Protocol):
    """Where mail can be read again: a transport that keeps what it was given. Both methods block."""

    def list(self, limit: int = 50) -> list[StoredMail]:
        """Newest first."""
        ...

    def get(self, mail_id: str) -> StoredMail:
        """Raises NotFound."""
        ...


class Mail:
    def __init__(self, transport: MailTransport) -> None:
        self.transport = transport

    async def send(self, message: Message, *, key: str) -> Sent:
        """Hands the message to the mail server. ``key`` must be stable across retries of the same sending.

        Raises:
            MailRejected: the address or a header is not valid.
            OutsideCallFailed: the server did not answer; try again later.
        """
        refuse_open_transaction("Sending mail")
        with span("Mail", "send", "out", subject=message.subject[:100]) as sending:
            check(message)
            sent = await self.transport.send(message, key)
            sending.set(mail_id=sent.id)
            return sent


def check(message: Message) -> None:
    """Raises MailRejected for what no server takes, in the words of one (RFC 5321, RFC 3463)."""
    if not _ADDRESS.fullmatch(message.to):
        raise MailRejected(f"501 5.1.3 bad address syntax: {message.to[:100]!r}")
    if any(c in message.subject for c in "\r\n\0"):
        raise MailRejected("550 5.6.0 the subject holds a line break")
