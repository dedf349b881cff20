"""Codes on the server's own terminal, for development."""

from __future__ import annotations

import sys

from datingtoday.infra.sms.provider import LoggedSms


class ConsoleSms(LoggedSms):
    """Prints each code as one plain line on stdout.

    The deliberate exception to "no codes in logs": the line goes to the terminal, past the structured logs
    (which go to stderr and stay free of codes here too). Nobody else can read the code anywhere.
    """

    name = "console"

    def _deliver(self, phone: str, code: str, *, purpose: str, ttl_s: int) -> str | None:
        valid = f"{ttl_s // 60} min" if ttl_s % 60 == 0 else f"{ttl_s} s"
        # One write and one flush: lines of several threads do not mix, and a pipe shows them at once.
        sys.stdout.write(f"SMS to {phone}: {purpose} code {code} (valid {valid})\n")
        sys.stdout.flush()
        return None
