"""The App Store: transactions and notifications signed with a chain like Apple's, and its server API."""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.stand_ins.http_server import Answer, HttpStandIn, Received

BUNDLE_ID = "com.example.datingtoday"
APP_ID = 1234567890
ISSUER_ID = "57246542-96fe-1a63-e053-0824d011072a"
KEY_ID = "2X9R4HXF34"
PRODUCT_ID = "vip.month"
LEAF_OID = x509.ObjectIdentifier("1.2.840.113635.100.6.11.1")
INTERMEDIATE_OID = x509.ObjectIdentifier("1.2.840.113635.100.6.2.1")


class Chain(NamedTuple):
    """Certificates, leaf first, and the leaf's key."""

    certificates: tuple[x509.Certificate, ...]
    key: ec.EllipticCurvePrivateKey

    @property
    def root(self) -> bytes:
        return self.certificates[-1].public_bytes(Encoding.DER)

    @property
    def x5c(self) -> list[str]:
        return [base64.b64encode(it.public_bytes(Encoding.DER)).decode() for it in self.certificates]


@cache
def apple_chain(name: str = "apple", *, leaf_days: int = 365, with_oids: bool = True) -> Chain:
    """A chain as Apple's: root, intermediate and leaf, each with its key identifiers.

    :param leaf_days: how long the leaf is valid from a month ago.
    """
    now = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
    made: list[x509.Certificate] = []
    for level, (key, oid) in enumerate(zip(keys, (None, INTERMEDIATE_OID, LEAF_OID), strict=True)):
        issuer_key = keys[max(level - 1, 0)]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name} {level}")])
        days = leaf_days if level == 2 else 3650
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(made[-1].subject if made else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=30))
            .not_valid_after(now - timedelta(days=30) + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=level < 2, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
            )
            .add_extension(
                x509.KeyUsage(
                    digital_signature=level == 2, key_cert_sign=level < 2, crl_sign=level < 2,
                    content_commitment=False, key_encipherment=False, data_encipherment=False,
                    key_agreement=False, encipher_only=False, decipher_only=False,
                ),
                critical=True,
            )
        )  # fmt: skip
        if oid is not None and with_oids:
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, b"\x05\x00"), critical=False)
        made.append(builder.sign(issuer_key, SHA256()))
    return Chain(tuple(reversed(made)), keys[2])


@cache
def api_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def api_key_pem() -> str:
    return api_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def sign(payload: dict[str, Any], chain: Chain | None = None, **headers: Any) -> str:
    """A JWS as Apple signs."""
    chain = chain or apple_chain()
    return jwt.encode(payload, chain.key, algorithm="ES256", headers={"x5c": chain.x5c, **headers})


def now_ms() -> int:
    return int(time.time() * 1000)


class AppStoreStandIn(HttpStandIn):
    """Purchases of one app, and the App Store Server API."""

    def __init__(self) -> None:
        self.transactions: dict[str, dict[str, Any]] = {}
        self.chain = apple_chain()
        super().__init__()

    def answer(self, request: Received) -> Answer:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            told = jwt.decode(
                token, api_key().public_key(), algorithms=["ES256"], audience="appstoreconnect-v1"
            )
        except jwt.PyJWTError:
            return Answer(401, b"Unauthenticated")
        if (told["iss"], told["bid"], jwt.get_unverified_header(token)["kid"]) != (
            ISSUER_ID,
            BUNDLE_ID,
            KEY_ID,
        ):
            return Answer(401, b"Unauthenticated")
        found = self.transactions.get(request.path.rpartition("/")[2])
        if found is None:
            body = {"errorCode": 4040010, "errorMessage": "Transaction id not found."}
            return Answer(404, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return Answer(
            200,
            json.dumps({"signedTransactionInfo": sign(found, self.chain)}).encode(),
            {"Content-Type": "application/json"},
        )

    # --- what people and Apple do

    def buy(self, token: str, *, product_id: str = PRODUCT_ID, **changes: Any) -> str:
        """A user buys within the app; the transaction's id."""
        transaction_id = f"2000{secrets.randbelow(10**12):012d}"
        self.transactions[transaction_id] = {
            "transactionId": transaction_id,
            "originalTransactionId": transaction_id,
            "bundleId": BUNDLE_ID,
            "productId": product_id,
            "purchaseDate": now_ms(),
            "originalPurchaseDate": now_ms(),
            "quantity": 1,
            "type": "Non-Renewing Subscription",
            "appAccountToken": token,
            "inAppOwnershipType": "PURCHASED",
            "signedDate": now_ms(),
            "environment": "Production",
            "storefront": "CHN",
            "price": 30_000,
            "currency": "CNY",
            "transactionReason": "PURCHASE",
            **changes,
        }
        return transaction_id

    def receipt(self, transaction_id: str, **changes: Any) -> str:
        """The signed transaction that the app is given."""
        return sign({**self.transactions[transaction_id], "signedDate": now_ms(), **changes}, self.chain)

    def give_back(self, transaction_id: str) -> None:
        self.transactions[transaction_id] |= {"revocationDate": now_ms(), "revocationReason": 0}

    def take_refund_back(self, transaction_id: str) -> None:
        for name in ("revocationDate", "revocationReason"):
            self.transactions[transaction_id].pop(name, None)

    def notice(
        self, kind: str, transaction_id: str, *, chain: Chain | None = None, **changes: Any
    ) -> tuple[dict[str, str], bytes]:
        """A notification, version 2; ``changes`` replace fields of its payload."""
        data = {
            "appAppleId": APP_ID,
            "bundleId": BUNDLE_ID,
            "bundleVersion": "1",
            "environment": "Production",
            "signedTransactionInfo": self.receipt(transaction_id),
        }
        payload = {
            "notificationType": kind,
            "notificationUUID": str(uuid.uuid4()),
            "version": "2.0",
            "signedDate": now_ms(),
            "data": data,
            **changes,
        }
        body = json.dumps({"signedPayload": sign(payload, chain or self.chain)}).encode()
        return {"Content-Type": "application/json"}, body
