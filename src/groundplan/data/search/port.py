"""Text search: the port that adapters fill, and its wrapper, which is what everyone else uses."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from groundplan.core.errors import Invalid, TenantMissing, TransactionMissing
from groundplan.data.search.words import words_of
from groundplan.telemetry.spans import span

LONGEST_QUERY = 1_000
LONGEST_TEXT = 20_000
MOST_WORDS = 16
"""Of a query. Characters and words beyond these are left out, never refused."""
MOST_HITS = 10_000


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """``tag`` narrows a search; among equal matches the higher ``rank`` comes first."""

    id: UUID
    title: str
    text: str = ""
    tag: str = ""
    rank: int = 0


class Hit(msgspec.Struct, frozen=True):
    id: UUID
    match: int
    """3: whole words, all of them in the title. 2: all in the title, one or more of them begun only. 1: whole words,
    not all in the title. 0: begun only, and not all in the title."""
    rank: int


class Found(msgspec.Struct, frozen=True):
    """``total`` counts those on other pages too."""

    hits: list[Hit]
    total: int


class Term(NamedTuple):
    """One word of a query: letters and digits of any script, a percent sign or a pictograph, and nothing else."""

    word: str
    begins: bool
    """Whether words that only begin like it are found too."""


class Entry(NamedTuple):
    """A document in words, which are as in a Term and parted by one space. ``words`` has those of the title too."""

    id: UUID
    title: str
    words: str
    tag: str
    rank: int


class TextIndex(Protocol):
    """Lives in the application's database: what it writes is a part of the session's transaction. ``kind`` keeps
    documents of one sort apart from others; the session is the tenant's."""

    async def index(self, session: AsyncSession, tenant_id: UUID, kind: str, entries: Sequence[Entry]) -> None:
        """Replaces those that are there."""
        ...

    async def remove(self, session: AsyncSession, tenant_id: UUID, kind: str, ids: Collection[UUID]) -> None:
        """Those that are not there are fine."""
        ...

    async def clear(self, session: AsyncSession, tenant_id: UUID, kind: str) -> None: ...

    async def ids(
        self, session: AsyncSession, tenant_id: UUID, kind: str, after: UUID, until: UUID
    ) -> Sequence[UUID]: ...

    async def find(
        self,
        session: AsyncSession,
        tenant_id: UUID,
        kind: str,
        terms: Sequence[Term],
        *,
        tag: str,
        limit: int,
        offset: int,
    ) -> Found:
        """Documents with all terms; the best match first, then the higher rank, then the higher id."""
        ...


class Search:
    """Text search for everyone: bound to a tenant and a session, and without both it does nothing."""

    def __init__(
        self,
        engine: TextIndex,
        tenant_id: UUID | None = None,
        session: AsyncSession | None = None,
        *,
        writes: bool = False,
    ) -> None:
        self.engine = engine
        self._tenant_id = tenant_id
        self._session = session
        self._writes = writes

    def bind(self, tenant_id: UUID, session: AsyncSession, *, writes: bool) -> "Search":
        """``writes`` where the session is a transaction's."""
        return Search(self.engine, tenant_id, session, writes=writes)

    async def index(self, kind: str, documents: Sequence[Document]) -> None:
        """Adds documents, in place of those with the same ids, in the open transaction."""
        session, tenant_id = self._bound(writing=True)
        if documents:
            await self.engine.index(session, tenant_id, kind, [_entry(document) for document in documents])

    async def remove(self, kind: str, ids: Collection[UUID]) -> None:
        """Those that are not there are fine."""
        session, tenant_id = self._bound(writing=True)
        if ids:
            await self.engine.remove(session, tenant_id, kind, ids)

    async def clear(self, kind: str) -> None:
        """Removes all of this kind."""
        session, tenant_id = self._bound(writing=True)
        await self.engine.clear(session, tenant_id, kind)

    async def ids(self, kind: str, *, after: UUID, until: UUID) -> Sequence[UUID]:
        """Which are there, after one id and up to another: whoever rebuilds compares them with what should be."""
        session, tenant_id = self._bound()
        return await self.engine.ids(session, tenant_id, kind, after, until)

    async def find(self, kind: str, text: str, *, tag: str = "", limit: int = 20, offset: int = 0) -> Found:
        """Documents with every word of the text; the last word may be begun only. Where there are none, each may be.

        Any text will do: what are no words parts words. Text without a word finds nothing.
        """
        session, tenant_id = self._bound()
        if not 1 <= limit <= MOST_HITS or not 0 <= offset <= 10**9:
            raise Invalid(f"A search takes 1 to {MOST_HITS:,} hits, from 0 on.")
        words = words_of(text[:LONGEST_QUERY])[:MOST_WORDS]
        if not words:
            return Found([], 0)
        last = len(words) - 1
        with span("Search", f"FIND {kind}", "out") as finding:
            terms = [Term(word, place == last) for place, word in enumerate(words)]
            found = await self.engine.find(session, tenant_id, kind, terms, tag=tag, limit=limit, offset=offset)
            if not found.total and last:
                terms = [Term(word, True) for word in words]
                found = await self.engine.find(session, tenant_id, kind, terms, tag=tag, limit=limit, offset=offset)
            finding.set(found=found.total)
        return found

    def _bound(self, *, writing: bool = False) -> tuple[AsyncSession, UUID]:
        if self._session is None or self._tenant_id is None:
            raise TenantMissing("A search index belongs to a tenant, and this work has none.")
        if writing and not self._writes:
            raise TransactionMissing("This writes, so it needs a transaction: use `async with ctx.transaction()`.")
        return self._session, self._tenant_id


def _entry(document: Document) -> Entry:
    title = words_of(document.title[:LONGEST_TEXT])
    words = dict.fromkeys([*title, *words_of(document.text[:LONGEST_TEXT])])
    return Entry(document.id, " ".join(title), " ".join(words), document.tag, document.rank)
