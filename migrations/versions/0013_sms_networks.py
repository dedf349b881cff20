"""codes know their prefix and the network that asked for them

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.

Codes of before count towards no prefix; they run out within minutes, and their rows go after two days.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("sms_code", schema=None) as batch_op:
        # Servers of before, which go on during an upgrade, write neither.
        batch_op.add_column(sa.Column("prefix", sa.String(length=8), server_default="", nullable=False))
        batch_op.add_column(sa.Column("network", sa.String(length=32), server_default="", nullable=False))
        batch_op.create_index("ix_sms_code_prefix_sent_at", ["prefix", "sent_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("sms_code", schema=None) as batch_op:
        batch_op.drop_index("ix_sms_code_prefix_sent_at")
        batch_op.drop_column("network")
        batch_op.drop_column("prefix")
