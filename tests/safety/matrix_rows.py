"""Matrix of routes and callers: the expected answers. A new route needs a row here."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from datingtoday.media.processing.inspect import Kind
from tests.chat.talking import new_id, send
from tests.plugins.api import Api, User
from tests.profiles.factories import ban, delete, make_block, make_follow, make_hidden, make_photo, make_user

Route = tuple[str, str]
Params = Callable[[Api, User], dict[str, Any]]

COLUMNS: Mapping[str, Callable[[Api, User, User], None]] = {
    "other": lambda api, user, peer: None,
    "blocked": lambda api, user, peer: make_block(api, user, peer),
    "blocking": lambda api, user, peer: make_block(api, peer, user),
    "hidden": lambda api, user, peer: make_hidden(api, peer),
    "banned": lambda api, user, peer: ban(api, peer),
    "deleted": lambda api, user, peer: delete(api, peer),
}
"""Set-up of the relation between sender and target of a request."""


@dataclass(frozen=True)
class Row:
    """One route.

    :param own: parameters with which its caller succeeds, by things of the caller's own.
    :param code: what the caller gets with them.
    :param peer: for routes with `peerId`, the code in each column; those left out are 501. ``owner`` is the caller.
    :param foreign: for each other parameter that names a thing of a user's: that of another user, and the code.
    :param free: parameters that look like ids and are nobody's.
    """

    own: Params = lambda api, user: {}
    code: int = 0
    peer: Mapping[str, int] | None = None
    foreign: Mapping[str, tuple[Params, int]] = field(default_factory=dict)
    free: tuple[str, ...] = ()


def _photo_id(api: Api, user: User) -> int:
    added: list[dict[str, Any]] = api.post("/api/album/add", user, mediaId=make_photo(api, user)).data
    return int(added[-1]["photo_id"])


def _session_id(api: Api, user: User) -> int:
    with api.parts.base.database.transaction() as session:
        _, row = api.parts.accounts.sessions.begin(
            session, user.user_id, device="second", now=datetime.now(UTC)
        )
        return row.id


def _page_of(path: str, **query: Any) -> Params:
    """A cursor of the list at this path, whoever is on it."""

    def cursor(api: Api, user: User) -> dict[str, Any]:
        kind = path.split("/")[3]
        return {
            "cursor": api.parts.protocol.cursors.write(_LISTS[kind], user.user_id, [0, 1]),
            **query,
        }

    return cursor


_LISTS = {"follow": "following", "fans": "fans", "block": "blocked"}


def _contacts_cursor(api: Api, user: User) -> dict[str, Any]:
    return {"cursor": api.parts.protocol.cursors.write("contacts", user.user_id, [0, 1])}


def _visitors_cursor(api: Api, user: User) -> dict[str, Any]:
    return {"cursor": api.parts.protocol.cursors.write("visitors", user.user_id, [0, 1])}


def _image(api: Api, user: User) -> dict[str, Any]:
    return {"type": "image", "clientId": new_id(), "mediaId": make_photo(api, user, kind=Kind.IMAGE)}


def _message_to_a_user(api: Api, user: User) -> dict[str, Any]:
    return {"messageId": send(api, user, make_user(api)).data["message_id"]}


def _media(api: Api, user: User) -> dict[str, Any]:
    return {"mediaId": make_photo(api, user)}


def _code(purpose: str) -> Params:
    return lambda api, user: {"code": api.new_code(user.phone, purpose)}


def _order(api: Api, user: User) -> dict[str, Any]:
    order = api.post(
        "/api/order/create", user, productId=1, channel="sandbox", clientId=f"matrix-{secrets.token_hex(4)}"
    ).data
    return {"orderId": order["order_id"]}


def _order_cursor(api: Api, user: User) -> str:
    return api.parts.protocol.cursors.write("orders", user.user_id, [0, 1])


SEEN = {"owner": 0, "other": 0}
ALWAYS = dict.fromkeys((*COLUMNS, "nobody"), 0)
ROWS: Mapping[Route, Row] = {
    ("POST", "/api/auth/sendsms"): Row(lambda api, user: {"phone": user.phone}),
    ("POST", "/api/auth/login"): Row(lambda api, user: {"phone": user.phone, "code": "000000"}, code=503),
    ("POST", "/api/auth/logout"): Row(
        lambda api, user: {"sessionId": _session_id(api, user)},
        foreign={"sessionId": (lambda api, other: {"sessionId": _session_id(api, other)}, 300)},
    ),
    ("GET", "/api/auth/sessions"): Row(),
    ("POST", "/api/user/phone"): Row(
        lambda api, user: {"phone": user.phone, **_code("phone")(api, user)},
        foreign={"code": (_code("delete"), 503)},
    ),
    ("GET", "/api/user/show"): Row(peer=SEEN),
    ("POST", "/api/user/update"): Row(
        lambda api, user: {"avatar": make_photo(api, user)},
        foreign={"avatar": (lambda api, other: {"avatar": make_photo(api, other)}, 1204)},
    ),
    ("GET", "/api/user/hot/list"): Row(),
    ("GET", "/api/user/search"): Row(free=("labelId",)),
    ("GET", "/api/user/nearby/list"): Row(lambda api, user: {"latlng": "31.2,121.4"}),
    ("POST", "/api/user/location"): Row(lambda api, user: {"latlng": "31.2,121.4"}),
    ("POST", "/api/user/follow"): Row(peer={"owner": 300, "other": 0}),
    ("POST", "/api/user/unfollow"): Row(peer={"owner": 300, **ALWAYS}),
    ("GET", "/api/user/follow/list"): Row(
        _page_of("/api/user/follow/list"),
        foreign={"cursor": (_page_of("/api/user/follow/list"), 300)},
    ),
    ("GET", "/api/user/fans/list"): Row(
        _page_of("/api/user/fans/list"), foreign={"cursor": (_page_of("/api/user/fans/list"), 300)}
    ),
    # Who is blocked already stays so, whatever became of them.
    ("POST", "/api/user/block"): Row(peer={"owner": 300, "other": 0, "blocked": 0}),
    ("POST", "/api/user/unblock"): Row(peer={"owner": 300, **ALWAYS}),
    ("GET", "/api/user/block/list"): Row(
        _page_of("/api/user/block/list"), foreign={"cursor": (_page_of("/api/user/block/list"), 300)}
    ),
    # Who blocks a user has seen them, and may report them.
    ("POST", "/api/user/report"): Row(
        lambda api, user: {"reason": "spam"},
        peer={"owner": 300, "other": 0, "blocked": 0},
        foreign={"messageId": (_message_to_a_user, 1402)},
    ),
    ("POST", "/api/user/delete"): Row(_code("delete"), foreign={"code": (_code("delete"), 503)}),
    ("POST", "/api/user/export"): Row(_code("export"), foreign={"code": (_code("export"), 503)}),
    ("POST", "/api/user/label/update"): Row(lambda api, user: {"labelIds": "1,2"}, free=("labelIds",)),
    ("GET", "/api/label/list"): Row(),
    ("GET", "/api/album/list"): Row(peer=SEEN),
    ("POST", "/api/album/add"): Row(_media, foreign={"mediaId": (_media, 1204)}),
    ("POST", "/api/album/remove"): Row(
        lambda api, user: {"photoId": _photo_id(api, user)},
        foreign={"photoId": (lambda api, other: {"photoId": _photo_id(api, other)}, 1204)},
    ),
    ("POST", "/api/album/order"): Row(
        lambda api, user: {"photoIds": _photo_id(api, user)},
        foreign={"photoIds": (lambda api, other: {"photoIds": _photo_id(api, other)}, 1204)},
    ),
    ("GET", "/api/contacts/list"): Row(_contacts_cursor, foreign={"cursor": (_contacts_cursor, 300)}),
    ("POST", "/api/contacts/remove"): Row(peer={"owner": 0, **ALWAYS}),
    # Strangers: none of them has written before; tests/chat has the same for those who have talked.
    ("POST", "/api/message/send"): Row(
        _image,
        peer={"owner": 300, **dict.fromkeys((*COLUMNS, "nobody"), 1401), "other": 0},
        foreign={"mediaId": (_image, 1204)},
        free=("clientId",),
    ),
    ("GET", "/api/message/list"): Row(peer={"owner": 0, **ALWAYS}),
    ("GET", "/api/message/sync"): Row(lambda api, user: {"since": 0}),
    ("POST", "/api/message/read"): Row(lambda api, user: {"seq": 1}, peer={"owner": 0, **ALWAYS}),
    ("POST", "/api/message/recall"): Row(
        _message_to_a_user, foreign={"messageId": (_message_to_a_user, 1402)}
    ),
    ("GET", "/api/message/unread"): Row(),
    # For VIPs: tests/visitors holds the list against the columns.
    ("GET", "/api/visitor/list"): Row(_visitors_cursor, code=1501),
    ("GET", "/api/visitor/count"): Row(),
    ("GET", "/api/app/config"): Row(),
    ("GET", "/api/product/list"): Row(),
    ("GET", "/api/vip/show"): Row(),
    ("POST", "/api/order/create"): Row(
        lambda api, user: {"productId": 1, "channel": "sandbox", "clientId": "matrix"},
        free=("productId", "clientId"),
    ),
    # The sandbox has no receipts: the order is the caller's own, and 300 says so.
    ("POST", "/api/order/confirm"): Row(
        lambda api, user: {**_order(api, user), "receipt": "a.b.c"},
        code=300,
        foreign={"orderId": (lambda api, other: {**_order(api, other), "receipt": "a.b.c"}, 1503)},
    ),
    ("GET", "/api/order/show"): Row(_order, foreign={"orderId": (_order, 1503)}),
    ("GET", "/api/order/list"): Row(
        lambda api, user: {"cursor": _order_cursor(api, user)},
        foreign={"cursor": (lambda api, other: {"cursor": _order_cursor(api, other)}, 300)},
    ),
    ("POST", "/api/order/cancel"): Row(_order, foreign={"orderId": (_order, 1503)}),
}
OWN_TESTS = {
    # A file and a URL of its own stand in place of parameters.
    ("POST", "/api/media/upload"),
    ("GET", "/api/media/<media_id>"),
    # Signed by the provider.
    ("POST", "/api/pay/notify/<channel>"),
}

Arrange = Callable[[Api, User, User], object]
FIND: Mapping[str, tuple[Arrange, Callable[[Api, User, User], dict[str, Any]]]] = {
    "/api/user/follow/list": (make_follow, lambda api, user, peer: {}),
    "/api/user/fans/list": (lambda api, user, peer: make_follow(api, peer, user), lambda api, user, peer: {}),
    "/api/user/search": (
        lambda api, user, peer: None,
        lambda api, user, peer: {"nickname": f"测试{peer.phone[-6:]}"},
    ),
    "/api/user/nearby/list": (
        lambda api, user, peer: [
            api.post("/api/user/location", person, latlng="-33.86,151.2").data for person in (user, peer)
        ],
        lambda api, user, peer: {},
    ),
}
"""Lists that show others at once: what puts a user on them, and what to ask.

The hot list shows editions, which a user new is not on yet: its own tests hold it against the columns.
"""
