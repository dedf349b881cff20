"""Declarations of settings: parsing, allowed values and masking, of keys that no section has."""

from __future__ import annotations

import pytest

from datingtoday.infra.config.fields import MASK, Section, allowed, key, masked, notes_of, parse


def test_a_setting_is_declared_with_key_and_a_number_with_its_range() -> None:
    class Wrong(Section):
        plain: int = 1
        open_ended: int = key(1, en="x", zh="x", ge=0)

    with pytest.raises(TypeError, match="declared with key"):
        notes_of(Wrong.model_fields["plain"])
    with pytest.raises(TypeError, match="needs le="):
        allowed(Wrong.model_fields["open_ended"])


class Example(Section):
    words: tuple[str, ...] = key((), en="x", zh="x")
    text: str = key("", en="x", zh="x")
    hidden: str = key("", en="x", zh="x", secret=True)
    server: str = key("", en="x", zh="x", uri=True)


FIELDS = Example.model_fields


def test_texts_and_lists_without_a_rule_of_their_own() -> None:
    assert parse(FIELDS["words"], " a ,b c") == ("a", "b c")
    assert parse(FIELDS["text"], " a, b ") == "a, b"
    for name, text in (
        ("words", "a,,b"),
        ("words", ","),
        ("text", " "),
        ("text", "a\x07b"),
        ("text", "a\nb"),
    ):
        with pytest.raises(ValueError, match="empty"):
            parse(FIELDS[name], text)
    assert allowed(FIELDS["words"]) == ("a comma separated list", "以逗号分隔的列表")
    assert allowed(FIELDS["text"]) == ("a text", "文本")


def test_only_what_is_secret_is_masked() -> None:
    shown = {name: masked(notes_of(FIELDS[name]), "redis://u:pw@h") for name in ("text", "hidden", "server")}
    assert shown == {"text": "redis://u:pw@h", "hidden": MASK, "server": f"redis://u:{MASK}@h"}
    assert {masked(notes_of(FIELDS[name]), "") for name in ("text", "hidden", "server")} == {""}
    assert repr(Example(hidden="pw")) == f"Example(words='', text='', hidden='{MASK}', server='')"
