"""Differences between two runs, and the file that explains them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.django_suite.comparing import Difference, Expected, differences, judge, load_expected, module_of
from tests.django_suite.running import Outcomes

WITHOUT: Outcomes = {"basic.A.same": ("ok", ""), "basic.A.lost": ("ok", ""), "basic.A.worse": ("ok", "")}
POOLED: Outcomes = {"basic.A.same": ("ok", ""), "basic.A.worse": ("error", "Traceback\nKeyError: 1"), "new": ("ok", "")}


def expected(test: str = "basic.A.worse", pooled: str = "error") -> Expected:
    return Expected(test, ("sqlite3",), ("5.2",), pooled, "so")


def judged(found: list[Difference], entry: Expected, *, engine: str = "sqlite3", modules: tuple[str, ...] = ()) -> int:
    return len(judge(found, [entry], engine=engine, series="5.2", modules=modules))


def test_a_test_that_ends_otherwise_or_is_in_one_run_alone_is_a_difference() -> None:
    found = differences(WITHOUT, POOLED)
    assert [(each.test, each.without, each.pooled) for each in found] == [
        ("basic.A.lost", "ok", "absent"),
        ("basic.A.worse", "ok", "error"),
        ("new", "absent", "ok"),
    ]
    assert str(found[1]).endswith("KeyError: 1")


def test_a_difference_is_wrong_unless_an_entry_of_this_engine_tells_that_very_outcome() -> None:
    found = [Difference("basic.A.worse", "ok", "error")]
    assert judged(found, expected()) == 0
    assert judged(found, expected(pooled="fail")) == 1
    assert judged(found, expected(), engine="postgresql") == 1


def test_an_entry_without_its_difference_is_stale_where_its_module_was_run() -> None:
    assert judged([], expected()) == 1
    assert judged([], expected(), modules=("basic",)) == 1
    assert judged([], expected(), modules=("queries",)) == 0
    assert judged([], expected(), engine="postgresql") == 0


def test_the_module_of_a_class_that_could_not_be_set_up() -> None:
    assert module_of("setUpClass (basic.tests.Some)") == module_of("basic.tests.Some.test_it") == "basic"


def test_an_entry_without_a_reason_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "expected.toml"
    file.write_text('[[difference]]\ntest = "a.b"\nengines = []\ndjangos = []\npooled = "fail"\nreason = ""\n')
    with pytest.raises(ValueError, match=r"a\.b has no reason"):
        load_expected(file)


def test_the_project_s_own_file_has_no_test_twice_for_an_engine_and_a_django() -> None:
    places = [
        (each.test, engine, django) for each in load_expected() for engine in each.engines for django in each.djangos
    ]
    assert len(places) == len(set(places))
    assert places
