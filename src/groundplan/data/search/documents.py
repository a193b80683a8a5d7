"""The table of documents, which both engines have; they differ in how they find."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from groundplan.data.database.sql import as_uuid
from groundplan.data.database.types import Id, Text
from groundplan.data.search.port import Entry, Found, Hit


def statement(sql: str) -> TextClause:
    """Confined by its own ``tenant_id = :tenant_id``, and by row-level security."""
    ids = [bindparam(name, type_=Id()) for name in ("tenant_id", "id", "after", "until") if f":{name}" in sql]
    texts = [bindparam(name, type_=Text()) for name in ("kind", "tag") if f":{name}" in sql]
    return text(sql).bindparams(*ids, *texts).execution_options(unscoped=True)


class DocumentTable:
    async def index(self, session: AsyncSession, tenant_id: UUID, kind: str, entries: Sequence[Entry]) -> None:
        await session.execute(_INDEX, [{"tenant_id": tenant_id, "kind": kind, **each._asdict()} for each in entries])

    async def remove(self, session: AsyncSession, tenant_id: UUID, kind: str, ids: Collection[UUID]) -> None:
        await session.execute(_REMOVE, [{"tenant_id": tenant_id, "kind": kind, "id": each} for each in ids])

    async def clear(self, session: AsyncSession, tenant_id: UUID, kind: str) -> None:
        await session.execute(_CLEAR, {"tenant_id": tenant_id, "kind": kind})

    async def ids(self, session: AsyncSession, tenant_id: UUID, kind: str, after: UUID, until: UUID) -> Sequence[UUID]:
        values = {"tenant_id": tenant_id, "kind": kind, "after": after, "until": until}
        return [as_uuid(row.id) for row in await session.execute(_IDS, values)]


async def found_by(
    session: AsyncSession, find: TextClause, values: Mapping[str, Any], *, limit: int, offset: int
) -> Found:
    """Runs a statement that returns id, match, rank and total, and counts again where the page is past the end."""
    rows = list(await session.execute(find, {**values, "limit": limit, "offset": offset}))
    hits = [Hit(as_uuid(row.id), int(row.match), int(row.rank)) for row in rows]
    if not rows and offset:
        rows = list(await session.execute(find, {**values, "limit": 1, "offset": 0}))
    return Found(hits, int(rows[0].total) if rows else 0)


_INDEX = statement("""
    INSERT INTO search_documents (tenant_id, kind, id, tag, rank, title, words)
    VALUES (:tenant_id, :kind, :id, :tag, :rank, :title, :words)
    ON CONFLICT (tenant_id, kind, id) DO UPDATE
    SET tag = excluded.tag, rank = excluded.rank, title = excluded.title, words = excluded.words
""")
_REMOVE = statement("DELETE FROM search_documents WHERE tenant_id = :tenant_id AND kind = :kind AND id = :id")
_CLEAR = statement("DELETE FROM search_documents WHERE tenant_id = :tenant_id AND kind = :kind")
_IDS = statement("""
    SELECT id FROM search_documents
    WHERE tenant_id = :tenant_id AND kind = :kind AND id > :after AND id <= :until ORDER BY id
""")
