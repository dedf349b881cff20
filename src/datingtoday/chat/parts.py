"""Chat: contacts, messages and every account's stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint
from sqlalchemy.orm import Session

from datingtoday.chat.contacts import Contacts
from datingtoday.chat.conversations import Conversations
from datingtoday.chat.epoch import begin_epoch
from datingtoday.chat.evidence import MessageEvidence, may_see
from datingtoday.chat.forms import MessageForms
from datingtoday.chat.history import History
from datingtoday.chat.personal_data import ChatData
from datingtoday.chat.push_events import ChatPush
from datingtoday.chat.push_schemas import KINDS
from datingtoday.chat.routes import contact_routes, message_routes
from datingtoday.chat.sending import MEDIA_TYPES, Sending, SendingLimits
from datingtoday.chat.typing import Typing
from datingtoday.infra.parts import Foundation
from datingtoday.media.parts import MediaParts
from datingtoday.media.processing.inspect import Kind
from datingtoday.profiles.parts import ProfileParts
from datingtoday.protocol.parts import ProtocolParts


@dataclass(frozen=True, slots=True)
class ChatParts:
    """Services of chat."""

    sending: Sending
    history: History
    conversations: Conversations
    contacts: Contacts
    evidence: MessageEvidence
    typing: Typing
    begin_epoch: Callable[[Session, datetime], int]
    """For whoever set the database back: clients then drop their copies and read from 0."""

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints of contacts and messages."""
        return [
            contact_routes(self.contacts, self.conversations),
            message_routes(self.sending, self.history, self.conversations),
        ]


def make_chat(
    base: Foundation, protocol: ProtocolParts, media: MediaParts, profiles: ProfileParts
) -> ChatParts:
    """Make the services; they tell visibility who is known, and authorise the delivery of what was sent."""
    forms = MessageForms(media.service)
    push = ChatPush(base.realtime)
    contacts = Contacts(profiles.visibility, profiles.cards, protocol.cursors)
    profiles.visibility.register_known(contacts.known)
    for kind in MEDIA_TYPES:
        media.delivery.register_authoriser(Kind(kind), may_see)
    base.personal_data.register(ChatData(forms))
    for event in KINDS:
        base.realtime.declare(event)
    return ChatParts(
        sending=Sending(profiles.visibility, media.service, forms, push, _limits(base)),
        history=History(forms),
        conversations=Conversations(media.service, push),
        contacts=contacts,
        evidence=MessageEvidence(),
        typing=Typing(profiles.visibility),
        begin_epoch=begin_epoch,
    )


def _limits(base: Foundation) -> SendingLimits:
    limits = base.settings.limits
    if not limits.enabled:
        return SendingLimits(None, None, None)
    return SendingLimits(
        limits.new_contacts_per_day, limits.new_contacts_per_day_vip, limits.messages_per_minute
    )
