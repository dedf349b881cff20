"""media

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

from datingtoday.infra.db import MYSQL_TABLE, UTCDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "media",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("mime", sa.String(length=32), nullable=False),
        sa.Column("storage_key", sa.String(length=32), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("medium_bytes", sa.Integer(), nullable=True),
        sa.Column("medium_sha256", sa.String(length=64), nullable=True),
        sa.Column("thumb_bytes", sa.Integer(), nullable=True),
        sa.Column("thumb_sha256", sa.String(length=64), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("reference", sa.String(length=100), nullable=False),
        sa.Column("asked_at", UTCDateTime(), nullable=True),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("unused_since", UTCDateTime(), nullable=True),
        sa.Column("create_time", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("media", schema=None) as batch_op:
        batch_op.create_index("ix_media_user_id_create_time", ["user_id", "create_time"], unique=False)
        batch_op.create_index("ix_media_unused_since", ["unused_since"], unique=False)
        batch_op.create_index("ix_media_verdict_create_time", ["verdict", "create_time"], unique=False)

    op.create_table(
        "media_usage",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("files", sa.Integer(), nullable=False),
        sa.Column("stored_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_media_usage")),
        **MYSQL_TABLE,
    )
    op.create_table(
        "media_garbage",
        sa.Column("storage_key", sa.String(length=32), nullable=False),
        sa.Column("collect_after", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("storage_key", name=op.f("pk_media_garbage")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("media_garbage", schema=None) as batch_op:
        batch_op.create_index("ix_media_garbage_collect_after", ["collect_after"], unique=False)


def downgrade() -> None:
    op.drop_table("media_garbage")
    op.drop_table("media_usage")
    op.drop_table("media")
