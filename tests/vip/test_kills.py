"""kill -9 at the worst moments: every paid order has exactly one grant, no unpaid one any, and all of it heals."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from datingtoday.app import PARTS, Parts, create_app
from datingtoday.infra.payments.sandbox import SandboxPayments
from datingtoday.vip.jobs import PaymentJobs
from datingtoday.vip.orders import Orders
from tests.plugins.api import Api, RecordingSms, User, settings_of
from tests.plugins.backend import Backend
from tests.profiles.factories import make_user
from tests.vip.purchases import (
    MONTH,
    grants_of,
    make_order,
    notify,
    order_row,
    paid_at_provider,
    sandbox_of,
    state_of,
    tasks_of,
)
from tests.vip.test_jobs import findings_of, run_all

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
_FORK = multiprocessing.get_context("fork")
LATER = timedelta(minutes=31)
Work = Callable[[Parts], object]


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_before(owner: Any, name: str) -> None:
    setattr(owner, name, die)


def die_after(owner: Any, name: str) -> None:
    real = getattr(owner, name)

    def run(*args: Any, **options: Any) -> None:
        real(*args, **options)
        die()

    setattr(owner, name, run)


@pytest.fixture
def killed(shared_backend: Backend, tmp_path: Path) -> Callable[[Callable[[], None], Work], None]:
    """``killed(fault, work)``: another process of the same service begins the work, and dies where the fault says."""

    def run(fault: Callable[[], None], work: Work) -> None:
        def child() -> None:
            app = create_app(settings_of(shared_backend, tmp_path), sms=RecordingSms())
            fault()
            work(app.extensions[PARTS])

        process = _FORK.Process(target=child)
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL, f"it did not come to the fault: {process.exitcode}"

    return run


def notice_of(api: Api, order: dict[str, Any]) -> tuple[dict[str, str], bytes]:
    return sandbox_of(api).notice(paid_at_provider(api, order), datetime.now(UTC))


def receive(notice: tuple[dict[str, str], bytes]) -> Work:
    return lambda parts: parts.vip.notifications.receive("sandbox", *notice, datetime.now(UTC))


def create(user: User, client_id: str) -> Work:
    return lambda parts: parts.vip.orders.create(user.user_id, MONTH, "sandbox", client_id, datetime.now(UTC))


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda: die_before(SandboxPayments, "create"), id="between commit and provider call"),
        pytest.param(lambda: die_after(SandboxPayments, "create"), id="between provider call and commit"),
    ],
)
def test_while_an_order_is_made(api: Api, killed: Any, fault: Callable[[], None]) -> None:
    user = make_user(api)
    killed(fault, create(user, "killed"))
    (kept,) = api.get("/api/order/list", user).data["list"]
    assert order_row(api, kept).pay_params is None
    again = api.post("/api/order/create", user, productId=MONTH, channel="sandbox", clientId="killed").data
    assert (again["order_id"], again["trade_no"]) == (kept["order_id"], kept["trade_no"])
    assert again["pay_params"]["pay_url"]
    assert (state_of(api, user, again), grants_of(api, user)) == ("unpaid", [])


def test_before_a_notification_is_committed(api: Api, killed: Any) -> None:
    user = make_user(api)
    order = make_order(api, user)
    notice = notice_of(api, order)
    killed(lambda: die_before(Session, "commit"), receive(notice))
    assert (state_of(api, user, order), grants_of(api, user)) == ("unpaid", [])
    assert notify(api, sandbox_of(api).look_up(order["trade_no"])).status == 200  # type: ignore[arg-type]
    assert (state_of(api, user, order), len(grants_of(api, user))) == ("paid", 1)


def test_between_a_notifications_commit_and_its_answer(api: Api, killed: Any) -> None:
    user = make_user(api)
    order = make_order(api, user)
    notice = notice_of(api, order)
    killed(lambda: die_before(SandboxPayments, "accepted"), receive(notice))
    assert (state_of(api, user, order), len(grants_of(api, user))) == ("paid", 1)
    # The provider heard no answer, and repeats it.
    assert notify(api, sandbox_of(api).look_up(order["trade_no"])).status == 200  # type: ignore[arg-type]
    assert len(grants_of(api, user)) == 1
    assert api.get("/api/user/show", user).data["vip"] is True


def test_in_the_worker_while_it_polls(api: Api, killed: Any) -> None:
    user = make_user(api)
    order = make_order(api, user)
    paid_at_provider(api, order)
    due = datetime.now(UTC) + timedelta(seconds=11)
    killed(lambda: die_before(Orders, "take_in"), lambda parts: parts.vip.jobs.poll(due))
    assert (state_of(api, user, order), grants_of(api, user)) == ("unpaid", [])
    killed(lambda: die_before(PaymentJobs, "_plan"), lambda parts: parts.vip.jobs.poll(due))
    run_all(api, due + timedelta(minutes=1))
    assert (state_of(api, user, order), len(grants_of(api, user))) == ("paid", 1)


def test_in_the_worker_while_orders_expire(api: Api, killed: Any) -> None:
    user = make_user(api)
    order = make_order(api, user)
    late = datetime.now(UTC) + LATER
    killed(lambda: die_after(SandboxPayments, "close"), lambda parts: parts.vip.jobs.expire(late))
    run_all(api, late)
    assert (order_row(api, order).state, grants_of(api, user)) == ("expired", [])


def test_in_the_worker_while_it_gives_back(api: Api, killed: Any) -> None:
    user = make_user(api)
    order = make_order(api, user)
    notify(api, paid_at_provider(api, order))
    now = datetime.now(UTC)
    api.parts.vip.jobs.order_refund(order["trade_no"], now)
    killed(lambda: die_after(SandboxPayments, "refund"), lambda parts: parts.vip.jobs.refund(now))
    # The money is back, and here it is not known yet: the next run asks for the same refund and finds it done.
    assert (state_of(api, user, order), tasks_of(api, order)[0].state) == ("paid", "due")
    run_all(api, now)
    assert (state_of(api, user, order), tasks_of(api, order)[0].state) == ("refunded", "done")
    found = sandbox_of(api).look_up(order["trade_no"])
    assert found is not None and found.refunded_fen == order["fee_fen"]
    assert findings_of(api, order, user.user_id) == []
