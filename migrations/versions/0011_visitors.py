"""visitors

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

from datingtoday.infra.db import MYSQL_TABLE, UTCDateTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "visitor",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("visitor_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("visit_time", UTCDateTime(), nullable=False),
        sa.Column("visits", sa.Integer(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "visitor_id", name=op.f("pk_visitor")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("visitor", schema=None) as batch_op:
        batch_op.create_index("ix_visitor_user_id_status", ["user_id", "status"], unique=False)
        batch_op.create_index(
            "ix_visitor_user_id_visit_time_visitor_id", ["user_id", "visit_time", "visitor_id"], unique=False
        )
        batch_op.create_index("ix_visitor_visitor_id", ["visitor_id"], unique=False)


def downgrade() -> None:
    op.drop_table("visitor")
