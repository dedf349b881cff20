"""people and logins

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

from datingtoday.infra.db import MYSQL_TABLE, UTCDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "client_app",
        sa.Column("appkey", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("hmac_only", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("create_time", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("appkey", name=op.f("pk_client_app")),
        **MYSQL_TABLE,
    )
    op.create_table(
        "replay_bucket",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("first_used_at", UTCDateTime(), nullable=False),
        sa.Column("lost_at", UTCDateTime(), nullable=True),
        sa.Column("seal", sa.String(length=32), nullable=True),
        sa.Column("holder", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_replay_bucket")),
        **MYSQL_TABLE,
    )
    op.create_table(
        "kept_signature",
        sa.Column("sign", sa.String(length=32), nullable=False),
        sa.Column("until", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sign", name=op.f("pk_kept_signature")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("kept_signature", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_kept_signature_until"), ["until"], unique=False)

    op.create_table(
        "sms_code",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("phone", sa.String(length=16), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("sent_at", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("used_at", UTCDateTime(), nullable=True),
        sa.Column("unclear", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sms_code")),
        sqlite_autoincrement=True,
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("sms_code", schema=None) as batch_op:
        batch_op.create_index("ix_sms_code_phone_sent_at", ["phone", "sent_at"], unique=False)
        batch_op.create_index("ix_sms_code_sent_at", ["sent_at"], unique=False)

    op.create_table(
        "sms_number",
        sa.Column("phone", sa.String(length=16), nullable=False),
        sa.Column("last_sent_at", UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("phone", name=op.f("pk_sms_number")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("sms_number", schema=None) as batch_op:
        batch_op.create_index("ix_sms_number_last_sent_at", ["last_sent_at"], unique=False)

    op.create_table(
        "user_info",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("phone", sa.String(length=16), nullable=True),
        sa.Column("email", sa.String(length=64), nullable=True),
        sa.Column("nickname", sa.String(length=64), nullable=False),
        sa.Column("gender", sa.SmallInteger(), nullable=False),
        sa.Column("birthday", sa.Date(), nullable=True),
        sa.Column("avatar", sa.String(length=128), nullable=True),
        sa.Column("emotion", sa.SmallInteger(), nullable=True),
        sa.Column("height", sa.SmallInteger(), nullable=True),
        sa.Column("sexual", sa.SmallInteger(), nullable=False),
        sa.Column("education", sa.SmallInteger(), nullable=False),
        sa.Column("salary", sa.SmallInteger(), nullable=True),
        sa.Column("authority", sa.SmallInteger(), nullable=False),
        sa.Column("intro", sa.String(length=500), nullable=False),
        sa.Column("stealth", sa.Boolean(), nullable=False),
        sa.Column("personal", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("banned_until", UTCDateTime(), nullable=True),
        sa.Column("ban_reason", sa.String(length=200), nullable=True),
        sa.Column("last_active", UTCDateTime(), nullable=False),
        sa.Column("create_time", UTCDateTime(), nullable=False),
        sa.Column("update_time", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_info")),
        mysql_auto_increment="100785",
        mariadb_auto_increment="100785",
        sqlite_autoincrement=True,
        **MYSQL_TABLE,
    )
    if op.get_context().dialect.name == "sqlite":
        # Ids of new people begin at 100785 here too: imported ones lie below.
        op.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('user_info', 100784)")
    with op.batch_alter_table("user_info", schema=None) as batch_op:
        batch_op.create_index("uq_user_info_phone", ["phone"], unique=True)

    op.create_table(
        "client_secret",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("appkey", sa.String(length=64), nullable=False),
        sa.Column("secret", sa.String(length=256), nullable=False),
        sa.Column("create_time", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["appkey"], ["client_app.appkey"], name=op.f("fk_client_secret_appkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_client_secret")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("client_secret", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_client_secret_appkey"), ["appkey"], unique=False)

    op.create_table(
        "user_auth",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("open_id", sa.String(length=128), nullable=False),
        sa.Column("session_key", sa.String(length=128), nullable=True),
        sa.Column("login_type", sa.String(length=16), nullable=False),
        sa.Column("login_time", UTCDateTime(), nullable=True),
        sa.Column("create_time", UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_info.id"], name=op.f("fk_user_auth_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_auth")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("user_auth", schema=None) as batch_op:
        batch_op.create_index("uq_user_auth_login_type_open_id", ["login_type", "open_id"], unique=True)
        batch_op.create_index("uq_user_auth_user_id", ["user_id"], unique=True)

    op.create_table(
        "user_session",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("login_time", UTCDateTime(), nullable=False),
        sa.Column("last_seen", UTCDateTime(), nullable=False),
        sa.Column("expires_at", UTCDateTime(), nullable=False),
        sa.Column("ended_at", UTCDateTime(), nullable=True),
        sa.Column("end_reason", sa.String(length=16), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["user_info.id"], name=op.f("fk_user_session_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_session")),
        sqlite_autoincrement=True,
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("user_session", schema=None) as batch_op:
        batch_op.create_index("ix_user_session_expires_at", ["expires_at"], unique=False)
        batch_op.create_index("ix_user_session_user_id_ended_at", ["user_id", "ended_at"], unique=False)
        batch_op.create_index("uq_user_session_token_hash", ["token_hash"], unique=True)


def downgrade() -> None:
    with op.batch_alter_table("user_session", schema=None) as batch_op:
        batch_op.drop_index("uq_user_session_token_hash")
        batch_op.drop_index("ix_user_session_user_id_ended_at")
        batch_op.drop_index("ix_user_session_expires_at")

    op.drop_table("user_session")
    with op.batch_alter_table("user_auth", schema=None) as batch_op:
        batch_op.drop_index("uq_user_auth_user_id")
        batch_op.drop_index("uq_user_auth_login_type_open_id")

    op.drop_table("user_auth")
    with op.batch_alter_table("client_secret", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_client_secret_appkey"))

    op.drop_table("client_secret")
    with op.batch_alter_table("user_info", schema=None) as batch_op:
        batch_op.drop_index("uq_user_info_phone")

    op.drop_table("user_info")
    with op.batch_alter_table("sms_number", schema=None) as batch_op:
        batch_op.drop_index("ix_sms_number_last_sent_at")

    op.drop_table("sms_number")
    with op.batch_alter_table("sms_code", schema=None) as batch_op:
        batch_op.drop_index("ix_sms_code_sent_at")
        batch_op.drop_index("ix_sms_code_phone_sent_at")

    op.drop_table("sms_code")
    with op.batch_alter_table("kept_signature", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_kept_signature_until"))

    op.drop_table("kept_signature")
    op.drop_table("replay_bucket")
    op.drop_table("client_app")
