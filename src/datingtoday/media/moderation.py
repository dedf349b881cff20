"""Moderation of uploads, by people or by a vendor's service.

The service asks after the upload is stored and its transaction committed (a vendor's network must not hold a
transaction open), keeps the verdict beside the object, and asks `may_be_shown` at every delivery. A vendor
that answers later returns `PENDING` and hands its verdict in through the service when it comes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

LOCAL = "approve"


class Verdict(StrEnum):
    """The values are stored."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Subject:
    """Upload to be judged. `read` fetches the bytes (of a video: those of its poster image)."""

    media_id: str
    kind: str
    """photo, image, audio or video."""
    mime: str
    """Type of the object itself."""
    owner_id: int
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict, why (for the moderators, not for users), and the vendor's own number for the case."""

    verdict: Verdict
    reason: str = ""
    reference: str = ""


class Moderator(Protocol):
    def judge(self, subject: Subject) -> Judgement:
        """Called once for every upload, in any thread, outside of transactions; may take seconds.

        If it raises, the object stays `PENDING` and the job asks again; the same subject may so come twice.
        """


class ApproveAll:
    """The local default: everything may be shown; reports by users are what remains."""

    def judge(self, subject: Subject) -> Judgement:
        return Judgement(Verdict.APPROVED)


def may_be_shown(verdict: Verdict, *, to_owner: bool) -> bool:
    """Approved: to everyone who may see it. Pending and refused: to its owner only."""
    return to_owner or verdict is Verdict.APPROVED


def load_moderator(name: str) -> Moderator:
    """`approve`, or ``package.module:factory``: something importable that makes a Moderator when called.

    ValueError, naming what is wrong, if there is no such thing.
    """
    if name == LOCAL:
        return ApproveAll()
    module_name, _, factory_name = name.partition(":")
    if not module_name or not factory_name:
        raise ValueError(f"moderator {name!r}: allowed: {LOCAL}, or package.module:factory")
    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"moderator {name!r}: {error}") from error
    moderator: Moderator = factory()
    if not callable(getattr(moderator, "judge", None)):
        raise ValueError(f"moderator {name!r}: what it makes cannot judge")
    return moderator
