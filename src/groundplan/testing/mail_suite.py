"""What every mail adapter must do. An adapter's test subclasses the suite and says how to make one."""

import asyncio
from uuid import uuid4

import pytest

from groundplan.core.context import RequestContext, entered
from groundplan.core.errors import TransactionOpen
from groundplan.integrations.mail.port import Mail, MailRejected, MailTransport, Message

REFUSED_ADDRESSES = (
    "",
    "nobody",
    "@example.com",
    "mara@",
    "mara@@example.com",
    "mara@example",
    "mara@example..com",
    "mara@.example.com",
    "mara@-example.com",
    "mara@example-.com",
    ".mara@example.com",
    "mara.@example.com",
    "ma..ra@example.com",
    "ma ra@example.com",
    "mara@example.com, eve@example.com",
    "Mara <mara@example.com>",
    "mara@example.com\r\nBcc: eve@example.com",
    "mara@example.com\n",
    "mara\x00@example.com",
    "mara@\ud800.com",
    f"{'m' * 65}@example.com",
    f"mara@{'a.' * 130}com",
    f"mara@{'a' * 64}.com",
)
TAKEN_ADDRESSES = (
    "mara@example.com",
    "m@x.co",
    "mara.o'neil+shop@mail.example.co.uk",
    "jörg@exämple.de",
    f"{'m' * 64}@example.com",
    "a_b-c@xn--exmple-cua.com",
)


@pytest.mark.anyio
class MailTransportSuite:
    """A subclass has the fixture ``transport``, an open adapter, and reads the mail as its recipient would."""

    async def delivered(self, transport: MailTransport) -> list[Message]:
        raise NotImplementedError

    @pytest.fixture
    def mail(self, transport: MailTransport) -> Mail:
        return Mail(transport)

    @pytest.fixture
    def key(self) -> str:
        return f"suite:{uuid4()}"

    async def test_a_mail_arrives_as_it_was_sent(self, mail: Mail, key: str) -> None:
        message = Message(
            to="mara@example.com",
            subject="Reçu 🧾 for order 1",
            text="One line\n.\nFrom the third\n\nlast, with a tab\there",
            html="<p>One &amp; two</p>",
        )
        sent = await mail.send(message, key=key)

        assert sent.id
        assert await self.delivered(mail.transport) == [message]

    async def test_one_key_is_one_mail(self, mail: Mail, key: str) -> None:
        first = await mail.send(_message(), key=key)
        second = await mail.send(_message(), key=key)

        assert first == second
        assert len(await self.delivered(mail.transport)) == 1

    async def test_one_key_is_one_mail_in_parallel(self, mail: Mail, key: str) -> None:
        sent = await asyncio.gather(*[mail.send(_message(), key=key) for _ in range(20)])

        assert len(set(sent)) == 1
        assert len(await self.delivered(mail.transport)) == 1

    async def test_two_keys_are_two_mails(self, mail: Mail, key: str) -> None:
        first = await mail.send(_message(), key=key)
        second = await mail.send(_message(), key=f"{key}/../é \n")

        assert first != second
        assert len(await self.delivered(mail.transport)) == 2

    @pytest.mark.parametrize("address", TAKEN_ADDRESSES)
    async def test_addresses_that_are_taken(self, mail: Mail, key: str, address: str) -> None:
        await mail.send(_message(to=address), key=key)

        assert [message.to for message in await self.delivered(mail.transport)] == [address]

    @pytest.mark.parametrize("address", REFUSED_ADDRESSES)
    async def test_addresses_that_are_refused(self, mail: Mail, key: str, address: str) -> None:
        with pytest.raises(MailRejected, match=r"^501 5\.1\.3 "):
            await mail.send(_message(to=address), key=key)
        assert await self.delivered(mail.transport) == []

    @pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0", "\x0b", "\x0c", "\x1e", "\x85", "\u2028"])
    async def test_subjects_cannot_hold_headers(self, mail: Mail, key: str, end: str) -> None:
        with pytest.raises(MailRejected, match=r"^550 5\.6\.0 "):
            await mail.send(_message(subject=f"Receipt{end}Bcc: eve@example.com"), key=key)
        assert await self.delivered(mail.transport) == []

    async def test_a_refusal_does_not_use_up_its_key(self, mail: Mail, key: str) -> None:
        with pytest.raises(MailRejected):
            await mail.send(_message(to="mara@@example.com"), key=key)
        await mail.send(_message(), key=key)

        assert len(await self.delivered(mail.transport)) == 1

    async def test_nothing_is_sent_inside_a_transaction(self, mail: Mail, key: str) -> None:
        with entered(RequestContext(in_transaction=True)), pytest.raises(TransactionOpen):
            await mail.send(_message(), key=key)
        assert await self.delivered(mail.transport) == []

    async def test_it_is_seen_in_the_trace(self, mail: Mail, key: str) -> None:
        context = RequestContext()
        with entered(context):
            sent = await mail.send(_message(), key=key)
            with pytest.raises(MailRejected):
                await mail.send(_message(to="mara@@example.com"), key=f"{key}:2")

        fine, refused = [span for span in context.spans if span.component == "Mail"]
        assert (fine.shape, fine.error, fine.attributes["mail_id"]) == ("out", "", sent.id)
        assert refused.error.startswith("MailRejected: 501 5.1.3")

    async def test_it_says_how_it_is_doing(self, transport: MailTransport) -> None:
        assert await transport.ping()


def _message(to: str = "mara@example.com", subject: str = "Receipt") -> Message:
    return Message(to=to, subject=subject, text="Thank you.")
