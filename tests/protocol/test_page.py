"""docs/protocol.md, in both languages: what stands there can be pasted into a shell and is what the server accepts."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = ["protocol.md", "protocol.zh-CN.md"]


def examples(page: str) -> list[tuple[str, str]]:
    """The shell lines, each with what it prints."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^\$ (.+)\n(.+)$", text, re.MULTILINE)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("page", PAGES)
def test_the_examples_print_what_they_say(page: str) -> None:
    found = examples(page)
    assert len(found) == 7
    for line, printed in found:
        result = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=30, check=True)
        assert result.stdout == printed + "\n", line


@pytest.mark.parametrize("page", PAGES)
def test_the_signatures_are_those_of_the_vectors(page: str) -> None:
    vectors = (PROJECT / "tests/data/sign-vectors.json").read_text(encoding="utf-8")
    known = set(re.findall(r"[0-9a-f]{32,64}", json.dumps(json.loads(vectors)["accepted"])))
    assert {printed for _, printed in examples(page)} <= known


def test_both_languages_have_the_same_examples() -> None:
    assert examples(PAGES[0]) == examples(PAGES[1])
