"""Which database a class belongs to."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from backend_sdk import Connections, Databases, ImproperlyConfigured, ModelDatabase, Scopes, alias_for_model
from tests.connections.tenants import tenant
from tests.core.fakes import Driver, in_thread


class Order:
    __module__ = "myproj.shop.models"
    __qualname__ = "Order"


def databases(**models: Any) -> Databases:
    driver = Driver()
    return Databases(
        {alias: tenant(driver, alias, models=patterns) for alias, patterns in {"default": (), **models}.items()}
    )


@pytest.mark.parametrize(
    "pattern",
    ["shop", "shop.Order", "shop.*", "shop.Ord*", "myproj", "myproj.shop", "myproj.shop.models", "*", Order,
     "myproj.shop.models.Order", "myproj.*.Order"],
)  # fmt: skip
def test_a_pattern_names_the_class(pattern: Any) -> None:
    assert alias_for_model(databases(other=pattern), Order) == "other"


@pytest.mark.parametrize("pattern", ["sho", "shop.Ord", "shop.Orders", "my", "shop.models", "order", "SHOP", "hop.*"])
def test_a_near_miss_does_not(pattern: str) -> None:
    assert alias_for_model(databases(other=pattern), Order) == "default"


@pytest.mark.parametrize(
    ("closer", "farther"),
    [
        (Order, "shop.Order"),
        ("shop.Order", "myproj.shop.models"),
        ("myproj.shop.models", "myproj.shop"),
        ("myproj.shop", "shop.*"),
        ("shop.Ord*", "shop.*"),
        ("shop", "*"),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_best_match_wins_whatever_the_order(closer: Any, farther: Any, swapped: bool) -> None:
    patterns = {"one": closer, "two": farther} if not swapped else {"two": farther, "one": closer}
    assert alias_for_model(databases(**patterns), Order) == "one"


@pytest.mark.parametrize(("one", "two"), [("shop", "shop"), ("shop", "shop.*"), ("shop.Order", "shop.Order")])
def test_a_tie_is_an_error_that_names_both(one: str, two: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"'one' by .* and 'two' by"):
        alias_for_model(databases(one=one, two=two), Order)


def test_a_tie_that_something_closer_outdoes_is_none() -> None:
    assert alias_for_model(databases(one="shop", two="shop", three="shop.Order"), Order) == "three"


def test_two_patterns_of_one_alias_are_no_tie() -> None:
    assert alias_for_model(databases(one=("shop", "shop.*")), Order) == "one"


def test_an_app_label_of_the_class_counts() -> None:
    class Labelled:
        app_label = "billing"

    assert alias_for_model(databases(other="billing.*"), Labelled) == "other"


def test_a_model_may_be_named_by_text() -> None:
    assert alias_for_model(databases(other="shop.Order"), "shop.Order") == "other"
    with pytest.raises(ImproperlyConfigured, match=r"app\.Model"):
        ModelDatabase("Order")


@pytest.fixture(name="handler")
def make_handler() -> Connections:
    return Connections(databases(orders="shop.Order", archive="archive.*"))


def repository(handler: Connections) -> Any:
    class Repo:
        db = ModelDatabase("shop.Order", connections=handler)

    return Repo


def test_instances_get_the_connection_and_the_backend(handler: Connections) -> None:
    repo = repository(handler)()
    assert repo.db.connection is handler["orders"]
    assert repo.db.backend is handler["orders"].backend
    assert repo.db.alias == "orders"


def test_one_instance_serves_each_thread_its_own(handler: Connections) -> None:
    repo = repository(handler)()
    assert in_thread(lambda: repo.db.connection) is not repo.db.connection


def test_one_instance_follows_the_scope(handler: Connections) -> None:
    repo = repository(handler)()
    db = repo.db
    assert db.alias == "orders"
    with Scopes(handler)(databases(elsewhere="shop")):
        assert repo.db.alias == "elsewhere"
        assert db.connection is handler["elsewhere"]
    assert repo.db.alias == "orders"


def test_one_thread_serving_two_settings_chooses_anew_for_each(handler: Connections) -> None:
    repo = repository(handler)()
    seen = []
    for sources in (databases(sa="shop"), databases(sb="shop.Order"), databases()):
        with Scopes(handler)(sources):
            seen.append(repo.db.alias)
    assert seen == ["sa", "sb", "default"]


def test_the_choice_is_made_once_for_a_scope(handler: Connections) -> None:
    class Counting(Databases):
        walks = 0

        def __iter__(self) -> Any:
            self.walks += 1
            return super().__iter__()

    sources = Counting({"default": tenant(Driver()), "other": tenant(Driver(), "b", models="shop")})
    repo = repository(handler)()
    with Scopes(handler)(sources):
        assert [repo.db.alias for _ in range(3)] == ["other"] * 3
        assert sources.walks == 1
    with Scopes(handler)(sources):
        assert repo.db.alias == "other"
        assert sources.walks == 2


def test_only_what_was_used_in_a_scope_is_reset_at_its_end(handler: Connections) -> None:
    used, unused = repository(handler)(), repository(handler)()
    with Scopes(handler)(databases(sa="shop")) as scope:
        assert used.db.alias == "sa"
        slots = [handler.slot()]
        assert list(slots[0].models) == ["shop.Order"]
    assert scope.ended
    assert slots[0].models == {}
    assert not hasattr(unused, "__dict__") or vars(unused) == {}


def test_a_subclass_may_override_the_model(handler: Connections) -> None:
    class Archive(repository(handler)):  # type: ignore[misc]  # a class made at run time
        db_model = "archive.Order"

    assert Archive().db.alias == "archive"


def test_without_a_model_the_class_itself_is_one(handler: Connections) -> None:
    class Order:
        app_label = "shop"
        database = ModelDatabase(connections=handler)

    Order.__qualname__ = "Order"
    assert Order().database.alias == "orders"


def test_access_on_the_class_explains_itself(handler: Connections) -> None:
    with pytest.raises(AttributeError, match=r"served to instances.*Repo\(\)\.db"):
        _ = repository(handler).db


def test_assigning_explains_itself(handler: Connections) -> None:
    with pytest.raises(AttributeError, match="db_model"):
        repository(handler)().db = 1


def test_the_descriptor_keeps_no_instance_alive(handler: Connections) -> None:
    import weakref

    gc.disable()
    try:
        repo = repository(handler)()
        assert repo.db.connection
        gone = weakref.ref(repo)
        del repo
        assert gone() is None
    finally:
        gc.enable()
