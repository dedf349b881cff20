"""The client program that docs/chat.md prints."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"


def program_text(page: str = "chat.md") -> str:
    """The one block of Python on the page."""
    (block,) = re.findall(
        r"^```python\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return str(block)


def load_program() -> Any:
    """Its class ``ChatClient``."""
    names: dict[str, Any] = {}
    exec(compile(program_text(), "docs/chat.md", "exec"), names)
    return names["ChatClient"]
