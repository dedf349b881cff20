"""People: profiles, cards, visibility, follows, blocks, labels and albums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint

from datingtoday.infra.days import ServiceDays
from datingtoday.infra.parts import Foundation
from datingtoday.media.parts import MediaParts
from datingtoday.media.processing.inspect import Kind
from datingtoday.media.service import MediaJudged
from datingtoday.profiles.album import Album
from datingtoday.profiles.blocks import Blocks
from datingtoday.profiles.cards.entries import Cards
from datingtoday.profiles.cards.finding import Finding
from datingtoday.profiles.follows import Follows
from datingtoday.profiles.labels import Labels
from datingtoday.profiles.people import People
from datingtoday.profiles.personal_data import ProfileData
from datingtoday.profiles.routes import album_routes, follow_routes, label_routes, user_routes
from datingtoday.profiles.service import Profiles
from datingtoday.profiles.visibility import Visibility
from datingtoday.protocol.parts import ProtocolParts
from datingtoday.vip.parts import VipParts


@dataclass(frozen=True, slots=True)
class ProfileParts:
    """Services of people; `visibility` takes the registrations of the features that know who talked and who visited."""

    service: Profiles
    cards: Cards
    visibility: Visibility
    finding: Finding
    follows: Follows
    blocks: Blocks
    labels: Labels
    album: Album

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints of profiles, follows, blocks, labels and albums."""
        return [
            user_routes(self.service),
            follow_routes(self.follows, self.blocks),
            label_routes(self.labels),
            album_routes(self.album),
        ]


def make_profiles(
    base: Foundation, protocol: ProtocolParts, media: MediaParts, vip: VipParts
) -> ProfileParts:
    """Make the services of people; they listen to verdicts on media and authorise the delivery of photos."""
    cards = Cards(
        base.cache,
        media.signer,
        People(vip.membership, media.service, ServiceDays(base.settings.accounts.time_zone)),
    )
    base.events.within(MediaJudged, cards.judged)
    vip.membership.register_changed(cards.changed)
    visibility = Visibility(base.cache, vip.membership)
    album = Album(media.service, visibility, cards)
    media.delivery.register_authoriser(Kind.PHOTO, album.may_see)
    base.personal_data.register(ProfileData())
    service = Profiles(cards, visibility, base.events, media.service)
    service.register_leaving(vip.orders.person_left)
    return ProfileParts(
        service=service,
        cards=cards,
        visibility=visibility,
        finding=Finding(cards, visibility),
        follows=Follows(visibility, cards, protocol.cursors, base.events),
        blocks=Blocks(visibility, cards, protocol.cursors, base.events),
        labels=Labels(base.cache, cards),
        album=album,
    )
