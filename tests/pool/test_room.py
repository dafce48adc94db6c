"""The cap's own accounts."""

from __future__ import annotations

from reference_backends._pool.room import Room


def test_what_became_idle_before_the_bell_hung_is_not_overlooked() -> None:
    looks = iter([False, True])

    def evict() -> bool:
        found = next(looks)
        if found:
            room.leave()
        return found

    room = Room(1, evict)
    assert room.enter(0)
    assert room.enter(0)  # shelved between the first look and the bell, so nobody rang it
    assert not room.hungry


def test_who_gives_up_hands_the_call_on() -> None:
    room = Room(1, lambda: False)
    assert room.enter(0)
    assert not room.enter(0)
    assert not room.hungry
    room.leave()
    assert room.enter(0)


def test_no_limit_is_any_number() -> None:
    room = Room(None, lambda: False)
    assert all(room.enter(0) for _ in range(100))
