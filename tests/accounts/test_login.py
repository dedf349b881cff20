"""Logging in over the protocol, as a client that follows the articles does."""

from __future__ import annotations

import pytest

from tests.plugins.api import Api, md5_sign, new_phone


@pytest.mark.parametrize("token_first", [True, False])
@pytest.mark.parametrize("with_appkey", [True, False])
def test_a_client_of_the_articles_logs_in_and_sees_itself(
    api: Api, token_first: bool, with_appkey: bool
) -> None:
    phone = new_phone()
    user = api.new_user(phone)
    params = api.params("GET", "/api/user/show", {}, user=user)
    params["sign"] = md5_sign(params, api.appsecret, token_first=token_first, with_appkey=with_appkey)

    profile = api.send("GET", "/api/user/show", params).data

    assert profile["user_id"] == user.user_id
    assert profile["phone"] == f"+86{phone}"
    assert phone not in profile["nickname"]
