"""`datingtoday`: finds the command, imports only that, and turns every error into one line and an exit code.

Exit codes of all commands: 0 done; 1 failed; 2 wrong usage or settings; 130 stopped by Ctrl-C.
"""

import importlib
import os
import sys
from typing import Any

import click

from datingtoday.infra.text import BilingualError

# What a name stands for: the module that is imported when it is used, and the line that --help shows.
# The name of the click command in the module is always `command`.
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("datingtoday.cli.commands.serve", "Run the server."),
    "worker": ("datingtoday.cli.commands.worker", "Run a background worker."),
    "jobs": ("datingtoday.cli.commands.jobs", "Show what the background worker does."),
    "app": ("datingtoday.cli.commands.app", "Manage client programs: appkeys and secrets."),
    "call": ("datingtoday.cli.commands.call", "Send a signed request to a running server."),
    "config": ("datingtoday.cli.commands.config", "Check and show the settings."),
    "db": ("datingtoday.cli.commands.db", "Create and migrate the database."),
    "deploy": ("datingtoday.cli.commands.deploy", "Make the files of a deployment."),
    "doctor": ("datingtoday.cli.commands.doctor", "Examine settings, servers, providers and processes."),
    "docs": ("datingtoday.cli.commands.docs", "Check and write files generated from the code."),
    "label": ("datingtoday.cli.commands.label", "Add and rename the labels users can choose."),
    "media": ("datingtoday.cli.commands.media", "Remove unused uploads, and moderate uploads."),
    "moderation": ("datingtoday.cli.commands.moderation", "Review reports, and ban users."),
    "hot": ("datingtoday.cli.commands.hot", "Rebuild the search index and the hot list."),
    "nearby": ("datingtoday.cli.commands.nearby", "Rebuild the index of people nearby."),
    "push": ("datingtoday.cli.commands.push", "Run a push process (Socket.IO)."),
    "pay": ("datingtoday.cli.commands.pay", "Look after payments, and play the sandbox's provider."),
    "product": ("datingtoday.cli.commands.product", "List, add, change and retire the VIP products."),
    "purge": ("datingtoday.cli.commands.purge", "Remove old codes, logins and deleted accounts."),
    "seed": ("datingtoday.cli.commands.seed", "Fill the database with made-up people."),
    "sign": ("datingtoday.cli.commands.sign", "Explain the signature of a request."),
}

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
"""128 and the number of SIGINT, as shells have it."""


class CommandFailed(BilingualError):
    """Error with which a command ends with exit code 1 and one line in both languages that says what to do."""


class CommandInterrupted(BilingualError):
    """Ctrl-C: the command ends with exit code 130 and one line about going on."""


class _LazyGroup(click.Group):
    """A group whose commands are imported when they are used, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            # Here, because click would print an empty line first.
            raise CommandInterrupted("stopped", "已停止") from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 stopped by Ctrl-C. Every command has --help.",
)
@click.version_option(package_name="datingtoday", message="DatingToday %(version)s")
@click.option("--debug", is_flag=True, help="Show the stack trace of an unexpected error.")
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    """DatingToday: the server of a dating app."""
    ctx.obj = {"debug": debug}


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code; an error is one line on stderr, wrong settings a line each."""
    click.Context.formatter_class = _formatter()
    try:
        result = cli.main(arguments, prog_name="datingtoday", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.UsageError as error:
        _tell_usage(error)
        return EXIT_USAGE
    except click.ClickException as error:
        complain(f"datingtoday: {error.format_message()}")
        return EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        complain(f"datingtoday: {'已停止' if speaks_chinese() else 'stopped'}")
        return EXIT_INTERRUPTED
    except CommandInterrupted as interrupted:
        complain(f"datingtoday: {in_own_language(interrupted)}")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough (`| head`); nothing more can be said to them.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:
        return _explain(error, debug="--debug" in arguments)


def complain(line: str) -> None:
    """A line for people, on stderr: stdout stays what a script reads."""
    click.echo(line, err=True)


def _formatter() -> type[click.HelpFormatter]:
    if not speaks_chinese():
        return click.HelpFormatter
    from datingtoday.cli.help_formatter import ChineseFormatter

    return ChineseFormatter


def _tell_usage(error: click.UsageError) -> None:
    where = error.ctx.command_path if error.ctx is not None else "datingtoday"
    if speaks_chinese():
        from datingtoday.cli.usage_errors import in_chinese

        complain(f"{where}：{in_chinese(error)}（参见 {where} --help）")
    else:
        complain(f"{where}: {error.format_message()} (see {where} --help)")


def _explain(error: Exception, *, debug: bool) -> int:
    line = in_own_language(error)
    if line is None:
        if debug:
            raise error
        name = type(error).__name__
        text = " ".join(str(error).split())[:300]
        message = (
            f"意外错误 {name}：{text}（查看调用栈：datingtoday --debug …）"
            if speaks_chinese()
            else f"unexpected {name}: {text} (the stack trace: datingtoday --debug …)"
        )
        complain(f"datingtoday: {message}")
        return EXIT_FAILED
    from datingtoday.infra.config.settings import ConfigError

    for part in error.all if isinstance(error, ConfigError) else (error,):
        complain(f"datingtoday: {in_own_language(part)}")
    return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED


def in_own_language(error: Exception) -> str | None:
    """The line of an error that has one, in the language of the terminal; None for an unexpected error."""
    if not isinstance(error, BilingualError):
        return None
    return error.text.within("zh" if speaks_chinese() else "en")


def speaks_chinese() -> bool:
    """True if the terminal asks for Chinese (LC_ALL, LC_MESSAGES, LANG)."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if os.environ.get(name):
            return os.environ[name].lower().startswith("zh")
    return False
