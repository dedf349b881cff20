"""The layout of the source: every feature obeys the rules of rooms."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.house.source import PROJECT

PACKAGE = PROJECT / "src/datingtoday"


def features(package: Path = PACKAGE) -> set[str]:
    """Folders with rooms, as dotted names: those with routes, but for the floors that every feature stands on."""
    folders = {file.parent for file in package.rglob("routes.py")}
    return {f"datingtoday.{folder.relative_to(package).as_posix().replace('/', '.')}" for folder in folders}


def test_the_rule_about_rooms_names_every_feature() -> None:
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rooms,) = [it for it in contracts if it["name"] == "Rooms within a feature"]
    assert features() - {"datingtoday.web"} == set(rooms["containers"])
