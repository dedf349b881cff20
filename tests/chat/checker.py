"""Compares what clients were promised with what everybody saw; knows nothing of the server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Entry = Mapping[str, Any]
Message = Mapping[str, Any]


@dataclass
class Sender:
    """Messages sent by one device.

    :param attempted: content by client id, of everything that was ever tried.
    :param acknowledged: the messages that were answered with code 0, in the order of the answers.
    :param unknown: how often the server did not know a message that it had acknowledged.
    """

    user_id: int
    attempted: dict[str, tuple[int, str]] = field(default_factory=dict)
    acknowledged: list[Message] = field(default_factory=list)
    unknown: int = 0


@dataclass
class Account:
    """Messages seen by one account.

    :param followed: the entries as a device followed them, :param again: and read from 0 at the end.
    :param histories: of each peer, the conversation at the end.
    :param contacts: of each peer, the row of the list of contacts at the end.
    :param pushed: name and payload of what was pushed to a device. Some may be missing, but nothing may be made up.
    """

    user_id: int
    followed: Sequence[Entry]
    again: Sequence[Entry]
    histories: Mapping[int, Sequence[Message]]
    contacts: Mapping[int, Mapping[str, Any]]
    pushed: Sequence[tuple[str, Entry]] = ()


def check(senders: Sequence[Sender], accounts: Sequence[Account]) -> Counter[str]:
    """Everything that breaks a promise, counted by what it is; empty if nothing does."""
    found: Counter[str] = Counter()
    by_user = {account.user_id: account for account in accounts}
    attempted = {(it.user_id, name): what for it in senders for name, what in it.attempted.items()}
    for account in accounts:
        _check_stream(account, attempted, found)
        _check_pushed(account, found)
        for peer_id, history in account.histories.items():
            _check_history(history, attempted, found)
            if peer_id in by_user:
                _check_sides(history, by_user[peer_id].histories.get(account.user_id, ()), found)
                _check_contact(account, peer_id, history, found)
    for sender in senders:
        _check_acknowledged(sender, by_user, found)
    return +found


def _check_stream(account: Account, attempted: Mapping[Any, Any], found: Counter[str]) -> None:
    for entries in (account.followed, account.again):
        positions = [entry["pos"] for entry in entries]
        found["gaps in positions"] += sum(
            b != a + 1 for a, b in zip([0, *positions], positions, strict=False)
        )
        messages = [entry["message"] for entry in entries if entry["kind"] == "message"]
        found["shown twice"] += len(messages) - len({message["message_id"] for message in messages})
        found["shown twice"] += len(messages) - len({(it["from_uid"], it["client_id"]) for it in messages})
        found["never sent"] += sum(not _was_attempted(message, attempted) for message in messages)
    if [*map(_lasting, account.followed)] != [*map(_lasting, account.again)]:
        found["followed is not what is read again"] += 1


def _check_pushed(account: Account, found: Counter[str]) -> None:
    """Every entry that was pushed stands in the stream at its position, whatever became of its content."""
    stream = {entry["pos"]: entry for entry in account.again}
    for name, payload in account.pushed:
        entry = stream.get(payload["pos"]) if "pos" in payload else None
        if "pos" in payload and (entry is None or entry["kind"] != name or not _is_same(payload, entry)):
            found["pushed and not in the stream"] += 1


def _is_same(payload: Entry, entry: Entry) -> bool:
    if payload["kind"] != "message":
        return all(payload[name] == value for name, value in entry.items())
    given, kept = payload["message"], entry["message"]
    return all(given[name] == kept[name] for name in ("message_id", "client_id", "seq", "from_uid", "to_uid"))


def _check_history(history: Sequence[Message], attempted: Mapping[Any, Any], found: Counter[str]) -> None:
    seqs = [message["seq"] for message in history]
    if seqs != list(range(1, len(seqs) + 1)):
        found["gaps in seq"] += 1
    if len({(message["from_uid"], message["client_id"]) for message in history}) != len(history):
        found["shown twice"] += 1
    if not all(_was_attempted(message, attempted) for message in history):
        found["never sent"] += 1


def _check_sides(history: Sequence[Message], other: Sequence[Message], found: Counter[str]) -> None:
    if [_core(message) for message in history] != [_core(message) for message in other]:
        found["two sides differ"] += 1


def _check_contact(account: Account, peer_id: int, history: Sequence[Message], found: Counter[str]) -> None:
    contact = account.contacts[peer_id]
    last = history[-1]
    preview = "" if last["recalled"] else last["content"][:255]
    if (contact["last_msg"], contact["last_type"]) != (preview, "recalled" if last["recalled"] else "text"):
        found["contacts do not equal messages"] += 1
    read_upto = max(
        [
            it["seq"]
            for it in account.again
            if it["kind"] == "read" and it["by_me"] and it["peer_id"] == peer_id
        ],
        default=0,
    )
    unread = sum(it["from_uid"] == peer_id and it["seq"] > read_upto and not it["recalled"] for it in history)
    if contact["unread"] != unread:
        found["contacts do not equal messages"] += 1


def _check_acknowledged(sender: Sender, by_user: Mapping[int, Account], found: Counter[str]) -> None:
    found["acknowledged and lost"] += sender.unknown
    last_seq: dict[int, int] = {}
    for message in sender.acknowledged:
        if message["seq"] <= last_seq.get(message["to_uid"], 0):
            found["not in the order of the answers"] += 1
        last_seq[message["to_uid"]] = message["seq"]
    for reader_id in {sender.user_id, *(message["to_uid"] for message in sender.acknowledged)}:
        account = by_user[reader_id]
        shown = {it["message"]["message_id"] for it in account.followed if it["kind"] == "message"}
        told = {message["message_id"] for history in account.histories.values() for message in history}
        for message in sender.acknowledged:
            if reader_id in (sender.user_id, message["to_uid"]):
                lost = {message["message_id"]} - (shown & told)
                if lost:
                    found["acknowledged and lost"] += 1


def _was_attempted(message: Message, attempted: Mapping[Any, tuple[int, str]]) -> bool:
    what = attempted.get((message["from_uid"], message["client_id"]))
    if what is None:
        return False
    same_content = message["recalled"] or message["content"] == what[1]
    return bool(message["to_uid"] == what[0] and same_content)


def _core(message: Message) -> tuple[Any, ...]:
    return tuple(
        message[name] for name in ("message_id", "client_id", "seq", "content", "send_ms", "recalled")
    )


def _lasting(entry: Entry) -> Any:
    """An entry without what a recall changes later."""
    if entry["kind"] != "message":
        return entry
    return {**entry, "message": {**entry["message"], "content": None, "recalled": None}}
