"""Commands speak the language of the terminal: LC_ALL, LC_MESSAGES or LANG."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
from pathlib import Path

import pytest

from datingtoday.cli import main as cli
from datingtoday.infra.migrations import head
from tests.cli.running_server import PROGRAM, clean_environ

SIGN = "sign explain POST /api/auth/sendsms phone=1 appkey=a timestamp=1 nonce=4f3a --secret s"
# Arguments, exit code, what they say in English and in Chinese; in the order in which they run on one data folder.
SAID = [
    ("db current", 1, "database: empty", "数据库：空"),
    ("db upgrade", 0, f"upgraded to {head()}", f"已升级到 {head()}"),
    ("db upgrade", 0, "up to date at", "已是最新"),
    ("config check", 0, "The settings are valid.", "设置正确。"),
    ("product add 月 --days 30 --price-fen 3000", 0, "", ""),
    (
        "product change 1",
        2,
        "nothing to change: give at least one option",
        "没有要修改的内容：请至少给出一个选项",
    ),
    (
        "product add 月 --days no --price-fen 1",
        2,
        "'no' is not a valid integer",
        "--days 的值无效：no 不是整数",
    ),
    (
        "product add 月 --days 0 --price-fen 1",
        2,
        "0 is not in the range 1<=x<=3660",
        "0 不在范围 1<=x<=3660 内",
    ),
    (f"{SIGN} sign={'0' * 32}", 1, "none of the usual mistakes", "不属于常见错误"),
    (SIGN, 0, "strings to sign", "待签名字符串"),
    ("sign explain PUT /x", 2, "is not one of", "应为以下之一"),
    ("moderation list --bogus", 2, "No such option", "没有选项 --bogus"),
    ("app create", 2, "Missing argument", "缺少 "),
    ("app disable NOBODY1", 1, "NOBODY1", "NOBODY1"),
    ("call GET api/user/show", 2, "begins with a /", "应以 / 开头"),
    ("nonsense", 2, "No such command 'nonsense'", "没有命令 nonsense"),
    ("worker --config /nonexistent.ini", 2, "/nonexistent.ini", "/nonexistent.ini"),
]


def run(arguments: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    words = arguments.split()
    if words[0] in ("db", "config", "product", "app", "moderation", "call") and words[-1] != "--bogus":
        words[2:2] = ["--config", "/dev/null", "--data", str(folder)]
    exit_code = cli.run(words)
    printed = capsys.readouterr()
    return exit_code, printed.out + printed.err


@pytest.mark.parametrize("language", ["en_US.UTF-8", "zh_TW"])
def test_commands_speak_the_language_of_the_terminal(
    language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", language)
    is_chinese = language.startswith("zh")
    for arguments, exit_code, en, zh in SAID:
        status, printed = run(arguments, tmp_path / "data", capsys)
        assert (status, (zh if is_chinese else en) in printed) == (exit_code, True), (arguments, printed)
        own = printed.replace("月", "")
        assert bool(re.search(r"[\u4e00-\u9fff]", own)) == is_chinese, (arguments, printed)


@pytest.mark.parametrize("language", ["C.UTF-8", "zh_CN.UTF-8"])
def test_the_version_is_one_line_of_every_language(language: str) -> None:
    done = subprocess.run(
        [PROGRAM, "--version"],
        capture_output=True,
        text=True,
        check=True,
        env=clean_environ(LC_ALL=language),
        timeout=60,
    )
    assert done.stdout == f"DatingToday {importlib.metadata.version('datingtoday')}\n"
    assert done.stderr == ""
