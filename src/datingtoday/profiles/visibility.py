"""Visibility rules: the only answer to "may A see, find or write to B", for every feature.

`RULES` is the table of the wire contract, row by row. What a target is to a viewer is its `Standing`, one of five; what
the viewer wants is an `Action`. Where the table says "if known", those who have written to the viewer or talked with
them are meant, which chat knows; "seen" is what visitors knows. Both register themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from datetime import UTC, datetime
from enum import auto
from typing import Any, NamedTuple

from sqlalchemy import BindParameter, and_, bindparam, literal, or_, select, union_all
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased
from sqlalchemy.sql.elements import ColumnElement

from datingtoday.infra.cache import CacheEntry, ReadyCache
from datingtoday.infra.identity_enum import IdentityEnum
from datingtoday.profiles.enumerations import EVERYONE, FOLLOWED, NOBODY
from datingtoday.profiles.models import UserBlock, UserFollow, UserInfo, UserStatus, is_ban_in_force
from datingtoday.profiles.people import VipDeadlines

TIES_KEPT_S = 60


class Standing(IdentityEnum):
    """Standing of a target towards a viewer; of several the last one counts."""

    OPEN = auto()
    """Visible to everyone, or to those whom the target follows, and the viewer is among them."""
    HIDDEN = auto()
    BLOCKED = auto()
    """By either of the two."""
    BANNED = auto()
    DELETED = auto()
    """Also an id that nobody has."""


class Action(IdentityEnum):
    """Action of a viewer."""

    FIND = auto()
    """See a person in hot, search, nearby (unless their location is hidden) and follow lists."""
    SHOW = auto()
    """See the profile, or follow."""
    WRITE_FIRST = auto()
    WRITE_ON = auto()
    READ = auto()
    """Read the old conversation and see its contact."""
    VISIT = auto()
    """Be listed as a visitor of the target."""
    REPORT = auto()


class Rule(IdentityEnum):
    """A cell of the table."""

    YES = auto()
    NO = auto()
    IF_KNOWN = auto()
    IF_KNOWN_OR_SEEN = auto()
    """Known, or seen before the block; a blocker has seen the blocked."""
    UNLESS_STEALTHY = auto()
    WITHOUT_LINK = auto()
    """Yes, but nothing leads to the profile."""
    NEUTRAL = auto()
    """Yes, with the neutral card."""


def _row(
    *,
    open: Rule,
    hidden: Rule = Rule.NO,
    blocked: Rule = Rule.NO,
    banned: Rule = Rule.NO,
    deleted: Rule = Rule.NO,
) -> Mapping[Standing, Rule]:
    return {
        Standing.OPEN: open,
        Standing.HIDDEN: hidden,
        Standing.BLOCKED: blocked,
        Standing.BANNED: banned,
        Standing.DELETED: deleted,
    }


RULES: Mapping[Action, Mapping[Standing, Rule]] = {
    # In SQL as well: `findable`, below. Both change together; a test compares them.
    Action.FIND: _row(open=Rule.YES),
    Action.SHOW: _row(open=Rule.YES, hidden=Rule.IF_KNOWN),
    Action.WRITE_FIRST: _row(open=Rule.YES),
    Action.WRITE_ON: _row(open=Rule.YES, hidden=Rule.YES),
    Action.READ: _row(
        open=Rule.YES,
        hidden=Rule.YES,
        blocked=Rule.WITHOUT_LINK,
        banned=Rule.NEUTRAL,
        deleted=Rule.NEUTRAL,
    ),
    Action.VISIT: _row(open=Rule.UNLESS_STEALTHY),
    Action.REPORT: _row(
        open=Rule.YES, hidden=Rule.IF_KNOWN, blocked=Rule.IF_KNOWN_OR_SEEN, banned=Rule.IF_KNOWN
    ),
}
"""Rules by action and standing; a standing that is not named is `Rule.NO`."""


class Ties(NamedTuple):
    """Follows and blocks between a viewer and a target."""

    follows: bool
    """The viewer follows the target."""
    followed: bool
    """The target follows the viewer."""
    blocks: bool
    """The viewer has blocked the target."""
    blocked: bool
    """The target has blocked the viewer."""


NO_TIES = Ties(False, False, False, False)


class Relation(NamedTuple):
    """Facts that decide the relation of a viewer to a target."""

    authority: int
    banned: bool
    deleted: bool
    ties: Ties = NO_TIES

    @property
    def standing(self) -> Standing:
        """The column of the table."""
        if self.deleted:
            return Standing.DELETED
        if self.banned:
            return Standing.BANNED
        if self.ties.blocks or self.ties.blocked:
            return Standing.BLOCKED
        if self.authority == EVERYONE or (self.authority == FOLLOWED and self.ties.followed):
            return Standing.OPEN
        return Standing.HIDDEN

    def but_for_own_block(self) -> Relation:
        """The relation as it would be without the viewer's block."""
        return self._replace(ties=self.ties._replace(blocks=False))


NOBODY_HAS_IT = Relation(NOBODY, banned=False, deleted=True)
"""Relation of an unused id to everyone."""


PeopleLookup = Callable[[Session, int, Collection[int]], Set[int]]
"""The people, of those given, who are … to the first one; in one statement."""


def nobody(session: Session, viewer_id: int, target_ids: Collection[int]) -> Set[int]:
    """While the feature that knows does not exist."""
    return frozenset()


class Visibility:
    """The rules, and what they need to know."""

    def __init__(self, entries: ReadyCache, vip: VipDeadlines) -> None:
        self._cache = entries
        self._vip = vip
        self.known: PeopleLookup = nobody
        self.seen: PeopleLookup = nobody
        self.ties = TiesEntries()

    def register_known(self, known: PeopleLookup) -> None:
        """Let chat tell who has written to the viewer or talked with them.

        :raises RuntimeError: another feature does already.
        """
        if self.known is not nobody:
            raise RuntimeError("another feature tells who is known already")
        self.known = known

    def register_seen(self, seen: PeopleLookup) -> None:
        """Let visitors tell whose profile the viewer has seen.

        :raises RuntimeError: another feature does already.
        """
        if self.seen is not nobody:
            raise RuntimeError("another feature tells who was seen already")
        self.seen = seen

    def relations(
        self, session: Session, viewer_id: int, target_ids: Collection[int], now: datetime
    ) -> dict[int, Relation]:
        """Relation of each of these people to the viewer.

        One statement of look-ups by primary key, whatever the number of follows and blocks that anybody has.
        """
        found: dict[int, Relation] = {}
        if target_ids:
            values = {"viewer": viewer_id, "targets": sorted(set(target_ids))}
            for row in session.execute(_RELATIONS, values):
                target_id, status, banned_until, authority, *ends = row
                ties = Ties(*(end is not None for end in ends))
                found[target_id] = Relation(
                    authority,
                    banned=is_ban_in_force(status, banned_until, now),
                    deleted=status == UserStatus.DELETED,
                    ties=ties,
                )
        return {target_id: found.get(target_id, NOBODY_HAS_IT) for target_id in target_ids}

    @staticmethod
    def relation_of(rows: Sequence[Sequence[Any]], now: datetime) -> Relation:
        """Relation of one target, from the rows of `RELATION` as a `Packet` gives them."""
        if not rows:
            return NOBODY_HAS_IT
        _, status, until, authority, *ends = rows[0]
        banned_until = None if until is None else datetime.fromisoformat(until).replace(tzinfo=UTC)
        return Relation(
            authority,
            banned=is_ban_in_force(status, banned_until, now),
            deleted=status == UserStatus.DELETED,
            ties=Ties(*(end is not None for end in ends)),
        )

    def allowed(
        self, session: Session, viewer_id: int, target_ids: Collection[int], action: Action, now: datetime
    ) -> set[int]:
        """The people among these with whom the viewer may do it; never the viewer.

        One round trip, and another one only where the table says "if known" of a person.
        """
        others = [target_id for target_id in target_ids if target_id != viewer_id]
        return self.decide(session, viewer_id, self.relations(session, viewer_id, others, now), action, now)

    def may(self, session: Session, viewer_id: int, target_id: int, action: Action, now: datetime) -> bool:
        """True if the viewer may do it with this person; False for the viewer."""
        return target_id in self.allowed(session, viewer_id, [target_id], action, now)

    @staticmethod
    def rule(action: Action, relation: Relation) -> Rule:
        """The cell of the table; for READ it also says how the contact is shown."""
        return RULES[action][relation.standing]

    def decide(
        self,
        session: Session,
        viewer_id: int,
        relations: Mapping[int, Relation],
        action: Action,
        now: datetime,
    ) -> set[int]:
        """Like `allowed`, for relations that were read before."""
        rules = RULES[action]
        by_rule: dict[Rule, set[int]] = {}
        for target_id, relation in relations.items():
            by_rule.setdefault(rules[relation.standing], set()).add(target_id)
        yes = set().union(*(by_rule.get(rule, ()) for rule in (Rule.YES, Rule.WITHOUT_LINK, Rule.NEUTRAL)))
        if stealthily := by_rule.get(Rule.UNLESS_STEALTHY):
            yes |= set() if self.is_stealthy(session, viewer_id, now) else stealthily
        asked = by_rule.get(Rule.IF_KNOWN, set()) | by_rule.get(Rule.IF_KNOWN_OR_SEEN, set())
        if asked:
            yes |= asked & self.known(session, viewer_id, asked)
        if unknown := by_rule.get(Rule.IF_KNOWN_OR_SEEN, set()) - yes:
            yes |= {target_id for target_id in unknown if relations[target_id].ties.blocks}
            yes |= unknown & self.seen(session, viewer_id, unknown)
        return yes

    def is_stealthy(self, session: Session, user_id: int, now: datetime) -> bool:
        """True if this person's visits leave no trace: they chose so, and are VIP now."""
        if not session.scalar(select(UserInfo.stealth).where(UserInfo.id == user_id)):
            return False
        return self.is_vip(session, user_id, now)

    def is_vip(self, session: Session, user_id: int, now: datetime) -> bool:
        """True if this person is VIP now; from SQL."""
        until = self._vip.deadlines(session, [user_id]).get(user_id)
        return until is not None and until > now

    def ties_changed(self, session: Session, pairs: Iterable[tuple[int, int]]) -> None:
        """Follows or blocks between these people change with the session's commit."""
        changed = list(pairs)
        keys = {self.ties.key(pair) for pair in changed}
        keys.update(circle_key(user_id) for pair in changed for user_id in pair)
        self._cache.forget(session, keys)


def findable(viewer_id: int | BindParameter[int], now: datetime | BindParameter[Any]) -> ColumnElement[bool]:
    """`Action.FIND` of `RULES` as a condition on rows of `UserInfo`, for lists whose pages and totals SQL makes.

    Making it takes longer than many a statement runs: what runs often is made once, with bound parameters.
    """
    target = UserInfo
    follows_viewer = (
        select(_followed.user_id).where(_followed.user_id == target.id, _followed.peer_id == viewer_id)
    ).exists()
    blocks = (
        select(_blocks.user_id).where(_blocks.user_id == viewer_id, _blocks.peer_id == target.id)
    ).exists()
    is_blocked = (
        select(_blocked.user_id).where(_blocked.user_id == target.id, _blocked.peer_id == viewer_id)
    ).exists()
    return and_(
        or_(
            target.status == UserStatus.ACTIVE,
            and_(target.status == UserStatus.BANNED, target.banned_until <= now),
        ),
        or_(target.authority == EVERYONE, and_(target.authority == FOLLOWED, follows_viewer)),
        ~blocks,
        ~is_blocked,
    )


def findable_id(
    target_id: ColumnElement[int] | InstrumentedAttribute[int], viewer_id: int, now: datetime
) -> ColumnElement[bool]:
    """`findable` for a column that names people, in tables of other features."""
    return select(UserInfo.id).where(UserInfo.id == target_id, findable(viewer_id, now)).exists()


def circle_key(user_id: int) -> str:
    """Cache key of a person's circle; see `cards/circles.py`."""
    return f"circles:{{{user_id}}}"


class TiesEntries:
    """Cache entry: pair of users → follows and blocks between them, for `user/show`."""

    def key(self, what: tuple[int, int]) -> str:
        low, high = sorted(what)
        return f"ties:{low}:{high}"

    def make(
        self, session: Session, wanted: Sequence[tuple[int, int]], now: datetime
    ) -> Mapping[tuple[int, int], CacheEntry]:
        rows = union_all(
            *(
                select(literal(kind), table.user_id, table.peer_id).where(
                    table.user_id == one, table.peer_id == other
                )
                for pair in wanted
                for one, other in (pair, pair[::-1])
                for kind, table in (("f", UserFollow), ("b", UserBlock))
            )
        )
        ties: dict[tuple[int, ...], list[str]] = {}
        for kind, user_id, peer_id in session.execute(rows):
            by = "<" if user_id < peer_id else ">"
            ties.setdefault(tuple(sorted((user_id, peer_id))), []).append(kind + by)
        return {
            pair: CacheEntry("".join(sorted(ties.get(tuple(sorted(pair)), ()))).encode(), TIES_KEPT_S)
            for pair in wanted
        }

    @staticmethod
    def load(data: bytes, viewer_id: int, target_id: int) -> Ties:
        """:param data: an entry of these two."""
        if not data:
            return NO_TIES
        by_low, by_high = (b"<", b">") if viewer_id < target_id else (b">", b"<")
        return Ties(
            b"f" + by_low in data, b"f" + by_high in data, b"b" + by_low in data, b"b" + by_high in data
        )


_follows, _followed = aliased(UserFollow), aliased(UserFollow)
_blocks, _blocked = aliased(UserBlock), aliased(UserBlock)
_viewer: BindParameter[int] = bindparam("viewer")
_OF_ALL = (
    select(
        UserInfo.id,
        UserInfo.status,
        UserInfo.banned_until,
        UserInfo.authority,
        _follows.user_id,
        _followed.user_id,
        _blocks.user_id,
        _blocked.user_id,
    )
    .outerjoin(_follows, and_(_follows.user_id == _viewer, _follows.peer_id == UserInfo.id))
    .outerjoin(_followed, and_(_followed.user_id == UserInfo.id, _followed.peer_id == _viewer))
    .outerjoin(_blocks, and_(_blocks.user_id == _viewer, _blocks.peer_id == UserInfo.id))
    .outerjoin(_blocked, and_(_blocked.user_id == UserInfo.id, _blocked.peer_id == _viewer))
)
_RELATIONS = _OF_ALL.where(UserInfo.id.in_(bindparam("targets", expanding=True)))
RELATION = _OF_ALL.where(UserInfo.id == bindparam("target"))
"""Relation of one ``target`` to a ``viewer``, for `Visibility.relation_of`: chat sends it with a statement of its
own."""
