"""chat

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

from datingtoday.infra.db import MYSQL_TABLE, UTCDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chat_epoch",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_epoch")),
        **MYSQL_TABLE,
    )
    op.execute("INSERT INTO chat_epoch (id, epoch) VALUES (1, 1)")
    op.create_table(
        "chat_event",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("pos", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("peer_id", sa.Integer(), nullable=False),
        sa.Column("by_me", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "pos", name=op.f("pk_chat_event")),
        **MYSQL_TABLE,
    )
    op.create_table(
        "contacts",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("conversation_id", sa.Integer(), nullable=False),
        sa.Column("creator_id", sa.Integer(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("last_msg", sa.String(length=255), nullable=False),
        sa.Column("last_type", sa.String(length=8), nullable=False),
        sa.Column("unread", sa.Integer(), nullable=False),
        sa.Column("read_seq", sa.Integer(), nullable=False),
        sa.Column("peer_read_seq", sa.Integer(), nullable=False),
        sa.Column("hidden_seq", sa.Integer(), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("update_ms", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "peer_id", name=op.f("pk_contacts")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("contacts", schema=None) as batch_op:
        batch_op.create_index(
            "ix_contacts_creator_id_create_time", ["creator_id", "create_time"], unique=False
        )
        batch_op.create_index("ix_contacts_user_id_update_ms", ["user_id", "update_ms"], unique=False)

    op.create_table(
        "conversation",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("low_uid", sa.Integer(), nullable=False),
        sa.Column("high_uid", sa.Integer(), nullable=False),
        sa.Column("creator_id", sa.Integer(), nullable=False),
        sa.Column("create_time", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation")),
        **MYSQL_TABLE,
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("conversation", schema=None) as batch_op:
        batch_op.create_index("uq_conversation_low_uid_high_uid", ["low_uid", "high_uid"], unique=True)

    op.create_table(
        "inbox",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("head", sa.Integer(), nullable=False),
        sa.Column("pace_ms", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_inbox")),
        **MYSQL_TABLE,
    )
    op.create_table(
        "message",
        sa.Column("conversation_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("from_uid", sa.Integer(), nullable=False),
        sa.Column("to_uid", sa.Integer(), nullable=False),
        sa.Column(
            "client_id",
            sa.LargeBinary(length=64).with_variant(sa.VARBINARY(length=64), "mysql", "mariadb"),
            nullable=False,
        ),
        sa.Column("msg_type", sa.String(length=8), nullable=False),
        sa.Column("content", sa.String(length=2000), nullable=True),
        sa.Column("media_id", sa.String(length=32), nullable=True),
        sa.Column("send_ms", sa.BigInteger(), nullable=False),
        sa.Column("recalled", sa.Boolean(), nullable=False),
        sa.Column(
            "digest",
            sa.LargeBinary(length=32).with_variant(sa.BINARY(length=32), "mysql", "mariadb"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("conversation_id", "seq", name=op.f("pk_message")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("message", schema=None) as batch_op:
        batch_op.create_index("uq_message_from_uid_client_id", ["from_uid", "client_id"], unique=True)

    op.create_table(
        "message_media",
        sa.Column("media_id", sa.String(length=32), nullable=False),
        sa.Column("conversation_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("media_id", "conversation_id", "seq", name=op.f("pk_message_media")),
        **MYSQL_TABLE,
    )


def downgrade() -> None:
    for table in (
        "message_media",
        "message",
        "inbox",
        "conversation",
        "contacts",
        "chat_event",
        "chat_epoch",
    ):
        op.drop_table(table)
