"""Locks of a conversation, and the streams of the two accounts.

Everything that changes a conversation takes the same locks in the same order: the contact row of the smaller user id,
then both inbox rows, the smaller user id first (`lock_pair`). Positions are given out under the inbox locks, which are
held until the commit. So whoever sees a position has seen every position before it, whoever commits first, and two
transactions never wait for each other. Rows of people (`user_info`) are never locked inside of these locks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Connection,
    Executable,
    Table,
    bindparam,
    case,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.mysql import insert as mysql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import aliased

from datingtoday.chat.models import FIRST_EPOCH, ChatEpoch, ChatEvent, Contact, EventKind, Inbox
from datingtoday.infra.db import Base
from datingtoday.infra.packets import Packet
from datingtoday.infra.paired import paired


@dataclass(slots=True)
class LockedPair:
    """A conversation that this transaction has locked."""

    conversation_id: int
    last_seq: int
    epoch: int
    heads: dict[int, int]
    """The last position of each of the two; `tell` moves it."""
    paces_ms: dict[int, int]
    closed: frozenset[int]
    """Those of the two whose account was purged."""


class Entry(NamedTuple):
    """Something to write into an account's stream."""

    user_id: int
    kind: EventKind
    peer_id: int
    seq: int
    by_me: bool


class ToldEntry(NamedTuple):
    """An entry, and the position that it got."""

    entry: Entry
    pos: int


_ENTRY_COLUMNS = ("user_id", "pos", "kind", "conversation_id", "seq", "peer_id", "by_me")

_low, _high = aliased(Inbox), aliased(Inbox)
LOCK = (
    select(
        Contact.conversation_id,
        Contact.last_seq,
        _low.head,
        _low.pace_ms,
        _low.closed,
        _high.head,
        _high.pace_ms,
        _high.closed,
        # Not locked: the locks of a statement do not reach into its subqueries.
        select(ChatEpoch.epoch).where(ChatEpoch.id == 1).scalar_subquery(),
    )
    .select_from(Contact)
    .join(_low, _low.user_id == Contact.user_id)
    .join(_high, _high.user_id == Contact.peer_id)
    .where(Contact.user_id == bindparam("low"), Contact.peer_id == bindparam("high"))
    # The order in which rows are locked; each is found by its whole primary key, so no others are touched.
    .prefix_with("STRAIGHT_JOIN", dialect="mysql")
    .prefix_with("STRAIGHT_JOIN", dialect="mariadb")
    .with_for_update()
)
_MOVE_HEADS = (
    update(Inbox)
    .where(Inbox.user_id.in_([bindparam("low"), bindparam("high")]))
    .values(
        head=Inbox.head
        + case(
            (Inbox.user_id == bindparam("low"), bindparam("by_low")),
            else_=bindparam("by_high"),
        ),
        pace_ms=case((Inbox.user_id == bindparam("paced"), bindparam("new_pace_ms")), else_=Inbox.pace_ms),
    )
)


def lock_pair(connection: Connection, user_id: int, peer_id: int) -> LockedPair | None:
    """Lock the conversation of these two until the transaction ends; None if there is none."""
    low, high = sorted((user_id, peer_id))
    return locked_pair(connection.execute(LOCK, {"low": low, "high": high}).all(), low, high)


def locked_pair(rows: Sequence[Sequence[Any]], low: int, high: int) -> LockedPair | None:
    """Parse the rows of `LOCK`; None if there is no conversation."""
    if not rows:
        return None
    conversation_id, last_seq, low_head, low_pace, low_closed, high_head, high_pace, high_closed, epoch = (
        rows[0]
    )
    return LockedPair(
        conversation_id,
        last_seq,
        FIRST_EPOCH if epoch is None else epoch,
        {low: low_head, high: high_head},
        {low: low_pace, high: high_pace},
        frozenset(uid for uid, closed in ((low, low_closed), (high, high_closed)) if closed),
    )


def tell(connection: Connection, pair: LockedPair, entries: Sequence[Entry]) -> list[ToldEntry]:
    """Append to the streams of the two, each at most one entry; purged accounts are passed over.

    :return: the entries with their positions.
    """
    told, values = entries_to_tell(pair, entries, pace=(None, None))
    if told:
        events_packet(len(told)).run(connection, values)
    return told


def entries_to_tell(
    pair: LockedPair, entries: Sequence[Entry], *, pace: tuple[int | None, int | None]
) -> tuple[list[ToldEntry], dict[str, Any]]:
    """The entries with their positions, and the parameters of `event_statements` that write them.

    :param pace: (user_id, new ``pace_ms``) to be written with them; None twice: nobody's.
    """
    paced, new_pace_ms = pace
    told: list[ToldEntry] = []
    heads, conversation_id = pair.heads, pair.conversation_id
    low, high = sorted(heads)
    moves = {low: 0, high: 0}
    values: dict[str, Any] = {"low": low, "high": high, "paced": paced, "new_pace_ms": new_pace_ms}
    for entry in entries:
        user_id, kind, peer_id, seq, by_me = entry
        if user_id in pair.closed:
            continue
        heads[user_id] = pos = heads[user_id] + 1
        moves[user_id] = 1
        row = (user_id, pos, kind.value, conversation_id, seq, peer_id, by_me)
        values.update(paired(_entry_names(len(told)), row))
        told.append(ToldEntry(entry, pos))
    values["by_low"], values["by_high"] = moves[low], moves[high]
    return told, values


@cache
def _entry_names(number: int) -> tuple[str, ...]:
    """The names of the parameters of an entry, in the order of `_ENTRY_COLUMNS`."""
    return tuple(f"{name}_{number}" for name in _ENTRY_COLUMNS)


def event_statements(count: int) -> tuple[Executable, ...]:
    """Statements that write so many entries, and the heads of both streams."""
    rows: list[dict[str, Any]] = [
        {column: bindparam(name) for column, name in paired(_ENTRY_COLUMNS, _entry_names(number))}
        for number in range(count)
    ]
    return insert(ChatEvent).values(rows), _MOVE_HEADS


@cache
def events_packet(count: int) -> Packet:
    """`event_statements`, ready to be run."""
    return Packet(*event_statements(count))


def both_contacts() -> Any:
    """A condition: the two rows of a pair, ``low`` and ``high``."""
    low: BindParameter[int] = bindparam("low")
    high: BindParameter[int] = bindparam("high")
    return or_(
        (Contact.user_id == low) & (Contact.peer_id == high),
        (Contact.user_id == high) & (Contact.peer_id == low),
    )


def insert_if_missing(connection: Connection, model: type[Base], row: Mapping[str, Any]) -> None:
    """Insert a row, or lock the one with the same key. Two that insert the same row wait for each other in order.

    Not ``INSERT IGNORE``: that takes a shared lock first, and two that want the exclusive one then deadlock.
    """
    table: Table = model.__table__  # type: ignore[assignment]
    key = next(iter(table.primary_key.columns))
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite_insert(table).on_conflict_do_nothing(), row)
    else:
        connection.execute(mysql_insert(table).on_duplicate_key_update({key.name: key}), row)
