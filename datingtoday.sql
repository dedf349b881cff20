-- The schema for MySQL 8 and MariaDB 10.11, made from migrations/ by `datingtoday docs write`.
-- MySQL 8 与 MariaDB 10.11 的数据库结构，由 `datingtoday docs write` 从 migrations/ 生成。
-- CREATE DATABASE datingtoday CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

SET NAMES utf8mb4;
SET time_zone = '+00:00';

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

-- Running upgrade  -> 0001

CREATE TABLE client_app (
    appkey VARCHAR(32) NOT NULL,
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
    CONSTRAINT pk_replay_bucket PRIMARY KEY (name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sms_code (
    id BIGINT NOT NULL AUTO_INCREMENT,
    phone VARCHAR(16) NOT NULL,
    purpose VARCHAR(16) NOT NULL,
    code_hash VARCHAR(64) NOT NULL,
    sent_at DATETIME(6) NOT NULL,
    expires_at DATETIME(6) NOT NULL,
    tries SMALLINT NOT NULL,
    used_at DATETIME(6),
    CONSTRAINT pk_sms_code PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

CREATE INDEX ix_sms_code_phone_sent_at ON sms_code (phone, sent_at);

CREATE INDEX ix_sms_code_sent_at ON sms_code (sent_at);

CREATE TABLE sms_number (
    phone VARCHAR(16) NOT NULL,
    last_sent_at DATETIME(6),
    CONSTRAINT pk_sms_number PRIMARY KEY (phone)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_bin;

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
    appkey VARCHAR(32) NOT NULL,
    secret VARCHAR(128) NOT NULL,
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
