"""The replay guard: a request that was accepted once is never accepted again.

Redis remembers every accepted signature, and every nonce within its scope, for as long as any server's clock could
still take the request for fresh. What Redis forgets must not reopen the door, so each part of the memory (a *bucket*:
one hash slot) carries a marker with the run id of the server process that holds it. Where the marker is missing or
names another process, the memory was lost or is older than it should be, and requests from before that moment, plus
what a clock may be ahead, are refused. SQL knows which buckets were ever used, so that the first start of a new
installation is told from a loss, and another server that takes over from one that goes on.

One clock rules all this: those of the application's processes, which are expected to agree within a few seconds
(NTP). Redis only measures how long entries live.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, cast

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from datingtoday.infra.db import Database
from datingtoday.infra.milliseconds import epoch_ms, moment_of, to_ms
from datingtoday.infra.redis import RUN_ID, WHICH_SERVER, Command, RedisDown, RedisRole, Script
from datingtoday.protocol.signing.md5_readings import Readings
from datingtoday.protocol.signing.models import ReplayBucket
from datingtoday.protocol.signing.sql_memory import KeptSignatures
from datingtoday.protocol.signing.timestamps import Clock

log = structlog.get_logger(__name__)

CLUSTER_BUCKETS = 64
"""Spreads the guard over the masters of a cluster; a single server needs one bucket."""
_CLOCK_SLACK_MS = 10_000
"""Entries outlive the window by this much, for clocks of servers that differ."""

RECUT_HORIZON_S = 3 * 366 * 24 * 3600
"""Time that other readings of a signature are remembered ahead; by then the secret is another one."""
_NOBODY = "-"
"""In place of a run id: no process holds this bucket."""

ACCEPTED = 1
SEEN = 0
LOST = -1
UNSURE = -2

# KEYS: marker, entries…; ARGV: run id ('' asks the server itself), span, request's time, the earliest time that it
# could be read as, ahead, entries' life (all ms), then commands to run once the request is accepted, each as the
# number of its words and the words.
# Answers a list: ACCEPTED, SEEN, LOST, UNSURE (it could be one from before the last loss, read differently), or the
# moment of the last loss if the request is from before it; then the commands' answers.
_ADMIT = Script(
    """
    local marker = redis.call('GET', KEYS[1])
    if not marker then return {-1} end
    local run_id, lost_at, span = string.match(marker, '^(%w+)|(%d+)|(%d+)$')
    local here = ARGV[1]
    if here == '' then here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') end
    if run_id ~= here or tonumber(span) < tonumber(ARGV[2]) then return {-1} end
    if lost_at ~= '0' then
        local known_from = tonumber(lost_at) + tonumber(ARGV[5])
        if tonumber(ARGV[3]) <= known_from then return {tonumber(lost_at)} end
        if tonumber(ARGV[4]) <= known_from then return {-2} end
    end
    for i = 2, #KEYS do
        if redis.call('EXISTS', KEYS[i]) == 1 then return {0} end
    end
    local life = tonumber(ARGV[6]) + tonumber(span) - tonumber(ARGV[2])
    for i = 2, #KEYS do redis.call('SET', KEYS[i], '', 'PX', string.format('%.0f', life)) end
    local answers, at = {1}, 7
    while at <= #ARGV do
        local last = at + tonumber(ARGV[at])
        answers[#answers + 1] = redis.call(unpack(ARGV, at + 1, last))
        at = last + 1
    end
    return answers
    """
)

# KEYS: marker, seal; ARGV: run id, span, now, whether this is the guard's first use, the seal that SQL holds ('' for
# none), the run id that SQL holds ('' for none). Puts the marker right where it is not. Answers what it was ('kept',
# 'first', 'sealed' or 'lost') and the run id; or 'evicts' and the policy of a server that forgets by itself.
_REPAIR = Script(
    """
    local memory = redis.call('INFO', 'memory')
    local limit, policy = string.match(memory, 'maxmemory:(%d+)'), string.match(memory, 'maxmemory_policy:([%w-]+)')
    if limit and limit ~= '0' and policy ~= 'noeviction' then return {'evicts', policy} end
    local here = ARGV[1]
    if here == '' then here = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') end
    local marker = redis.call('GET', KEYS[1])
    local run_id, lost_at, span
    if marker then run_id, lost_at, span = string.match(marker, '^(%w+)|(%d+)|(%d+)$') end
    local is_wide = span and tonumber(span) >= tonumber(ARGV[2])
    if run_id == here and is_wide and (ARGV[6] == '' or ARGV[6] == here) then return {'kept', here} end
    local found = 'lost'
    local seal = redis.call('GET', KEYS[2])
    redis.call('DEL', KEYS[2])
    if not marker and ARGV[4] == '1' then
        found, lost_at = 'first', '0'
    elseif is_wide and run_id == ARGV[6] and ARGV[5] ~= '' and seal == ARGV[5] then
        found = 'sealed'
    else
        lost_at = ARGV[3]
    end
    redis.call('SET', KEYS[1], here .. '|' .. lost_at .. '|' .. ARGV[2])
    return {found, here}
    """
)


class Verdict(NamedTuple):
    """Verdict of the guard: accepted, seen before, or (``lost_at_ms``) from before a loss of memory."""

    accepted: bool
    lost_at_ms: int | None = None


class GuardMisconfigured(Exception):
    """The guard's Redis may forget entries by itself (eviction), so that it could promise nothing."""


class ReplayGuard:
    """Remembers accepted requests in the guard role of Redis.

    :param window_s: how far a request's time may lie behind the server's.
    :param ahead_s: how far it may lie ahead.
    """

    def __init__(
        self,
        redis: RedisRole,
        database: Database,
        *,
        window_s: int,
        ahead_s: int,
        clock: Clock = time.time_ns,
    ) -> None:
        self._redis = redis
        self._database = database
        self._kept = KeptSignatures(database)
        self._clock = clock
        self.ahead_ms = to_ms(ahead_s)
        self.window_ms = to_ms(window_s)
        self._span_ms = self.window_ms + self.ahead_ms
        self._buckets = CLUSTER_BUCKETS if redis.is_cluster else 1
        self._born_ms: dict[int, int] = {}
        """First use ever of each bucket that this process has examined."""
        self._repairing = threading.Lock()
        self._failed_at = float("-inf")

    @property
    def redis(self) -> RedisRole:
        """The Redis role that runs the commands that are sent along."""
        return self._redis

    def admit(
        self, sign: str, nonce_scope: str, sent: Readings, *, now_ms: int, also: Sequence[Command] = ()
    ) -> tuple[Verdict, list[Any]]:
        """Accept a correctly signed, fresh request once, atomically.

        :param sign: the signature in its one canonical form (lower case).
        :param nonce_scope: the nonce together with whom it belongs to.
        :param also: commands for the same Redis role that are sent along in the same round trip and run only if the
            request is accepted.
        :return: the verdict, and the answers to ``also`` (none if the request was not accepted).
        :raises RedisDown, DatabaseDown: the request must not go on; it may be used up.
        """
        entries = (f"s:{sign}", f"n:{blake2b(nonce_scope.encode(), digest_size=16).hexdigest()}")
        groups: dict[int, list[str]] = {}
        for entry in entries:
            groups.setdefault(self._bucket_of(entry), []).append(entry)
        for bucket in groups:
            if bucket not in self._born_ms:
                self._repair(bucket, unless_known=True)
        earliest_ms, latest_ms = self._possible_times(sent, self._born_ms[next(iter(groups))], now_ms)
        if earliest_ms + self.window_ms < now_ms:
            # Redis has forgotten that time already.
            if self._kept.has(sign):
                return Verdict(accepted=False), []
            earliest_ms = sent.sent_ms
        answers: list[Any] = []
        for index, (bucket, members) in enumerate(groups.items()):
            # The signature's bucket comes first; the last call carries what was sent along.
            extra = also if index == len(groups) - 1 else ()
            result, *answers = self._ask_repaired(bucket, members, sent.sent_ms, earliest_ms, extra)
            if result == UNSURE:
                if self._kept.has(sign):
                    return Verdict(accepted=False), []
                earliest_ms = sent.sent_ms
                result, *answers = self._ask(bucket, members, sent.sent_ms, earliest_ms, extra)
            if result in (LOST, UNSURE):
                raise RedisDown("the guard's memory is unstable")
            if result == SEEN:
                return Verdict(accepted=False), []
            if result != ACCEPTED:
                return Verdict(accepted=False, lost_at_ms=int(result)), []
        if latest_ms > now_ms + self.ahead_ms:
            # Neither Redis nor the moment of a loss would refuse that later reading.
            until = moment_of(latest_ms + self.window_ms + _CLOCK_SLACK_MS)
            return Verdict(accepted=self._kept.keep(sign, until=until)), answers
        return Verdict(accepted=True), answers

    def _ask_repaired(
        self, bucket: int, members: list[str], sent_ms: int, earliest_ms: int, also: Sequence[Command]
    ) -> list[Any]:
        """`_ask`, and once more where the bucket was lost meanwhile.

        :raises RedisDown: it was lost twice.
        """
        answer = self._ask(bucket, members, sent_ms, earliest_ms, also)
        if answer[0] == LOST:
            self._repair(bucket)
            answer = self._ask(bucket, members, sent_ms, earliest_ms, also)
            if answer[0] == LOST:
                raise RedisDown("the guard's memory is unstable")
        return answer

    def _possible_times(self, sent: Readings, born_ms: int, now_ms: int) -> tuple[int, int]:
        """The earliest and the latest time at which this signature may have been, or may yet be, accepted."""
        first_s = (born_ms - self.window_ms) // 1000
        last_s = now_ms // 1000 + RECUT_HORIZON_S
        others = [second * 1000 for second in sent.other_seconds if first_s <= second <= last_s]
        return min([sent.earliest_ms, *others]), max(
            [sent.latest_ms, *(second_ms + 999 for second_ms in others)]
        )

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
        """Check again what this process has checked; for tests and after a fork."""
        self._born_ms.clear()

    def _ask(
        self, bucket: int, members: list[str], sent_ms: int, earliest_ms: int, also: Sequence[Command]
    ) -> list[Any]:
        """The script's answer, followed by those of ``also``."""
        keys = [self._key(bucket, "marker"), *(self._key(bucket, member) for member in members)]
        life_ms = self._span_ms + _CLOCK_SLACK_MS
        arguments = [RUN_ID, self._span_ms, sent_ms, earliest_ms, self.ahead_ms, life_ms]
        if self._redis.is_cluster:
            # What is sent along lives in other slots, which a script may not touch.
            verdict: int = self._redis.run_script(_ADMIT, keys, *arguments)[0]
            return [verdict, *(self._redis.round_trip(also) if also and verdict == ACCEPTED else ())]
        run_id_at = []
        for at, command in enumerate(also, 1):
            if command is WHICH_SERVER:
                run_id_at.append(at)
            else:
                arguments += [len(command), *command]
        answers, run_id = self._redis.round_trip_with_scripts([(_ADMIT, keys, arguments), WHICH_SERVER])
        if answers[0] == ACCEPTED:
            for at in run_id_at:
                answers.insert(at, run_id)
        return cast(list[Any], answers)

    def _repair(self, bucket: int, *, unless_known: bool = False) -> None:
        """Register the bucket's use in SQL and put its marker right; one process at a time, by a row lock."""
        waits_since = time.monotonic()
        with self._repairing:
            if self._failed_at > waits_since:
                # One wait for a server that does not answer is enough for all who stood in line.
                raise RedisDown("the guard's memory could not be looked at a moment ago")
            if unless_known and bucket in self._born_ms:
                return
            try:
                if self._repair_with_retries(bucket) == "lost":
                    # Where one bucket was lost, others were: dated now, and not each by the first request that comes
                    # to it, so that a client has to wait once.
                    for other in range(self._buckets):
                        if other != bucket:
                            self._repair_with_retries(other)
            except BaseException:
                self._failed_at = time.monotonic()
                raise

    def _repair_with_retries(self, bucket: int) -> str:
        """Repair the bucket; return its former state, in the words of the script."""
        # Another process may register the bucket at the same time.
        found, self._born_ms[bucket] = self._database.retried(
            lambda session: self._repair_in(session, bucket), also=(IntegrityError,)
        )
        return found

    def _repair_in(self, session: Session, bucket: int) -> tuple[str, int]:
        """Repair the bucket; return its former state and the time of its first use (ms)."""
        row = _locked(session, self._name(bucket))
        now_ms = self._clock() // 1_000_000
        first = not self._take_from_other_layouts(session) and row is None
        if row is None:
            row = ReplayBucket(name=self._name(bucket), first_used_at=moment_of(now_ms))
            session.add(row)
            session.flush()
        keys = [self._key(bucket, "marker"), self._key(bucket, "seal")]
        facts = (self._span_ms, now_ms, int(first), row.seal or "", row.holder or "")
        found, what = (part.decode() for part in self._redis.run_script(_REPAIR, keys, RUN_ID, *facts))
        if found == "evicts":
            raise GuardMisconfigured(
                f"[REDIS] uri: this server evicts keys when it is full (maxmemory-policy {what}); "
                "the guard needs maxmemory-policy noeviction"
            )
        # This also makes the seal void: it is good for memory that the holder before wrote.
        row.holder = what
        if found == "lost":
            row.lost_at = moment_of(now_ms)
            log.warning("replay_memory_lost", bucket=row.name, refused_for_ms=self.ahead_ms)
        return found, epoch_ms(row.first_used_at)

    def _take_from_other_layouts(self, session: Session) -> bool:
        """True if the memory was in another kind of Redis before (a single server, a cluster), which loses it now."""
        others = ~ReplayBucket.name.startswith(f"{self._buckets}:")
        if session.scalar(select(ReplayBucket.name).where(others).limit(1)) is None:
            return False
        taken = update(ReplayBucket).where(others, ReplayBucket.holder != _NOBODY)
        session.execute(taken.values(holder=_NOBODY, seal=None))
        return True

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
