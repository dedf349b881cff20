"""`datingtoday config`, `db` and `docs`, run as programs of this process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from datingtoday.cli.commands import docs
from datingtoday.cli.generated.configuration_page import example_ini
from datingtoday.cli.main import run
from datingtoday.infra import migrations
from datingtoday.infra.config.serving import serving_problems
from datingtoday.infra.config.settings import load_settings, sections
from tests.plugins.backend import Backend


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("DATINGTODAY_"):
            monkeypatch.delenv(name)


# -- config


def test_check_is_content_without_any_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "check"]) == 0
    assert capsys.readouterr().out == "The settings are valid.\n"
    assert list(tmp_path.iterdir()) == [], "a check writes nothing"


def test_check_names_everything_that_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my.ini").write_text("[DATABASE]\nuri = mysql+pymysql://u:hunter2secret@h/d\n[SMS]\necho = on\n")
    assert run(["config", "check", "--config", "my.ini"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in lines] == [
        "[APP] appkey",
        "[APP] appsecret",
        "[SECURITY] secret_key",
        "[SMS] echo",
        "[SMS] provider",
    ]
    assert "my.ini:4" in lines[3]
    assert "hunter2secret" not in "".join(lines)


def test_check_tells_of_everything_that_is_unknown_or_malformed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("config.ini").write_text("[SMS]\necho = maybe\necco = 1\n[FOO]\nx = 1\ny = 2\n[SERVER]\nport =\n")
    monkeypatch.setenv("DATINGTODAY_LOG_LEVEL", "hunter2secret")
    assert run(["config", "check"]) == 2
    lines = capsys.readouterr().err.splitlines()
    expected = {
        "[SMS] echo: config.ini:2: is malformed",
        "[SMS] ecco: config.ini:3: unknown key; meant echo?",
        "[FOO]: config.ini:4: unknown section",
        "[SERVER] port: config.ini:8: is empty",
        "[LOG] level: DATINGTODAY_LOG_LEVEL: is malformed",
    }
    assert len(lines) == len(expected)
    for beginning in expected:
        assert sum(line.startswith(f"datingtoday: {beginning}") for line in lines) == 1, lines
    assert "hunter2secret" not in "".join(lines)
    assert not Path("data").exists()


def test_check_looks_into_the_files_of_the_providers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATINGTODAY_PAY_APPLE_BUNDLE_ID", "com.example")
    monkeypatch.setenv("DATINGTODAY_PAY_SANDBOX", "0")
    monkeypatch.setenv("DATINGTODAY_PAY_APPLE_ENVIRONMENT", "sandbox")
    monkeypatch.setenv("DATINGTODAY_PAY_APPLE_ROOT_CERTIFICATES", str(tmp_path / "none.cer"))
    assert run(["config", "check"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("datingtoday: [PAY] apple_root_certificates: ") and told.err.count("\n") == 1


def test_show_prints_every_value_with_its_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_settings(None, "mine", {}, create_secrets=True)
    secrets = load_settings(None, "mine", {})
    Path("my.ini").write_text("[SERVER]\nport = 81\n[REDIS]\nuri = redis://u:hunter2secret@h/0\n")
    monkeypatch.setenv("DATINGTODAY_SERVER_WORKERS", "3")
    assert run(["config", "show", "--config", "my.ini", "--data", "mine"]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    folder = Path("mine").absolute()
    assert lines[:4] == [f"data folder: {folder}", "config file: my.ini", "embedded default: yes", ""]
    assert printed.endswith(")\n")
    for section, model in sections().items():
        for name in model.model_fields:
            assert sum(line.startswith(f"[{section}] {name} = ") for line in lines) == 1
    assert "[SERVER] port = 81  (my.ini:2)" in lines
    assert "[SERVER] workers = 3  (DATINGTODAY_SERVER_WORKERS)" in lines
    assert "[SERVER] threads = 4  (default)" in lines
    assert "[SMS] echo = true  (default (embedded))" in lines
    assert "[REDIS] uri = redis://u:********@h/0  (my.ini:4)" in lines
    assert f"[APP] appkey = {secrets.app.appkey}  ({Path('mine').absolute()}/secrets.ini:4)" in lines
    for secret in ("hunter2secret", secrets.app.appsecret, secrets.security.secret_key):
        assert secret not in printed


# -- the example file


def test_the_example_file_changes_nothing() -> None:
    Path("config.ini").write_text(example_ini(), encoding="utf-8")
    assert load_settings(None, "data", {}).origins == load_settings(os.devnull, "data", {}).origins


def test_every_line_of_the_example_file_is_allowed_and_none_serves_as_it_is() -> None:
    lines = example_ini().splitlines()
    uncommented = [line[1:] if line.startswith(";") and not line.startswith("; ") else line for line in lines]
    Path("config.ini").write_text("\n".join(uncommented), encoding="utf-8")
    settings = load_settings(None, "data", {})
    for section, model in sections().items():
        for name in model.model_fields:
            assert settings.origin_of(section, name).startswith("config.ini:"), (
                f"[{section}] {name} is missing"
            )
    refused = {error.en.split(":")[0] for error in serving_problems(settings)}
    assert {"[APP] appkey", "[APP] appsecret", "[SECURITY] secret_key", "[DATABASE] uri"} <= refused


# -- docs


@pytest.mark.parametrize(("path", "generate"), docs.GENERATORS, ids=[path for path, _ in docs.GENERATORS])
def test_no_generated_file_is_stale(path: str, generate: docs.Generator) -> None:
    assert (docs.ROOT / path).read_text(encoding="utf-8") == generate(), "run `datingtoday docs write`"


def test_stale_files_are_named_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    monkeypatch.setattr(docs, "GENERATORS", [("a/b/x.md", lambda: "new\n"), ("y.md", lambda: "same\n")])
    (tmp_path / "y.md").write_text("same\n")
    assert run(["docs", "check"]) == 1
    assert capsys.readouterr().err == "a/b/x.md is stale: run `datingtoday docs write`\n"
    assert run(["docs", "write"]) == 0
    assert capsys.readouterr().out == "a/b/x.md\n"
    made = tmp_path / "a" / "b" / "x.md"
    assert made.read_text() == "new\n"
    assert run(["docs", "check"]) == 0
    made.write_text("changed by hand\n")
    assert run(["docs", "check"]) == 1
    assert run(["docs", "write"]) == 0
    assert made.read_text() == "new\n"


# -- db


def test_the_database_is_made_and_looked_at(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATINGTODAY_DATABASE_URI", backend.database_uri)
    head = migrations.head()
    assert run(["db", "current"]) == 1
    assert capsys.readouterr().out == f"database: empty\nnewest: {head}\n"
    assert run(["db", "upgrade"]) == 0
    assert capsys.readouterr().out.endswith(f"upgraded to {head}\n")
    assert run(["db", "upgrade"]) == 0
    assert capsys.readouterr().out == f"up to date at {head}\n"
    assert run(["db", "current"]) == 0


def test_the_embedded_database_is_made_in_the_data_folder() -> None:
    handler = signal.getsignal(signal.SIGINT)
    for _ in range(2):
        assert run(["db", "upgrade", "--data", "deep/mine"]) == 0
    assert Path("deep/mine/datingtoday.sqlite3").exists()
    assert Path("deep/mine").stat().st_mode & 0o777 == 0o700
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_twice_stops_an_upgrade_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    handler = signal.getsignal(signal.SIGINT)

    def upgrade(uri: str, tell: object, should_stop: Callable[[], bool]) -> None:
        assert not should_stop()
        signal.raise_signal(signal.SIGINT)
        assert should_stop()
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it goes on")

    monkeypatch.setattr(migrations, "upgrade", upgrade)
    assert run(["db", "upgrade", "--data", "mine"]) == 130
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("datingtoday: stopping after this revision; Ctrl-C again stops at once")
    assert told[1:] == ["datingtoday: stopped"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_database_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATINGTODAY_DATABASE_URI", "mysql+pymysql://u:hunter2secret@127.0.0.1:1/d")
    for command in ("upgrade", "current"):
        assert run(["db", command]) == 1
        said = capsys.readouterr().err
        assert said.startswith("datingtoday: [DATABASE] uri: the database cannot be used")
        assert said.count("\n") == 1
        assert "hunter2secret" not in said


def test_the_script_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["db", "sql"]) == 0
    assert capsys.readouterr().out == migrations.mysql_script()


def test_config_errors_of_commands_are_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["db", "current", "--config", "missing.ini"]) == 2
    assert capsys.readouterr().err == "datingtoday: config file not found: missing.ini\n"
