"""Colours in which a poster is made: those that players show of such a film."""

from __future__ import annotations

from typing import Any

import pytest

from datingtoday.media.processing.ffmpeg import Stream
from datingtoday.media.processing.posters import poster_options


def filters(**known: Any) -> str:
    """The filters for a film of this description."""
    film = {"width": 1920, "height": 1080, **known}
    options = list(poster_options(Stream(0, "video", "h264", rotation=0, attached_picture=False, **film)))
    return options[options.index("-vf") + 1]


@pytest.mark.parametrize(
    ("known", "matrix"),
    [
        ({"width": 1280, "height": 720}, "bt709"),
        ({"width": 720, "height": 1280}, "bt709"),
        ({"width": 1280, "height": 719}, "bt601"),
        ({"width": 719, "height": 1280}, "bt601"),
        ({"matrix": "gbr"}, "bt709"),
        ({"matrix": "bt470bg"}, "bt601"),
        ({"matrix": "smpte170m"}, "bt601"),
        ({"matrix": "bt709", "height": 100}, "bt709"),
        ({"matrix": "bt2020nc"}, "bt2020"),
    ],
)
def test_a_film_that_does_not_say_so_is_taken_for_television(known: dict[str, Any], matrix: str) -> None:
    assert f"in_color_matrix={matrix}:" in filters(**known)
    assert "tonemap" not in filters(**known)


@pytest.mark.parametrize("transfer", ["arib-std-b67", "smpte2084"])
def test_bright_lights_of_hdr_are_rolled_off(transfer: str) -> None:
    for primaries in ("", "bt2020", "bt709"):
        chain = filters(transfer=transfer, primaries=primaries)
        assert "tonemap" in chain and f"color_trc={transfer}" in chain
        assert f"color_primaries={primaries or 'bt2020'}" in chain
        # Paper is shown as white: ITU-R BT.2408.
        assert "npl=203," in chain


@pytest.mark.parametrize("primaries", ["bt2020", "smpte431", "smpte432"])
def test_wide_colours_without_hdr_keep_their_greys(primaries: str) -> None:
    chain = filters(primaries=primaries, transfer="bt709")
    assert "tonemap" not in chain and "zscale=primaries=bt709" in chain
    assert "color_trc=iec61966-2-1" in chain
    assert "colorspace=bt2020nc" in chain
    assert "colorspace=bt709" in filters(primaries=primaries, matrix="bt709")
