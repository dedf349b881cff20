"""Parameters that an endpoint requires, by what the wire contract says."""

from __future__ import annotations

import pytest

from datingtoday.protocol.endpoint import declared_endpoint
from tests.plugins.api import Api
from tests.profiles.factories import make_user

REQUIRED = {
    "/api/auth/sendsms": {"phone"},
    "/api/auth/login": {"phone", "code"},
    "/api/user/phone": {"phone", "code"},
    "/api/user/delete": {"code"},
    "/api/user/export": {"code"},
    "/api/user/follow": {"peerId"},
    "/api/user/unfollow": {"peerId"},
    "/api/user/block": {"peerId"},
    "/api/user/unblock": {"peerId"},
    "/api/user/report": {"peerId", "reason"},
    "/api/album/add": {"mediaId"},
    "/api/album/remove": {"photoId"},
    "/api/album/order": {"photoIds"},
    "/api/user/label/update": {"labelIds"},
    "/api/media/upload": {"kind"},
    "/api/contacts/remove": {"peerId"},
    "/api/message/send": {"peerId", "type", "clientId"},
    "/api/message/list": {"peerId"},
    "/api/message/sync": {"since"},
    "/api/message/read": {"peerId", "seq"},
    "/api/message/recall": {"messageId"},
    "/api/order/create": {"productId", "channel", "clientId"},
    "/api/order/confirm": {"orderId", "receipt"},
    "/api/order/show": {"orderId"},
    "/api/order/cancel": {"orderId"},
}
"""Everything else may be left out."""


def test_what_is_declared(api: Api) -> None:
    declared = {}
    for rule in api.app.url_map.iter_rules():
        endpoint = declared_endpoint(api.app.view_functions[rule.endpoint])
        if endpoint is None or endpoint.params is None or not rule.rule.startswith("/api/") or rule.arguments:
            continue
        fields = endpoint.params.fields
        required = {field.data_key or name for name, field in fields.items() if field.required}
        if required:
            declared[rule.rule] = required
    later = {"/api/device/register", "/api/device/remove"}
    assert {path: names for path, names in declared.items() if path not in later} == REQUIRED


@pytest.mark.parametrize(
    "path", ["/api/user/follow", "/api/user/report", "/api/album/add", "/api/auth/login"]
)
def test_what_is_missing_is_named(api: Api, path: str) -> None:
    values = {"peerId": "1", "reason": "spam", "mediaId": "0" * 32, "phone": "13912345678", "code": "123456"}
    user = None if path.startswith("/api/auth/") else make_user(api)
    for missing in REQUIRED[path]:
        given = {name: values[name] for name in REQUIRED[path] - {missing}}
        answer = api.post(path, user, **given)
        assert answer.code == 300 and missing in answer.msg, (missing, answer.json)
