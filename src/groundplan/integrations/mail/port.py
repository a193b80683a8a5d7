"""Mail: the port that adapters fill, and the wrapper that everyone else uses."""

import re
from datetime import datetime
from typing import Protocol

import msgspec

from groundplan.core.context import refuse_open_transaction
from groundplan.core.errors import OutsideCallRefused
from groundplan.telemetry.spans import span

_ATOM = r"[^\s\x00-\x20\x7f-\x9f()<>\[\]:;@\\,.\"]+"
_LABEL = r"[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?"
_ADDRESS = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@(?:{_LABEL}\.)+(?=..){_LABEL}")
"""``dot-atom@domain`` of RFC 5321, with the letters of RFC 6531. Quoted local parts and bare hosts are not taken."""
_MOST_LOCAL, _MOST_ADDRESS = 64, 254
"""Octets."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
"""All that some mail library takes for the end of a header line, and what has no place in one."""


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
            TransactionOpen: a database transaction is open around it.
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
    if not _is_address(message.to):
        raise MailRejected(f"501 5.1.3 bad address syntax: {message.to[:100]!r}")
    if _CONTROL.search(message.subject):
        raise MailRejected("550 5.6.0 the subject holds a line break or another control character")


def _is_address(text: str) -> bool:
    try:
        if len(text.encode()) > _MOST_ADDRESS:
            return False
    except UnicodeEncodeError:
        return False
    found = _ADDRESS.fullmatch(text)
    return found is not None and len(found[1].encode()) <= _MOST_LOCAL
