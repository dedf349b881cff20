"""Text and errors in the two languages of the service."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """One sentence in English and in Chinese."""

    en: str
    zh: str

    def within(self, lang: str) -> str:
        """The sentence in ``zh`` or, for every other language, in English."""
        return self.zh if lang == "zh" else self.en


class BilingualError(Exception):
    """An error that is told in either language."""

    def __init__(self, en: str, zh: str) -> None:
        super().__init__(en)
        self.en = en
        self.zh = zh

    @property
    def text(self) -> Text:
        """Both languages."""
        return Text(self.en, self.zh)
