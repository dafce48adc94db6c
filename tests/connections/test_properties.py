"""Threads, tasks, nested scopes, routes, sharing and failures in any order, against a simple model."""

from __future__ import annotations

import asyncio
import gc
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from backend_sdk import (
    Connections,
    DatabaseError,
    Databases,
    DatabaseWrapper,
    ScopeError,
    Scopes,
    ThreadSharingError,
    route_connections,
    separate_connection,
)
from tests.connections.actors import TaskActor, Tasks, ThreadActor
from tests.connections.tenants import tenant
from tests.core.fakes import Driver

ALIASES = ("default", "replica")
TENANTS = ("sa", "sb", "sc")
ACTORS = st.integers(0, 3)

AnyWrapper = DatabaseWrapper[Any, Any]


@dataclass
class Entered:
    """One level of an actor's stack: a scope over a tenant, or a route of default."""

    manager: AbstractContextManager[Any]
    tenant: str | None = None
    target: str | None = None
    known: dict[str, AnyWrapper] = field(default_factory=dict)
    """The wrapper that was found for each alias of this scope."""


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.driver = Driver()
        self.databases = {
            name: Databases(
                {
                    alias: tenant(
                        self.driver, f"{name}-{alias}", allow_blocking=True, conn_max_age=60 if name != "sc" else 0
                    )
                    for alias in ALIASES
                }
            )
            for name in ("base", *TENANTS)
        }
        self.handler = Connections(self.databases["base"], cache_size=2)
        self.scope = Scopes(self.handler)
        self.tasks = Tasks(2)
        self.threads = [ThreadActor("one"), ThreadActor("two")]
        self.actors: list[ThreadActor | TaskActor] = [*self.threads, *self.tasks.actors]
        self.stacks: list[list[Entered]] = [[] for _ in self.actors]
        self.bases: list[dict[str, AnyWrapper]] = [{} for _ in self.actors]
        self.owners: dict[AnyWrapper, int] = {}
        self.shared: dict[AnyWrapper, AbstractContextManager[None]] = {}

    # The model

    def expected(self, actor: int, alias: str) -> tuple[str, str, dict[str, AnyWrapper]]:
        """The tenant, the alias after all routes, and the wrappers known there."""
        for entered in reversed(self.stacks[actor]):
            if entered.tenant is not None:
                return entered.tenant, alias, entered.known
            if alias == "default":
                alias = entered.target or alias
        return "base", alias, self.bases[actor]

    def check(self, actor: int, alias: str, found: AnyWrapper) -> None:
        name, routed, known = self.expected(actor, alias)
        assert found.settings.name == f"{name}-{routed}", "another tenant's"
        if routed != "separate":
            assert known.setdefault(routed, found) is found, "not the one found before"
        assert self.owners.setdefault(found, actor) == actor, "another thread's or task's"

    # What happens

    @rule(actor=ACTORS, name=st.sampled_from(TENANTS))
    def enter_scope(self, actor: int, name: str) -> None:
        manager = self.scope(self.databases[name])
        self.actors[actor].do(manager.__enter__)
        self.stacks[actor].append(Entered(manager, tenant=name))

    @rule(actor=ACTORS, alias=st.sampled_from(ALIASES))
    def enter_route(self, actor: int, alias: str) -> None:
        manager = route_connections({"default": alias}, connections=self.handler)
        self.actors[actor].do(manager.__enter__)
        self.stacks[actor].append(Entered(manager, target=alias))

    @rule(actor=ACTORS, failing=st.booleans(), raising=st.booleans())
    def leave(self, actor: int, failing: bool, raising: bool) -> None:
        if not self.stacks[actor]:
            return
        entered = self.stacks[actor].pop()
        error = LookupError() if raising else None
        if failing:
            self.driver.plan("close", self.driver.OperationalError("stuck"))
        try:
            self.actors[actor].do(lambda: entered.manager.__exit__(type(error) if error else None, error, None))
        except DatabaseError:
            assert failing
        finally:
            self.driver._plans.pop("close", None)
        for wrapper in entered.known.values():
            shared = self.shared.pop(wrapper, None)
            if shared is not None:
                self.actors[actor].do(lambda shared=shared: shared.__exit__(None, None, None))  # type: ignore[misc]  # bound now
            with pytest.raises(ScopeError):
                self.actors[actor].do(wrapper.cursor)
            if actor < len(self.threads):  # a loop's are closed in the background
                assert not wrapper.is_open, "left open"

    @rule(actor=ACTORS, alias=st.sampled_from(ALIASES), connect=st.booleans())
    def look_up(self, actor: int, alias: str, connect: bool) -> None:
        found = self.actors[actor].do(lambda: self.handler[alias])
        self.check(actor, alias, found)
        if connect:
            self.actors[actor].do(lambda: self.handler[alias].cursor().execute("SELECT"))

    @rule(actor=ACTORS, alias=st.sampled_from(ALIASES))
    def forget(self, actor: int, alias: str) -> None:
        _, routed, known = self.expected(actor, alias)
        if alias == routed and known.pop(routed, None) is not None and not self.stacks_route(actor):
            self.actors[actor].do(lambda: self.handler.__delitem__(alias))
        else:
            known.pop(routed, None)
            known.update({routed: self.actors[actor].do(lambda: self.handler[alias])})

    def stacks_route(self, actor: int) -> bool:
        return bool(self.stacks[actor]) and self.stacks[actor][-1].target is not None

    @rule(actor=ACTORS)
    def open_transaction_and_leave_it(self, actor: int) -> None:
        found = self.actors[actor].do(lambda: self.handler["default"])
        self.check(actor, "default", found)
        if self.expected(actor, "default")[0] != "base":
            self.actors[actor].do(found.atomic().__enter__)

    @rule(actor=ACTORS)
    def separate(self, actor: int) -> None:
        def use() -> AnyWrapper:
            with separate_connection("default", connections=self.handler) as extra:
                extra.connect()
                assert extra is not self.handler["default"]
                return extra

        extra = self.actors[actor].do(use)
        scope = next((entered.tenant for entered in reversed(self.stacks[actor]) if entered.tenant), "base")
        assert extra.settings.name == f"{scope}-default"
        assert not extra.is_open

    @rule(actor=ACTORS, other=ACTORS)
    def bound_call_elsewhere(self, actor: int, other: int) -> None:
        bound = self.actors[actor].do(lambda: self.scope.bind(lambda: self.handler["default"]))
        found = self.actors[other].do(bound)
        name, routed, known = self.expected(actor, "default")
        assert found.settings.name == f"{name}-{routed}"
        assert self.owners.setdefault(found, other) == other
        if other == actor:
            assert known.setdefault(routed, found) is found
        again = self.actors[other].do(lambda: self.handler["default"])
        self.check(other, "default", again)

    @rule(actor=st.integers(2, 3))
    def worker_thread_of_a_task(self, actor: int) -> None:
        found = self.actors[actor].do(lambda: asyncio.to_thread(lambda: self.handler["default"]))
        name, routed, _ = self.expected(actor, "default")
        wrapper: Any = found
        assert wrapper.settings.name == f"{name}-{routed}"
        assert wrapper not in self.owners or self.owners[wrapper] == -1, "a task's or thread's own"
        self.owners[wrapper] = -1

    @rule(actor=ACTORS, other=ACTORS)
    def foreign_use(self, actor: int, other: int) -> None:
        found = self.actors[actor].do(lambda: self.handler["default"])
        self.check(actor, "default", found)
        if other != actor and found not in self.shared:
            with pytest.raises(ThreadSharingError):
                self.actors[other].do(found.cursor)

    @rule(actor=ACTORS)
    def share(self, actor: int) -> None:
        found = self.actors[actor].do(lambda: self.handler["default"])
        self.check(actor, "default", found)
        if found not in self.shared:
            manager = found.shared()
            self.actors[actor].do(manager.__enter__)
            self.shared[found] = manager

    @precondition(lambda self: bool(self.shared))
    @rule(other=ACTORS, number=st.integers(0, 7))
    def use_shared(self, other: int, number: int) -> None:
        found = list(self.shared)[number % len(self.shared)]
        self.actors[other].do(lambda: found.cursor().execute("SELECT"))

    @precondition(lambda self: bool(self.shared))
    @rule(other=ACTORS, number=st.integers(0, 7))
    def unshare(self, other: int, number: int) -> None:
        found = list(self.shared)[number % len(self.shared)]
        manager, owner = self.shared.pop(found), self.owners[found]
        self.actors[owner].do(lambda: manager.__exit__(None, None, None))
        if other != owner:
            with pytest.raises(ThreadSharingError):
                self.actors[other].do(found.cursor)

    def teardown(self) -> None:
        for actor, stack in enumerate(self.stacks):
            while stack:
                self.leave(actor, failing=False, raising=False)
        for wrapper, manager in self.shared.items():
            self.actors[self.owners[wrapper]].do(lambda manager=manager: manager.__exit__(None, None, None))  # type: ignore[misc]  # bound now
        wrapper = manager = None  # type: ignore[assignment]  # this frame would keep the last
        assert self.driver.collisions == []
        self.owners.clear()
        self.bases.clear()
        self.shared.clear()
        for thread in self.threads:
            thread.stop()
        self.tasks.stop()
        self.actors.clear()
        assert self.driver.open_connections == [], "leaked"


def test_no_connection_crosses_tenants_threads_or_tasks_and_none_leaks() -> None:
    thorough = os.environ.get("CI") or os.environ.get("BACKEND_SDK_REQUIRE_SERVICES") == "1"
    examples = int(os.environ.get("BACKEND_SDK_SCOPE_EXAMPLES", "1000" if thorough else "100"))
    gc.disable()  # what is freed is freed by reference counts
    try:
        run_state_machine_as_test(
            Machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=25,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
    finally:
        gc.enable()
