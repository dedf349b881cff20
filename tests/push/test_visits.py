"""WebSockets before they authenticate: how long they may stay, and how many of one address there may be."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from datingtoday.protocol.errors import ParameterError, RateLimited
from datingtoday.protocol.peer import Peers
from datingtoday.push.protocols import TRANSPORT
from datingtoday.push.visits import Visit, Visits, peer_of
from tests.push.skipping_time import Wire, run, until


def scope_of(address: str, *headers: tuple[str, str]) -> dict[str, Any]:
    return {
        "client": (address, 1),
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        TRANSPORT: Wire(),
    }


def visits_of(limit: int) -> Visits:
    return Visits(Peers([], "either"), limit)


def test_the_peer_is_told_in_the_words_of_wsgi() -> None:
    scope = scope_of(
        "10.0.0.9",
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
        ("accept-language", "zh"),
        ("cookie", "secret"),
    )
    assert peer_of(scope) == {
        "REMOTE_ADDR": "10.0.0.9",
        "HTTP_X_FORWARDED_FOR": "1.1.1.1,2.2.2.2",
        "HTTP_ACCEPT_LANGUAGE": "zh",
    }
    assert peer_of({"client": None, "headers": []}) == {"REMOTE_ADDR": ""}


@pytest.mark.parametrize("does", ["nothing", "begins late", "begins", "authenticates", "ends"])
def test_a_client_has_five_seconds_to_authenticate(does: str) -> None:
    async def visit() -> float | None:
        wire = Wire()
        visit = Visit(wire)
        await until(5.1 if does == "begins late" else 4.9)
        assert (wire.aborted_at is not None) is (does == "begins late")
        if does.startswith("begins"):
            visit.begin()
        elif does == "authenticates":
            visit.authenticated("s")
            assert visit.sid == "s"
        elif does == "ends":
            visit.end()
        await until(100)
        return wire.aborted_at

    assert run(visit()) == (5.0 if does in ("nothing", "begins late") else None)


def test_an_auth_is_sent_once_and_a_refused_client_goes_within_its_second() -> None:
    async def visit() -> float | None:
        wire = Wire()
        visit = Visit(wire)
        visit.begin()
        with pytest.raises(ParameterError, match="sent before"):
            visit.begin()
        visit.close_after(1)
        await until(100)
        return wire.aborted_at

    assert run(visit()) == 1.0


def test_of_one_that_is_refused_and_leaves_nothing_is_left_to_abort() -> None:
    async def visit() -> float | None:
        wire = Wire()
        visit = Visit(wire)
        visit.close_after(1)
        visit.end()
        await until(100)
        return wire.aborted_at

    assert run(visit()) is None


def test_as_many_of_an_address_may_wait_as_is_set_and_no_more() -> None:
    async def visit() -> None:
        visits = visits_of(2)
        with ExitStack() as stack:
            first = stack.enter_context(visits.enter(scope_of("10.0.0.1")))
            with visits.enter(scope_of("10.0.0.1")):
                with pytest.raises(RateLimited) as refused, visits.enter(scope_of("10.0.0.1")):
                    pass
                assert refused.value.headers["Retry-After"] == "5"
                stack.enter_context(visits.enter(scope_of("10.0.0.2")))
            # One has left: there is room for one.
            second = stack.enter_context(visits.enter(scope_of("10.0.0.1")))
            # One that has authenticated waits no more, and its end makes no further room.
            first.authenticated("s1")
            first.authenticated("s1")
            third = stack.enter_context(visits.enter(scope_of("10.0.0.1")))
            first.end()
            with pytest.raises(RateLimited), visits.enter(scope_of("10.0.0.1")):
                pass
            for one in (second, third):
                one.authenticated("s")
        # All have left: the address is forgotten, and the limit holds again.
        with ExitStack() as stack:
            stack.enter_context(visits.enter(scope_of("10.0.0.1")))
            stack.enter_context(visits.enter(scope_of("10.0.0.1")))
            with pytest.raises(RateLimited):
                stack.enter_context(visits.enter(scope_of("10.0.0.1")))
        assert not visits._waiting

    run(visit())


def test_one_that_left_is_aborted_no_more() -> None:
    async def visit() -> float | None:
        scope = scope_of("10.0.0.1")
        with visits_of(1).enter(scope) as visit:
            assert Visit.of({"asgi.scope": scope}) is visit
        await until(100)
        wire: Wire = scope[TRANSPORT]
        return wire.aborted_at

    assert run(visit()) is None
