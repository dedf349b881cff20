"""The three real channels as an application has them: settings with key files, and what happens at the provider."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from tests.plugins.api import Answer, Api
from tests.stand_ins import alipay, app_store, wechat_pay
from tests.stand_ins.alipay import AlipayStandIn
from tests.stand_ins.app_store import AppStoreStandIn, api_key_pem, apple_chain
from tests.stand_ins.http_server import HttpStandIn
from tests.stand_ins.wechat_pay import WechatPayStandIn, private_pem, public_pem, rsa_key

Notice = tuple[dict[str, str], bytes]


def key_file(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


class Provider(ABC):
    """A provider that people pay at."""

    name: str
    stand_in: HttpStandIn
    success: bytes

    @abstractmethod
    def settings(self, folder: Path) -> dict[str, str]:
        """Settings of the application, with key files in this folder."""

    @abstractmethod
    def pay(self, order: dict[str, Any]) -> Notice:
        """A user pays with what `order/create` gave them; the notification of it."""

    @abstractmethod
    def give_back(self, order: dict[str, Any]) -> Notice:
        """The payment is refunded as a whole; the notification of it."""

    @abstractmethod
    def forged(self, order: dict[str, Any]) -> Notice:
        """A notification of a payment as it would be, signed by another user."""

    def notify(self, api: Api, notice: Notice) -> Answer:
        headers, body = notice
        headers = dict(headers)
        content_type = headers.pop("Content-Type")
        return api.send(
            "POST", f"/api/pay/notify/{self.name}", headers=headers, data=body, content_type=content_type
        )

    def accepts(self, answer: Answer) -> bool:
        return (answer.status, answer.body) == (200, self.success)


class Wechat(Provider):
    name, success = "wechat", b""

    def __init__(self) -> None:
        self.stand_in: WechatPayStandIn = WechatPayStandIn()

    def settings(self, folder: Path) -> dict[str, str]:
        public = key_file(folder, "wechat.pem", public_pem(rsa_key("wechat")))
        return {
            "PAY_PUBLIC_URL": "https://api.example.com",
            "PAY_WECHAT_MCH_ID": wechat_pay.MCH_ID,
            "PAY_WECHAT_APP_ID": wechat_pay.APP_ID,
            "PAY_WECHAT_CERT_SERIAL": wechat_pay.CERT_SERIAL,
            "PAY_WECHAT_PRIVATE_KEY": key_file(folder, "mch.pem", private_pem(rsa_key("merchant"))),
            "PAY_WECHAT_API_V3_KEY": key_file(folder, "v3", f"{wechat_pay.API_V3_KEY}\n"),
            "PAY_WECHAT_PUBLIC_KEYS": f"{wechat_pay.KEY_ID}={public}",
            "PAY_WECHAT_GATEWAY": self.stand_in.url,
        }

    def pay(self, order: dict[str, Any]) -> Notice:
        self.stand_in.pay(order["trade_no"])
        return self.stand_in.notice(order["trade_no"])

    def give_back(self, order: dict[str, Any]) -> Notice:
        return self.stand_in.refund_notice(self.stand_in.give_back(order["trade_no"], order["fee_fen"]))

    def forged(self, order: dict[str, Any]) -> Notice:
        trade = {**self.stand_in.trades[order["trade_no"]], "transaction_id": "4200", "state": "SUCCESS"}
        told = self.stand_in._told({**trade, "success_time": "2026-11-29T10:00:00+08:00"})
        keys, self.stand_in.keys = self.stand_in.keys, {wechat_pay.KEY_ID: rsa_key("foreign")}
        try:
            return self.stand_in.notice_of("TRANSACTION.SUCCESS", told)
        finally:
            self.stand_in.keys = keys


class Alipay(Provider):
    name, success = "alipay", b"success"

    def __init__(self) -> None:
        self.stand_in: AlipayStandIn = AlipayStandIn()

    def settings(self, folder: Path) -> dict[str, str]:
        return {
            "PAY_PUBLIC_URL": "https://api.example.com",
            "PAY_ALIPAY_APP_ID": alipay.APP_ID,
            "PAY_ALIPAY_SELLER_ID": alipay.SELLER_ID,
            "PAY_ALIPAY_PRIVATE_KEY": key_file(folder, "app.pem", private_pem(rsa_key("alipay app"))),
            "PAY_ALIPAY_PUBLIC_KEYS": key_file(folder, "alipay.pem", public_pem(rsa_key("alipay"))),
            "PAY_ALIPAY_GATEWAY": f"{self.stand_in.url}/gateway.do",
        }

    def pay(self, order: dict[str, Any]) -> Notice:
        self.stand_in.open_cashier(order["pay_params"]["order_string"])
        self.stand_in.pay(order["trade_no"])
        return self.stand_in.notice(order["trade_no"])

    def give_back(self, order: dict[str, Any]) -> Notice:
        self.stand_in.give_back(order["trade_no"], self.stand_in.trades[order["trade_no"]]["total_amount"])
        return self.stand_in.notice(order["trade_no"])

    def forged(self, order: dict[str, Any]) -> Notice:
        self.stand_in.open_cashier(order["pay_params"]["order_string"])
        key, self.stand_in.key = self.stand_in.key, rsa_key("foreign")
        try:
            return self.stand_in.notice(
                order["trade_no"], trade_status="TRADE_SUCCESS", gmt_payment="2026-11-29 10:00:00"
            )
        finally:
            self.stand_in.key = key


class Apple(Provider):
    name, success = "apple", b""

    def __init__(self) -> None:
        self.stand_in: AppStoreStandIn = AppStoreStandIn()
        self.bought: dict[str, str] = {}

    def settings(self, folder: Path) -> dict[str, str]:
        return {
            "PAY_APPLE_BUNDLE_ID": app_store.BUNDLE_ID,
            "PAY_APPLE_APP_ID": str(app_store.APP_ID),
            "PAY_APPLE_ROOT_CERTIFICATES": key_file(folder, "root.cer", apple_chain().root),
            "PAY_APPLE_ISSUER_ID": app_store.ISSUER_ID,
            "PAY_APPLE_KEY_ID": app_store.KEY_ID,
            "PAY_APPLE_PRIVATE_KEY": key_file(folder, "key.p8", api_key_pem()),
            "PAY_APPLE_GATEWAY": self.stand_in.url,
        }

    def buy(self, order: dict[str, Any], **changes: Any) -> str:
        bought = self.stand_in.buy(order["pay_params"]["app_account_token"], **changes)
        self.bought[order["trade_no"]] = bought
        return bought

    def pay(self, order: dict[str, Any]) -> Notice:
        return self.stand_in.notice("ONE_TIME_CHARGE", self.buy(order))

    def give_back(self, order: dict[str, Any]) -> Notice:
        bought = self.bought[order["trade_no"]]
        self.stand_in.give_back(bought)
        return self.stand_in.notice("REFUND", bought)

    def forged(self, order: dict[str, Any]) -> Notice:
        bought = self.stand_in.buy(order["pay_params"]["app_account_token"])
        return self.stand_in.notice("ONE_TIME_CHARGE", bought, chain=apple_chain("foreign"))


PROVIDERS: dict[str, type[Wechat] | type[Alipay] | type[Apple]] = {
    "wechat": Wechat,
    "alipay": Alipay,
    "apple": Apple,
}
