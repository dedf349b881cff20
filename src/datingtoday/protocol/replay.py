"""The replay guard: a request that was accepted once is never accepted again.

Redis remembers every accepted signature, and every nonce within its scope, for as long as any server's clock could
still take the request for fresh. What Redis forgets must not reopen the door, so each part of the memory (a *bucket*:
one hash slot) carries a marker with the run id of the server process that holds it. Where the marker is missing or
names another process, the memory was lost or is older than it should be, and requests from before that moment, plus
what a clock may be ahead, are refused. SQL knows which buckets were ever used, so that the first start of a new
installation is told from a loss.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database
from datingtoday.infra.redis import RUN_ID, Command, RedisDown, RedisRole, Script
from datingtoday.protocol.models import ReplayBucket

log = structlog.get_logger(__name__)

CLUSTER_BUCKETS = 64
"""Spreads the guard over the masters of a cluster; a single server needs one bucket."""
_CLOCK_SLACK_MS = 10_000
"""Entries outlive the window by this much, for clocks of servers that differ."""

ACCEPTED = 1
SEEN = 0
LOST = -1

# KEYS: marker, entries…; ARGV: run id ('' asks the server itself), span, request's time, ahead, entries' life (all ms),
# then commands to run once the request is accepted, each as the number of its words and the words.
# Answers a list: ACCEPTED, SEEN, LOST, or the moment of the last loss if the request is from before it; then the
# commands' answers.
_ADMIT = Script(
    """
    local marker = redis.call('GET', KEYS[1])
    if not marker then return {-1} end
    local run_id, lost_at, span = string.match(marker, '^(%w+)|(%d+)|(%d+)$')
    local here = ARGV[1]
    if here == '' then here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') end
    if run_id ~= here or tonumber(span) < tonumber(ARGV[2]) then return {-1} end
    if lost_at ~= '0' and tonumber(ARGV[3]) <= tonumber(lost_at) + tonumber(ARGV[4]) then
        return {tonumber(lost_at)}
    end
    for i = 2, #KEYS do
        if redis.call('EXISTS', KEYS[i]) == 1 then return {0} end
    end
    for i = 2, #KEYS do redis.call('SET', KEYS[i], '', 'PX', ARGV[5]) end
    local answers, at = {1}, 6
    while at <= #ARGV do
        local last = at + tonumber(ARGV[at])
        answers[#answers + 1] = redis.call(unpack(ARGV, at + 1, last))
        at = last + 1
    end
    return answers
    """
)

# KEYS: marker, seal; ARGV: run id, span, now, whether this is the bucket's first use, the seal that SQL holds ('' for
# none). Puts the marker right where it is not, and tells what it was: 'kept', 'first', 'sealed' or 'lost'.
_REPAIR = Script(
    """
    local here = ARGV[1]
    if here == '' then here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') end
    local marker = redis.call('GET', KEYS[1])
    local run_id, lost_at, span
    if marker then run_id, lost_at, span = string.match(marker, '^(%w+)|(%d+)|(%d+)$') end
    if run_id == here and tonumber(span) >= tonumber(ARGV[2]) then return 'kept' end
    local found = 'lost'
    local seal = redis.call('GET', KEYS[2])
    redis.call('DEL', KEYS[2])
    if not marker and ARGV[4] == '1' then
        found, lost_at = 'first', '0'
    elseif marker and ARGV[5] ~= '' and seal == ARGV[5] and tonumber(span) >= tonumber(ARGV[2]) then
        found = 'sealed'
    else
        lost_at = ARGV[3]
    end
    redis.call('SET', KEYS[1], here .. '|' .. lost_at .. '|' .. ARGV[2])
    return found
    """
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the guard says: accepted, seen before, or (``lost_at_ms``) from before a loss of memory."""

    accepted: bool
    lost_at_ms: int | None = None


class GuardMisconfigured(Exception):
    """The guard's Redis may forget entries by itself (eviction), so that it could promise nothing."""


class ReplayGuard:
    """Remembers accepted requests in the guard role of Redis.

    :param window_s: how far a request's time may lie behind the server's.
    :param ahead_s: how far it may lie ahead.
    """

    def __init__(self, redis: RedisRole, database: Database, *, window_s: int = 60, ahead_s: int = 5) -> None:
        self._redis = redis
        self._database = database
        self._ahead_ms = ahead_s * 1000
        self._span_ms = (window_s + ahead_s) * 1000
        self._buckets = CLUSTER_BUCKETS if redis.is_cluster else 1
        self._known: set[int] = set()
        self._repairing = threading.Lock()

    def admit(
        self, sign: str, nonce_scope: str, *, timestamp_ms: int, also: Sequence[Command] = ()
    ) -> tuple[Verdict, list[Any]]:
        """Accept a correctly signed request once, atomically.

        :param sign: the signature in its one canonical form (lower case).
        :param nonce_scope: the nonce together with whom it belongs to.
        :param also: commands for the same Redis role that are sent along in the same round trip. They must only read
            or count: on a cluster they run whatever the verdict is.
        :return: the verdict, and the answers to ``also`` (none if the request was not accepted).
        :raises RedisDown, DatabaseDown: nothing was accepted.
        """
        entries = (f"s:{sign}", f"n:{blake2b(nonce_scope.encode(), digest_size=16).hexdigest()}")
        groups: dict[int, list[str]] = {}
        for entry in entries:
            groups.setdefault(self._bucket_of(entry), []).append(entry)
        answers: list[Any] = []
        for index, (bucket, members) in enumerate(groups.items()):
            if bucket not in self._known:
                self._repair(bucket)
            # The signature's bucket comes first; the last call carries what was sent along.
            extra = also if index == len(groups) - 1 else ()
            result, *answers = self._ask(bucket, members, timestamp_ms, extra)
            if result == LOST:
                self._repair(bucket)
                result, *answers = self._ask(bucket, members, timestamp_ms, extra)
                if result == LOST:
                    raise RedisDown("the guard's memory is unstable")
            if result == SEEN:
                return Verdict(accepted=False), []
            if result != ACCEPTED:
                return Verdict(accepted=False, lost_at_ms=int(result)), []
        return Verdict(accepted=True), answers

    def fetch(self, commands: Sequence[Command]) -> list[Any]:
        """Commands alone, for a route that is not signed."""
        return self._redis.round_trip(commands)

    def prepare(self) -> None:
        """Look at every bucket now, so that the first requests need not; used at start, before serving."""
        for bucket in range(self._buckets):
            self._repair(bucket)

    def seal(self) -> None:
        """Close the memory at a clean stop: as the last writer before Redis itself stops.

        The next start finds the same seal in SQL and in Redis, and so knows that Redis came back with everything.
        """
        with self._database.transaction() as session:
            for bucket in range(self._buckets):
                row = session.get(ReplayBucket, self._name(bucket), with_for_update=True)
                if row is not None:
                    row.seal = secrets.token_hex(16)
                    self._redis.execute("SET", self._key(bucket, "seal"), row.seal)

    def forget_process_state(self) -> None:
        """What this process has checked is checked again; for tests and after a fork."""
        self._known.clear()

    def _ask(self, bucket: int, members: list[str], timestamp_ms: int, also: Sequence[Command]) -> list[Any]:
        """The script's answer, followed by those of ``also``."""
        keys = [self._key(bucket, "marker"), *(self._key(bucket, member) for member in members)]
        life_ms = self._span_ms + _CLOCK_SLACK_MS
        arguments = [RUN_ID, self._span_ms, timestamp_ms, self._ahead_ms, life_ms]
        if self._redis.is_cluster:
            # What is sent along lives in other slots, which a script may not touch.
            (verdict, *_), *answers = self._redis.round_trip_with_scripts([(_ADMIT, keys, arguments), *also])
            return [verdict, *answers]
        for command in also:
            arguments += [len(command), *command]
        return list(self._redis.run_script(_ADMIT, keys, *arguments))

    def _repair(self, bucket: int) -> None:
        """Register the bucket's use in SQL and put its marker right; one process at a time, by a row lock."""
        with self._repairing:
            self._refuse_eviction()
            try:
                self._repair_in_transaction(bucket)
            except IntegrityError:
                # Another process registered the bucket at the same time; it is registered now.
                self._repair_in_transaction(bucket)
            self._known.add(bucket)

    def _repair_in_transaction(self, bucket: int) -> None:
        with self._database.transaction() as session:
            row = _locked(session, self._name(bucket))
            first = row is None
            if row is None:
                row = ReplayBucket(name=self._name(bucket), first_used_at=datetime.now(UTC))
                session.add(row)
                session.flush()
            keys = [self._key(bucket, "marker"), self._key(bucket, "seal")]
            now_ms = time.time_ns() // 1_000_000
            found = self._redis.run_script(
                _REPAIR, keys, RUN_ID, self._span_ms, now_ms, int(first), row.seal or ""
            ).decode()
            if found != "kept":
                row.seal = None
            if found == "lost":
                row.lost_at = datetime.fromtimestamp(now_ms / 1000, UTC)
                log.warning("replay_memory_lost", bucket=row.name, refused_for_ms=self._ahead_ms)

    def _refuse_eviction(self) -> None:
        if self._redis.is_cluster:
            return
        text = self._redis.execute("INFO", "memory")
        info = dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)
        if info.get("maxmemory", "0") != "0" and info.get("maxmemory_policy", "noeviction") != "noeviction":
            raise GuardMisconfigured(
                "[REDIS] uri: this server evicts keys when it is full (maxmemory-policy "
                f"{info['maxmemory_policy']}); the guard needs maxmemory-policy noeviction"
            )

    def _bucket_of(self, entry: str) -> int:
        if self._buckets == 1:
            return 0
        return int.from_bytes(blake2b(entry.encode(), digest_size=4).digest(), "big") % self._buckets

    def _name(self, bucket: int) -> str:
        return f"{self._buckets}:{bucket}"

    def _key(self, bucket: int, what: str) -> str:
        return f"guard:{{{self._buckets}:{bucket}}}:{what}"


def _locked(session: Session, name: str) -> ReplayBucket | None:
    return session.scalars(
        select(ReplayBucket).where(ReplayBucket.name == name).with_for_update()
    ).one_or_none()
