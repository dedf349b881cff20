"""what Redis remembers is bound to the process that remembers it

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

from datingtoday.infra.db import MYSQL_TABLE

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "redis_memory",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("epoch", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_redis_memory")),
        **MYSQL_TABLE,
    )
    op.create_table(
        "redis_unsent_change",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("memory", sa.String(length=32), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redis_unsent_change")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("redis_unsent_change", schema=None) as batch_op:
        batch_op.create_index("ix_redis_unsent_change_memory_id", ["memory", "id"], unique=False)


def downgrade() -> None:
    op.drop_table("redis_unsent_change")
    op.drop_table("redis_memory")
