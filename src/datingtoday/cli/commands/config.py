"""`datingtoday config`: are the settings right, and where does each come from?"""

from pathlib import Path

import click

from datingtoday.cli.main import EXIT_USAGE, complain, in_own_language
from datingtoday.cli.options import settings_options
from datingtoday.cli.terminal import say
from datingtoday.infra.config.fields import masked, notes_of
from datingtoday.infra.config.serving import serving_problems
from datingtoday.infra.config.settings import Settings, load_settings, sections


@click.group()
def command() -> None:
    """Check and show the settings.

    Precedence: environment DATINGTODAY_<SECTION>_<KEY>, then the INI file, then the secrets that were
    generated into the data folder, then the defaults.
    """


@command.command()
@settings_options
def check(config_file: Path | None, data_dir: Path | None) -> int:
    """Check the settings; nothing is started or written.

    Exit codes: 0 the server would start with them, 2 it would not. Every reason is a line on stderr; what is wrong
    with the settings together is told when each of them is known and well-formed.
    """
    from datingtoday.infra.provider_problems import provider_problems

    settings = load_settings(config_file, data_dir)
    # Key files are read and libraries imported only where no key is missing: one line says enough.
    problems = serving_problems(settings) or provider_problems(settings)
    for problem in problems:
        complain(f"datingtoday: {in_own_language(problem)}")
    if problems:
        return EXIT_USAGE
    say("The settings are valid.", "设置正确。")
    return 0


@command.command()
@settings_options
def show(config_file: Path | None, data_dir: Path | None) -> None:
    """Print every setting with its origin; secrets are masked.

    Exit codes: 0 printed, 2 the settings are wrong.
    """
    click.echo(show_text(load_settings(config_file, data_dir)), nl=False)


def show_text(settings: Settings) -> str:
    """The settings as people may see them, each with its origin."""
    lines = [
        f"data folder: {settings.data_dir}",
        f"config file: {settings.config_file or 'none'}",
        f"embedded default: {'yes' if settings.embedded else 'no'}",
        "",
    ]
    for section, model in sections().items():
        for name, info in model.model_fields.items():
            value = masked(notes_of(info), getattr(getattr(settings, section.lower()), name))
            lines.append(f"[{section}] {name} = {value or 'not set'}  ({settings.origin_of(section, name)})")
    return "\n".join(lines) + "\n"
