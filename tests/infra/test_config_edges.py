"""Every number among the settings is taken at both ends of the range that the documentation names, and not beyond."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from datingtoday.infra.config.settings import ConfigError, load_settings
from tests.house.source import PROJECT

_ROW = re.compile(r"^\| `(\w+)` \| .* \| (a whole number|a number) from ([\d.]+) to ([\d.]+) \|")
SMALL = Decimal("0.000001")


def documented() -> Iterator[tuple[str, str, Decimal, Decimal, Decimal]]:
    """Section, key, smallest and largest value, and the smallest step beyond them."""
    section = ""
    for line in (PROJECT / "docs/configuration.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## ["):
            section = line.strip("#[] ")
        elif found := _ROW.match(line):
            step = Decimal(1) if found[2] == "a whole number" else SMALL
            yield section, found[1], Decimal(found[3]), Decimal(found[4]), step


NUMBERS = list(documented())


def taken(section: str, key: str, value: Decimal, folder: Path) -> float | None:
    """The setting as it was taken; None if it was refused."""
    try:
        settings = load_settings("/dev/null", folder, {f"DATINGTODAY_{section}_{key.upper()}": f"{value:f}"})
    except ConfigError as error:
        assert error.en.startswith(f"[{section}] {key}: ") and "is malformed" in error.en
        return None
    found: float = getattr(getattr(settings, section.lower()), key)
    return found


def test_the_documentation_names_them_all() -> None:
    assert len(NUMBERS) > 50


@pytest.mark.parametrize(("section", "key", "low", "high", "step"), NUMBERS)
def test_both_ends(
    tmp_path: Path, section: str, key: str, low: Decimal, high: Decimal, step: Decimal
) -> None:
    for value in (low, high):
        assert taken(section, key, value, tmp_path) == float(value)
    for value in (low - step, high + step):
        assert taken(section, key, value, tmp_path) is None
