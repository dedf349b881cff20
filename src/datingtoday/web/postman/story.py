"""Order of the Postman collection: two people register, meet, talk, pay and leave."""

from __future__ import annotations

from datingtoday.web.postman.meeting import MEETING
from datingtoday.web.postman.talking import TALKING

STORY = (*MEETING, *TALKING)
NOT_FOR_CLIENTS = {"POST /api/pay/notify/{channel}": "called by payment providers, with their own signatures"}
"""Endpoints that are no part of the story, and why."""
