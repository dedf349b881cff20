"""location

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

from datingtoday.infra.db import MYSQL_TABLE, UTCDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "location",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("ip_addr", sa.String(length=45), nullable=True),
        sa.Column("longitude", sa.Double(), nullable=True),
        sa.Column("latitude", sa.Double(), nullable=True),
        sa.Column("report_time", UTCDateTime(), nullable=True),
        sa.Column("cell", sa.BigInteger(), nullable=True),
        sa.Column("cell_since", UTCDateTime(), nullable=True),
        sa.Column("left_cell", sa.BigInteger(), nullable=True),
        sa.Column("pending_cell", sa.BigInteger(), nullable=True),
        sa.Column("pending_due", UTCDateTime(), nullable=True),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("shown_cell", sa.BigInteger(), nullable=True),
        sa.Column("shown_until", UTCDateTime(), nullable=True),
        sa.Column("gender", sa.SmallInteger(), nullable=False),
        sa.Column("lot", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_location")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("location", schema=None) as batch_op:
        batch_op.create_index(
            "ix_location_shown_cell_gender_lot", ["shown_cell", "gender", "lot"], unique=False
        )
        batch_op.create_index("ix_location_left_cell_cell_since", ["left_cell", "cell_since"], unique=False)
        batch_op.create_index("ix_location_pending_due", ["pending_due"], unique=False)
        batch_op.create_index("ix_location_shown_until", ["shown_until"], unique=False)

    op.create_table(
        "location_cell",
        sa.Column("cell", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.Column("men", sa.Integer(), nullable=False),
        sa.Column("women", sa.Integer(), nullable=False),
        sa.Column("changed_at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("cell", name=op.f("pk_location_cell")),
        **MYSQL_TABLE,
    )


def downgrade() -> None:
    op.drop_table("location_cell")
    op.drop_table("location")
