"""vip and orders

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

from datingtoday.infra.db import MYSQL_TABLE, UTCDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

PRODUCTS = [
    # (name, desc, days, price in fen)
    ("月度会员", "30 天会员：查看谁看过我、隐身访问、每天认识更多新朋友", 30, 3000),
    ("季度会员", "90 天会员，比按月购买更优惠", 90, 7800),
    ("年度会员", "365 天会员，最划算的选择", 365, 25800),
]


def upgrade() -> None:
    op.create_table(
        "order_refund",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("refund_id", sa.String(length=96), nullable=False),
        sa.Column("transaction_id", sa.String(length=64), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_refund")),
        sqlite_autoincrement=True,
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("order_refund", schema=None) as batch_op:
        batch_op.create_index("ix_order_refund_order_id", ["order_id"], unique=False)
        batch_op.create_index("ix_order_refund_transaction_id", ["transaction_id"], unique=False)
        batch_op.create_index("uq_order_refund_channel_refund_id", ["channel", "refund_id"], unique=True)

    op.create_table(
        "pay_notice",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("notice_id", sa.String(length=128), nullable=False),
        sa.Column("trade_no", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=False),
        sa.Column("at", UTCDateTime(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pay_notice")),
        sqlite_autoincrement=True,
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("pay_notice", schema=None) as batch_op:
        batch_op.create_index("ix_pay_notice_at", ["at"], unique=False)
        batch_op.create_index("uq_pay_notice_channel_notice_id", ["channel", "notice_id"], unique=True)

    product = op.create_table(
        "product",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("desc", sa.String(length=200), nullable=False),
        sa.Column("vip_time", sa.Integer(), nullable=False),
        sa.Column("price_fen", sa.Integer(), nullable=False),
        sa.Column("apple_id", sa.String(length=100), nullable=True),
        sa.Column("on_sale", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_product")),
        sqlite_autoincrement=True,
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("product", schema=None) as batch_op:
        batch_op.create_index("uq_product_apple_id", ["apple_id"], unique=True)
    op.bulk_insert(
        product,
        [
            {
                "id": number,
                "name": name,
                "desc": desc,
                "vip_time": days,
                "price_fen": price_fen,
                "on_sale": True,
            }
            for number, (name, desc, days, price_fen) in enumerate(PRODUCTS, start=1)
        ],
    )

    op.create_table(
        "refund_task",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("order_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("transaction_id", sa.String(length=64), nullable=False),
        sa.Column("refund_no", sa.String(length=64), nullable=False),
        sa.Column("fee_fen", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at", UTCDateTime(), nullable=False),
        sa.Column("try_at", UTCDateTime(), nullable=False),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_task")),
        sqlite_autoincrement=True,
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("refund_task", schema=None) as batch_op:
        batch_op.create_index("ix_refund_task_order_id", ["order_id"], unique=False)
        batch_op.create_index("ix_refund_task_state_try_at", ["state", "try_at"], unique=False)
        batch_op.create_index(
            "uq_refund_task_channel_transaction_id", ["channel", "transaction_id"], unique=True
        )

    op.create_table(
        "sandbox_trade",
        sa.Column("trade_no", sa.String(length=32), nullable=False),
        sa.Column("page_key", sa.String(length=43), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("expire_at", UTCDateTime(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("transaction_id", sa.String(length=64), nullable=True),
        sa.Column("paid_at", UTCDateTime(), nullable=True),
        sa.Column("refunded_fen", sa.Integer(), nullable=False),
        sa.Column("refunded_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("trade_no", name=op.f("pk_sandbox_trade")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("sandbox_trade", schema=None) as batch_op:
        batch_op.create_index("uq_sandbox_trade_page_key", ["page_key"], unique=True)

    op.create_table(
        "user_order",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("product_id", sa.Integer(), nullable=False),
        sa.Column("product_name", sa.String(length=50), nullable=False),
        sa.Column("vip_days", sa.Integer(), nullable=False),
        sa.Column("fee_fen", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("channel", sa.String(length=16), nullable=False),
        sa.Column("trade_no", sa.String(length=32), nullable=False),
        sa.Column("client_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("open_id", sa.String(length=128), nullable=True),
        sa.Column("account_token", sa.String(length=36), nullable=True),
        sa.Column("transaction_id", sa.String(length=64), nullable=True),
        sa.Column("pay_params", sa.Text(), nullable=True),
        sa.Column("order_time", UTCDateTime(), nullable=False),
        sa.Column("expire_at", UTCDateTime(), nullable=False),
        sa.Column("paid_time", UTCDateTime(), nullable=True),
        sa.Column("refunded_time", UTCDateTime(), nullable=True),
        sa.Column("is_closed", sa.Boolean(), nullable=False),
        sa.Column("poll_at", UTCDateTime(), nullable=True),
        sa.Column("polls", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_order")),
        sqlite_autoincrement=True,
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("user_order", schema=None) as batch_op:
        batch_op.create_index("ix_user_order_order_time", ["order_time"], unique=False)
        batch_op.create_index("ix_user_order_poll_at", ["poll_at"], unique=False)
        batch_op.create_index("ix_user_order_state_expire_at", ["state", "expire_at"], unique=False)
        batch_op.create_index(
            "ix_user_order_user_id_order_time_id", ["user_id", "order_time", "id"], unique=False
        )
        batch_op.create_index("uq_user_order_account_token", ["account_token"], unique=True)
        batch_op.create_index(
            "uq_user_order_channel_transaction_id", ["channel", "transaction_id"], unique=True
        )
        batch_op.create_index("uq_user_order_trade_no", ["trade_no"], unique=True)
        batch_op.create_index("uq_user_order_user_id_client_id", ["user_id", "client_id"], unique=True)

    op.create_table(
        "vip_grant",
        sa.Column("order_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("length_s", sa.Integer(), nullable=False),
        sa.Column("granted_at", UTCDateTime(), nullable=False),
        sa.Column("revoked_at", UTCDateTime(), nullable=True),
        sa.Column("unused_s", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", name=op.f("pk_vip_grant")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("vip_grant", schema=None) as batch_op:
        batch_op.create_index("ix_vip_grant_user_id_granted_at", ["user_id", "granted_at"], unique=False)

    op.create_table(
        "vip_info",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("vip_deadline", UTCDateTime(), nullable=True),
        sa.Column("left_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_vip_info")),
        **MYSQL_TABLE,
    )


def downgrade() -> None:
    for table in (
        "vip_info",
        "vip_grant",
        "user_order",
        "sandbox_trade",
        "refund_task",
        "product",
        "pay_notice",
    ):
        op.drop_table(table)
    op.drop_table("order_refund")
