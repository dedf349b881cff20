"""Width of text on a terminal."""

from unicodedata import east_asian_width


def columns(text: str) -> int:
    """Number of columns: Chinese characters take two."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
