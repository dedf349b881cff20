"""Apple id of orders

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("user_order") as batch_op:
        batch_op.add_column(sa.Column("apple_id", sa.String(length=100), nullable=True))
    op.execute(
        "UPDATE user_order SET apple_id = (SELECT p.apple_id FROM product p WHERE p.id = user_order.product_id) "
        "WHERE channel = 'apple'"
    )


def downgrade() -> None:
    with op.batch_alter_table("user_order") as batch_op:
        batch_op.drop_column("apple_id")
