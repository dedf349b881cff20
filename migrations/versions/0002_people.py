"""people

Must run on SQLite, MariaDB 10.11 and MySQL 8, and as a script (no reading of rows: datingtoday.sql is made of it).
New tables take `**MYSQL_TABLE`; changes of tables stand in `op.batch_alter_table`.
"""

import sqlalchemy as sa
from alembic import op

from datingtoday.infra.db import MYSQL_TABLE, UTCDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

EVERYONE, MEN, WOMEN = 0, 1, 2
LABELS = [
    # (gender whom it fits, name, meaning)
    (EVERYONE, "慢热", "熟了以后话才多"),
    (EVERYONE, "爱旅行", "总在计划下一次出发"),
    (EVERYONE, "夜猫子", "晚上比白天精神"),
    (EVERYONE, "早睡早起", "作息规律，清晨最清醒"),
    (EVERYONE, "爱读书", "包里常放着一本书"),
    (EVERYONE, "铲屎官", "家里有猫或狗"),
    (EVERYONE, "吃货", "为好吃的可以走很远"),
    (EVERYONE, "电影迷", "首映场里常能遇到"),
    (EVERYONE, "乐天派", "遇事先往好处想"),
    (MEN, "会做饭", "厨房里的一把好手"),
    (MEN, "运动型", "每周至少运动三次"),
    (MEN, "理工男", "讲逻辑，爱动手"),
    (MEN, "顾家", "下班就想回家"),
    (MEN, "有担当", "说到就会做到"),
    (MEN, "幽默", "擅长让人笑出来"),
    (MEN, "沉稳", "话不多，心里有数"),
    (MEN, "创业中", "正在做自己的事业"),
    (MEN, "暖男", "细心，会照顾人"),
    (WOMEN, "温柔", "说话轻，脾气好"),
    (WOMEN, "独立", "自己的事自己安排"),
    (WOMEN, "爱笑", "一笑起来就停不下"),
    (WOMEN, "文艺", "喜欢展览、诗和老歌"),
    (WOMEN, "直爽", "有话直说，不绕弯"),
    (WOMEN, "爱健身", "跑步机是老朋友"),
    (WOMEN, "会打扮", "出门前要照三次镜子"),
    (WOMEN, "事业心强", "工作也是生活的一部分"),
    (WOMEN, "恋家", "喜欢把家里收拾好"),
]


def upgrade() -> None:
    label = op.create_table(
        "label",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("gender", sa.SmallInteger(), nullable=False),
        sa.Column("meaning", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_label")),
        sqlite_autoincrement=True,
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("label", schema=None) as batch_op:
        batch_op.create_index("uq_label_gender_name", ["gender", "name"], unique=True)
    op.bulk_insert(
        label,
        [
            {"id": number, "gender": gender, "name": name, "meaning": meaning}
            for number, (gender, name, meaning) in enumerate(LABELS, start=1)
        ],
    )

    op.create_table(
        "user_album",
        sa.Column("photo_id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("media_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.Column("create_time", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("photo_id", name=op.f("pk_user_album")),
        sqlite_autoincrement=True,
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("user_album", schema=None) as batch_op:
        batch_op.create_index("ix_user_album_media_id", ["media_id"], unique=False)
        batch_op.create_index("ix_user_album_user_id_position", ["user_id", "position"], unique=False)
        batch_op.create_index("uq_user_album_user_id_media_id", ["user_id", "media_id"], unique=True)

    op.create_table(
        "user_block",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("create_time", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "peer_id", name=op.f("pk_user_block")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("user_block", schema=None) as batch_op:
        batch_op.create_index("ix_user_block_peer_id", ["peer_id"], unique=False)
        batch_op.create_index(
            "ix_user_block_user_id_create_time_peer_id", ["user_id", "create_time", "peer_id"], unique=False
        )

    op.create_table(
        "user_follow",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("peer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("create_time", UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "peer_id", name=op.f("pk_user_follow")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("user_follow", schema=None) as batch_op:
        batch_op.create_index(
            "ix_user_follow_peer_id_create_time_user_id", ["peer_id", "create_time", "user_id"], unique=False
        )
        batch_op.create_index(
            "ix_user_follow_user_id_create_time_peer_id", ["user_id", "create_time", "peer_id"], unique=False
        )

    op.create_table(
        "user_label",
        sa.Column("user_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("label_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "label_id", name=op.f("pk_user_label")),
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("user_label", schema=None) as batch_op:
        batch_op.create_index("ix_user_label_label_id_user_id", ["label_id", "user_id"], unique=False)

    op.create_table(
        "user_report",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("peer_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("detail", sa.String(length=1000), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("create_time", UTCDateTime(), nullable=False),
        sa.Column("close_time", UTCDateTime(), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_report")),
        sqlite_autoincrement=True,
        **MYSQL_TABLE,
    )
    with op.batch_alter_table("user_report", schema=None) as batch_op:
        batch_op.create_index("ix_user_report_peer_id", ["peer_id"], unique=False)
        batch_op.create_index("ix_user_report_state_id", ["state", "id"], unique=False)
        batch_op.create_index("ix_user_report_user_id_create_time", ["user_id", "create_time"], unique=False)

    with op.batch_alter_table("user_info", schema=None) as batch_op:
        batch_op.add_column(sa.Column("deleted_at", UTCDateTime(), nullable=True))
        batch_op.create_index("ix_user_info_deleted_at", ["deleted_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("user_info", schema=None) as batch_op:
        batch_op.drop_index("ix_user_info_deleted_at")
        batch_op.drop_column("deleted_at")

    with op.batch_alter_table("user_report", schema=None) as batch_op:
        batch_op.drop_index("ix_user_report_user_id_create_time")
        batch_op.drop_index("ix_user_report_state_id")
        batch_op.drop_index("ix_user_report_peer_id")

    op.drop_table("user_report")
    with op.batch_alter_table("user_label", schema=None) as batch_op:
        batch_op.drop_index("ix_user_label_label_id_user_id")

    op.drop_table("user_label")
    with op.batch_alter_table("user_follow", schema=None) as batch_op:
        batch_op.drop_index("ix_user_follow_user_id_create_time_peer_id")
        batch_op.drop_index("ix_user_follow_peer_id_create_time_user_id")

    op.drop_table("user_follow")
    with op.batch_alter_table("user_block", schema=None) as batch_op:
        batch_op.drop_index("ix_user_block_user_id_create_time_peer_id")
        batch_op.drop_index("ix_user_block_peer_id")

    op.drop_table("user_block")
    with op.batch_alter_table("user_album", schema=None) as batch_op:
        batch_op.drop_index("uq_user_album_user_id_media_id")
        batch_op.drop_index("ix_user_album_user_id_position")
        batch_op.drop_index("ix_user_album_media_id")

    op.drop_table("user_album")
    with op.batch_alter_table("label", schema=None) as batch_op:
        batch_op.drop_index("uq_label_gender_name")

    op.drop_table("label")
