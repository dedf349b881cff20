"""Location of the project's own files: the checkout, or the installed package."""

from __future__ import annotations

from pathlib import Path

from datingtoday.infra.text import BilingualError

PACKAGE = Path(__file__).resolve().parents[1]
_ROOT = PACKAGE.parents[1]


class NotInCheckout(BilingualError):
    """A command for developers was called in an installed package."""


def migrations_folder() -> Path:
    """The folder of the revisions; the wheel carries it within the package."""
    packaged = PACKAGE / "migrations"
    return packaged if packaged.is_dir() else _ROOT / "migrations"


def checkout() -> Path:
    """The root of the checkout that this program runs from.

    :raises NotInCheckout: it is installed without one.
    """
    if not (_ROOT / "pyproject.toml").is_file() or not (_ROOT / "migrations").is_dir():
        raise NotInCheckout(
            "this command changes files of the project; run it in a checkout (git clone, make setup)",
            "该命令会修改项目文件，请在代码仓库中运行（git clone、make setup）",
        )
    return _ROOT
