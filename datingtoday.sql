-- The schema for MySQL 8.0+ and MariaDB 10.11+, made from migrations/ by `datingtoday docs write`.
-- MySQL 8.0+ 与 MariaDB 10.11+ 的数据库结构，由 `datingtoday docs write` 从 migrations/ 生成。
-- CREATE DATABASE datingtoday CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

SET NAMES utf8mb4;
SET time_zone = '+00:00';

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

-- Running upgrade  -> 0001

CREATE TABLE client_app (
    appkey VARCHAR(64) NOT NULL,
    name VARCHAR(64) NOT NULL,
    hmac_only BOOL NOT NULL,
    disabled BOOL NOT NULL,
    create_time DATETIME(6) NOT NULL,
    CONSTRAINT pk_client_app PRIMARY KEY (appkey)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE replay_bucket (
    name VARCHAR(32) NOT NULL,
    first_used_at DATETIME(6) NOT NULL,
    lost_at DATETIME(6),
    seal VARCHAR(32),
    holder VARCHAR(64),
    CONSTRAINT pk_replay_bucket PRIMARY KEY (name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE kept_signature (
    sign VARCHAR(32) NOT NULL,
    until DATETIME(6) NOT NULL,
    CONSTRAINT pk_kept_signature PRIMARY KEY (sign)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_kept_signature_until ON kept_signature (until);

CREATE TABLE sms_code (
    id BIGINT NOT NULL AUTO_INCREMENT,
    phone VARCHAR(16) NOT NULL,
    purpose VARCHAR(16) NOT NULL,
    code_hash VARCHAR(64) NOT NULL,
    sent_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    tries SMALLINT NOT NULL,
    used_at DATETIME(6),
    unclear BOOL NOT NULL,
    CONSTRAINT pk_sms_code PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_sms_code_phone_sent_at ON sms_code (phone, sent_at);

CREATE INDEX ix_sms_code_sent_at ON sms_code (sent_at);

CREATE TABLE sms_number (
    phone VARCHAR(16) NOT NULL,
    last_sent_at DATETIME(6),
    CONSTRAINT pk_sms_number PRIMARY KEY (phone)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_sms_number_last_sent_at ON sms_number (last_sent_at);

CREATE TABLE user_info (
    id INTEGER NOT NULL AUTO_INCREMENT,
    phone VARCHAR(16),
    email VARCHAR(64),
    nickname VARCHAR(64) NOT NULL,
    gender SMALLINT NOT NULL,
    birthday DATE,
    avatar VARCHAR(128),
    emotion SMALLINT,
    height SMALLINT,
    sexual SMALLINT NOT NULL,
    education SMALLINT NOT NULL,
    salary SMALLINT,
    authority SMALLINT NOT NULL,
    intro VARCHAR(500) NOT NULL,
    stealth BOOL NOT NULL,
    personal BOOL NOT NULL,
    status VARCHAR(16) NOT NULL,
    banned_until DATETIME(6),
    ban_reason VARCHAR(200),
    last_active DATETIME(6) NOT NULL,
    create_time DATETIME(6) NOT NULL,
    update_time DATETIME(6) NOT NULL,
    CONSTRAINT pk_user_info PRIMARY KEY (id)
)AUTO_INCREMENT=100785 ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX uq_user_info_phone ON user_info (phone);

CREATE TABLE client_secret (
    id INTEGER NOT NULL AUTO_INCREMENT,
    appkey VARCHAR(64) NOT NULL,
    secret VARCHAR(256) NOT NULL,
    create_time DATETIME(6) NOT NULL,
    expires_at DATETIME(6),
    CONSTRAINT pk_client_secret PRIMARY KEY (id),
    CONSTRAINT fk_client_secret_appkey FOREIGN KEY(appkey) REFERENCES client_app (appkey)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_client_secret_appkey ON client_secret (appkey);

CREATE TABLE user_auth (
    id INTEGER NOT NULL AUTO_INCREMENT,
    user_id INTEGER NOT NULL,
    open_id VARCHAR(128) NOT NULL,
    session_key VARCHAR(128),
    login_type VARCHAR(16) NOT NULL,
    login_time DATETIME(6),
    create_time DATETIME(6) NOT NULL,
    CONSTRAINT pk_user_auth PRIMARY KEY (id),
    CONSTRAINT fk_user_auth_user_id FOREIGN KEY(user_id) REFERENCES user_info (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX uq_user_auth_login_type_open_id ON user_auth (login_type, open_id);

CREATE UNIQUE INDEX uq_user_auth_user_id ON user_auth (user_id);

CREATE TABLE user_session (
    id INTEGER NOT NULL AUTO_INCREMENT,
    user_id INTEGER NOT NULL,
    token_hash VARCHAR(64) NOT NULL,
    device VARCHAR(64) NOT NULL,
    login_time DATETIME(6) NOT NULL,
    last_seen DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    ended_at DATETIME(6),
    end_reason VARCHAR(16),
    CONSTRAINT pk_user_session PRIMARY KEY (id),
    CONSTRAINT fk_user_session_user_id FOREIGN KEY(user_id) REFERENCES user_info (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_user_session_expires_at ON user_session (expires_at);

CREATE INDEX ix_user_session_user_id_ended_at ON user_session (user_id, ended_at);

CREATE UNIQUE INDEX uq_user_session_token_hash ON user_session (token_hash);

INSERT INTO alembic_version (version_num) VALUES ('0001');

-- Running upgrade 0001 -> 0002

CREATE TABLE label (
    id INTEGER NOT NULL AUTO_INCREMENT,
    name VARCHAR(50) NOT NULL,
    gender SMALLINT NOT NULL,
    meaning VARCHAR(20) NOT NULL,
    CONSTRAINT pk_label PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX uq_label_gender_name ON label (gender, name);

INSERT INTO label (id, name, gender, meaning) VALUES (1, '慢热', 0, '熟了以后话才多');

INSERT INTO label (id, name, gender, meaning) VALUES (2, '爱旅行', 0, '总在计划下一次出发');

INSERT INTO label (id, name, gender, meaning) VALUES (3, '夜猫子', 0, '晚上比白天精神');

INSERT INTO label (id, name, gender, meaning) VALUES (4, '早睡早起', 0, '作息规律，清晨最清醒');

INSERT INTO label (id, name, gender, meaning) VALUES (5, '爱读书', 0, '包里常放着一本书');

INSERT INTO label (id, name, gender, meaning) VALUES (6, '铲屎官', 0, '家里有猫或狗');

INSERT INTO label (id, name, gender, meaning) VALUES (7, '吃货', 0, '为好吃的可以走很远');

INSERT INTO label (id, name, gender, meaning) VALUES (8, '电影迷', 0, '首映场里常能遇到');

INSERT INTO label (id, name, gender, meaning) VALUES (9, '乐天派', 0, '遇事先往好处想');

INSERT INTO label (id, name, gender, meaning) VALUES (10, '会做饭', 1, '厨房里的一把好手');

INSERT INTO label (id, name, gender, meaning) VALUES (11, '运动型', 1, '每周至少运动三次');

INSERT INTO label (id, name, gender, meaning) VALUES (12, '理工男', 1, '讲逻辑，爱动手');

INSERT INTO label (id, name, gender, meaning) VALUES (13, '顾家', 1, '下班就想回家');

INSERT INTO label (id, name, gender, meaning) VALUES (14, '有担当', 1, '说到就会做到');

INSERT INTO label (id, name, gender, meaning) VALUES (15, '幽默', 1, '擅长让人笑出来');

INSERT INTO label (id, name, gender, meaning) VALUES (16, '沉稳', 1, '话不多，心里有数');

INSERT INTO label (id, name, gender, meaning) VALUES (17, '创业中', 1, '正在做自己的事业');

INSERT INTO label (id, name, gender, meaning) VALUES (18, '暖男', 1, '细心，会照顾人');

INSERT INTO label (id, name, gender, meaning) VALUES (19, '温柔', 2, '说话轻，脾气好');

INSERT INTO label (id, name, gender, meaning) VALUES (20, '独立', 2, '自己的事自己安排');

INSERT INTO label (id, name, gender, meaning) VALUES (21, '爱笑', 2, '一笑起来就停不下');

INSERT INTO label (id, name, gender, meaning) VALUES (22, '文艺', 2, '喜欢展览、诗和老歌');

INSERT INTO label (id, name, gender, meaning) VALUES (23, '直爽', 2, '有话直说，不绕弯');

INSERT INTO label (id, name, gender, meaning) VALUES (24, '爱健身', 2, '跑步机是老朋友');

INSERT INTO label (id, name, gender, meaning) VALUES (25, '会打扮', 2, '出门前要照三次镜子');

INSERT INTO label (id, name, gender, meaning) VALUES (26, '事业心强', 2, '工作也是生活的一部分');

INSERT INTO label (id, name, gender, meaning) VALUES (27, '恋家', 2, '喜欢把家里收拾好');

CREATE TABLE user_album (
    photo_id INTEGER NOT NULL AUTO_INCREMENT,
    user_id INTEGER NOT NULL,
    media_id VARCHAR(64) NOT NULL,
    position SMALLINT NOT NULL,
    create_time DATETIME(6) NOT NULL,
    CONSTRAINT pk_user_album PRIMARY KEY (photo_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_user_album_media_id ON user_album (media_id);

CREATE INDEX ix_user_album_user_id_position ON user_album (user_id, position);

CREATE UNIQUE INDEX uq_user_album_user_id_media_id ON user_album (user_id, media_id);

CREATE TABLE user_block (
    user_id INTEGER NOT NULL,
    peer_id INTEGER NOT NULL,
    create_time DATETIME(6) NOT NULL,
    CONSTRAINT pk_user_block PRIMARY KEY (user_id, peer_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_user_block_peer_id ON user_block (peer_id);

CREATE INDEX ix_user_block_user_id_create_time_peer_id ON user_block (user_id, create_time, peer_id);

CREATE TABLE user_follow (
    user_id INTEGER NOT NULL,
    peer_id INTEGER NOT NULL,
    create_time DATETIME(6) NOT NULL,
    CONSTRAINT pk_user_follow PRIMARY KEY (user_id, peer_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_user_follow_peer_id_create_time_user_id ON user_follow (peer_id, create_time, user_id);

CREATE INDEX ix_user_follow_user_id_create_time_peer_id ON user_follow (user_id, create_time, peer_id);

CREATE TABLE user_label (
    user_id INTEGER NOT NULL,
    label_id INTEGER NOT NULL,
    position SMALLINT NOT NULL,
    CONSTRAINT pk_user_label PRIMARY KEY (user_id, label_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_user_label_label_id_user_id ON user_label (label_id, user_id);

CREATE TABLE user_report (
    id INTEGER NOT NULL AUTO_INCREMENT,
    user_id INTEGER,
    peer_id INTEGER NOT NULL,
    reason VARCHAR(16) NOT NULL,
    detail VARCHAR(1000) NOT NULL,
    message_id BIGINT,
    evidence TEXT NOT NULL,
    state VARCHAR(16) NOT NULL,
    create_time DATETIME(6) NOT NULL,
    close_time DATETIME(6),
    note VARCHAR(200) NOT NULL,
    CONSTRAINT pk_user_report PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_user_report_peer_id ON user_report (peer_id);

CREATE INDEX ix_user_report_state_id ON user_report (state, id);

CREATE INDEX ix_user_report_user_id_create_time ON user_report (user_id, create_time);

ALTER TABLE user_info ADD COLUMN deleted_at DATETIME(6);

CREATE INDEX ix_user_info_deleted_at ON user_info (deleted_at);

UPDATE alembic_version SET version_num='0002' WHERE alembic_version.version_num = '0001';

-- Running upgrade 0002 -> 0003

CREATE TABLE media (
    id VARCHAR(32) NOT NULL,
    user_id INTEGER NOT NULL,
    kind VARCHAR(8) NOT NULL,
    mime VARCHAR(32) NOT NULL,
    storage_key VARCHAR(32) NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 VARCHAR(64) NOT NULL,
    medium_bytes INTEGER,
    medium_sha256 VARCHAR(64),
    thumb_bytes INTEGER,
    thumb_sha256 VARCHAR(64),
    width INTEGER,
    height INTEGER,
    duration_ms INTEGER,
    verdict VARCHAR(8) NOT NULL,
    reason VARCHAR(200) NOT NULL,
    reference VARCHAR(100) NOT NULL,
    asked_at DATETIME(6),
    uses INTEGER NOT NULL,
    unused_since DATETIME(6),
    create_time DATETIME(6) NOT NULL,
    CONSTRAINT pk_media PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_media_user_id_create_time ON media (user_id, create_time);

CREATE INDEX ix_media_unused_since ON media (unused_since);

CREATE INDEX ix_media_verdict_create_time ON media (verdict, create_time);

CREATE TABLE media_usage (
    user_id INTEGER NOT NULL,
    files INTEGER NOT NULL,
    stored_bytes BIGINT NOT NULL,
    CONSTRAINT pk_media_usage PRIMARY KEY (user_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE media_garbage (
    storage_key VARCHAR(32) NOT NULL,
    collect_after DATETIME(6) NOT NULL,
    CONSTRAINT pk_media_garbage PRIMARY KEY (storage_key)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_media_garbage_collect_after ON media_garbage (collect_after);

UPDATE alembic_version SET version_num='0003' WHERE alembic_version.version_num = '0002';

-- Running upgrade 0003 -> 0004

CREATE TABLE location (
    user_id INTEGER NOT NULL,
    ip_addr VARCHAR(45),
    longitude DOUBLE,
    latitude DOUBLE,
    report_time DATETIME(6),
    cell BIGINT,
    cell_since DATETIME(6),
    left_cell BIGINT,
    pending_cell BIGINT,
    pending_due DATETIME(6),
    hidden BOOL NOT NULL,
    shown_cell BIGINT,
    shown_until DATETIME(6),
    gender SMALLINT NOT NULL,
    lot INTEGER NOT NULL,
    CONSTRAINT pk_location PRIMARY KEY (user_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_location_shown_cell_gender_lot ON location (shown_cell, gender, lot);

CREATE INDEX ix_location_left_cell_cell_since ON location (left_cell, cell_since);

CREATE INDEX ix_location_pending_due ON location (pending_due);

CREATE INDEX ix_location_shown_until ON location (shown_until);

CREATE TABLE location_cell (
    cell BIGINT NOT NULL,
    unknown INTEGER NOT NULL,
    men INTEGER NOT NULL,
    women INTEGER NOT NULL,
    changed_at DATETIME(6) NOT NULL,
    CONSTRAINT pk_location_cell PRIMARY KEY (cell)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

UPDATE alembic_version SET version_num='0004' WHERE alembic_version.version_num = '0003';

-- Running upgrade 0004 -> 0005

CREATE TABLE hot_attention (
    user_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    peer_id INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    CONSTRAINT pk_hot_attention PRIMARY KEY (user_id, day, peer_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_hot_attention_day ON hot_attention (day);

CREATE INDEX ix_hot_attention_peer_id ON hot_attention (peer_id);

CREATE TABLE hot_day (
    user_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    people INTEGER NOT NULL,
    CONSTRAINT pk_hot_day PRIMARY KEY (user_id, day)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_hot_day_day ON hot_day (day);

CREATE TABLE hot_person (
    user_id INTEGER NOT NULL,
    shelf SMALLINT,
    attention DOUBLE NOT NULL,
    bonus DOUBLE NOT NULL,
    score DOUBLE NOT NULL,
    CONSTRAINT pk_hot_person PRIMARY KEY (user_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_hot_person_shelf_score_user_id ON hot_person (shelf, score, user_id);

CREATE TABLE search_gram (
    gram INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    CONSTRAINT pk_search_gram PRIMARY KEY (gram, user_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE search_name (
    user_id INTEGER NOT NULL,
    folded VARCHAR(200) NOT NULL,
    CONSTRAINT pk_search_name PRIMARY KEY (user_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_user_info_education ON user_info (education);

UPDATE alembic_version SET version_num='0005' WHERE alembic_version.version_num = '0004';

-- Running upgrade 0005 -> 0006

ALTER TABLE user_info MODIFY nickname VARCHAR(255) NOT NULL;

UPDATE alembic_version SET version_num='0006' WHERE alembic_version.version_num = '0005';

-- Running upgrade 0006 -> 0007

CREATE TABLE job_lease (
    name VARCHAR(120) NOT NULL,
    due_ms BIGINT NOT NULL,
    holder VARCHAR(100) NOT NULL,
    until_ms BIGINT NOT NULL,
    started_ms BIGINT NOT NULL,
    finished_ms BIGINT NOT NULL,
    took_ms INTEGER NOT NULL,
    runs BIGINT NOT NULL,
    failures INTEGER NOT NULL,
    error VARCHAR(300) NOT NULL,
    CONSTRAINT pk_job_lease PRIMARY KEY (name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

UPDATE alembic_version SET version_num='0007' WHERE alembic_version.version_num = '0006';

-- Running upgrade 0007 -> 0008

CREATE TABLE chat_epoch (
    id INTEGER NOT NULL,
    epoch BIGINT NOT NULL,
    CONSTRAINT pk_chat_epoch PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

INSERT INTO chat_epoch (id, epoch) VALUES (1, 1);

CREATE TABLE chat_event (
    user_id INTEGER NOT NULL,
    pos INTEGER NOT NULL,
    kind SMALLINT NOT NULL,
    conversation_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    peer_id INTEGER NOT NULL,
    by_me BOOL NOT NULL,
    CONSTRAINT pk_chat_event PRIMARY KEY (user_id, pos)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE contacts (
    user_id INTEGER NOT NULL,
    peer_id INTEGER NOT NULL,
    conversation_id INTEGER NOT NULL,
    creator_id INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    last_msg VARCHAR(255) NOT NULL,
    last_type VARCHAR(8) NOT NULL,
    unread INTEGER NOT NULL,
    read_seq INTEGER NOT NULL,
    peer_read_seq INTEGER NOT NULL,
    hidden_seq INTEGER NOT NULL,
    known BOOL NOT NULL,
    update_ms BIGINT NOT NULL,
    create_time DATETIME(6) NOT NULL,
    CONSTRAINT pk_contacts PRIMARY KEY (user_id, peer_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_contacts_creator_id_create_time ON contacts (creator_id, create_time);

CREATE INDEX ix_contacts_user_id_update_ms ON contacts (user_id, update_ms);

CREATE TABLE conversation (
    id INTEGER NOT NULL AUTO_INCREMENT,
    low_uid INTEGER NOT NULL,
    high_uid INTEGER NOT NULL,
    creator_id INTEGER NOT NULL,
    create_time DATETIME(6) NOT NULL,
    CONSTRAINT pk_conversation PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX uq_conversation_low_uid_high_uid ON conversation (low_uid, high_uid);

CREATE TABLE inbox (
    user_id INTEGER NOT NULL,
    head INTEGER NOT NULL,
    pace_ms BIGINT NOT NULL,
    closed BOOL NOT NULL,
    CONSTRAINT pk_inbox PRIMARY KEY (user_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE message (
    conversation_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    from_uid INTEGER NOT NULL,
    to_uid INTEGER NOT NULL,
    client_id VARBINARY(64) NOT NULL,
    msg_type VARCHAR(8) NOT NULL,
    content VARCHAR(2000),
    media_id VARCHAR(32),
    send_ms BIGINT NOT NULL,
    recalled BOOL NOT NULL,
    digest BINARY(32) NOT NULL,
    CONSTRAINT pk_message PRIMARY KEY (conversation_id, seq)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX uq_message_from_uid_client_id ON message (from_uid, client_id);

CREATE TABLE message_media (
    media_id VARCHAR(32) NOT NULL,
    conversation_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    CONSTRAINT pk_message_media PRIMARY KEY (media_id, conversation_id, seq)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

UPDATE alembic_version SET version_num='0008' WHERE alembic_version.version_num = '0007';

-- Running upgrade 0008 -> 0009

ALTER TABLE hot_attention MODIFY weight DOUBLE NOT NULL;

ALTER TABLE hot_day MODIFY weight DOUBLE NOT NULL;

ALTER TABLE hot_day ADD COLUMN active BOOL NOT NULL DEFAULT false;

UPDATE hot_day SET active = 1 WHERE weight >= 2;

ALTER TABLE hot_day ALTER COLUMN active DROP DEFAULT;

UPDATE alembic_version SET version_num='0009' WHERE alembic_version.version_num = '0008';

-- Running upgrade 0009 -> 0010

CREATE TABLE order_refund (
    id INTEGER NOT NULL AUTO_INCREMENT,
    order_id INTEGER NOT NULL,
    channel VARCHAR(16) NOT NULL,
    refund_id VARCHAR(96) NOT NULL,
    transaction_id VARCHAR(64) NOT NULL,
    amount_fen INTEGER NOT NULL,
    at DATETIME(6) NOT NULL,
    CONSTRAINT pk_order_refund PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_order_refund_order_id ON order_refund (order_id);

CREATE INDEX ix_order_refund_transaction_id ON order_refund (transaction_id);

CREATE UNIQUE INDEX uq_order_refund_channel_refund_id ON order_refund (channel, refund_id);

CREATE TABLE pay_notice (
    id INTEGER NOT NULL AUTO_INCREMENT,
    channel VARCHAR(16) NOT NULL,
    notice_id VARCHAR(128) NOT NULL,
    trade_no VARCHAR(32) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    verdict VARCHAR(32) NOT NULL,
    at DATETIME(6) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    CONSTRAINT pk_pay_notice PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_pay_notice_at ON pay_notice (at);

CREATE UNIQUE INDEX uq_pay_notice_channel_notice_id ON pay_notice (channel, notice_id);

CREATE TABLE product (
    id INTEGER NOT NULL AUTO_INCREMENT,
    name VARCHAR(50) NOT NULL,
    `desc` VARCHAR(200) NOT NULL,
    vip_time INTEGER NOT NULL,
    price_fen INTEGER NOT NULL,
    apple_id VARCHAR(100),
    on_sale BOOL NOT NULL,
    CONSTRAINT pk_product PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX uq_product_apple_id ON product (apple_id);

INSERT INTO product (id, name, `desc`, vip_time, price_fen, on_sale) VALUES (1, '月度会员', '30 天会员：查看谁看过我、隐身访问、每天认识更多新朋友', 30, 3000, true);

INSERT INTO product (id, name, `desc`, vip_time, price_fen, on_sale) VALUES (2, '季度会员', '90 天会员，比按月购买更优惠', 90, 7800, true);

INSERT INTO product (id, name, `desc`, vip_time, price_fen, on_sale) VALUES (3, '年度会员', '365 天会员，最划算的选择', 365, 25800, true);

CREATE TABLE refund_task (
    id INTEGER NOT NULL AUTO_INCREMENT,
    order_id INTEGER NOT NULL,
    channel VARCHAR(16) NOT NULL,
    transaction_id VARCHAR(64) NOT NULL,
    refund_no VARCHAR(64) NOT NULL,
    fee_fen INTEGER NOT NULL,
    reason VARCHAR(32) NOT NULL,
    state VARCHAR(16) NOT NULL,
    created_at DATETIME(6) NOT NULL,
    try_at DATETIME(6) NOT NULL,
    tries SMALLINT NOT NULL,
    CONSTRAINT pk_refund_task PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_refund_task_order_id ON refund_task (order_id);

CREATE INDEX ix_refund_task_state_try_at ON refund_task (state, try_at);

CREATE UNIQUE INDEX uq_refund_task_channel_transaction_id ON refund_task (channel, transaction_id);

CREATE TABLE sandbox_trade (
    trade_no VARCHAR(32) NOT NULL,
    page_key VARCHAR(43) NOT NULL,
    subject VARCHAR(64) NOT NULL,
    amount_fen INTEGER NOT NULL,
    currency VARCHAR(3) NOT NULL,
    expire_at DATETIME(6) NOT NULL,
    state VARCHAR(16) NOT NULL,
    transaction_id VARCHAR(64),
    paid_at DATETIME(6),
    refunded_fen INTEGER NOT NULL,
    refunded_at DATETIME(6),
    CONSTRAINT pk_sandbox_trade PRIMARY KEY (trade_no)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX uq_sandbox_trade_page_key ON sandbox_trade (page_key);

CREATE TABLE user_order (
    id INTEGER NOT NULL AUTO_INCREMENT,
    user_id INTEGER NOT NULL,
    product_id INTEGER NOT NULL,
    product_name VARCHAR(50) NOT NULL,
    vip_days INTEGER NOT NULL,
    fee_fen INTEGER NOT NULL,
    currency VARCHAR(3) NOT NULL,
    channel VARCHAR(16) NOT NULL,
    trade_no VARCHAR(32) NOT NULL,
    client_id VARCHAR(64) NOT NULL,
    state VARCHAR(16) NOT NULL,
    open_id VARCHAR(128),
    account_token VARCHAR(36),
    transaction_id VARCHAR(64),
    pay_params TEXT,
    order_time DATETIME(6) NOT NULL,
    expire_at DATETIME(6) NOT NULL,
    paid_time DATETIME(6),
    refunded_time DATETIME(6),
    is_closed BOOL NOT NULL,
    poll_at DATETIME(6),
    polls SMALLINT NOT NULL,
    CONSTRAINT pk_user_order PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_user_order_order_time ON user_order (order_time);

CREATE INDEX ix_user_order_poll_at ON user_order (poll_at);

CREATE INDEX ix_user_order_state_expire_at ON user_order (state, expire_at);

CREATE INDEX ix_user_order_user_id_order_time_id ON user_order (user_id, order_time, id);

CREATE UNIQUE INDEX uq_user_order_account_token ON user_order (account_token);

CREATE UNIQUE INDEX uq_user_order_channel_transaction_id ON user_order (channel, transaction_id);

CREATE UNIQUE INDEX uq_user_order_trade_no ON user_order (trade_no);

CREATE UNIQUE INDEX uq_user_order_user_id_client_id ON user_order (user_id, client_id);

CREATE TABLE vip_grant (
    order_id INTEGER NOT NULL,
    user_id INTEGER NOT NULL,
    days INTEGER NOT NULL,
    length_s INTEGER NOT NULL,
    granted_at DATETIME(6) NOT NULL,
    revoked_at DATETIME(6),
    unused_s INTEGER NOT NULL,
    CONSTRAINT pk_vip_grant PRIMARY KEY (order_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_vip_grant_user_id_granted_at ON vip_grant (user_id, granted_at);

CREATE TABLE vip_info (
    user_id INTEGER NOT NULL,
    vip_deadline DATETIME(6),
    left_at DATETIME(6),
    CONSTRAINT pk_vip_info PRIMARY KEY (user_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

UPDATE alembic_version SET version_num='0010' WHERE alembic_version.version_num = '0009';

-- Running upgrade 0010 -> 0011

CREATE TABLE visitor (
    user_id INTEGER NOT NULL,
    visitor_id INTEGER NOT NULL,
    visit_time DATETIME(6) NOT NULL,
    visits INTEGER NOT NULL,
    status SMALLINT NOT NULL,
    CONSTRAINT pk_visitor PRIMARY KEY (user_id, visitor_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_visitor_user_id_status ON visitor (user_id, status);

CREATE INDEX ix_visitor_user_id_visit_time_visitor_id ON visitor (user_id, visit_time, visitor_id);

CREATE INDEX ix_visitor_visitor_id ON visitor (visitor_id);

UPDATE alembic_version SET version_num='0011' WHERE alembic_version.version_num = '0010';

-- Running upgrade 0011 -> 0012

ALTER TABLE media_garbage ADD COLUMN `stored` BOOL NOT NULL DEFAULT false;

UPDATE alembic_version SET version_num='0012' WHERE alembic_version.version_num = '0011';

-- Running upgrade 0012 -> 0013

ALTER TABLE sms_code ADD COLUMN prefix VARCHAR(8) NOT NULL DEFAULT '';

ALTER TABLE sms_code ADD COLUMN network VARCHAR(32) NOT NULL DEFAULT '';

CREATE INDEX ix_sms_code_prefix_sent_at ON sms_code (prefix, sent_at);

UPDATE alembic_version SET version_num='0013' WHERE alembic_version.version_num = '0012';

-- Running upgrade 0013 -> 0014

CREATE TABLE redis_memory (
    name VARCHAR(32) NOT NULL,
    holder VARCHAR(64) NOT NULL,
    epoch VARCHAR(16) NOT NULL,
    CONSTRAINT pk_redis_memory PRIMARY KEY (name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE redis_unsent_change (
    id BIGINT NOT NULL AUTO_INCREMENT,
    memory VARCHAR(32) NOT NULL,
    `key` VARCHAR(200) NOT NULL,
    CONSTRAINT pk_redis_unsent_change PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_redis_unsent_change_memory_id ON redis_unsent_change (memory, id);

UPDATE alembic_version SET version_num='0014' WHERE alembic_version.version_num = '0013';

-- Running upgrade 0014 -> 0015

CREATE TABLE sms_decoy (
    id SMALLINT NOT NULL,
    tries SMALLINT NOT NULL,
    CONSTRAINT pk_sms_decoy PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

UPDATE alembic_version SET version_num='0015' WHERE alembic_version.version_num = '0014';

-- Running upgrade 0015 -> 0016

ALTER TABLE user_order ADD COLUMN apple_id VARCHAR(100);

UPDATE user_order SET apple_id = (SELECT p.apple_id FROM product p WHERE p.id = user_order.product_id) WHERE channel = 'apple';

UPDATE alembic_version SET version_num='0016' WHERE alembic_version.version_num = '0015';
