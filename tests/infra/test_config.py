"""Settings: where values come from, what is refused and how, and that secrets stay secret."""

from __future__ import annotations

import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from datingtoday.infra.config.fields import MASK, allowed, as_text, mask_uri, notes_of, parse
from datingtoday.infra.config.settings import ConfigError, Settings, load_settings, sections

KEYS = [(section, name) for section, model in sections().items() for name in model.model_fields]
BROKEN_FILES = {
    "no section": ("appkey = abcd\n", "config.ini:1", "[SECTION]"),
    "no equals sign": ("[APP]\n\nhunter2secret\n", "config.ini:3", "key = value"),
    "key twice": ("[APP]\nappkey = abcd\nappkey = efgh\n", "[APP] appkey", "config.ini:3"),
    "section twice": ("[APP]\n[APP]\n", "[APP]", "config.ini:2"),
    "unknown section": ("[FOO]\nx = 1\n", "[FOO]", "allowed: APP, DATABASE"),
    "empty unknown section": ("[FOO]\n", "[FOO]", "config.ini:1"),
    "section in lower case": ("[app]\nappkey = abcd\n", "[app]", "meant [APP]?"),
    "unknown key": ("[SMS]\necco = 1\n", "[SMS] ecco: config.ini:2", "meant echo?"),
    "unlike any key": ("[DOCS]\nzzz = 1\n", "[DOCS] zzz", "allowed: enabled"),
    "empty value": ("[SERVER]\nport =\n", "[SERVER] port: config.ini:2", "is empty"),
    "no number": ("[SERVER]\nport = 80a\n", "[SERVER] port", "a whole number from 1 to 65535"),
    "out of range": ("[SERVER]\nport = 65536\n", "[SERVER] port", "a whole number from 1 to 65535"),
    "a fraction": ("[SERVER]\nport = 80.0\n", "[SERVER] port", "malformed"),
    "underscores": ("[SERVER]\nport = 8_0\n", "[SERVER] port", "malformed"),
    "other digits": ("[SERVER]\nport = ٨٠\n", "[SERVER] port", "malformed"),
    "no boolean": ("[SMS]\necho = maybe\n", "[SMS] echo", "1/0, true/false, yes/no, on/off"),
    "no choice": ("[SMS]\nprovider = pigeon\n", "[SMS] provider", "one of console, aliyun, tencent"),
    "two lines": ("[APP]\nappkey = abcd\n  efgh\n", "[APP] appkey", "malformed"),
    "inline comment": ("[SERVER]\nport = 80 ; web\n", "[SERVER] port", "malformed"),
    "host bits": ("[SERVER]\ntrusted_proxies = 10.0.0.1/8\n", "[SERVER] trusted_proxies", "10.0.0.0/8"),
    "empty item": ("[SERVER]\ntrusted_proxies = 10.0.0.1,,::1\n", "[SERVER] trusted_proxies", "malformed"),
    "short key": ("[SECURITY]\nsecret_key = abcd\n", "[SECURITY] secret_key", "64 or more hex digits"),
    "wrong scheme": ("[REDIS]\nuri = http://x/0\n", "[REDIS] uri", "redis://"),
    "no driver": ("[DATABASE]\nuri = mysql://a:hunter2secret@b/c\n", "[DATABASE] uri", "mysql+pymysql://"),
    "no host": ("[DATABASE]\nuri = mysql+pymysql:///c\n", "[DATABASE] uri", "malformed"),
    "no socket": ("[REDIS]\nuri = unix://\n", "[REDIS] uri", "malformed"),
    "no database file": ("[DATABASE]\nuri = sqlite:///\n", "[DATABASE] uri", "malformed"),
    "a space": ("[REDIS]\nuri = redis://h /0\n", "[REDIS] uri", "malformed"),
    "bad port": ("[REDIS]\nuri = redis://h:70000/0\n", "[REDIS] uri", "malformed"),
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str | None = None, *, data: str = "data", **environ: str) -> Settings:
    """Settings from the text of a file and from `SECTION_KEY=value`."""
    if text is not None:
        Path("config.ini").write_text(text, encoding="utf-8")
    return load_settings(None, data, {f"DATINGTODAY_{name}": value for name, value in environ.items()})


def refusal(text: str | None = None, **environ: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(text, **environ)
    for line in (caught.value.en, caught.value.zh):
        assert line
        assert line.splitlines() == [line]
    return caught.value


def test_nothing_is_required() -> None:
    settings = load()
    assert settings.embedded
    assert settings.data_dir == Path("data").absolute()
    assert settings.database.uri == f"sqlite:///{Path('data').absolute()}/datingtoday.sqlite3"
    assert settings.redis.uri == ""
    assert settings.sms.echo
    assert settings.protocol.explain
    assert (settings.protocol.window_s, settings.protocol.ahead_s) == (60, 5)
    assert not Path("data").exists()


def test_with_a_database_of_your_own_echo_and_explain_are_off() -> None:
    settings = load("[DATABASE]\nuri = mysql+pymysql://a:b@c/d\n")
    assert not settings.embedded
    assert not settings.sms.echo
    assert not settings.protocol.explain
    assert settings.origin_of("SMS", "echo") == "default"


def test_environment_before_file_before_secrets_before_default() -> None:
    Path("data").mkdir()
    Path("data/secrets.ini").write_text(f"[APP]\nappkey = secrets\n[SECURITY]\nsecret_key = {'ab' * 32}\n")
    text = "[APP]\nappkey = fromfile\n[SERVER]\n; a comment\n  # another\nport = 81\nthreads = 3\n"
    settings = load(text, SERVER_PORT="82")
    assert settings.server.port == 82
    assert settings.origin_of("SERVER", "port") == "DATINGTODAY_SERVER_PORT"
    assert settings.server.threads == 3
    assert settings.origin_of("SERVER", "threads") == "config.ini:7"
    assert settings.app.appkey == "fromfile"
    assert settings.security.secret_key == "ab" * 32
    assert settings.origin_of("SECURITY", "secret_key").endswith("secrets.ini:4")
    assert settings.server.host == "127.0.0.1"
    assert settings.origin_of("SERVER", "host") == "default"
    assert settings.origin_of("SMS", "echo") == "default (embedded)"


def test_options_of_a_command_come_first() -> None:
    overrides = {("SERVER", "port"): ("83", "--port")}
    settings = load_settings(None, "data", {"DATINGTODAY_SERVER_PORT": "82"}, overrides=overrides)
    assert (settings.server.port, settings.origin_of("SERVER", "port")) == (83, "--port")
    overrides = {("SERVER", "port"): ("many", "--port")}
    with pytest.raises(ConfigError, match=r"^\[SERVER\] port: --port: is malformed"):
        load_settings(None, "data", {}, overrides=overrides)


def test_generated_secrets_are_not_for_other_databases() -> None:
    load_settings(None, "data", {}, create_secrets=True)
    assert load().app.appkey
    assert load(DATABASE_URI="mysql+pymysql://a:b@c/d").app.appkey == ""


@pytest.mark.parametrize(
    ("environ", "expected"),
    [({}, "config.ini"), ({"DATINGTODAY_CONFIG": "other.ini"}, "other.ini")],
)
def test_which_file_is_read(environ: dict[str, str], expected: str) -> None:
    for number, name in enumerate(("config.ini", "other.ini", "third.ini"), start=1):
        Path(name).write_text(f"[SERVER]\nport = {number}\n")
    assert load_settings(None, None, environ).config_file == Path(expected)
    assert load_settings("third.ini", None, environ).server.port == 3


@pytest.mark.parametrize("environ", [{"DATINGTODAY_CONFIG": "missing.ini"}, {}])
def test_a_named_file_must_exist(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"missing\.ini"):
        load_settings(None if environ else "missing.ini", None, environ)


def test_which_data_folder_is_used(tmp_path: Path) -> None:
    environ = {"DATINGTODAY_DATA": "elsewhere"}
    assert load_settings(None, None, environ).data_dir == tmp_path / "elsewhere"
    assert load_settings(None, "given", environ).data_dir == tmp_path / "given"
    assert load_settings(None, None, {}).data_dir == tmp_path / "data"


@pytest.mark.parametrize("value", ["1", "true", "True", "yes", "on", "ON"])
def test_true(value: str) -> None:
    assert load(f"[SMS]\necho = {value}\n", DATABASE_URI="sqlite:////x").sms.echo is True


@pytest.mark.parametrize("value", ["0", "false", "FALSE", "no", "off"])
def test_false(value: str) -> None:
    assert load(f"[SMS]\necho = {value}\n").sms.echo is False


def test_values_are_taken_as_they_stand() -> None:
    settings = load(
        "\ufeff[DATABASE]\nuri = mysql+pymysql://a:p%40ss%25;x%23y@h/d?charset=utf8mb4\n"
        "[SMS]\naliyun_sign_name = 约会 今天\n"
    )
    assert settings.database.uri == "mysql+pymysql://a:p%40ss%25;x%23y@h/d?charset=utf8mb4"
    assert settings.sms.aliyun_sign_name == "约会 今天"


def test_places_are_told_whatever_the_lines_before_hold() -> None:
    settings = load(
        "[SMS]\naliyun_sign_name = a]b\n; [LOG]\n[SERVER]\nPort = 81\n[SMS ]\n".replace("[SMS ]\n", "")
    )
    assert settings.origin_of("SMS", "aliyun_sign_name") == "config.ini:2"
    assert settings.origin_of("SERVER", "port") == "config.ini:5"
    text = "[LOG]\nlevel = [\n[SERVER]\nport = x\nlevel = y\n"
    lines = [error.en.split("; ")[0] for error in refusal(text).all]
    assert lines == [
        "[SERVER] level: config.ini:5: unknown key",
        "[SERVER] port: config.ini:4: is malformed",
        "[LOG] level: config.ini:2: is malformed",
    ]


def test_uris_of_files_and_sockets() -> None:
    settings = load(REDIS_URI="unix:///run/redis.sock", DATABASE_URI="sqlite:////var/x.db")
    assert (settings.redis.uri, settings.database.uri) == ("unix:///run/redis.sock", "sqlite:////var/x.db")


def test_lists() -> None:
    settings = load("[SERVER]\ntrusted_proxies = 127.0.0.1 ,10.0.0.0/8, 2001:db8::/32\n")
    assert settings.server.trusted_proxies == ("127.0.0.1", "10.0.0.0/8", "2001:db8::/32")
    assert load("").server.trusted_proxies == ()


@pytest.mark.parametrize("case", BROKEN_FILES)
def test_a_broken_file_is_refused_with_its_place(case: str) -> None:
    text, *expected = BROKEN_FILES[case]
    error = refusal(text)
    for part in expected:
        assert part in error.en
    assert "hunter2secret" not in error.en + error.zh


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SMS_ECHO", "maybe", "[SMS] echo: DATINGTODAY_SMS_ECHO: is malformed; allowed: 1/0"),
        ("SMS_ECHO", "", "[SMS] echo: DATINGTODAY_SMS_ECHO: is empty; allowed: 1/0"),
        ("SMS_ECHO", "1\x00", "[SMS] echo: DATINGTODAY_SMS_ECHO: is malformed"),
        ("SMS_ECO", "1", "[SMS] eco: DATINGTODAY_SMS_ECO: unknown key; meant echo?"),
        ("SMSECHO", "1", "[SMSECHO]: DATINGTODAY_SMSECHO: unknown section"),
        ("APP_APPSECRET", "short", "[APP] appsecret: DATINGTODAY_APP_APPSECRET: is malformed; allowed: 8 to"),
        ("REDIS_TIMEOUT_S", "1e3", "[REDIS] timeout_s: DATINGTODAY_REDIS_TIMEOUT_S: is malformed"),
    ],
)
def test_a_broken_variable_is_refused_with_its_name(name: str, value: str, expected: str) -> None:
    assert refusal(**{name: value}).en.startswith(expected)


def test_a_file_that_is_not_utf_8() -> None:
    Path("config.ini").write_bytes("[SMS]\naliyun_sign_name = 约会\n".encode("gbk"))
    with pytest.raises(ConfigError, match=r"config\.ini: not UTF-8"):
        load()


@given(key=st.sampled_from(KEYS), value=st.text(max_size=60))
def test_any_value_is_taken_whole_or_refused_in_one_line(key: tuple[str, str], value: str) -> None:
    section, name = key
    info = sections()[section].model_fields[name]
    try:
        settings = load_settings(None, "data", {f"DATINGTODAY_{section}_{name.upper()}": value})
    except ConfigError as error:
        assert error.en.startswith(f"[{section}] {name}: DATINGTODAY_{section}_{name.upper()}: ")
        assert len(error.en.splitlines()) == len(error.zh.splitlines()) == 1
        assert allowed(info).en in error.en
        assert allowed(info).zh in error.zh
    else:
        taken = getattr(getattr(settings, section.lower()), name)
        assert parse(info, as_text(taken)) == taken


@given(text=st.text(max_size=200))
def test_any_file_is_taken_or_refused_in_one_line(text: str) -> None:
    Path("any.ini").write_text(text, encoding="utf-8", errors="replace")
    try:
        load_settings("any.ini", "data", {})
    except ConfigError as error:
        assert len(error.en.splitlines()) == len(error.zh.splitlines()) == 1
        assert "any.ini" in error.en


@pytest.mark.parametrize(("section", "name"), KEYS)
def test_every_key_is_explained_and_its_default_and_example_are_allowed(section: str, name: str) -> None:
    info = sections()[section].model_fields[name]
    notes = notes_of(info)
    assert notes.about.en
    assert re.search("[\u4e00-\u9fff]", notes.about.zh)
    assert allowed(info).en
    assert allowed(info).zh
    if as_text(info.default):
        assert parse(info, as_text(info.default)) == info.default
    else:
        assert notes.example is not None, "a key without a default needs an example"
    if notes.example is not None:
        parse(info, notes.example)


def test_settings_do_not_change() -> None:
    settings = load()
    with pytest.raises(ValidationError):
        settings.server.port = 1
    with pytest.raises(ValidationError):
        settings.embedded = False


def test_settings_do_not_tell_secrets() -> None:
    settings = load(
        APP_APPSECRET="hunter2secret", REDIS_URI="redis://u:hunter2secret@h/0", SECURITY_SECRET_KEY="ef" * 32
    )
    for shown in (repr(settings), str(settings), repr(settings.app), str(settings.redis)):
        assert "hunter2secret" not in shown
        assert "ef" * 32 not in shown


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("redis://h/0", "redis://h/0"),
        ("redis://:pw@h/0", f"redis://:{MASK}@h/0"),
        ("mysql+pymysql://u:p%40w@h:3306/d?charset=x", f"mysql+pymysql://u:{MASK}@h:3306/d?charset=x"),
        ("mysql+pymysql://u:p@w@h/d", f"mysql+pymysql://u:{MASK}@h/d"),
        ("mysql+pymysql://u:1/p#?w@h/d", f"mysql+pymysql://u:{MASK}@h/d"),
        ("mysql+pymysql://u@h/d?password=pw&x=1", f"mysql+pymysql://u@h/d?password={MASK}&x=1"),
        ("sqlite:////var/lib/x", "sqlite:////var/lib/x"),
        ("unix:///run/r.sock?db=1", "unix:///run/r.sock?db=1"),
    ],
)
def test_passwords_in_uris_are_masked(uri: str, shown: str) -> None:
    assert mask_uri(uri) == shown


@given(password=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8))
def test_no_password_shows(password: str) -> None:
    assert mask_uri(f"redis://app:{password}@localhost:6379/0") == f"redis://app:{MASK}@localhost:6379/0"


def test_cache_and_queue_follow_the_uri() -> None:
    settings = load(REDIS_URI="redis://a/0", REDIS_QUEUE_URI="redis://b/0")
    assert (settings.redis.cache_uri, settings.redis.queue_uri) == ("redis://a/0", "redis://b/0")
    assert settings.origin_of("REDIS", "cache_uri") == "default (as uri)"


def test_the_embedded_redis_takes_the_empty_places() -> None:
    settings = load(REDIS_QUEUE_URI="redis://b/0").with_redis_uri("unix:///x")
    assert (settings.redis.uri, settings.redis.cache_uri, settings.redis.queue_uri) == (
        "unix:///x",
        "unix:///x",
        "redis://b/0",
    )
    again = settings.with_redis_uri("unix:///y")
    assert (again.redis.uri, again.redis.cache_uri, again.redis.queue_uri) == (
        "unix:///y",
        "unix:///y",
        "redis://b/0",
    )


def test_secrets_are_made_once_for_this_user_only() -> None:
    first = load_settings(None, "data", {}, create_secrets=True)
    second = load_settings(None, "data", {}, create_secrets=True)
    assert first.app == second.app
    assert first.security == second.security
    assert len(first.app.appsecret) >= 32
    assert re.fullmatch("[0-9a-f]{64}", first.security.secret_key)
    assert stat.S_IMODE(Path("data/secrets.ini").stat().st_mode) == 0o600
    assert Path("data").stat().st_mode & 0o077 == 0, "the database will lie beside it"
    other = load_settings(None, "other", {}, create_secrets=True)
    assert other.app.appsecret != first.app.appsecret
    assert other.security.secret_key != first.security.secret_key


@pytest.mark.parametrize("folder", ["a-file/data", "/proc/nobody-can-make-this"])
def test_a_data_folder_that_cannot_be_made_is_told(folder: str) -> None:
    Path("a-file").touch()
    with pytest.raises(ConfigError, match=r"^data folder .*: .*; choose another with --data$") as caught:
        load_settings(None, folder, {}, create_secrets=True)
    assert folder in caught.value.en
    assert folder in caught.value.zh


def test_two_starts_at_once_get_the_same_secrets() -> None:
    start = threading.Barrier(8)
    found: list[Any] = []

    def run() -> None:
        start.wait()
        found.append(load_settings(None, "data", {}, create_secrets=True).security.secret_key)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1
    assert [file.name for file in Path("data").iterdir()] == ["secrets.ini"]
