"""Documents to search. PostgreSQL makes their lexemes itself; on SQLite triggers keep an FTS5 table."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, UniqueConstraint

from groundplan.data.database.migrate import tenant_wall
from groundplan.data.database.types import Id

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "search_documents",
        Column("number", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
        Column("tenant_id", Id, nullable=False),
        Column("kind", Text, nullable=False),
        Column("id", Id, nullable=False),
        Column("tag", Text, nullable=False),
        Column("rank", BigInteger, nullable=False),
        Column("title", Text, nullable=False),
        Column("words", Text, nullable=False),
        UniqueConstraint("tenant_id", "kind", "id", name="search_documents_id"),
    )
    if op.get_context().dialect.name == "postgresql":
        for name, source in (("title_lexemes", "title"), ("lexemes", "words")):
            lexemes = f"array_to_tsvector(string_to_array({source}, ' '))"
            op.execute(
                f"ALTER TABLE search_documents ADD COLUMN {name} tsvector GENERATED ALWAYS AS ({lexemes}) STORED"
            )
        tenant_wall(op, "search_documents")
    else:
        for statement in _FTS:
            op.execute(statement)


def downgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.execute("DROP TABLE search_words")
    op.drop_table("search_documents")


# The words come folded and parted by spaces; the tokenizer "ascii" leaves every other character as it is.
_DELETED = """INSERT INTO search_words (search_words, rowid, title, words)
    VALUES ('delete', old.number, old.title, old.words);"""
_ADDED = "INSERT INTO search_words (rowid, title, words) VALUES (new.number, new.title, new.words);"
_FTS = (
    """CREATE VIRTUAL TABLE search_words USING fts5 (title, words,
    content = 'search_documents', content_rowid = 'number', tokenize = "ascii tokenchars '%'", detail = 'column')""",
    f"CREATE TRIGGER search_added AFTER INSERT ON search_documents BEGIN {_ADDED} END",
    f"CREATE TRIGGER search_removed AFTER DELETE ON search_documents BEGIN {_DELETED} END",
    f"CREATE TRIGGER search_changed AFTER UPDATE ON search_documents BEGIN {_DELETED} {_ADDED} END",
)
