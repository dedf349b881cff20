"""The probe by which a push process measures how long events take."""

from __future__ import annotations

from datingtoday.push.lag import PROBE_S, LagProbe


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_way_of_a_probe_is_measured() -> None:
    clock = Clock()
    probe = LagProbe(clock)
    message = probe.next_message()
    assert message is not None and probe.next_message() is None
    clock.now += 0.25
    assert probe.lag_s == 0.25, "one that is under way for longer counts already"
    probe.receive(message)
    assert probe.lag_s == 0.25
    clock.now += 1
    assert probe.lag_s == 0.25
    assert probe.next_message() is None, "too early"
    clock.now += PROBE_S
    assert probe.next_message() not in (None, message)


def test_probes_of_others_and_old_ones_are_left_alone() -> None:
    clock = Clock()
    one, other = LagProbe(clock), LagProbe(clock)
    message, foreign = one.next_message(), other.next_message()
    assert message is not None and foreign is not None
    clock.now += 3
    one.receive(foreign)
    one.receive(b"")
    assert one.lag_s == 3
    one.receive(message)
    clock.now += PROBE_S
    assert one.next_message() is not None
    clock.now += 7
    one.receive(message)
    assert one.lag_s == 7


def test_one_that_redis_did_not_take_is_no_lag() -> None:
    clock = Clock()
    probe = LagProbe(clock)
    assert probe.next_message() is not None
    clock.now += 60
    probe.not_published()
    assert probe.lag_s == 0
    assert probe.next_message() is not None
