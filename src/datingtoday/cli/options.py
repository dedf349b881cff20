"""The options that every command shares: which settings, which data folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--config` and `--data`, as parameters `config_file` and `data_dir`."""
    function = click.option(
        "--data",
        "data_dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="The data folder [DATINGTODAY_DATA, else ./data].",
    )(function)
    return click.option(
        "--config",
        "config_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The INI file of settings [DATINGTODAY_CONFIG, else ./config.ini if there is one].",
    )(function)
