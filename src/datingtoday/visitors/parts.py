"""Visitors: who viewed whose profile."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import orjson
from flask import Blueprint

from datingtoday.infra.parts import Foundation
from datingtoday.profiles.parts import ProfileParts
from datingtoday.profiles.service import ProfileVisited
from datingtoday.protocol.parts import ProtocolParts
from datingtoday.visitors.personal_data import VisitorData
from datingtoday.visitors.push_events import VisitorPush
from datingtoday.visitors.routes import visitor_routes
from datingtoday.visitors.schemas import VISITOR
from datingtoday.visitors.service import Visitors, count_visitors


@dataclass(frozen=True, slots=True)
class VisitorParts:
    """Services of visitors."""

    service: Visitors
    push: VisitorPush

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints under ``/api/visitor``."""
        return [visitor_routes(self.service)]


def make_visitors(base: Foundation, protocol: ProtocolParts, profiles: ProfileParts) -> VisitorParts:
    """Make the services of visitors; they listen to visits, and tell profiles who has seen whom."""

    def payloads(user_ids: Collection[int]) -> Mapping[int, bytes]:
        with base.database.reading() as session:
            counts = {user_id: count_visitors(session, user_id) for user_id in user_ids}
        return {
            user_id: orjson.dumps({"total": count.total.number, "unread": count.unread})
            for user_id, count in counts.items()
        }

    base.realtime.declare(VISITOR)
    push = VisitorPush(base.queue_redis, base.realtime, payloads)
    service = Visitors(
        base.database, base.streams, push, profiles.visibility, profiles.cards, protocol.cursors
    )
    base.events.listen(ProfileVisited, service.visited)
    profiles.visibility.register_seen(service.has_seen)
    base.personal_data.register(VisitorData())
    return VisitorParts(service, push)
