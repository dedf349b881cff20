"""Other requests that the same md5 signature also signs.

An md5 client signs ``head + timestamp + nonce + secret`` without delimiters. Whoever captured a request can move the
cut: digits at the end of the head become the beginning of another timestamp, digits of the timestamp go to the head or
to the nonce. The signature stays right, so the replay guard has to know at which other times it would be fresh.
``hmac-sha256`` delimits everything and has one reading only.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# Ten digits that begin a timestamp of any form, and after it nothing but a nonce. The forms differ by less than a
# second, so it does not matter which of them the rest allows. Seconds from November 2023 to January 2046: others have
# been over before this program ran anywhere, or lie beyond `RECUT_HORIZON_S` until then.
_CUTS = re.compile(
    r"(?=((?:1[7-9]|2[0-3])[0-9]{8})(?:[0-9]{3}|\.[0-9]{1,9})?[A-Za-z0-9_-]{4,64}\Z)", re.ASCII
)
_LONGEST = 10 + 1 + 9 + 64
"""Characters of the longest timestamp and nonce."""


class Readings(NamedTuple):
    """Moment at which a request was sent, as it says, and all other times that its signature can be read as.

    :param sent_ms: the request's own timestamp.
    :param earliest_ms, latest_ms: within the same second; the cut after the timestamp moves them.
    :param other_seconds: whole seconds elsewhere, each of which stands for up to 999 ms more.
    """

    sent_ms: int
    earliest_ms: int
    latest_ms: int
    other_seconds: tuple[int, ...] = ()


def only_reading(sent_ms: int) -> Readings:
    """The only reading of a signature that delimits what it covers."""
    return Readings(sent_ms, sent_ms, sent_ms)


def readings(head: str, timestamp: str, nonce: str, *, sent_ms: int) -> Readings:
    """All readings of a correctly signed md5 request.

    :param head: what was signed before the timestamp.
    """
    second = sent_ms // 1000
    # Thirteen digits are the finest form there is: nothing of the nonce can be added to them.
    latest_ms = sent_ms if len(timestamp) == 13 and "." not in timestamp else second * 1000 + 999
    end = f"{head[-_LONGEST:]}{timestamp}{nonce}"[-_LONGEST:]
    others = tuple(found for digits in _CUTS.findall(end) if (found := int(digits)) != second)
    return Readings(sent_ms, second * 1000, latest_ms, others)
