"""The dev inbox: the suite, its order, its bound, and several processes on one folder."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from groundplan.core.errors import NotFound
from groundplan.integrations.mail.inbox import MailInbox
from groundplan.integrations.mail.port import MailTransport, Message
from groundplan.testing.clock import ManualClock
from groundplan.testing.mail_suite import MailTransportSuite

MESSAGE = Message(to="mara@example.com", subject="Receipt", text="Thank you.")

SEND_AND_PRUNE = """
import asyncio, sys
from pathlib import Path
from groundplan.core.clock import SystemClock
from groundplan.integrations.mail.inbox import MailInbox
from groundplan.integrations.mail.port import Message

async def main(folder, name):
    inbox = MailInbox(Path(folder), SystemClock(), keep=20)
    await inbox.open()
    for number in range(60):
        await inbox.send(Message(to="m@x.co", subject=name, text=""), f"shared:{number}")
        await inbox.send(Message(to="m@x.co", subject=name, text=""), f"{name}:{number}")
        await asyncio.to_thread(inbox.list)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def inbox(tmp_path: Path, clock: ManualClock) -> MailInbox:
    inbox = MailInbox(tmp_path / "inbox", clock, keep=10)
    await inbox.open()
    return inbox


class TestMailInbox(MailTransportSuite):
    @pytest.fixture
    def transport(self, inbox: MailInbox) -> MailTransport:
        self.inbox = inbox
        return inbox

    async def delivered(self, transport: MailTransport) -> list[Message]:
        stored = self.inbox.list()
        return [Message(to=mail.to, subject=mail.subject, text=mail.text, html=mail.html) for mail in stored]


@pytest.mark.anyio
async def test_the_newest_come_first(inbox: MailInbox, clock: ManualClock) -> None:
    sent = []
    for number in range(6):
        clock.seconds += 0.000_01
        sent.append((await inbox.send(MESSAGE, f"key {number}")).id)

    assert [mail.id for mail in inbox.list()] == sent[::-1]
    assert [mail.id for mail in inbox.list(limit=2)] == sent[:-3:-1]
    assert inbox.list(limit=0) == []
    assert inbox.list()[0].sent_at == clock.now()


@pytest.mark.anyio
async def test_the_order_is_that_of_the_clock(inbox: MailInbox, clock: ManualClock) -> None:
    """Not of the file system, which may take two mails of one moment for equally old."""
    clock.seconds = 10
    late = await inbox.send(MESSAGE, "late")
    clock.seconds = 5
    early = await inbox.send(MESSAGE, "early")

    assert [mail.id for mail in inbox.list()] == [late.id, early.id]


@pytest.mark.anyio
async def test_one_mail(inbox: MailInbox) -> None:
    sent = await inbox.send(MESSAGE, "key")

    found = inbox.get(sent.id)
    assert (found.id, found.key, found.to, found.subject) == (sent.id, "key", MESSAGE.to, MESSAGE.subject)


@pytest.mark.anyio
@pytest.mark.parametrize("mail_id", ["", "0" * 32, "../x", "/etc/passwd", "x" * 5000, "\0", "٣" * 32, "A" * 32])
async def test_no_such_mail(inbox: MailInbox, mail_id: str) -> None:
    with pytest.raises(NotFound):
        inbox.get(mail_id)


@pytest.mark.anyio
async def test_the_oldest_go_first(inbox: MailInbox, clock: ManualClock) -> None:
    sent = []
    for number in range(15):
        clock.seconds += 1
        sent.append((await inbox.send(MESSAGE, f"key {number}")).id)

    assert [mail.id for mail in inbox.list(limit=100)] == sent[:-11:-1]


@pytest.mark.anyio
async def test_it_is_there_after_a_restart(inbox: MailInbox, clock: ManualClock) -> None:
    sent = await inbox.send(MESSAGE, "key")
    await inbox.close()
    again = MailInbox(inbox.folder, clock)
    await again.open()

    assert await again.send(MESSAGE, "key") == sent
    assert [mail.id for mail in again.list()] == [sent.id]


@pytest.mark.anyio
async def test_what_a_crash_left_half_written_is_cleared_away(inbox: MailInbox) -> None:
    old, fresh = inbox.folder / "old.part", inbox.folder / "fresh.part"
    for part in (old, fresh):
        part.write_bytes(b'{"id"')
    os.utime(old, (time.time() - 7200, time.time() - 7200))
    await inbox.open()

    assert [path.name for path in inbox.folder.iterdir()] == ["fresh.part"]
    assert inbox.list() == []


@pytest.mark.anyio
async def test_a_mail_that_cannot_be_written_leaves_nothing(inbox: MailInbox) -> None:
    with pytest.raises(UnicodeEncodeError):
        await inbox.send(Message(to="m@x.co", subject="s", text="\ud800"), "key")

    assert list(inbox.folder.iterdir()) == []


@pytest.mark.processes
@pytest.mark.anyio
async def test_processes_share_the_folder(tmp_path: Path, clock: ManualClock) -> None:
    """They send, list and prune at once, each other's mails among their own."""

    def run(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", SEND_AND_PRUNE, str(tmp_path), name],
            env={"PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )

    for done in await asyncio.gather(asyncio.to_thread(run, "one"), asyncio.to_thread(run, "two")):
        assert done.returncode == 0, done.stderr
    assert 0 < len(MailInbox(tmp_path, clock).list(limit=100)) <= 20
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]  # noqa: PTH208
