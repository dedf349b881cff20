"""WeChat Pay's API v3 as its documentation describes it: requests are verified, answers and notifications signed.

Real RSA keys and AES-GCM throughout. A payment is made by `pay`; its notification comes from `notice`.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from tests.stand_ins.http_server import Answer, HttpStandIn, Received

MCH_ID = "1900000109"
APP_ID = "wxd678efh567hg6787"
CERT_SERIAL = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
API_V3_KEY = "0123456789abcdef0123456789ABCDEF"
KEY_ID = "PUB_KEY_ID_0119000001092024"
BEIJING = timezone(timedelta(hours=8))
_AUTHORIZATION = re.compile(
    r'WECHATPAY2-SHA256-RSA2048 mchid="(\d+)",nonce_str="(\w+)",signature="([^"]+)",timestamp="(\d+)",serial_no="(\w+)"'
)


@cache
def rsa_key(name: str) -> rsa.RSAPrivateKey:
    """A key that is made once per process."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(key: rsa.RSAPrivateKey, form: PrivateFormat = PrivateFormat.PKCS8) -> str:
    return key.private_bytes(Encoding.PEM, form, NoEncryption()).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def platform_certificate(key: rsa.RSAPrivateKey) -> tuple[str, str]:
    """Serial number in hex, and PEM: what was there before public keys."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com Root CA")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1825))
        .sign(key, SHA256())
    )
    return f"{made.serial_number:X}", made.public_bytes(Encoding.PEM).decode()


class WechatPayStandIn(HttpStandIn):
    """The merchant API of one merchant.

    :attr key_id: the key that answers and notifications are signed with; `keys` has its private half.
    """

    def __init__(self) -> None:
        self.keys = {KEY_ID: rsa_key("wechat")}
        self.key_id = KEY_ID
        self.merchant = rsa_key("merchant").public_key()
        self.trades: dict[str, dict[str, Any]] = {}
        self.refunds: dict[str, dict[str, Any]] = {}
        self.refund_status = "SUCCESS"
        self.signs_answers = True
        super().__init__()

    # --- the merchant API

    def answer(self, request: Received) -> Answer:
        if not self._is_genuine(request):
            return self._signed(401, {"code": "SIGN_ERROR", "message": "签名错误"})
        told = json.loads(request.body) if request.body else {}
        if request.path == "/v3/pay/transactions/app":
            return self._create(told)
        if request.path == "/v3/refund/domestic/refunds":
            return self._refund(told)
        asked = re.fullmatch(r"/v3/refund/domestic/refunds/(\w+)", request.path)
        if asked is not None:
            if asked[1] not in self.refunds:
                return self._signed(404, {"code": "RESOURCE_NOT_EXISTS", "message": "退款单不存在"})
            return self._signed(200, self.refunds[asked[1]])
        found = re.fullmatch(r"/v3/pay/transactions/out-trade-no/(\w+)(/close)?", request.path)
        if found is None:
            return self._signed(404, {"code": "NOT_FOUND", "message": request.path})
        trade = self.trades.get(found[1])
        if trade is None:
            return self._signed(404, {"code": "ORDER_NOT_EXIST", "message": "订单不存在"})
        return self._close(trade) if found[2] else self._signed(200, self._told(trade))

    def _is_genuine(self, request: Received) -> bool:
        found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if found is None or found[1] != MCH_ID or found[5] != CERT_SERIAL:
            return False
        if abs(time.time() - int(found[4])) > 300 or request.headers.get("wechatpay-serial") != KEY_ID:
            return False
        path = f"{request.path}?{request.query}" if request.query else request.path
        text = f"{request.method}\n{path}\n{found[4]}\n{found[2]}\n{request.body.decode()}\n"
        try:
            self.merchant.verify(base64.b64decode(found[3]), text.encode(), padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True

    def _create(self, told: dict[str, Any]) -> Answer:
        expiry = datetime.fromisoformat(told["time_expire"])
        if (told["appid"], told["mchid"]) != (APP_ID, MCH_ID) or expiry.utcoffset() is None:
            return self._signed(400, {"code": "PARAM_ERROR", "message": "参数错误"})
        old = self.trades.get(told["out_trade_no"])
        if old is not None and old["amount"] != told["amount"]:
            return self._signed(
                400, {"code": "INVALID_REQUEST", "message": "请求重入时，参数与首次请求时不一致"}
            )
        trade = self.trades.setdefault(
            told["out_trade_no"],
            {**told, "state": "NOTPAY", "prepay_id": f"wx{secrets.token_hex(16)}", "refunded": 0},
        )
        return self._signed(200, {"prepay_id": trade["prepay_id"]})

    def _close(self, trade: dict[str, Any]) -> Answer:
        if trade["state"] == "NOTPAY":
            trade["state"] = "CLOSED"
        if trade["state"] == "CLOSED":
            return self._signed(204, None)
        return self._signed(400, {"code": "ORDER_PAID", "message": "该订单已支付"})

    def _refund(self, told: dict[str, Any]) -> Answer:
        trade = next(
            (it for it in self.trades.values() if it.get("transaction_id") == told["transaction_id"]), None
        )
        if trade is None:
            return self._signed(404, {"code": "RESOURCE_NOT_EXISTS", "message": "订单不存在"})
        if told["out_refund_no"] not in self.refunds:
            if trade["refunded"] + told["amount"]["refund"] > trade["amount"]["total"]:
                return self._signed(
                    400, {"code": "INVALID_REQUEST", "message": "订单金额或退款金额与之前请求不一致"}
                )
            self._take_back(trade, told["out_refund_no"], told["amount"]["refund"])
        self.refunds[told["out_refund_no"]]["status"] = self.refund_status
        return self._signed(200, self.refunds[told["out_refund_no"]])

    def _take_back(self, trade: dict[str, Any], refund_no: str, amount_fen: int) -> None:
        trade["refunded"] += amount_fen
        trade["state"] = "REFUND"
        self.refunds[refund_no] = {
            "refund_id": f"5030{secrets.randbelow(10**20):020d}",
            "out_refund_no": refund_no,
            "transaction_id": trade["transaction_id"],
            "out_trade_no": trade["out_trade_no"],
            "status": "SUCCESS",
            "amount": {"total": trade["amount"]["total"], "refund": amount_fen, "currency": "CNY"},
        }

    def _told(self, trade: dict[str, Any]) -> dict[str, Any]:
        told = {
            "appid": trade["appid"],
            "mchid": trade["mchid"],
            "out_trade_no": trade["out_trade_no"],
            "trade_state": trade["state"],
            "trade_type": "APP",
            "amount": trade["amount"],
        }
        if "transaction_id" in trade:
            told |= {
                "transaction_id": trade["transaction_id"],
                "success_time": trade["success_time"],
                "bank_type": "OTHERS",
                "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
            }
        return told

    def _signed(self, status: int, told: Any) -> Answer:
        body = b"" if told is None else json.dumps(told, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if self.signs_answers:
            headers |= self.signature_of(body)
        return Answer(status, body, headers)

    def signature_of(self, body: bytes, *, timestamp: int | None = None) -> dict[str, str]:
        """The headers that make a body WeChat Pay's."""
        sent, nonce = str(timestamp or int(time.time())), secrets.token_hex(16)
        text = f"{sent}\n{nonce}\n".encode() + body + b"\n"
        signature = self.keys[self.key_id].sign(text, padding.PKCS1v15(), SHA256())
        return {
            "Wechatpay-Timestamp": sent,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": self.key_id,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        }

    # --- what people and merchants do

    def pay(self, trade_no: str) -> None:
        trade = self.trades[trade_no]
        assert trade["state"] == "NOTPAY", trade["state"]
        trade["state"] = "SUCCESS"
        trade["transaction_id"] = f"4200{secrets.randbelow(10**24):024d}"
        trade["success_time"] = datetime.now(BEIJING).isoformat(timespec="seconds")

    def give_back(self, trade_no: str, amount_fen: int) -> str:
        """A refund in the merchant's console; its out_refund_no."""
        refund_no = f"console{secrets.token_hex(8)}"
        self._take_back(self.trades[trade_no], refund_no, amount_fen)
        return refund_no

    def notice(self, trade_no: str, /, **changes: Any) -> tuple[dict[str, str], bytes]:
        """The notification of a payment; ``changes`` replace fields of its resource before it is encrypted."""
        resource = {**self._told(self.trades[trade_no]), "trade_state": "SUCCESS", **changes}
        return self.notice_of("TRANSACTION.SUCCESS", resource)

    def refund_notice(self, refund_no: str, /, **changes: Any) -> tuple[dict[str, str], bytes]:
        refund = self.refunds[refund_no]
        amount = {**refund["amount"], "payer_total": refund["amount"]["total"], "payer_refund": 0}
        amount.pop("currency")
        told = {key: value for key, value in refund.items() if key != "status"}
        resource = {**told, "mchid": MCH_ID, "refund_status": "SUCCESS", "amount": amount, **changes}
        return self.notice_of("REFUND.SUCCESS", resource)

    def notice_of(
        self, kind: str, resource: Any, /, *, timestamp: int | None = None, **changes: Any
    ) -> tuple[dict[str, str], bytes]:
        """Headers and body; ``changes`` replace fields around the resource."""
        nonce, about = secrets.token_hex(6), "transaction"
        sealed = AESGCM(API_V3_KEY.encode()).encrypt(
            nonce.encode(), json.dumps(resource, ensure_ascii=False).encode(), about.encode()
        )
        told = {
            "id": f"EV-{secrets.token_hex(12)}",
            "create_time": datetime.now(BEIJING).isoformat(timespec="seconds"),
            "resource_type": "encrypt-resource",
            "event_type": kind,
            "summary": "支付成功",
            "resource": {
                "original_type": "transaction",
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": base64.b64encode(sealed).decode(),
                "associated_data": about,
                "nonce": nonce,
            },
            **changes,
        }
        body = json.dumps(told, ensure_ascii=False).encode()
        return {**self.signature_of(body, timestamp=timestamp), "Content-Type": "application/json"}, body
