"""The promise of a payment channel, and what it tells of a payment.

A channel speaks with one provider. It knows nothing of orders: it is given a `Payment`, and what it learns comes back
as a *verified* `Fact`. Reading a notification never uses the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

PAGE_PATH = "/pay/sandbox/"
NOTIFY_PATH = "/api/pay/notify/"
MAX_NOTICE_BYTES = 64 * 1024
MAX_NOTICE_AGE_S = 300
"""Signed notifications that are older, or from so far in the future, are refused."""
CNY = "CNY"


class FactKind(StrEnum):
    """Fact reported by the provider."""

    PAID = "paid"
    REFUNDED = "refunded"
    REINSTATED = "reinstated"
    """A refund was reversed."""
    CLOSED = "closed"
    """The order takes no payment any more, and has taken none."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something about one payment that the provider vouches for.

    :param trade_no: our number; empty where the provider does not know it (Apple), then ``account_token`` names the
        order, or else the transaction does.
    :param amount_fen: what was paid; None where the provider tells no amount in our currency.
    :param refund_id: names one refund, or (with ``is_total``) all of a payment together.
    :param refunded_fen: how much this refund gave back; None: all of it.
    :param is_part_unknown: something went back, but the provider does not say here how much: a part, or all of it.
    """

    kind: FactKind
    trade_no: str
    transaction_id: str = ""
    amount_fen: int | None = None
    currency: str = CNY
    at: datetime | None = None
    payer: str = ""
    refund_id: str = ""
    refunded_fen: int | None = None
    is_part_unknown: bool = False
    account_token: str = ""
    product: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification that is genuine.

    :param notice_id: the same for every repetition.
    :param fact: None: nothing that an order has to know.
    """

    notice_id: str
    kind: str
    fact: Fact | None


@dataclass(frozen=True, slots=True)
class NoticeAnswer:
    """An answer in the provider's own format."""

    status: int
    body: bytes
    content_type: str

    @property
    def headers(self) -> dict[str, str]:
        """Beyond the type: when to come again, as every answer of this status says."""
        return {"Retry-After": "5"} if self.status == 503 else {}


@dataclass(frozen=True, slots=True)
class Payment:
    """Payment requested from the provider.

    :param account_token: names the order where the provider does not take our number.
    :param apple_id: the product's id in App Store Connect, empty if it has none.
    """

    trade_no: str
    subject: str
    fee_fen: int
    currency: str
    expire_at: datetime
    account_token: str = ""
    apple_id: str = ""


@dataclass(frozen=True, slots=True)
class Refund:
    """Refund requested from the provider. The same ``refund_no`` is the same refund."""

    trade_no: str
    transaction_id: str
    refund_no: str
    refund_fen: int
    fee_fen: int
    currency: str = CNY
    reason: str = ""


class PaymentFailed(Exception):
    """The provider did not do what it was asked.

    :param reason: a short word for logs, without anything secret.
    :param is_final: asking again would give the same.
    """

    def __init__(self, channel: str, reason: str, *, is_final: bool = False) -> None:
        super().__init__(f"{channel}: {reason}")
        self.channel = channel
        self.reason = reason
        self.is_final = is_final


class NoticeRefused(Exception):
    """A notification that must not be believed, or is about another payment.

    :param is_forged: the signature, its age or its key is wrong; otherwise the content is.
    """

    def __init__(
        self, reason: str, *, is_forged: bool = False, trade_no: str = "", is_ours: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_forged = is_forged
        self.trade_no = trade_no
        self.is_ours = is_ours
        """The fault is ours: the provider should send it again."""


@dataclass(frozen=True, slots=True)
class ChannelTraits:
    """Capabilities of a channel."""

    refunds: bool = True
    """We can give money back; else only the provider can."""
    closes: bool = True
    """A payment can be closed, so that nobody pays it any more."""
    grants_late: bool = False
    """A verified payment counts whenever it comes, because it cannot be refunded by us."""
    queries_open: bool = True
    """A payment can be asked about before its transaction is known."""


class PaymentChannel(Protocol):
    """One provider."""

    @property
    def name(self) -> str:
        """Name, as in ``channel`` of an order."""

    @property
    def traits(self) -> ChannelTraits:
        """Capabilities of the channel."""

    def create(self, payment: Payment, now: datetime) -> dict[str, Any]:
        """Prepare a payment; the same trade_no again is the same payment. What the client's SDK needs.

        :raises PaymentFailed:
        """

    def query(self, trade_no: str, transaction_id: str, now: datetime) -> Fact | None:
        """State of a payment; None: not paid, and it still may be.

        :raises PaymentFailed:
        """

    def close(self, trade_no: str) -> bool:
        """Take no payment any more; closed already, or unknown to the provider: fine. False: it was paid.

        :raises PaymentFailed:
        """

    def refund(self, refund: Refund) -> bool:
        """Give money back. True: it is done; False: accepted, ask again.

        :raises PaymentFailed:
        """

    def read_notice(self, headers: Mapping[str, str], body: bytes, now: datetime) -> Notice:
        """Verify a notification. Uses no network.

        :param headers: names in lower case.
        :raises NoticeRefused:
        """

    def accepted(self) -> NoticeAnswer:
        """The answer that ends the provider's repetitions."""

    def refused(self, refusal: NoticeRefused) -> NoticeAnswer:
        """The answer to what was refused."""


@runtime_checkable
class RefundLookup(Protocol):
    """A channel that can be asked about one refund, whoever made it."""

    def find_refund(self, refund_no: str) -> Fact | None:
        """Look a refund up: what it gave back; None: there is none of this number, or it is not done.

        :param refund_no: the merchant's number of it: ours, or the one that the provider's console shows.
        :raises PaymentFailed:
        """
