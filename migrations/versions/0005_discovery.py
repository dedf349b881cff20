"""search and hot list

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.

People who are there already are taken in by `datingtoday hot rebuild`.
"""

import sqlalchemy as sa
from alembic import op

from datingtoday.infra.db import MYSQL_TABLE

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hot_attention",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "day", "peer_id", name=op.f("pk_hot_attention")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("hot_attention", schema=None) as batch_op:
        batch_op.create_index("ix_hot_attention_day", ["day"], unique=False)
        batch_op.create_index("ix_hot_attention_peer_id", ["peer_id"], unique=False)

    op.create_table(
        "hot_day",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "day", name=op.f("pk_hot_day")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("hot_day", schema=None) as batch_op:
        batch_op.create_index("ix_hot_day_day", ["day"], unique=False)

    op.create_table(
        "hot_person",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shelf", sa.SmallInteger(), nullable=True),
        sa.Column("attention", sa.Double(), nullable=False),
        sa.Column("bonus", sa.Double(), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_hot_person")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("hot_person", schema=None) as batch_op:
        batch_op.create_index(
            "ix_hot_person_shelf_score_user_id", ["shelf", "score", "user_id"], unique=False
        )

    op.create_table(
        "search_gram",
        sa.Column("gram", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("gram", "user_id", name=op.f("pk_search_gram")),
        **MYSQL_TABLE,
    )
    op.create_table(
        "search_name",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("folded", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_search_name")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("user_info", schema=None) as batch_op:
        batch_op.create_index("ix_user_info_education", ["education"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("user_info", schema=None) as batch_op:
        batch_op.drop_index("ix_user_info_education")

    op.drop_table("search_name")
    op.drop_table("search_gram")
    op.drop_table("hot_person")
    op.drop_table("hot_day")
    op.drop_table("hot_attention")
