"""A report knows the job that makes it, so that its page can tell how far that is."""

from alembic import op
from sqlalchemy import Column

from groundplan.data.database.types import Id

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("reports", Column("job_id", Id))


def downgrade() -> None:
    op.drop_column("reports", "job_id")
