"""Apple: receipts and notifications, and what must not be believed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from datingtoday.infra.payments.provider import FactKind, NoticeRefused, PaymentFailed, Refund
from tests.infra.payments.channels import TOKEN, apple_of, payment
from tests.stand_ins.app_store import AppStoreStandIn, apple_chain, now_ms, sign
from tests.stand_ins.http_server import Answer, Hang

NOW = datetime.now(UTC)


@pytest.fixture
def stand_in() -> Iterator[AppStoreStandIn]:
    with AppStoreStandIn() as made:
        yield made


def receipt_refused(stand_in: AppStoreStandIn, receipt: str, **options: Any) -> NoticeRefused:
    with pytest.raises(NoticeRefused) as caught:
        apple_of(stand_in, **options).read_receipt(receipt, datetime.now(UTC))
    assert stand_in.requests == []
    return caught.value


def notice_refused(stand_in: AppStoreStandIn, body: bytes) -> NoticeRefused:
    with pytest.raises(NoticeRefused) as caught:
        apple_of(stand_in).read_notice({}, body, datetime.now(UTC))
    assert stand_in.requests == []
    return caught.value


def test_a_purchase(stand_in: AppStoreStandIn) -> None:
    channel = apple_of(stand_in)
    assert channel.create(payment(), NOW) == {"product_id": "vip.month", "app_account_token": TOKEN}
    bought = stand_in.buy(TOKEN)
    fact = channel.read_receipt(stand_in.receipt(bought), NOW)
    assert (fact.kind, fact.transaction_id, fact.account_token) == (FactKind.PAID, bought, TOKEN)
    # The price is in thousandths of the storefront's currency: no amount of ours.
    assert (fact.amount_fen, fact.product) == (None, "vip.month")
    asked = channel.query("", bought, NOW)
    assert asked is not None and asked.kind is FactKind.PAID
    stand_in.give_back(bought)
    asked = channel.query("", bought, NOW)
    assert asked is not None and asked.kind is FactKind.REFUNDED
    assert channel.query("", "123", NOW) is None
    assert channel.close("x") is False
    with pytest.raises(PaymentFailed) as caught:
        channel.refund(Refund("x", bought, "R1", 3000, 3000))
    assert caught.value.is_final


def test_notifications(stand_in: AppStoreStandIn) -> None:
    channel = apple_of(stand_in)
    bought = stand_in.buy(TOKEN)
    for kind, expected in (
        ("ONE_TIME_CHARGE", FactKind.PAID),
        ("REFUND", FactKind.REFUNDED),
        ("REFUND_REVERSED", FactKind.REINSTATED),
    ):
        notice = channel.read_notice({}, stand_in.notice(kind, bought)[1], datetime.now(UTC))
        assert notice.fact is not None
        assert (notice.fact.kind, notice.fact.transaction_id) == (expected, bought)
    for kind in ("TEST", "CONSUMPTION_REQUEST", "SOMETHING_NEW"):
        assert channel.read_notice({}, stand_in.notice(kind, bought)[1], datetime.now(UTC)).fact is None


def test_an_id_that_is_a_number_becomes_text(stand_in: AppStoreStandIn) -> None:
    bought = stand_in.buy(TOKEN)
    fact = apple_of(stand_in).read_receipt(stand_in.receipt(bought, transactionId=int(bought)), NOW)
    assert fact.transaction_id == bought


def test_a_leaf_that_has_expired_since_it_signed_counts(stand_in: AppStoreStandIn) -> None:
    stand_in.chain = apple_chain("short", leaf_days=29)
    bought = stand_in.buy(TOKEN)
    roots = [stand_in.chain.root]
    old = int((datetime.now(UTC) - timedelta(days=10)).timestamp() * 1000)
    apple_of(stand_in, root_certificates=roots).read_receipt(stand_in.receipt(bought, signedDate=old), NOW)
    assert receipt_refused(stand_in, stand_in.receipt(bought), root_certificates=roots).is_forged


def test_forged_receipts(stand_in: AppStoreStandIn) -> None:
    bought = stand_in.buy(TOKEN)
    payload = {**stand_in.transactions[bought], "signedDate": now_ms()}
    good = stand_in.receipt(bought)
    head, body, signature = good.split(".")
    forged = [
        sign(payload, apple_chain("foreign")),
        sign(payload, apple_chain("apple", with_oids=False)),
        jwt.encode(payload, "x" * 32, algorithm="HS256", headers={"x5c": apple_chain().x5c}),
        jwt.encode(payload, "", algorithm="none", headers={"x5c": apple_chain().x5c}),
        jwt.encode(payload, apple_chain().key, algorithm="ES256"),
        jwt.encode(
            payload, apple_chain("foreign").key, algorithm="ES256", headers={"x5c": apple_chain().x5c}
        ),
        sign(payload, x5c=[]),
        sign(payload, x5c=apple_chain().x5c[:2]),
        sign(payload, x5c=["%%%", "%%%", "%%%"]),
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body[:-2]}.{signature}",
        "a.b.c",
    ]
    for receipt in forged:
        assert receipt_refused(stand_in, receipt).is_forged


@pytest.mark.parametrize("environment", ["Xcode", "LocalTesting", "Sandbox", None, "x"])
def test_of_another_environment(stand_in: AppStoreStandIn, environment: str | None) -> None:
    """The library verifies nothing for Xcode: it is never asked to."""
    bought = stand_in.buy(TOKEN)
    assert receipt_refused(stand_in, stand_in.receipt(bought, environment=environment)).is_forged
    unsigned = jwt.encode(
        {**stand_in.transactions[bought], "environment": environment}, "x" * 32, algorithm="HS256"
    )
    assert receipt_refused(stand_in, unsigned).is_forged


def test_only_two_environments_can_be_set(stand_in: AppStoreStandIn) -> None:
    for environment in ("xcode", "local", ""):
        with pytest.raises(KeyError):
            apple_of(stand_in, environment=environment)
    with pytest.raises(ValueError, match="app id"):
        apple_of(stand_in, app_id=0)
    with pytest.raises(ValueError, match="root"):
        apple_of(stand_in, root_certificates=[])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bundleId": "com.example.other"}, "invalid_app_identifier"),
        ({"bundleId": None}, "invalid_app_identifier"),
        ({"type": "Auto-Renewable Subscription"}, "type"),
        ({"type": None}, "type"),
        ({"type": 7}, "type"),
        ({"quantity": 2}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"inAppOwnershipType": "FAMILY_SHARED"}, "ownership"),
        ({"transactionId": None}, "transaction_id"),
        ({"transactionId": ""}, "transaction_id"),
        ({"transactionId": "1; DROP"}, "transaction_id"),
        ({"transactionId": []}, "transaction_id"),
        ({"productId": None}, "product"),
        ({"appAccountToken": None}, "app_account_token"),
        ({"appAccountToken": "x"}, "app_account_token"),
        ({"appAccountToken": 5}, "app_account_token"),
        ({"purchaseDate": None}, "purchase_date"),
        ({"purchaseDate": "now"}, "purchase_date"),
        ({"purchaseDate": 2**60}, "purchase_date"),
        ({"revocationDate": 1_700_000_000_000}, "revoked"),
    ],
)
def test_every_field_of_a_transaction(stand_in: AppStoreStandIn, change: dict[str, Any], reason: str) -> None:
    bought = stand_in.buy(TOKEN)
    assert receipt_refused(stand_in, stand_in.receipt(bought, **change)).reason in (reason, "unreadable")


@pytest.mark.parametrize(
    "change",
    [
        {"signedDate": None}, {"signedDate": "x"}, {"signedDate": 1}, {"signedDate": 2**50},
        {"notificationUUID": None}, {"notificationUUID": "x" * 65},
        {"notificationType": None},
        {"data": None}, {"data": {}}, {"data": []}, {"data": "x"},
        {"data": {"bundleId": "com.example.other", "appAppleId": 1234567890, "environment": "Production"}},
        {"data": {"bundleId": "com.example.datingtoday", "appAppleId": 1, "environment": "Production"}},
        {"data": {"bundleId": "com.example.datingtoday", "appAppleId": 1234567890, "environment": "Sandbox"}},
        {"data": {"bundleId": "com.example.datingtoday", "appAppleId": 1234567890, "environment": "Production"}},
    ],
)  # fmt: skip
def test_every_field_of_a_notification(stand_in: AppStoreStandIn, change: dict[str, Any]) -> None:
    bought = stand_in.buy(TOKEN)
    refusal = notice_refused(stand_in, stand_in.notice("ONE_TIME_CHARGE", bought, **change)[1])
    assert apple_of(stand_in).refused(refusal).status == 400


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b"\xff", b'{"signedPayload": 5}', b'{"signedPayload": "x"}', b"[" * 60_000],
)
def test_bodies_that_are_none(stand_in: AppStoreStandIn, body: bytes) -> None:
    assert notice_refused(stand_in, body).is_forged


def test_a_notification_of_a_foreign_chain_and_an_old_one(stand_in: AppStoreStandIn) -> None:
    bought = stand_in.buy(TOKEN)
    foreign = stand_in.notice("ONE_TIME_CHARGE", bought, chain=apple_chain("foreign"))[1]
    assert notice_refused(stand_in, foreign).is_forged
    week_ago = int((datetime.now(UTC) - timedelta(days=7)).timestamp() * 1000)
    old = stand_in.notice("ONE_TIME_CHARGE", bought, signedDate=week_ago)[1]
    assert notice_refused(stand_in, old).reason == "age"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (Answer(500, b""), "http_500"), (Answer(200, b"x"), "JSONDecodeError"), (Answer(401, b""), "http_401"),
        (Hang(), "ReadTimeout"),
    ],
)  # fmt: skip
def test_a_provider_that_fails(stand_in: AppStoreStandIn, how: Any, reason: str) -> None:
    bought = stand_in.buy(TOKEN)
    stand_in.misbehave = how
    with pytest.raises(PaymentFailed) as caught:
        apple_of(stand_in, timeout_s=0.3).query("", bought, NOW)
    assert caught.value.reason == reason


def test_an_answer_of_the_api_that_is_not_signed_is_none(stand_in: AppStoreStandIn) -> None:
    bought = stand_in.buy(TOKEN)
    stand_in.chain = apple_chain("foreign")
    with pytest.raises(PaymentFailed):
        apple_of(stand_in).query("", bought, NOW)
    assert json.dumps(stand_in.transactions[bought])
