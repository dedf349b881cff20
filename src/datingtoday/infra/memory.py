"""Entries in Redis made of SQL, bound to the Redis process that holds them: after a loss nothing of it is believed.

A *memory* is a role's entries of one kind (sessions in the guard role, ready bytes in the cache role). Every key ends
in the memory's *epoch*, a random word. Redis holds a marker, ``<run id>|<epoch>``; SQL holds the same in a row. What
was read is believed if, in the same round trip, the marker named the very process that answered and the epoch that SQL
has. A restart (with older files, or none), a flush, and a replica that takes over all break that, whatever the server
holds; then a new epoch begins, in which no key exists yet.

Who changes what entries say calls `Memory.change` in the transaction. Directly before the commit it takes a shared lock
on the row, and marks the keys of that epoch. A new epoch needs the row's exclusive lock, so it begins before the marks
are made or after the commit: whatever is lost when, and whoever dies, what was read of SQL before the commit is not
believed after it. Where Redis cannot be told, the keys are written down in the same transaction (`UnsentChange`) and
told by any process that reaches Redis, within `LOOK_EVERY_S` or so.

On a cluster each of `BUCKETS` hash slots is a memory of its own, because each node can lose its own.
"""

from __future__ import annotations

import secrets
import threading
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog
from sqlalchemy import delete, exists, func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from datingtoday.infra import memory_scripts
from datingtoday.infra.db import Database, DatabaseDown, before_commit, on_commit, should_retry
from datingtoday.infra.models_memory import RedisMemory, UnsentChange
from datingtoday.infra.paired import paired
from datingtoday.infra.redis import RUN_ID, WHICH_SERVER, Command, RedisDown, RedisRole

log = structlog.get_logger(__name__)

BUCKETS = 64
"""Number of buckets on a cluster."""
LOOK_EVERY_S = 1.0
"""Frequency with which a process that reads looks in SQL for another epoch, and for what Redis was not told."""
MAX_UNSENT = 5_000
"""Changes that are told one by one; when there are more a new epoch begins."""
_ONLY_BUCKET = 0  # of a server that is no cluster
_WAIT_S = 3.0
"""Time for which one thread waits for another that finds out the epoch."""
_ATTEMPTS, _CHUNK = 3, 500


class Change(NamedTuple):
    """New state of a key whose entry changes: a value and its life, or ``b""`` to delete it."""

    value: bytes
    life_ms: int


class Reading(NamedTuple):
    """Keys of one memory that are read, perhaps within another conversation; on a cluster all of one bucket."""

    keys: Sequence[str]
    names: Sequence[str]
    """Names of the keys in their epoch, under which what SQL says from now on may be stored."""
    commands: Sequence[Command]


class Memory:
    """One kind of entries in one Redis role. Safe for threads; survives a fork.

    :param name: of the kind, the same in all processes and whichever server the role is on.
    :param marked: put over entries before a commit that changes them. :param after: what becomes of them after it.
    :param must_reach: a change is refused while Redis cannot be told; otherwise it goes on.
    """

    def __init__(
        self,
        name: str,
        redis: RedisRole,
        database: Database,
        *,
        marked: Change,
        after: Change,
        must_reach: bool,
    ) -> None:
        self.name = name
        self.redis = redis
        self._database = database
        self._marked = marked
        self._after = after
        self._must_reach = must_reach
        self._pending = f"memory.{name}"
        self._epochs: dict[int, str] = {}
        """By bucket, as SQL had them the last time."""
        self._looked_at = float("-inf")
        self._has_unsent = False
        """This process made a change that Redis was not told of."""
        self._binding = threading.Lock()
        self._looking = threading.Lock()
        redis.memories.append(self)

    # --- reading

    def names(self, keys: Sequence[str]) -> list[str]:
        """The keys as they are called in Redis now; what SQL says from now on may be put there.

        :raises RedisDown: the epoch is not known, and cannot be found out.
        """
        self._keep_up()
        if self.redis.is_cluster:
            return [self._name(key, self._epoch(_bucket_of(key))) for key in keys]
        end = "@" + self._epoch(_ONLY_BUCKET)
        return [key + end for key in keys]

    def prepare(self) -> None:
        """Find out the epoch now, where a new one may have begun; best before a transaction that writes."""
        if not self._epochs and not self.redis.is_cluster:
            try:
                self._epoch(_ONLY_BUCKET)
            except RedisDown as error:
                log.info("memory_not_prepared", memory=self.name, reason=str(error))

    def reading(self, keys: Sequence[str]) -> Reading:
        """Commands that read keys, of one bucket if this is a cluster. :raises RedisDown: as `names`."""
        return self._reading(keys, self.names(keys))

    def _reading(self, keys: Sequence[str], names: Sequence[str]) -> Reading:
        if self.redis.is_cluster:
            marker = self._marker(_bucket_of(keys[0]))
            return Reading(keys, names, [("EVAL", memory_scripts.READ, len(names) + 1, marker, *names, "")])
        return Reading(keys, names, [WHICH_SERVER, ("MGET", self._marker(_ONLY_BUCKET), *names)])

    def values(self, reading: Reading, answers: Sequence[Any]) -> list[bytes | None] | None:
        """The values of what was read; None if it is not to be believed, and the epoch has to be found out anew.

        :param answers: to the commands.
        """
        here: bytes
        values: list[bytes | None]
        here, (marker, *values) = answers[0] if self.redis.is_cluster else answers
        epoch = reading.names[0].rpartition("@")[2]
        if marker is not None and marker == here + b"|" + epoch.encode():
            return values
        bucket = self._bucket(reading.keys[0])
        for memory in self.redis.memories:
            # Who lost one kind of entries has lost the others.
            if memory is not self or self._epochs.get(bucket) == epoch:
                memory._epochs.pop(bucket, None)
        return None

    def read(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of keys, in one round trip. :raises RedisDown: nothing that Redis holds can be believed now."""
        for _ in range(_ATTEMPTS):
            values = self._read_cluster(keys) if self.redis.is_cluster else self._read_bucket(keys)
            if values is not None:
                return values
        raise RedisDown(f"the memory of {self.name} is unstable")

    def _read_bucket(self, keys: Sequence[str]) -> list[bytes | None] | None:
        reading = self.reading(keys)
        return self.values(reading, self.redis.round_trip(reading.commands))

    def _read_cluster(self, keys: Sequence[str]) -> list[bytes | None] | None:
        found: dict[str, bytes | None] = {}
        for members in self._by_bucket(keys).values():
            values = self._read_bucket(members)
            if values is None:
                return None
            found.update(paired(members, values))
        return [found[key] for key in keys]

    # --- changing

    def change(self, session: Session, keys: Iterable[str]) -> None:
        """Invalidate entries with the session's commit.

        :raises RedisDown: from the commit, where the memory must be reached; then nothing is committed.
        """
        if self._pending not in session.info:
            session.info[self._pending] = {}
            before_commit(session, lambda: self._before(session))
        session.info[self._pending].update(dict.fromkeys(keys))

    def _before(self, session: Session) -> None:
        keys = list(session.info.pop(self._pending))
        if not keys:
            return
        buckets = {bucket: self._row_name(bucket) for bucket in sorted({self._bucket(key) for key in keys})}
        # Shared until the commit: no other epoch begins in between.
        rows = select(RedisMemory.name, RedisMemory.epoch).where(RedisMemory.name.in_(buckets.values()))
        found = dict(session.execute(rows.order_by(RedisMemory.name).with_for_update(read=True)).all())
        epochs = {bucket: found[name] for bucket, name in buckets.items() if name in found}
        marked: list[str] = []
        unsent = keys
        try:
            if self._must_reach and not epochs:
                # Nothing was remembered yet, but who cannot be told must not change what others may remember next.
                self.redis.execute("ECHO", RUN_ID)
            marked = self._write(keys, epochs, self._marked)
            unsent = sorted(set(keys).difference(marked))
        except RedisDown as error:
            if self._must_reach:
                raise
            log.warning("entries_not_marked", memory=self.name, keys=len(keys), reason=str(error))
        if unsent:
            rows_of = [{"memory": self._row_name(self._bucket(key)), "key": key} for key in unsent]
            session.execute(insert(UnsentChange), rows_of)
        on_commit(session, lambda: self._committed(marked, epochs, has_unsent=bool(unsent)))

    def _committed(self, marked: Sequence[str], epochs: Mapping[int, str], *, has_unsent: bool) -> None:
        if marked:
            try:
                self._write(marked, epochs, self._after)
            except RedisDown as error:
                # Marked as they are, readers ask SQL until the marks run out, and the entries with them.
                log.warning("entries_left_marked", memory=self.name, keys=len(marked), reason=str(error))
        if has_unsent:
            self._has_unsent = True
            self._send_unsent()

    def _write(self, keys: Sequence[str], epochs: Mapping[int, str], change: Change) -> list[str]:
        """Write the keys; return those written, which lie in buckets of their epoch. :raises RedisDown:"""
        calls: list[Any] = []
        parts: list[Sequence[str]] = []
        for bucket, members in self._by_bucket(keys).items():
            epoch = epochs.get(bucket)
            if epoch is None:
                continue
            for start in range(0, len(members), _CHUNK):
                part = members[start : start + _CHUNK]
                names = [self._name(key, epoch) for key in part]
                calls.append((memory_scripts.WRITE, [self._marker(bucket), *names], (RUN_ID, epoch, *change)))
                parts.append(part)
        answers = self.redis.round_trip_with_scripts(calls) if calls else []
        return [key for part, answer in paired(parts, answers) if answer == 1 for key in part]

    # --- epochs

    def _epoch(self, bucket: int) -> str:
        epoch = self._epochs.get(bucket)
        if epoch is not None:
            return epoch
        if not self._binding.acquire(timeout=_WAIT_S):
            raise RedisDown(f"the epoch of {self.name} is being looked for")
        try:
            # Another thread may have found it out by now.
            epoch = self._epochs.get(bucket) or self._agreed(bucket) or self._bind_with_retries(bucket)
            self._epochs[bucket] = epoch
            return epoch
        except (DatabaseDown, DBAPIError) as error:
            raise RedisDown(f"the epoch of {self.name} is not known: {type(error).__name__}") from error
        finally:
            self._binding.release()

    def _agreed(self, bucket: int) -> str | None:
        """The epoch, if SQL, the marker and the process agree: the rule, and nobody is waited for."""
        with self._database.reading() as session:
            row = session.get(RedisMemory, self._row_name(bucket))
        if row is None:
            return None
        check = (memory_scripts.IS_BOUND, [self._marker(bucket)], (RUN_ID, row.holder, row.epoch))
        if self.redis.round_trip_with_scripts([check])[0] != 1:
            return None
        return row.epoch

    def _bind_with_retries(self, bucket: int, attempts: int = _ATTEMPTS) -> str:
        try:
            return self._bind(bucket)
        except DBAPIError as error:
            # Another process wrote the row at the same time, or the two were in each other's way.
            if not (isinstance(error, IntegrityError) or should_retry(error)) or attempts == 1:
                raise
            return self._bind_with_retries(bucket, attempts - 1)

    def _bind(self, bucket: int, *, anew: bool = False) -> str:
        """The epoch of the process that has this bucket now; a new one if it is another process, or lost anything."""
        name = self._row_name(bucket)
        with self._database.transaction() as session:
            row = session.scalars(
                select(RedisMemory).where(RedisMemory.name == name).with_for_update()
            ).one_or_none()
            was = ("", "") if row is None or anew else (row.holder, row.epoch)
            fresh = secrets.token_hex(4)
            answer: list[bytes] = self.redis.run_script(
                memory_scripts.BIND, [self._marker(bucket)], RUN_ID, *was, fresh
            )
            holder, epoch = (part.decode() for part in answer)
            if row is not None and epoch == row.epoch:
                return epoch
            if row is None:
                session.add(RedisMemory(name=name, holder=holder, epoch=epoch))
            else:
                log.warning("redis_memory_lost", memory=name, is_other_process=holder != row.holder)
                row.holder, row.epoch = holder, epoch
            # They were committed before the new epoch, in which nothing is older.
            session.execute(delete(UnsentChange).where(UnsentChange.memory == name))
        return epoch

    # --- what is in SQL

    def _keep_up(self) -> None:
        """Hear of another epoch, and let Redis be told what it was not."""
        if self._has_unsent:
            self._send_unsent()
            if self._has_unsent:
                raise RedisDown(f"{self.name}: changes are not told yet")
        age_s = time.monotonic() - self._looked_at
        if age_s < LOOK_EVERY_S or not self._looking.acquire(blocking=False):
            return
        is_aside = age_s < 2 * LOOK_EVERY_S
        self._looked_at = time.monotonic()
        if is_aside:
            # Nobody waits for it.
            threading.Thread(target=self._look, name=f"memory of {self.name}", daemon=True).start()
        else:
            self._look()

    def _look(self) -> None:
        try:
            with self._database.reading() as session:
                rows = select(RedisMemory.name, RedisMemory.epoch).where(
                    RedisMemory.name.in_([self._row_name(bucket) for bucket in list(self._epochs)])
                )
                epochs = dict(session.execute(rows).all())
                has_unsent = session.scalar(
                    select(exists().where(UnsentChange.memory.in_(self._all_names())))
                )
            for bucket, epoch in list(self._epochs.items()):
                if epochs.get(self._row_name(bucket)) != epoch:
                    self._epochs.pop(bucket, None)
            if has_unsent:
                self._send_unsent()
        except (DatabaseDown, DBAPIError) as error:
            log.warning("memory_not_looked_at", memory=self.name, reason=str(error))
        finally:
            self._looking.release()

    def _send_unsent(self) -> None:
        """Tell Redis what committed transactions could not; by any process, and harmless if by several."""
        try:
            self.redis.refuse_while_down()
            with self._database.reading() as session:
                waiting = select(UnsentChange.memory, func.count()).group_by(UnsentChange.memory)
                waiting = waiting.where(UnsentChange.memory.in_(self._all_names()))
                numbers = dict(session.execute(waiting).all())
            for name, number in numbers.items():
                bucket = int(name.rpartition(":")[2]) if self.redis.is_cluster else _ONLY_BUCKET
                if number > MAX_UNSENT or not self._sent(name, bucket):
                    # So many, or not this epoch's memory: in a new epoch there is nothing that they could be about.
                    self._epochs[bucket] = self._bind(bucket, anew=True)
            self._has_unsent = False
        except (RedisDown, DatabaseDown, DBAPIError) as error:
            log.warning("changes_not_sent", memory=self.name, reason=str(error))

    def _sent(self, name: str, bucket: int) -> bool:
        with self._database.transaction() as session:
            epoch = session.scalar(
                select(RedisMemory.epoch).where(RedisMemory.name == name).with_for_update(read=True)
            )
            rows = session.execute(
                select(UnsentChange.id, UnsentChange.key).where(UnsentChange.memory == name).limit(MAX_UNSENT)
            ).all()
            keys = list(dict.fromkeys(row.key for row in rows))
            if epoch is None or len(self._write(keys, {bucket: epoch}, self._after)) < len(keys):
                return False
            ids = [row.id for row in rows]
            for start in range(0, len(ids), _CHUNK):
                session.execute(delete(UnsentChange).where(UnsentChange.id.in_(ids[start : start + _CHUNK])))
        return True

    # --- names

    def _bucket(self, key: str) -> int:
        return _bucket_of(key) if self.redis.is_cluster else _ONLY_BUCKET

    def _by_bucket(self, keys: Iterable[str]) -> dict[int, list[str]]:
        groups: dict[int, list[str]] = {}
        for key in keys:
            groups.setdefault(self._bucket(key), []).append(key)
        return groups

    def _name(self, key: str, epoch: str) -> str:
        if self.redis.is_cluster:
            return f"{{{self.name}:{_bucket_of(key)}}}{key}@{epoch}"
        return f"{key}@{epoch}"

    def _marker(self, bucket: int) -> str:
        return f"{{{self.name}:{bucket}}}memory" if self.redis.is_cluster else f"memory:{self.name}"

    def _row_name(self, bucket: int) -> str:
        return f"{self.name}:{bucket}" if self.redis.is_cluster else self.name

    def _all_names(self) -> list[str]:
        return [self._row_name(bucket) for bucket in range(BUCKETS if self.redis.is_cluster else 1)]


def _bucket_of(key: str) -> int:
    return zlib.crc32(key.encode()) % BUCKETS
