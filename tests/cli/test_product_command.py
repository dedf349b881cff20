"""`datingtoday product`: what it changes for orders to come, what it refuses, and that it says so in both languages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select

from datingtoday.cli.main import run
from datingtoday.vip.models import Product
from tests.plugins.api import Api
from tests.profiles.factories import make_user
from tests.vip.purchases import MONTH, grants_of, make_order, pay, state_of

Capture = pytest.CaptureFixture[str]
EMBEDDED = pytest.mark.parametrize("backend", ["embedded"], indirect=True)


@pytest.fixture
def server(app_with_commands: Callable[..., Api]) -> Api:
    return app_with_commands()


def on_sale(api: Api) -> dict[int, dict[str, Any]]:
    """Products that clients can buy, by id."""
    return {it["product_id"]: it for it in api.get("/api/product/list").data}


def rows(api: Api) -> list[tuple[Any, ...]]:
    columns = Product.__table__.columns
    with api.parts.base.database.transaction(write=False) as session:
        return [tuple(row) for row in session.execute(select(*columns).order_by(Product.id))]


def order_answer(api: Api, product_id: int) -> int:
    """Code of the answer to a new order."""
    asked = {"productId": product_id, "channel": "sandbox", "clientId": f"c{product_id}"}
    return api.post("/api/order/create", make_user(api), **asked).code


@EMBEDDED
def test_list_and_add(server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    before = on_sale(server)
    added = ["product", "add", " 周会员 ", "--days", "7", "--price-fen", "905", "--desc", "七天"]
    assert run([*added, "--apple-id", "vip.week"]) == 0
    words = capsys.readouterr().out.split()
    assert (words[0], words[2]) == ("product", "added")
    product_id = int(words[1])
    expected = {
        "product_id": product_id, "name": "周会员", "desc": "七天", "vip_days": 7, "price_fen": 905,
    }  # fmt: skip
    assert on_sale(server) == {**before, product_id: expected}
    assert order_answer(server, product_id) == 0

    assert run(["product", "list"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["id", "name", "days", "yuan", "apple", "id", "state", "description"]
    assert len(lines) == len(before) + 1
    assert lines[-1].split() == [str(product_id), "周会员", "7", "9.05", "vip.week", "on", "sale", "七天"]

    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert run(["product", "list"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["id", "名称", "天数", "元"]
    assert "在售" in lines[-1]
    assert run(["product", "add", "日会员", "--days", "1", "--price-fen", "1"]) == 0
    assert capsys.readouterr().out == f"已添加商品 {product_id + 1}\n"


@EMBEDDED
def test_a_change_is_for_orders_to_come(
    server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make_user(server)
    unpaid, paid = make_order(server, user), make_order(server, user)
    pay(server, paid)
    change = ["product", "change", str(MONTH), "--name", "双月", "--days", "60", "--price-fen", "5000"]
    assert run([*change, "--desc", "更久"]) == 0
    assert capsys.readouterr().out == f"product {MONTH} changed\n"
    told = on_sale(server)[MONTH]
    assert (told["name"], told["vip_days"], told["price_fen"], told["desc"]) == ("双月", 60, 5000, "更久")

    for order in (unpaid, paid):
        shown = server.get("/api/order/show", user, orderId=order["order_id"]).data
        for name in ("product_name", "vip_days", "fee_fen"):
            assert shown[name] == order[name] != make_order(server, user)[name]
    # The unpaid one is paid at its own price, and gives its own days.
    pay(server, unpaid)
    assert state_of(server, user, unpaid) == "paid"
    assert [it.days for it in grants_of(server, user)] == [paid["vip_days"], unpaid["vip_days"]]

    # What is left out stays as it is.
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert run(["product", "change", str(MONTH), "--price-fen", "4000"]) == 0
    assert capsys.readouterr().out == f"已修改商品 {MONTH}\n"
    assert on_sale(server)[MONTH] == {**told, "price_fen": 4000}


@EMBEDDED
def test_a_retired_product(server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(server)
    order = make_order(server, user)
    assert run(["product", "retire", str(MONTH)]) == 0
    assert capsys.readouterr().out == f"product {MONTH} retired\n"
    assert MONTH not in on_sale(server)
    assert order_answer(server, MONTH) == 1502
    pay(server, order)
    assert state_of(server, user, order) == "paid"
    assert run(["product", "list"]) == 0
    (line,) = [it for it in capsys.readouterr().out.splitlines() if it.split()[0] == str(MONTH)]
    assert "retired" in line

    assert run(["product", "change", str(MONTH), "--on-sale"]) == 0
    assert order_answer(server, MONTH) == 0
    capsys.readouterr()
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert run(["product", "retire", str(MONTH)]) == 0
    assert capsys.readouterr().out == f"已下架商品 {MONTH}\n"
    assert run(["product", "list"]) == 0
    assert "已下架" in capsys.readouterr().out


NUMBERS = ["--days", "7", "--price-fen", "900"]


@EMBEDDED
def test_one_character_is_a_name_and_an_apple_id_can_be_taken_away(server: Api, capsys: Capture) -> None:
    assert run(["product", "add", "周", *NUMBERS, "--apple-id", "vip.week"]) == 0
    product_id = int(capsys.readouterr().out.split()[1])
    assert run(["product", "change", str(product_id), "--apple-id", ""]) == 0
    for _ in range(2):
        assert run(["product", "add", "日", *NUMBERS]) == 0, "without an Apple id there may be several"
    columns = Product.apple_id, Product.desc
    with server.parts.base.database.transaction(write=False) as session:
        found = session.execute(select(*columns).where(Product.id >= product_id)).all()
    assert [tuple(row) for row in found] == [(None, "")] * 3


@EMBEDDED
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "周", "--price-fen", "900"], ["--days"]),
        (["add", "周", "--days", "7"], ["--price-fen"]),
        (["add", *NUMBERS], ["NAME"]),
        (["add", "周", "--days", "0", "--price-fen", "900"], ["--days", "1<=x<=3660"]),
        (["add", "周", "--days", "3661", "--price-fen", "900"], ["--days", "1<=x<=3660"]),
        (["add", "周", "--days", "7", "--price-fen", "0"], ["--price-fen", "1<=x<=100000000"]),
        (["add", "周", "--days", "7", "--price-fen", "9.05"], ["--price-fen", "integer"]),
        (["add", " ", *NUMBERS], ["name", "1 to 50 characters"]),
        (["add", "周" * 51, *NUMBERS], ["name", "1 to 50 characters"]),
        (["add", "周", *NUMBERS, "--desc", "好" * 201], ["desc", "up to 200 characters"]),
        (["add", "周", *NUMBERS, "--apple-id", "a\nb"], ["apple-id", "no control characters"]),
        (["change", "1"], ["at least one option"]),
        (["change", "0", "--days", "7"], ["PRODUCT_ID", "x>=1"]),
        (["change", "1", "--name", ""], ["name", "1 to 50 characters"]),
        (["change", "1", "--days", "a week"], ["--days", "integer"]),
        (["retire"], ["PRODUCT_ID"]),
        (["retire", "one"], ["PRODUCT_ID", "integer"]),
    ],
)
def test_bad_input(server: Api, capsys: Capture, arguments: list[str], words: list[str]) -> None:
    before = rows(server)
    assert run(["product", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [word for word in words if word not in captured.err] == []
    assert rows(server) == before


@EMBEDDED
@pytest.mark.parametrize(
    ("arguments", "en", "zh"),
    [
        (["change", "999", "--days", "7"], "no product 999", "没有商品 999"),
        (["retire", "999"], "no product 999", "没有商品 999"),
        (["add", "周", *NUMBERS, "--apple-id", "vip.x"], "Apple id vip.x", "已有商品使用 Apple id vip.x"),
        (["change", "2", "--apple-id", "vip.x"], "Apple id vip.x", "已有商品使用 Apple id vip.x"),
    ],
)
def test_what_cannot_be_done(
    server: Api, capsys: Capture, monkeypatch: pytest.MonkeyPatch, arguments: list[str], en: str, zh: str
) -> None:
    assert run(["product", "change", str(MONTH), "--apple-id", "vip.x"]) == 0
    before = rows(server)
    capsys.readouterr()
    for language, words in (("C.UTF-8", en), ("zh_CN.UTF-8", zh)):
        monkeypatch.setenv("LC_ALL", language)
        assert run(["product", *arguments]) == 1
        captured = capsys.readouterr()
        assert (captured.out, words in captured.err) == ("", True), captured.err
    assert rows(server) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["list", "add", "change", "retire"]),
        (["list"], ["Exit codes"]),
        (["add"], ["--days", "--price-fen", "--desc", "--apple-id", "Exit codes"]),
        (["change"], ["--name", "--on-sale", "existing orders stay", "Exit codes"]),
        (["retire"], ["PRODUCT_ID", "Exit codes"]),
    ],
)
def test_help(capsys: Capture, arguments: list[str], words: list[str]) -> None:
    assert run(["product", *arguments, "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert [word for word in words if word not in told] == []
