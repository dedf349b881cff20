"""An accepted request is never accepted again, however its string is cut and whenever it is sent.

An md5 client signs one string without delimiters. These tests cut it anew in every way that they can think of, let time
pass to where the new cut would be fresh, and let Redis forget everything on the way.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from datingtoday.protocol.signing.models import KeptSignature
from datingtoday.protocol.signing.replay import RECUT_HORIZON_S
from datingtoday.protocol.signing.sql_memory import KeptSignatures
from tests.plugins.api import Api, md5_sign
from tests.protocol.lab import USER, Lab

ECHO = "/api/probe/echo"
MINE = "/api/probe/mine"
NOW_S = 1_795_305_600
PATHS = (ECHO, MINE, "/api/probe/things/1")


@pytest.fixture
def lab(lab: Lab) -> Lab:
    lab.clock.stop(NOW_S)
    return lab


def send(client: Api, params: dict[str, str], method: str = "POST", path: str = ECHO) -> int:
    return client.send(method, path, params).code


def sign(client: Api, params: dict[str, str], **form: bool) -> dict[str, str]:
    return {**params, "sign": md5_sign(params, client.appsecret, **form)}


def kept(lab: Lab) -> int:
    with lab.database.transaction(write=False) as session:
        return session.scalar(select(func.count()).select_from(KeptSignature)) or 0


def lose_the_memory(lab: Lab) -> None:
    lab.redis.execute("FLUSHALL")
    assert lab.client().get(ECHO).code == 1001


def assert_never_again(lab: Lab, captured: dict[str, str], recut: dict[str, str], *, lost: bool) -> None:
    """Accepted as it is; not as it is cut anew, when that is fresh."""
    client = lab.client()
    assert md5_sign(recut, client.appsecret) == captured["sign"], "not the same string"
    assert send(client, captured) == 0
    if lost:
        lose_the_memory(lab)
    lab.let_time_pass(ms_of(recut["timestamp"]) / 1000 - lab.clock.ms / 1000)
    assert send(client, recut) == 1002
    # A request of that time that nobody sent before is accepted, of course.
    assert client.get(ECHO).code == 0


both = pytest.mark.parametrize("lost", [True, False])


@both
@pytest.mark.parametrize("timestamp", [str(NOW_S), f"{NOW_S}000"])
def test_digits_of_a_parameter_cannot_become_a_later_time(lab: Lab, timestamp: str, lost: bool) -> None:
    """z=1795306 + 1795305600 can be read as z= + 1795306179 + 5305600."""
    client = lab.client()
    params = {"appkey": client.appkey, "z": "1795306", "timestamp": timestamp, "nonce": "aaaa"}
    recut = {**params, "z": "", "timestamp": "1795306179", "nonce": timestamp[3:] + "aaaa"}
    captured = sign(client, params)
    assert_never_again(lab, captured, {**recut, "sign": captured["sign"]}, lost=lost)


@both
def test_digits_of_the_timestamp_cannot_go_to_a_parameter(lab: Lab, lost: bool) -> None:
    """z=1 + 1718000000 + 00aaaa can be read as z=117 + 1800000000 + aaaa."""
    lab.clock.stop(1_718_000_000)
    client = lab.client()
    captured = sign(client, {"appkey": client.appkey, "z": "1", "timestamp": "1718000000", "nonce": "00aaaa"})
    recut = {**captured, "z": "117", "timestamp": "1800000000", "nonce": "aaaa"}
    assert_never_again(lab, captured, recut, lost=lost)


@both
def test_digits_of_a_token_that_nobody_checks(lab: Lab, lost: bool) -> None:
    client = lab.client()
    later = str(NOW_S + 500)
    params = {"appkey": client.appkey, "token": "a" * 22 + later, "timestamp": str(NOW_S), "nonce": "bbbb"}
    captured = sign(client, params)
    recut = {**captured, "token": "a" * 22, "timestamp": later, "nonce": f"{NOW_S}bbbb"}
    assert_never_again(lab, captured, recut, lost=lost)


@both
def test_a_parameter_after_the_user_id_of_a_login(lab: Lab, lost: bool) -> None:
    """The login holds, since token and user id stay as they are."""
    client = lab.client()
    later = str(NOW_S + 500)
    params = client.params("POST", MINE, {"z": later}, user=USER, nonce="n123456")
    captured = sign(client, params, token_first=True)
    assert send(client, captured, path=MINE) == 0
    if lost:
        lose_the_memory(lab)
    lab.let_time_pass(500)
    recut = {**captured, "z": "", "timestamp": later, "nonce": params["timestamp"] + params["nonce"]}
    assert md5_sign(recut, client.appsecret, token_first=True) == captured["sign"]
    assert send(client, recut, path=MINE) == 1002


@both
def test_a_login_cannot_be_cut_for_an_endpoint_without_one(lab: Lab, lost: bool) -> None:
    """md5 covers no path: what is no login any more, cut differently, still fits an endpoint that needs none."""
    client = lab.client()
    later = str(NOW_S + 500)
    own = {"v": later, "userId": str(USER.user_id), "token": USER.token}
    captured = sign(client, {"appkey": client.appkey, "timestamp": str(NOW_S), "nonce": "bbbb", **own})
    assert send(client, captured, path=MINE) == 0
    if lost:
        lose_the_memory(lab)
    lab.let_time_pass(500)
    recut = {
        "appkey": client.appkey,
        "rId": str(USER.user_id),
        "v": "",
        "token": "use",
        "timestamp": later,
        "nonce": f"{USER.token}{NOW_S}bbbb",
        "sign": captured["sign"],
    }
    assert md5_sign(recut, client.appsecret, token_first=True) == captured["sign"]
    assert send(client, recut) == 1002


def test_a_second_is_not_stretched_across_a_loss(lab: Lab) -> None:
    """1795305605 + 999aaaa is also 1795305605999 + aaaa: later than the moment up to which a loss refuses."""
    client = lab.client()
    params = {"appkey": client.appkey, "timestamp": str(NOW_S + 5), "nonce": "999aaaa"}
    captured = sign(client, params)
    assert send(client, captured) == 0
    lab.clock.advance(0.5)
    lose_the_memory(lab)
    lab.clock.advance(0.5)
    recut = {**captured, "timestamp": f"{NOW_S + 5}999", "nonce": "aaaa"}
    assert md5_sign(recut, client.appsecret) == captured["sign"]
    assert send(client, recut) == 1002
    assert send(client, client.params("POST", ECHO, {}, timestamp=f"{NOW_S + 5}998")) == 0


def test_ordinary_requests_cost_no_sql(lab: Lab) -> None:
    client = lab.client()
    assert client.get(ECHO).code == 0
    for _ in range(20):
        for params in (
            client.params("GET", MINE, {"page": 1}, user=USER),
            client.params("GET", MINE, {"page": 1}, user=USER, timestamp=str(NOW_S)),
            client.params("GET", MINE, {"z": "18"}, user=USER, sign_method="hmac-sha256"),
        ):
            assert send(client, params, "GET", MINE) == 0
        params = client.params("GET", MINE, {"page": 1}, user=USER)
        params["sign"] = md5_sign(params, client.appsecret, token_first=True)
        assert send(client, params, "GET", MINE) == 0
    assert kept(lab) == 0


def test_kept_signatures_go_when_their_time_is_over(lab: Lab) -> None:
    client = lab.client()

    def far(seconds: int) -> dict[str, str]:
        digits = str(lab.clock.ms // 1000 + seconds)
        return client.params("POST", ECHO, {"z": digits + "_"}, nonce=f"n{seconds}_{lab.clock.ms}")

    assert send(client, far(1000)) == 0
    with lab.database.transaction(write=False) as session:
        (until,) = session.scalars(select(KeptSignature.until)).all()
    # Its latest reading lies within that second; it is accepted for 60 s, and clocks may differ by 10 s.
    assert 1070 <= until.timestamp() - lab.clock.ms // 1000 < 1071
    lab.let_time_pass(2000)
    assert send(client, far(1000)) == 0
    assert kept(lab) == 2
    memory = KeptSignatures(lab.database)
    now = datetime.fromtimestamp(lab.clock.ms / 1000, UTC)
    assert memory.forget_old(now) == 1
    assert memory.forget_old(now) == 0
    assert kept(lab) == 1, "the other signature's time is not over"


@pytest.mark.parametrize(("days", "is_kept"), [(1, True), (3 * 365, True), (3 * 366 + 1, False)])
def test_three_years_ahead_are_kept_and_no_more(lab: Lab, days: int, is_kept: bool) -> None:
    client = lab.client()
    digits = str(NOW_S + days * 86_400)
    assert send(client, client.params("POST", ECHO, {"z": digits + "_"}, nonce=f"n_{lab.clock.ms}")) == 0
    assert kept(lab) == is_kept


# -- everything at once


TIMESTAMP = re.compile(r"[0-9]{13}|[0-9]{10}(\.[0-9]{1,9})?", re.ASCII)
NONCE = re.compile(r"[A-Za-z0-9_-]{4,64}", re.ASCII)


def cuts(string: str) -> list[tuple[int, int]]:
    """Starts and lengths of a possible timestamp in a string that ends with a nonce."""
    return [
        (at, length)
        for at in range(len(string))
        for length in range(10, 21)
        if TIMESTAMP.fullmatch(string[at : at + length]) and NONCE.fullmatch(string[at + length :])
    ]


@st.composite
def captured_requests(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, bool]]:
    near = st.integers(NOW_S - 70, NOW_S + 5000).map(str)
    digits = st.text("0123456789", max_size=12)
    glue = st.sampled_from(["", "a", "&", "=", "_", ".", "&z=", "17", "x=1"])
    value = near | st.lists(near | digits | glue, max_size=3).map("".join)
    params = draw(st.dictionaries(st.sampled_from(["a", "page", "v", "z", "zz"]), value, max_size=3))
    sent = draw(st.integers(NOW_S * 1000 - 60_000, NOW_S * 1000 + 5000))
    timestamp = draw(
        st.sampled_from(
            [f"{sent}", f"{sent // 1000}", f"{sent // 1000}.{sent % 1000:03d}", f"{sent // 1000}.5"]
        )
    )
    if not NOW_S * 1000 - 60_000 <= ms_of(timestamp) <= NOW_S * 1000 + 5000:
        timestamp = str(NOW_S)
    nonce = draw(
        st.text("0123456789", min_size=4, max_size=12)
        | st.from_regex(r"[0-9]{0,6}[a-z_-]{4}", fullmatch=True)
    )
    params |= {"timestamp": timestamp, "nonce": nonce}
    token = draw(st.sampled_from(["", USER.token, "17953", f"abc{NOW_S + 300}"]))
    if token:
        params["token"] = token
    if token == USER.token:
        params["userId"] = str(USER.user_id)
    form = {"token_first": draw(st.booleans()), "with_appkey": draw(st.booleans())}
    return params, form


def string_of(params: dict[str, str], form: dict[str, bool]) -> str:
    """The signed string, without the secret."""
    outside = {"timestamp", "nonce", "token", "sign"} | (set() if form["with_appkey"] else {"appkey"})
    msg = "&".join(
        sorted((f"{name}={value}" for name, value in params.items() if name not in outside), key=str.encode)
    )
    token = params.get("token", "")
    return (token + msg if form["token_first"] else msg + token) + params["timestamp"] + params["nonce"]


@st.composite
def other_readings(draw: st.DrawFn, string: str, appkey: str) -> dict[str, str] | None:
    """Some other request whose string to sign is this one."""
    found = cuts(string)
    # Most of all those that will be fresh when Redis has forgotten.
    later = [cut for cut in found if NOW_S + 100 < int(string[cut[0] : cut[0] + 10]) < NOW_S + 6000]
    at, length = draw(st.sampled_from(later or found))
    head = string[:at]
    token_first = draw(st.booleans())
    token_length = draw(st.sampled_from([0, 0, 32]) | st.integers(0, len(head)))
    token = head[:token_length] if token_first else head[len(head) - token_length :] if token_length else ""
    msg = head[token_length:] if token_first else head[: len(head) - token_length] if token_length else head
    params: dict[str, str] = {}
    piece = ""
    for part in msg.split("&") if msg else []:
        piece = f"{piece}&{part}" if piece else part
        if "=" not in piece or (part and draw(st.integers(0, 3)) == 0):
            continue
        equals = [match.start() for match in re.finditer("=", piece)]
        cut = draw(st.sampled_from(equals))
        if piece[:cut] in params:
            return None
        params[piece[:cut]] = piece[cut + 1 :]
        piece = ""
    if piece or params.keys() & {"timestamp", "nonce", "sign", "token"}:
        return None
    params.setdefault("appkey", appkey)
    params |= {"timestamp": string[at : at + length], "nonce": string[at + length :]}
    if token:
        params["token"] = token
    return params


def ms_of(timestamp: str) -> int:
    return int(timestamp) if len(timestamp) == 13 and "." not in timestamp else int(float(timestamp) * 1000)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(data=st.data())
def test_no_cut_of_an_accepted_request_is_ever_accepted(lab: Lab, data: st.DataObject) -> None:
    lab.clock.stop(NOW_S)
    lab.forget_everything()
    client = lab.client()
    params, form = data.draw(captured_requests())
    params["appkey"] = client.appkey
    captured = sign(client, params, **form)
    path = MINE if "userId" in params else ECHO
    assert send(client, captured, "POST", path) == 0, captured
    string = string_of(captured, form)

    for _ in range(4):
        again = data.draw(other_readings(string, client.appkey))
        if again is None:
            continue
        case = data.draw(st.sampled_from([str.lower, str.upper]))
        again["sign"] = case(captured["sign"])
        if data.draw(st.integers(0, 2)) == 0:
            lab.redis.execute("FLUSHALL")
        # To the first moment at which that reading could be fresh, if it still lies ahead, and some more.
        wait_s = (
            ms_of(again["timestamp"]) / 1000
            - lab.clock.ms / 1000
            + data.draw(st.sampled_from([-5, -2, 0, 59]))
        )
        if 0 < wait_s < RECUT_HORIZON_S:
            lab.let_time_pass(wait_s)
        method, other = data.draw(st.sampled_from(["GET", "POST"])), data.draw(st.sampled_from(PATHS))
        if other == PATHS[2]:
            method = "GET"
        assert send(client, again, method, other) in (300, 500, 1001, 1002, 1003, 504), (captured, again)
