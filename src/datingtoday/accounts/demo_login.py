"""Logging in to the demo people of the embedded default without an SMS code."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from datingtoday.infra.config.demo import DEMO_PHONES
from datingtoday.infra.config.settings import Settings


@dataclass(frozen=True, slots=True)
class DemoLogin:
    """One code for all demo people; the empty string admits nobody."""

    code: str = ""

    def admits(self, phone: str, code: str, *, is_local: bool) -> bool:
        """True if this is a demo person, with the right code, from this machine.

        :param phone: E.164.
        """
        if not self.code or not is_local or phone not in DEMO_PHONES:
            return False
        return hmac.compare_digest(self.code.encode(), code.encode())


def make_demo_login(settings: Settings) -> DemoLogin:
    """The code of the settings, in the embedded default only."""
    return DemoLogin(settings.demo.login_code if settings.embedded else "")
