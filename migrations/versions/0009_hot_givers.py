"""attention weighed by who gives it

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.

Points become fractions. On which days a person used the app was not stored: a day with two points may be one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("hot_attention", schema=None) as batch_op:
        batch_op.alter_column(
            "weight", existing_type=sa.Integer(), type_=sa.Double(), existing_nullable=False
        )

    with op.batch_alter_table("hot_day", schema=None) as batch_op:
        batch_op.alter_column(
            "weight", existing_type=sa.Integer(), type_=sa.Double(), existing_nullable=False
        )
        batch_op.add_column(sa.Column("active", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute("UPDATE hot_day SET active = 1 WHERE weight >= 2")
    with op.batch_alter_table("hot_day", schema=None) as batch_op:
        batch_op.alter_column(
            "active", existing_type=sa.Boolean(), server_default=None, existing_nullable=False
        )


def downgrade() -> None:
    with op.batch_alter_table("hot_day", schema=None) as batch_op:
        batch_op.drop_column("active")
        batch_op.alter_column(
            "weight", existing_type=sa.Double(), type_=sa.Integer(), existing_nullable=False
        )

    with op.batch_alter_table("hot_attention", schema=None) as batch_op:
        batch_op.alter_column(
            "weight", existing_type=sa.Double(), type_=sa.Integer(), existing_nullable=False
        )
