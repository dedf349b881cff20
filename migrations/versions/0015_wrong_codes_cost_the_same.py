"""wrong codes cost the same

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

from datingtoday.infra.db import MYSQL_TABLE

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sms_decoy",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sms_decoy")),
        **MYSQL_TABLE,
    )


def downgrade() -> None:
    op.drop_table("sms_decoy")
