"""The command line itself: found quickly, explained, and every error one line with the right exit code."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from datingtoday.cli import main as cli
from datingtoday.infra.config.settings import ConfigError


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands(cli.cli))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """`datingtoday serve` raises what is put into the list."""
    errors: list[Exception] = []

    def fail() -> None:
        raise errors[0]

    module = importlib.import_module("datingtoday.cli.commands.serve")
    monkeypatch.setattr(module, "command", click.Command("serve", callback=fail))
    yield errors


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    printed = capsys.readouterr().out
    for name, (_, words) in cli.COMMANDS.items():
        assert f"  {name} " in printed
        assert words in printed
        assert ALL[(name,)].help


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom datingtoday.cli.main import run\nassert run(['--help']) == 0\n"
        "heavy = {'flask', 'sqlalchemy', 'redis', 'gunicorn', 'alembic', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*path, "--help"]) == 0
    assert f"datingtoday {' '.join(path)}" in capsys.readouterr().out
    assert ALL[path].help


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serv"], "datingtoday: No such command 'serv'"),
        (["--bogus"], "datingtoday: No such option"),
        (["config", "show", "--bogus"], "datingtoday config show: No such option"),
        (["config", "bogus"], "datingtoday config: No such command 'bogus'"),
        (["db", "new"], "datingtoday db new: Missing argument"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(said)
    assert "--help)" in printed.err
    assert printed.err.count("\n") == 1


def test_wrong_settings(failing: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    failing.append(ConfigError("[SMS] echo: no", "[SMS] echo：不行"))
    assert cli.run(["serve"]) == 2
    assert capsys.readouterr().err == "datingtoday: [SMS] echo: no\n"


def test_a_failure(failing: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    failing.append(cli.CommandFailed("it is broken", "坏了"))
    assert cli.run(["serve"]) == 1
    assert capsys.readouterr().err == "datingtoday: it is broken\n"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "坏了"),
        ({"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, "it is broken"),
        ({"LC_ALL": "", "LC_MESSAGES": "zh_TW.UTF-8"}, "坏了"),
    ],
)
def test_the_language_of_the_terminal(
    environ: dict[str, str],
    said: str,
    failing: list[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    failing.append(cli.CommandFailed("it is broken", "坏了"))
    assert cli.run(["serve"]) == 1
    assert capsys.readouterr().err == f"datingtoday: {said}\n"


def test_an_unexpected_error_is_one_line(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(ZeroDivisionError("by\nnothing"))
    assert cli.run(["serve"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("datingtoday: unexpected ZeroDivisionError: by nothing ")
    assert printed.count("\n") == 1


def test_a_long_error_is_cut_and_an_error_of_click_is_told(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(ValueError("x" * 500))
    assert cli.run(["serve"]) == 1
    assert capsys.readouterr().err == (
        f"datingtoday: unexpected ValueError: {'x' * 300} (the stack trace: datingtoday --debug …)\n"
    )
    failing[:] = [click.FileError("a.ini", "no such file")]
    assert cli.run(["serve"]) == 1
    assert capsys.readouterr().err == "datingtoday: Could not open file 'a.ini': no such file\n"
    failing[:] = [click.UsageError("not so")]
    assert cli.run(["serve"]) == 2
    assert capsys.readouterr().err.startswith("datingtoday serve: not so (see datingtoday serve --help)")


def test_the_stack_trace_is_there_for_who_asks(failing: list[BaseException]) -> None:
    failing.append(ZeroDivisionError("by nothing"))
    with pytest.raises(ZeroDivisionError):
        cli.run(["--debug", "serve"])


def test_ctrl_c(failing: list[BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    for interruption in (click.Abort(), KeyboardInterrupt()):
        failing[:] = [interruption]
        assert cli.run(["serve"]) == 130
        assert capsys.readouterr().err == "datingtoday: stopped\n"


def test_a_closed_pipe_is_no_error_message() -> None:
    script = "import sys\nfrom datingtoday.cli.main import run\nsys.exit(run(['db', 'sql']))\n"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(timeout=30) == 1
