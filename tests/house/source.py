"""The project's own files, as the house rules look at them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Finding:
    """A line that breaks a rule."""

    path: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


@dataclass(frozen=True)
class Source:
    """One file: where it lies in the project, and its text."""

    path: PurePosixPath
    text: str

    @property
    def is_python(self) -> bool:
        return self.path.suffix == ".py"

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the syntax tree; none of a file that is not Python."""
        return tuple(ast.walk(ast.parse(self.text, str(self.path)))) if self.is_python else ()

    def under(self, *folders: str) -> bool:
        return any(self.path.is_relative_to(folder) for folder in folders)

    def finding(self, where: ast.AST | int, what: str) -> Finding:
        line = where if isinstance(where, int) else getattr(where, "lineno", 1)
        return Finding(str(self.path), line, what)


def project_sources(project: Path = PROJECT) -> Iterator[Source]:
    """All text files that are committed or would be with the next ``git add``."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=project,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in sorted({name for name in listed.split("\0") if name}):
        path = project / name
        if path.is_symlink() or not path.is_file():
            continue  # deleted, but not yet in git
        content = path.read_bytes()
        if b"\0" in content[:8192]:
            continue  # not text
        yield Source(PurePosixPath(name), content.decode(errors="replace"))


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for attributes of names, ``?.c`` for attributes of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return "?"


def imported(node: ast.AST) -> list[str]:
    """The dotted names that an import statement brings in; nothing for other nodes and relative imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []
