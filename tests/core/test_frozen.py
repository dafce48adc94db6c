"""Containers that cannot change: what refuses, what is frozen inside, and what is not shown."""

from __future__ import annotations

import copy
import json
import pickle
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend_sdk import FrozenDict
from backend_sdk.frozen import freeze, names_secret


class Pair(NamedTuple):
    left: object
    right: object


MUTATORS: dict[str, Callable[[dict[str, Any]], object]] = {
    "setitem": lambda d: d.__setitem__("a", 2),
    "delitem": lambda d: d.__delitem__("a"),
    "ior": lambda d: d.__ior__({"a": 2}),
    "clear": lambda d: d.clear(),
    "pop": lambda d: d.pop("a"),
    "pop of a missing key": lambda d: d.pop("b", None),
    "popitem": lambda d: d.popitem(),
    "setdefault": lambda d: d.setdefault("b", 2),
    "update": lambda d: d.update(a=2),
}

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.binary(max_size=3)
VALUES = st.recursive(
    SCALARS | st.sets(st.integers(), max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize("mutate", MUTATORS.values(), ids=MUTATORS.keys())
def test_every_mutator_refuses_and_names_the_way_out(mutate: Callable[[dict[str, Any]], object]) -> None:
    frozen: dict[str, Any] = FrozenDict({"a": 1})
    with pytest.raises(TypeError, match=r"settings\.derive"):
        mutate(frozen)
    assert frozen == {"a": 1}


def test_every_mutator_of_dict_is_known_to_the_test_above() -> None:
    reading = {"copy", "fromkeys", "get", "items", "keys", "values"}
    changing = {name for name in vars(dict) if not name.startswith("_")} - reading
    assert {name.partition(" ")[0] for name in MUTATORS} >= changing


@pytest.mark.parametrize("start", [{}, {"a": 1}])
def test_a_second_init_fills_nothing_in(start: dict[str, int]) -> None:
    frozen = FrozenDict(start)
    frozen.__init__(b=2)  # type: ignore[misc]  # on an instance, as nobody should
    assert frozen == start


def test_it_takes_no_attributes() -> None:
    with pytest.raises(AttributeError):
        FrozenDict().note = 1  # type: ignore[attr-defined]  # there is no such attribute: that is the test


def test_a_union_is_a_new_dict_that_may_change() -> None:
    frozen = FrozenDict({"a": 1})
    union = frozen | {"b": 2}
    union["c"] = 3
    assert frozen == {"a": 1}


def test_the_source_may_change_later_without_effect() -> None:
    source: dict[str, Any] = {"a": {"b": [1, {"c": {2}}]}}
    frozen = FrozenDict(source)
    source["a"]["b"][1]["c"].add(3)
    source["a"]["b"].append(4)
    source["x"] = 5
    assert frozen == {"a": {"b": (1, {"c": {2}})}}


@pytest.mark.parametrize(
    ("value", "frozen"),
    [
        ([1, [2]], (1, (2,))),
        (deque([1]), (1,)),
        ({1, 2}, frozenset({1, 2})),
        (bytearray(b"x"), b"x"),
        ({"a": []}, FrozenDict({"a": ()})),
        (OrderedDict(a=[]), FrozenDict({"a": ()})),
        (defaultdict(list, a=[]), FrozenDict({"a": ()})),
        (MappingProxyType({"a": []}), FrozenDict({"a": ()})),
        (FrozenDict({"a": []}), FrozenDict({"a": ()})),
        (Pair([1], {"a": [2]}), Pair((1,), FrozenDict({"a": (2,)}))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_container_becomes_its_frozen_kind(value: object, frozen: object) -> None:
    made = freeze(value)
    assert (type(made), made) == (type(frozen), frozen)
    hash(made)


@given(VALUES)
def test_whatever_is_nested_can_be_hashed_and_stays_equal_when_frozen_again(value: object) -> None:
    frozen = freeze(value)
    hash(frozen)
    assert freeze(frozen) == frozen
    assert freeze(copy.deepcopy(value)) == frozen


def test_equal_ones_have_equal_hashes_whatever_the_order() -> None:
    one, other = FrozenDict([("a", 1), ("b", [2])]), FrozenDict([("b", [2]), ("a", 1)])
    assert one == other
    assert hash(one) == hash(other)
    assert hash(one) != hash(FrozenDict({"a": 1, "b": [3]}))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
def test_copies_are_frozen_too(duplicate: Callable[[object], object]) -> None:
    frozen = FrozenDict({"a": [1]})
    made = duplicate(frozen)
    assert (type(made), made) == (FrozenDict, frozen)


def test_it_goes_where_a_dict_goes() -> None:
    frozen = FrozenDict({"a": {"b": [1]}})
    assert json.dumps(frozen) == '{"a": {"b": [1]}}'
    assert list(dict(**frozen)) == ["a"]


@pytest.mark.parametrize(
    "name",
    ["PASSWORD", "passwd", "pass", "sslpassword", "key_passphrase", "client_secret", "access_token", "api_key", "pwd"],
)
def test_a_value_under_a_name_that_stands_for_a_secret_is_not_shown(name: str) -> None:
    assert names_secret(name)
    shown = repr(FrozenDict({"outer": [{name: "hunter2", "host": "h"}]}))
    assert shown == f"{{'outer': ({{'{name}': '**********', 'host': 'h'}},)}}"


@pytest.mark.parametrize("name", ["host", "sslkey", "passfile", "bypass", "key", "", 7])
def test_a_value_under_another_name_is_shown(name: object) -> None:
    assert not names_secret(name)
    assert repr(FrozenDict({name: "shown"})) == repr({name: "shown"})


def test_an_empty_secret_shows_that_it_is_empty() -> None:
    assert repr(FrozenDict({"password": ""})) == "{'password': ''}"
