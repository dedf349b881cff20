"""room for nicknames of 32 characters as a reader counts them

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    is_sqlite = op.get_context().dialect.name == "sqlite"
    if is_sqlite:
        # The table is made anew there: ids that were given once must not be given again.
        op.execute(
            "CREATE TEMPORARY TABLE last_user AS SELECT seq FROM sqlite_sequence WHERE name = 'user_info'"
        )
    with op.batch_alter_table(
        "user_info", schema=None, table_kwargs={"sqlite_autoincrement": True}
    ) as batch_op:
        batch_op.alter_column(
            "nickname",
            existing_type=sa.String(length=64),
            type_=sa.String(length=255),
            existing_nullable=False,
        )
    if is_sqlite:
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'user_info'")
        op.execute("INSERT INTO sqlite_sequence (name, seq) SELECT 'user_info', seq FROM last_user")
        op.execute("DROP TABLE last_user")
