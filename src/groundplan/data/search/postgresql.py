"""Text search by tsvector. Its columns are made from the words of the document by the table itself."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from groundplan.data.search.documents import DocumentTable, found_by, statement
from groundplan.data.search.port import Found, Term


class PostgresqlIndex(DocumentTable):
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
        values = {
            "tenant_id": tenant_id,
            "kind": kind,
            "tag": tag,
            "query": _all(terms),
            "whole": _all([Term(term.word, False) for term in terms]),
        }
        return await found_by(session, _FIND, values, limit=limit, offset=offset)


def _all(terms: Sequence[Term]) -> str:
    """A word has neither quote nor backslash in it, so between quotes it is nothing but a word."""
    return " & ".join(f"'{term.word}'{':*' if term.begins else ''}" for term in terms)


_FIND = statement("""
    SELECT id, rank, count(*) OVER () AS total,
        2 * CAST(title_lexemes @@ CAST(:query AS tsquery) AS integer)
        + CAST(lexemes @@ CAST(:whole AS tsquery) AS integer) AS match
    FROM search_documents
    WHERE tenant_id = :tenant_id AND kind = :kind AND (CAST(:tag AS text) = '' OR tag = CAST(:tag AS text))
        AND lexemes @@ CAST(:query AS tsquery)
    ORDER BY match DESC, rank DESC, id DESC LIMIT :limit OFFSET :offset
""")
