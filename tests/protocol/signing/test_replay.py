"""A request is accepted once: for everyone, in whatever form it comes again, and however many come at once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier
from typing import Any

import pytest

from datingtoday.protocol.signing import client_apps
from tests.plugins.api import Answer, Api, md5_sign
from tests.plugins.backend import Backend
from tests.plugins.polling import wait_until
from tests.plugins.redis_server import RedisServer
from tests.protocol.conftest import LabOn
from tests.protocol.lab import OTHER_USER, USER, Lab

ECHO = "/api/probe/echo"
MINE = "/api/probe/mine"


def get(client: Api, params: dict[str, str], path: str = ECHO) -> int:
    return client.send("GET", path, params).code


@pytest.mark.parametrize("sign_method", [None, "hmac-sha256"])
def test_the_same_signature_is_refused_for_everyone(lab: Lab, sign_method: str | None) -> None:
    client, stranger = lab.client(), lab.client()
    params = client.params("GET", ECHO, {"a": "1"}, sign_method=sign_method)
    assert get(client, params) == 0
    assert get(client, params) == 1002
    assert get(stranger, params) == 1002
    assert get(stranger, {**params, "sign": params["sign"].upper()}) == 1002
    assert get(stranger, dict(reversed(params.items()))) == 1002


def test_md5_does_not_cover_path_and_method_so_the_memory_must(lab: Lab) -> None:
    client = lab.client()
    params = client.params("GET", MINE, {}, user=USER)
    assert get(client, params, MINE) == 0
    assert get(client, params, ECHO) == 1002
    assert client.send("POST", ECHO, params).code == 1002
    assert client.send("POST", ECHO, data=params, content_type="multipart/form-data").code == 1002
    assert client.send("GET", "/api/probe/things/1", params).code == 1002


def test_the_four_forms_of_one_request_share_its_nonce(lab: Lab) -> None:
    client = lab.client()
    params = client.params("GET", ECHO, {}, user=USER)
    signs = {
        md5_sign(params, client.appsecret, token_first=token_first, with_appkey=with_appkey)
        for token_first in (True, False)
        for with_appkey in (True, False)
    }
    assert len(signs) == 4
    assert Counter(get(client, {**params, "sign": sign}) for sign in signs) == {0: 1, 1002: 3}


def test_a_nonce_belongs_to_an_appkey_and_a_token(lab: Lab) -> None:
    client = lab.client()

    def with_nonce(**options: Any) -> int:
        return get(client, client.params("GET", ECHO, {}, nonce="123456", **options))

    assert with_nonce(user=USER) == 0
    lab.clock.stop()
    assert with_nonce(user=USER) == 1002
    assert with_nonce(user=OTHER_USER) == 0
    with lab.database.transaction() as session:
        app, secret = client_apps.create(session, "other", hmac_only=False, now=datetime.now(UTC))
        client.appkey, client.appsecret = app.appkey, secret
    wait_until(lambda: lab.apps.find(client.appkey), "the other client program")
    assert with_nonce(user=USER) == 0
    assert with_nonce(user=USER) == 1002


@pytest.mark.parametrize(
    ("first", "same", "other"),
    [
        ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
        ("::ffff:10.0.0.1", "10.0.0.1", "::ffff:10.0.0.2"),
    ],
)
def test_without_a_token_a_nonce_belongs_to_an_address(lab: Lab, first: str, same: str, other: str) -> None:
    codes: list[int] = []
    for address in (first, same, other):
        client = lab.client(address=address)
        lab.clock.stop(1_800_000_000 + len(codes))
        codes.append(get(client, client.params("GET", ECHO, {}, nonce="123456")))
    assert codes == [0, 1002, 0]


def test_an_empty_token_is_none(lab: Lab) -> None:
    codes: list[int] = []
    for number, address in enumerate(("10.0.0.1", "10.0.0.2")):
        client = lab.client(address=address)
        params = client.params("GET", ECHO, {"number": number}, nonce="123456", token="")
        codes.append(get(client, params))
    assert codes == [0, 0]


def test_a_thousand_wrong_signatures_use_up_nothing_and_cost_no_memory(lab: Lab) -> None:
    client = lab.client()
    assert client.get(ECHO).code == 0
    params = client.params("GET", MINE, {}, user=USER)
    size = lab.redis.execute("DBSIZE")
    for number in range(500):
        wrong = {**params, "sign": f"{number:032x}"}
        assert get(client, wrong, MINE) == 500
        other = client.params("GET", MINE, {"a": number}, user=USER)
        assert get(client, {**other, "a": "x"}, MINE) == 500
    assert lab.redis.execute("DBSIZE") == size
    assert get(client, params, MINE) == 0


@pytest.mark.parametrize("fault", ["appkey", "expired", "form"])
def test_no_other_refusal_before_the_signature_costs_memory(lab: Lab, fault: str) -> None:
    client = lab.client()
    assert client.get(ECHO).code == 0
    size = lab.redis.execute("DBSIZE")
    changed: dict[str, Any] = {
        "appkey": {"appkey": "UNKNOWN1"},
        "expired": {"timestamp": str(lab.clock.ms - 100_000)},
        "form": {"nonce": "!"},
    }[fault]
    for _ in range(50):
        assert get(client, client.params("GET", ECHO, {}, **changed)) != 0
    assert lab.redis.execute("DBSIZE") == size


def at_once(labs: list[Lab], path: str, params: dict[str, str], count: int = 50) -> Counter[int]:
    """The codes of so many identical requests that start at the same moment."""
    barrier = Barrier(count)

    def send(number: int) -> Answer:
        client = labs[number % len(labs)].client()
        barrier.wait()
        return client.send("GET", path, params)

    with ThreadPoolExecutor(count) as pool:
        return Counter(answer.code for answer in pool.map(send, range(count)))


@pytest.mark.parametrize("processes", [1, 3])
def test_of_fifty_identical_requests_at_once_one_is_accepted(lab_of: LabOn, processes: int) -> None:
    labs = [lab_of(redis_timeout_s=10) for _ in range(processes)]
    for _ in range(3):
        params = labs[0].client().params("GET", MINE, {}, user=USER)
        assert at_once(labs, MINE, params) == {0: 1, 1002: 49}


def test_of_fifty_first_requests_ever_all_are_accepted(
    own_redis: RedisServer, backend: Backend, lab_on: LabOn
) -> None:
    """A first start is no loss, however many processes begin at the same time, on either database."""
    labs = [
        lab_on(own_redis.socket_uri, database_uri=backend.database_uri, redis_timeout_s=10) for _ in range(5)
    ]
    barrier = Barrier(25)

    def send(number: int) -> int:
        client = labs[number % len(labs)].client()
        barrier.wait()
        return client.get(ECHO).code

    with ThreadPoolExecutor(25) as pool:
        assert Counter(pool.map(send, range(25))) == {0: 25}


def test_what_is_remembered_outlives_every_clock_that_could_take_it_for_fresh(lab: Lab) -> None:
    client = lab.client()
    lab.clock.stop()
    params = client.params("GET", ECHO, {}, timestamp=str(lab.clock.ms + 5000))
    assert get(client, params) == 0
    for _ in range(65):
        lab.let_time_pass(1)
        assert get(client, params) == 1002
    lab.let_time_pass(1)
    assert get(client, params) == 1001
    assert lab.redis.execute("DBSIZE") > 1
    lab.let_time_pass(20)
    assert lab.redis.execute("DBSIZE") == 1


@pytest.mark.parametrize(
    ("ago_ms", "code"), [(60_000, 0), (60_001, 1001), (0, 0), (-5000, 0), (-5001, 1001), (10**12, 1001)]
)
def test_the_window(lab: Lab, ago_ms: int, code: int) -> None:
    lab.clock.stop()
    client = lab.client()
    timestamp = f"{lab.clock.ms - ago_ms:013d}"
    answer = client.send("GET", ECHO, client.params("GET", ECHO, {}, timestamp=timestamp))
    assert answer.code == code
    if code:
        assert answer.json["data"] == {"server_time": lab.clock.ms}


def test_the_answer_to_an_expired_request_sets_a_clients_clock(lab: Lab) -> None:
    client = lab.client()
    wrong_by_ms = 3_600_000
    refused = client.send(
        "GET", ECHO, client.params("GET", ECHO, {}, timestamp=str(lab.clock.ms + wrong_by_ms))
    )
    assert refused.code == 1001
    again = client.params("GET", ECHO, {}, timestamp=str(refused.json["data"]["server_time"]))
    assert client.send("GET", ECHO, again).code == 0


def test_the_settings_say_how_wide_the_window_is(lab_of: LabOn) -> None:
    lab = lab_of(window_s=5, ahead_s=0)
    lab.clock.stop()
    client = lab.client()
    for ago_ms, code in ((5000, 0), (5001, 1001), (-1, 1001)):
        params = client.params("GET", ECHO, {}, timestamp=str(lab.clock.ms - ago_ms))
        assert get(client, params) == code
