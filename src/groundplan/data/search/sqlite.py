"""Text search by FTS5. Triggers keep its words as the table of documents is."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groundplan.data.search.documents import DocumentTable, found_by, statement
from groundplan.data.search.port import Found, Term


class SqliteIndex(DocumentTable):
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
        query = _all(terms)
        values = {
            "tenant_id": tenant_id,
            "kind": kind,
            "tag": tag,
            "query": query,
            "in_title": f"{{title}} : ({query})",
            "whole": _all([Term(term.word, False) for term in terms]),
        }
        return await found_by(session, _FIND, values, limit=limit, offset=offset)


def _all(terms: Sequence[Term]) -> str:
    """A word has no quote in it, so between quotes it is nothing but a word."""
    return " AND ".join(f'"{term.word}"{" *" if term.begins else ""}' for term in terms)


_FIND = statement("""
    SELECT d.id, d.rank, count(*) OVER () AS total,
        2 * (d.number IN (SELECT rowid FROM search_words WHERE search_words MATCH :in_title))
        + (d.number IN (SELECT rowid FROM search_words WHERE search_words MATCH :whole)) AS match
    FROM search_documents d
    WHERE d.number IN (SELECT rowid FROM search_words WHERE search_words MATCH :query)
        AND d.tenant_id = :tenant_id AND d.kind = :kind AND (:tag = '' OR d.tag = :tag)
    ORDER BY match DESC, d.rank DESC, d.id DESC LIMIT :limit OFFSET :offset
""")
