"""The cap's own accounts."""

from __future__ import annotations

import pytest

from reference_backends._pool.room import Place, Room
from reference_backends._pool.turns import Waiter
from tests.pool.support import Thread, busy, standing_in_line


def full_room(evict: list[Place] | None = None) -> tuple[Room, Place]:
    """Room for one, which is taken; *evict* are places whose connections are idle."""

    def evict_one() -> bool:
        if evict:
            room.leave(evict.pop())
            return True
        return False

    room = Room(1, evict_one)
    place = room.enter(0)
    assert place is not None
    return room, place


def test_what_becomes_idle_is_closed_for_him_who_waits_and_for_nobody_else() -> None:
    idle: list[Place] = []
    room, place = full_room(idle)
    asker = Thread(lambda: room.enter(20))
    standing_in_line(room, 1)
    idle.append(place)
    room.feed()
    assert asker.finish() is place
    assert not room.hungry
    idle.append(place)
    room.feed()
    assert idle


def test_what_became_idle_before_he_stood_in_line_is_closed_for_him() -> None:
    idle: list[Place] = []
    room, place = full_room(idle)
    idle.append(place)
    assert room.enter(0) is place


def test_room_that_comes_free_during_the_look_for_something_to_close_is_not_overlooked() -> None:
    taken: list[Place] = []

    def evict() -> bool:
        if taken:
            room.leave(taken.pop())  # as if another thread had closed its connection meanwhile
        return False

    room = Room(1, evict)
    place = room.enter(0)
    assert place is not None
    taken.append(place)
    assert room.enter(0) is place


def test_room_that_comes_free_before_he_stands_in_line_is_not_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    room, place = full_room()

    def just_before() -> None:
        room.leave(place)

    monkeypatch.setattr(room, "enter_freely", just_before)
    assert room.enter(0) is place


def test_nobody_overtakes_him_who_waits_for_room() -> None:
    idle: list[Place] = []
    room, place = full_room(idle)
    first = Thread(lambda: room.enter(20))
    standing_in_line(room, 1)
    with busy(room):  # the hand-over is under way in another thread
        room.leave(place)
        idle.append(Place())
        assert room.enter_freely() is None
        assert room.enter(0) is None
        assert idle  # nothing is closed while there is room
    room.dispatch()
    assert first.finish() is place


def test_an_interrupt_while_waiting_for_room_loses_none(monkeypatch: pytest.MonkeyPatch) -> None:
    room, place = full_room()

    def interrupted(waiter: Waiter[Place], _timeout: float) -> bool:
        room.leave(place)  # granted, and interrupted before he sees it
        assert waiter.granted is place
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Waiter, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            room.enter(20)
    assert room.enter(0) is place
    assert room.enter(0) is None


def test_who_gives_up_stands_in_line_no_more() -> None:
    room, place = full_room()
    assert room.enter(0) is None
    assert not room.hungry
    room.leave(place)
    assert room.enter(0) is place


def test_no_limit_is_any_number() -> None:
    room = Room(None, lambda: False)
    assert all(room.enter(0) is not None for _ in range(100))
