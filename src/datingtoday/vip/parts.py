"""VIP: products, orders, the ledger of days, and the payment channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from flask import Blueprint

from datingtoday.infra.jobs.registry import Job
from datingtoday.infra.parts import Foundation
from datingtoday.infra.payments.make import make_payment_channels
from datingtoday.infra.payments.sandbox import SandboxPayments
from datingtoday.protocol.metrics import Reader
from datingtoday.protocol.parts import ProtocolParts
from datingtoday.vip.channels import Channels
from datingtoday.vip.jobs import PaymentJobs
from datingtoday.vip.membership import Membership
from datingtoday.vip.notifications import Notifications
from datingtoday.vip.order_states import OrderStates
from datingtoday.vip.orders import Orders
from datingtoday.vip.payment_metrics import PaymentNumbers
from datingtoday.vip.personal_data import VipData
from datingtoday.vip.products import Products
from datingtoday.vip.reconciliation import Reconciliation
from datingtoday.vip.rights import VipRights
from datingtoday.vip.routes import notify_routes, order_routes, vip_routes
from datingtoday.vip.sandbox_desk import SandboxDesk


@dataclass(frozen=True, slots=True)
class VipParts:
    """Services of VIP; `membership` knows until when people are, and takes the registration of who must be told."""

    products: Products
    orders: Orders
    membership: Membership
    notifications: Notifications
    states: OrderStates
    jobs: PaymentJobs
    reconciliation: Reconciliation
    channels: Channels
    rights: VipRights
    numbers: PaymentNumbers
    sandbox: SandboxPayments | None
    """None where that channel is off."""
    sandbox_desk: SandboxDesk | None

    def metric_readers(self) -> Sequence[Reader]:
        """Numbers for `/metrics` that are read from SQL."""
        return [self.numbers.read]

    def blueprints(self) -> Sequence[Blueprint]:
        """The endpoints of products, VIP, orders and notifications."""
        return [
            vip_routes(self.products, self.membership),
            order_routes(self.orders),
            notify_routes(self.notifications),
        ]


def make_vip(base: Foundation, protocol: ProtocolParts) -> VipParts:
    """Make the services of VIP; contacts no provider."""
    settings = base.settings
    made = make_payment_channels(settings, base.database, base.secret_key)
    channels = Channels(made)
    products, membership = Products(), Membership()
    states = OrderStates(membership, channels.traits_of)
    orders = Orders(
        base.database,
        channels,
        products,
        membership,
        states,
        protocol.cursors,
        time_to_pay=timedelta(minutes=settings.pay.order_minutes),
    )
    notifications = Notifications(base.database, channels, states)
    jobs = PaymentJobs(
        base.database, channels, orders, states, ledger=timedelta(days=settings.pay.ledger_days)
    )
    reconciliation = Reconciliation(base.database, channels)
    _register_jobs(base, jobs, reconciliation)
    base.personal_data.register(VipData())
    found = made.get("sandbox")
    sandbox = found if isinstance(found, SandboxPayments) else None
    return VipParts(
        products=products,
        orders=orders,
        membership=membership,
        notifications=notifications,
        states=states,
        jobs=jobs,
        reconciliation=reconciliation,
        channels=channels,
        numbers=PaymentNumbers(base.database),
        rights=VipRights(
            new_contacts_free=settings.limits.new_contacts_per_day,
            new_contacts_vip=settings.limits.new_contacts_per_day_vip,
        ),
        sandbox=sandbox,
        sandbox_desk=None if sandbox is None else SandboxDesk(sandbox, notifications),
    )


def _register_jobs(base: Foundation, jobs: PaymentJobs, reconciliation: Reconciliation) -> None:
    base.jobs.register(Job("order_poll", 5, jobs.poll, has_work=jobs.has_polls))
    base.jobs.register(Job("order_expiry", 20, jobs.expire, has_work=jobs.has_expired))
    base.jobs.register(Job("refunds", 20, jobs.refund, has_work=jobs.has_refunds))
    base.jobs.register(Job("pay_reconcile", 86_400, reconciliation.report))
    base.jobs.register(Job("pay_purge", 86_400, jobs.purge))
