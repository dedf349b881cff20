"""whether an object that nothing refers to any more was stored

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("media_garbage", schema=None) as batch_op:
        batch_op.add_column(sa.Column("stored", sa.Boolean(), server_default=sa.false(), nullable=False))
