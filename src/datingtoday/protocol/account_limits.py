"""Limits of one account over all its devices: requests, and different people whose cards and profiles it is shown.

Requests are counted in the round trip that the guard makes anyway, in two fixed minutes of which the one before counts
by what is left of it: a sliding minute. People are counted after the answer, by a thread, in HyperLogLogs of the guard,
0.8 % off: what a request asks for is only whether the account is over. All of it may be lost at any time;
then nobody is over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from flask import Response

from datingtoday.infra.batches import Batches
from datingtoday.infra.bounded_memory import BoundedMemory
from datingtoday.infra.redis import Command, RedisDown, RedisRole
from datingtoday.protocol.call import Call, Shown
from datingtoday.protocol.errors import RateLimited

log = structlog.get_logger(__name__)

_MINUTE_S = 60
_HOUR_PART_S, _HOUR_PARTS = 20 * 60, 4
"""The last 60 to 80 minutes."""
_DAY_PART_S, _DAY_PARTS = 8 * 3600, 4
"""The last 24 to 32 hours."""
_MAX_ACCOUNTS_AT_ONCE = 50
_MAX_OWNERS = 50_000
_USER_ID = re.compile(rb'"user_id":(\d{1,10})')


@dataclass(frozen=True, slots=True)
class PeopleLimit:
    """Different people that an account may be shown."""

    per_hour: int
    per_day: int


class AccountLimits:
    """Both, as the guard asks about them."""

    def __init__(
        self, redis: RedisRole, requests_per_minute: int | None, people: Mapping[Shown, PeopleLimit]
    ) -> None:
        self._requests = RequestLimit(redis, requests_per_minute)
        self.people = PeopleShown(redis, people)

    def commands(self, call: Call, user_id: int) -> list[Command]:
        """Questions for the guard's round trip. :param user_id: not verified yet."""
        over = self.people.over_key(call, user_id)
        requests = self._requests.commands(call.token_digest, user_id, call.now, over)
        if requests or over is None:
            return requests
        return [("MGET", over)]

    def check(self, call: Call, user_id: int, answers: list[Any]) -> None:
        """Judge a verified request by the answers. :raises RateLimited: :raises RedisDown:"""
        # The last answer is the list of what was asked along with, or instead of, the minute before.
        over = self.people.over_key(call, user_id)
        until_s = answers[-1][-1] if over is not None else None
        self._requests.check(call.token_digest, user_id, call.now, answers if len(answers) == 3 else [])
        self.people.check(call.now, until_s)


class RequestLimit:
    """Requests of an account in a minute.

    :param most: None: no limit.
    """

    def __init__(self, redis: RedisRole, most: int | None) -> None:
        self._redis = redis
        self._most = most
        # A token is its owner's for ever. Anybody can send anybody's user id: only what was verified before is counted
        # ahead of the verification.
        self._owners: BoundedMemory[str, int] = BoundedMemory("token_owners", _MAX_OWNERS)

    def commands(self, digest: str, user_id: int, now: datetime, also: str | None) -> list[Command]:
        """Count a request in the guard's round trip, if the token is known to be this account's.

        :param also: another key of the account, read last in the last command.
        """
        if self._most is None or self._owners.get(digest) != user_id:
            return []
        return _minute_commands(user_id, now, also)

    def check(self, digest: str, user_id: int, now: datetime, answers: list[Any]) -> None:
        """Judge a verified request by the answers to `commands`. :raises RateLimited: :raises RedisDown:"""
        if self._most is None:
            return
        if not answers:
            answers = self._redis.round_trip(_minute_commands(user_id, now, None))
            self._owners.put(digest, user_id)
        count, before = int(answers[0]), min(int(answers[2][0] or 0), self._most)
        passed_s = now.timestamp() % _MINUTE_S
        if count + before * (1 - passed_s / _MINUTE_S) <= self._most:
            return
        if count > self._most:
            raise RateLimited(_MINUTE_S - passed_s)
        raise RateLimited((1 - (self._most - count) / before) * _MINUTE_S - passed_s)


def _minute_commands(user_id: int, now: datetime, also: str | None) -> list[Command]:
    minute = int(now.timestamp()) // _MINUTE_S
    start = f"limit:account:{{{user_id}}}:"
    key, before = f"{start}{minute}", f"{start}{minute - 1}"
    return [
        ("INCR", key),
        ("EXPIRE", key, 2 * _MINUTE_S, "NX"),
        ("MGET", before) if also is None else ("MGET", before, also),
    ]


class PeopleShown:
    """Counts whom accounts are shown.

    :param limits: by what is shown; empty: nothing is counted.
    """

    def __init__(self, redis: RedisRole, limits: Mapping[Shown, PeopleLimit]) -> None:
        self._redis = redis
        self._limits = limits
        self._notes: Batches[tuple[Shown, int, frozenset[int], float]] = Batches(
            "people shown", self._count_noted
        )

    def over_key(self, call: Call, user_id: int) -> str | None:
        """Key that tells until when (s) the account is over; None where the endpoint shows nobody."""
        shown = self._shown(call)
        return None if shown is None else _over_key(shown, user_id)

    def check(self, now: datetime, until_s: bytes | None) -> None:
        """Judge a verified request by the value of `over_key`. :raises RateLimited:"""
        if until_s is not None and (left_s := float(until_s) - now.timestamp()) > 0:
            raise RateLimited(left_s)

    def note(self, call: Call, answer: Response | bytes) -> None:
        """Remember whom a successful answer shows."""
        shown = self._shown(call)
        if shown is None or call.login is None:
            return
        body = answer if isinstance(answer, bytes) else answer.get_data()
        found = [call.params["peerId"]] if shown == "profiles" else _USER_ID.findall(body)
        people = frozenset(map(int, found)) - {call.login.user_id}
        if people:
            self.add(shown, call.login.user_id, people, call.now.timestamp())

    def add(self, shown: Shown, user_id: int, people: frozenset[int], now_s: float) -> None:
        """Remember that the account was shown these people."""
        self._notes.add((shown, user_id, people, now_s))

    def _shown(self, call: Call) -> Shown | None:
        shown = call.endpoint.shows
        if shown not in self._limits or (shown == "profiles" and "peerId" not in call.params):
            # The account's own profile is never refused.
            return None
        return shown

    def flush(self) -> None:
        """Count what was noted. Never raises: what cannot be counted is logged, and counts for nobody."""
        self._notes.flush()

    def _count_noted(self, notes: Sequence[tuple[Shown, int, frozenset[int], float]]) -> None:
        seen: dict[tuple[Shown, int], set[int]] = {}
        for shown, user_id, people, _ in notes:
            seen.setdefault((shown, user_id), set()).update(people)
        accounts = list(seen.items())
        try:
            for start in range(0, len(accounts), _MAX_ACCOUNTS_AT_ONCE):
                self._count(dict(accounts[start : start + _MAX_ACCOUNTS_AT_ONCE]), notes[-1][-1])
        except RedisDown as error:
            log.warning("people_shown_not_counted", reason=str(error), accounts=len(accounts))

    def _count(self, seen: Mapping[tuple[Shown, int], set[int]], now_s: float) -> None:
        commands: list[Command] = []
        for (shown, user_id), people in seen.items():
            for part_s, parts in ((_HOUR_PART_S, _HOUR_PARTS), (_DAY_PART_S, _DAY_PARTS)):
                keys = _part_keys(shown, user_id, part_s, parts, now_s)
                commands += [
                    ("PFADD", keys[0], *sorted(people)),
                    ("EXPIRE", keys[0], part_s * parts),
                    ("PFCOUNT", *keys),
                ]
        answers = self._redis.round_trip(commands)
        over: list[Command] = []
        for number, (shown, user_id) in enumerate(seen):
            limit = self._limits[shown]
            hour, day = answers[6 * number + 2], answers[6 * number + 5]
            if hour > limit.per_hour or day > limit.per_day:
                part_s = _DAY_PART_S if day > limit.per_day else _HOUR_PART_S
                until_s = (now_s // part_s + 1) * part_s
                over.append(("SET", _over_key(shown, user_id), until_s, "EX", part_s))
                log.warning("too_many_people_shown", user_id=user_id, shown=shown, hour=hour, day=day)
        if over:
            self._redis.round_trip(over)


def _over_key(shown: str, user_id: int) -> str:
    # One hash tag for all that is asked of an account at once.
    return f"shown:over:{{{user_id}}}:{shown}"


def _part_keys(shown: str, user_id: int, part_s: int, parts: int, now_s: float) -> list[str]:
    """The newest part first. The tag keeps an account's keys together on a cluster, where they are counted as one."""
    newest = int(now_s) // part_s
    return [f"shown:{{{shown}:{user_id}}}:{part_s}:{newest - back}" for back in range(parts)]
