"""Apple In-App Purchase, on the library ``app-store-server-library``.

Everything that counts is a transaction that Apple signed (JWS with Apple's certificates): as a receipt that the app
sends, within a notification, or as an answer of the App Store Server API. It is bound to one order by its
``appAccountToken``, and to a product by its id in App Store Connect. Its price is one of the storefront's currency and
cannot be compared with ours. Only Apple refunds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import requests
from appstoreserverlibrary.api_client import APIException, AppStoreServerAPIClient
from appstoreserverlibrary.models.Environment import Environment
from appstoreserverlibrary.models.InAppOwnershipType import InAppOwnershipType
from appstoreserverlibrary.models.Type import Type
from appstoreserverlibrary.signed_data_verifier import SignedDataVerifier, VerificationException
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from datingtoday.infra.milliseconds import moment_of
from datingtoday.infra.payments.provider import (
    ChannelTraits,
    Fact,
    FactKind,
    Notice,
    NoticeAnswer,
    NoticeRefused,
    Payment,
    PaymentFailed,
    Refund,
)

NAME = "apple"
TRAITS = ChannelTraits(refunds=False, closes=False, grants_late=True, queries_open=False)
MAX_AGE = timedelta(days=5)
"""Apple repeats a notification for three days."""
MAX_AHEAD = timedelta(minutes=5)
_ENVIRONMENTS = {"production": Environment.PRODUCTION, "sandbox": Environment.SANDBOX}
"""The only ones: in the others the library verifies nothing."""
_TYPES = (Type.CONSUMABLE, Type.NON_RENEWING_SUBSCRIPTION)
_NUMBER = re.compile(r"[0-9]{1,32}\Z", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_KINDS = {
    "ONE_TIME_CHARGE": FactKind.PAID,
    "REFUND": FactKind.REFUNDED,
    "REVOKE": FactKind.REFUNDED,
    "REFUND_REVERSED": FactKind.REINSTATED,
}
_NOT_FOUND = frozenset({4040010, 4040001})
"""TransactionIdNotFoundError, AccountNotFoundError."""


class ApplePayments:
    """The channel.

    :param environment: ``production`` or ``sandbox``; transactions of the other one are refused.
    :param app_id: the app's number in the App Store; needed in production.
    :param root_certificates: Apple's, DER or PEM.
    :param private_key: PEM of the In-App Purchase key, for asking about transactions; empty: nobody is asked.
    """

    name = NAME
    traits = TRAITS

    def __init__(
        self,
        *,
        bundle_id: str,
        app_id: int,
        environment: str,
        root_certificates: Sequence[bytes],
        issuer_id: str = "",
        key_id: str = "",
        private_key: str = "",
        gateway: str = "",
        timeout_s: float = 10.0,
    ) -> None:
        """:raises ValueError: a certificate or key is unusable, or production lacks its app id."""
        chosen = _ENVIRONMENTS[environment]
        if chosen is Environment.PRODUCTION and not app_id:
            raise ValueError("production needs the app id")
        roots = [_der(certificate) for certificate in root_certificates]
        if not roots:
            raise ValueError("at least one root certificate")
        # Online checks would ask for revocations in the middle of a request.
        self._verifier = SignedDataVerifier(roots, False, chosen, bundle_id, app_id or None)
        self._client: _Client | None = None
        if private_key:
            self._client = _Client(timeout_s, private_key.encode(), key_id, issuer_id, bundle_id, chosen)
            if gateway:
                self._client._base_url = gateway.rstrip("/")

    # --- requests

    def create(self, payment: Payment, now: datetime) -> dict[str, Any]:
        return {"product_id": payment.apple_id, "app_account_token": payment.account_token}

    def query(self, trade_no: str, transaction_id: str, now: datetime) -> Fact | None:
        if self._client is None or not transaction_id:
            return None
        try:
            reply = self._client.get_transaction_info(transaction_id)
        except APIException as error:
            if error.raw_api_error in _NOT_FOUND:
                return None
            raise PaymentFailed(NAME, f"http_{error.http_status_code}") from error
        except Exception as error:
            # What the library meets: those of its HTTP client, of JSON and of attrs.
            raise PaymentFailed(NAME, type(error).__name__) from error
        try:
            return self._transaction(reply.signedTransactionInfo or "", None)
        except NoticeRefused as refusal:
            raise PaymentFailed(NAME, f"answer_{refusal.reason}") from refusal

    def close(self, trade_no: str) -> bool:
        """Never: a payment that the person was asked about may come hours later (Ask to Buy)."""
        return False

    def refund(self, refund: Refund) -> bool:
        raise PaymentFailed(NAME, "only_apple_refunds", is_final=True)

    # --- what Apple signed

    def read_receipt(self, receipt: str, now: datetime) -> Fact:
        """The payment of a signed transaction.

        :raises NoticeRefused: it is forged or revoked, or of another app or environment.
        """
        fact = self._transaction(receipt, None)
        if fact.kind is not FactKind.PAID:
            raise NoticeRefused("revoked")
        return fact

    def read_notice(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        try:
            reply = json.loads(body)
        except (ValueError, RecursionError):
            raise NoticeRefused("unreadable", is_forged=True) from None
        payload = reply.get("signedPayload") if isinstance(reply, dict) else None
        if not isinstance(payload, str):
            raise NoticeRefused("unreadable", is_forged=True)
        notice = _verified(lambda: self._verifier.verify_and_decode_notification(payload))
        signed_ms = notice.signedDate
        # The library has found the certificates to be valid at that moment.
        if type(signed_ms) is not int:
            raise NoticeRefused("signed_date", is_forged=True)
        if not now - MAX_AGE <= moment_of(signed_ms) <= now + MAX_AHEAD:
            raise NoticeRefused("age", is_forged=True)
        notice_id, kind = notice.notificationUUID, notice.rawNotificationType
        if not isinstance(notice_id, str) or not 0 < len(notice_id) <= 64 or not isinstance(kind, str):
            raise NoticeRefused("notification")
        if kind not in _KINDS:
            return Notice(notice_id, kind, None)
        transaction = notice.data.signedTransactionInfo if notice.data is not None else None
        if not isinstance(transaction, str):
            raise NoticeRefused("transaction")
        return Notice(notice_id, kind, self._transaction(transaction, _KINDS[kind]))

    def _transaction(self, jws: str, kind: FactKind | None) -> Fact:
        """Content of a signed transaction.

        :param kind: what is told to have happened; None: what the transaction itself tells.
        """
        reply = _verified(lambda: self._verifier.verify_and_decode_signed_transaction(jws))
        transaction_id = str(reply.transactionId)
        if not _NUMBER.match(transaction_id):
            raise NoticeRefused("transaction_id")
        if reply.type not in _TYPES:
            raise NoticeRefused("type")
        if reply.quantity != 1:
            raise NoticeRefused("quantity")
        if reply.inAppOwnershipType not in (None, InAppOwnershipType.PURCHASED):
            raise NoticeRefused("ownership")
        if not isinstance(reply.productId, str) or not reply.productId:
            raise NoticeRefused("product")
        token = str(reply.appAccountToken or "").lower()
        if not _UUID.match(token):
            raise NoticeRefused("app_account_token")
        if type(reply.purchaseDate) is not int or not 0 < reply.purchaseDate < 2**45:
            raise NoticeRefused("purchase_date")
        if kind is None:
            kind = FactKind.PAID if reply.revocationDate is None else FactKind.REFUNDED
        elif kind is FactKind.PAID and reply.revocationDate is not None:
            raise NoticeRefused("revoked")
        return Fact(
            kind,
            "",
            transaction_id,
            at=moment_of(reply.purchaseDate),
            account_token=token,
            product=reply.productId,
        )

    def accepted(self) -> NoticeAnswer:
        return NoticeAnswer(200, b"", "application/json")

    def refused(self, refusal: NoticeRefused) -> NoticeAnswer:
        # 503: Apple sends it again. What cannot be believed will not become better.
        return NoticeAnswer(503 if refusal.is_ours else 400, b"", "application/json")


class _Client(AppStoreServerAPIClient):
    """The library's client, with the settings' own patience."""

    def __init__(self, timeout_s: float, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._timeout_s = timeout_s

    def _execute_request(self, method: str, url: str, params: Any, headers: Any, json: Any, data: Any) -> Any:
        return requests.request(
            method, url, params=params, headers=headers, json=json, data=data, timeout=self._timeout_s
        )


def _verified(decode: Callable[[], Any]) -> Any:
    try:
        return decode()
    except VerificationException as error:
        raise NoticeRefused(error.status.name.lower(), is_forged=True) from error
    except Exception as error:
        # A signed payload of another shape: attrs and cattrs raise what they meet.
        raise NoticeRefused("unreadable", is_forged=True) from error


def _der(certificate: bytes) -> bytes:
    """:raises ValueError: it is no certificate."""
    if b"BEGIN CERTIFICATE" in certificate:
        return x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)
    return x509.load_der_x509_certificate(certificate).public_bytes(Encoding.DER)
