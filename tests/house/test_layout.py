"""The layout of the source: every feature obeys the rules of rooms."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.house.source import PROJECT, project_sources

PACKAGE = PROJECT / "src/datingtoday"


def features(package: Path = PACKAGE) -> set[str]:
    """Folders with rooms, as dotted names: those with routes, but for the floors that every feature stands on."""
    folders = {file.parent for file in package.rglob("routes.py")}
    return {f"datingtoday.{folder.relative_to(package).as_posix().replace('/', '.')}" for folder in folders}


def test_the_rule_about_rooms_names_every_feature() -> None:
    contracts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (rooms,) = [it for it in contracts if it["name"] == "Rooms within a feature"]
    assert features() - {"datingtoday.web"} == set(rooms["containers"])


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/architecture.zh-CN.md"])
def test_every_folder_has_a_row_in_the_map(page: str) -> None:
    named = {row[0].strip("`").rstrip("/") for row in rows(page)}
    folders = {str(source.path.parent) for source in project_sources() if source.under("src/datingtoday")}
    assert {it for it in named if it.startswith("src/")} == folders
    assert all((PROJECT / folder).is_dir() for folder in named if "/" in folder and " " not in folder)


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/architecture.zh-CN.md"])
def test_every_file_and_name_of_the_map_exists(page: str) -> None:
    given = [place for row in rows(page) for place in re.findall(r"`([\w/]+\.py)`: `([\w.]+)`", row[1])]
    assert len(given) > 20
    missing = [place for place in given if not exists(*place)]
    assert missing == []


def test_both_maps_give_the_same_answers() -> None:
    english, chinese = (
        [re.findall(r"`([^`]+)`", "|".join(row)) for row in rows(page)]
        for page in ("docs/architecture.md", "docs/architecture.zh-CN.md")
    )
    assert [row[0] for row in english] == [row[0] for row in chinese]


def rows(page: str) -> list[list[str]]:
    """Cells of the tables of a page, without their heads."""
    lines = (PROJECT / page).read_text(encoding="utf-8").splitlines()
    found = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines if line[:2] == "| "]
    return [row for row in found if not set(row[0]) <= {"-"} and "`" in "|".join(row)]


def exists(file: str, name: str) -> bool:
    """True if a file of the package defines a name, ``Class.method`` or one at its top."""
    path = PACKAGE / file
    if not path.is_file():
        return False
    body: list[ast.stmt] = ast.parse(path.read_text()).body
    for part in name.split("."):
        found = next((node for node in body if part in names_of(node)), None)
        if found is None:
            return False
        body = getattr(found, "body", [])
    return True


def names_of(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "CONTRIBUTING.zh-CN.md"])
def test_every_file_of_the_newcomers_page_exists(page: str) -> None:
    given = set(re.findall(r"`((?:[\w.-]+/)+[\w.-]*)`", (PROJECT / page).read_text(encoding="utf-8")))
    assert len(given) > 20
    missing = [path for path in given if not any((root / path).exists() for root in (PROJECT, PACKAGE))]
    assert [path for path in missing if not path.startswith("/")] == []
