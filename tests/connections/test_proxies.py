"""``connection`` and ``backend``: importable early, never rebound, following thread and scope."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

import backend_sdk
from backend_sdk import BaseBackend, Connections, DatabaseWrapper, Scopes, UnknownAliasError, connection
from backend_sdk.proxies import BackendProxy, ConnectionProxy
from tests.connections.tenants import tenant
from tests.core.fakes import Driver, in_thread


@pytest.fixture(name="handler")
def make_handler() -> Connections:
    return Connections({"default": tenant(Driver())})


@pytest.fixture(name="proxy")
def make_proxy(handler: Connections) -> DatabaseWrapper[Any, Any]:
    return cast("Any", ConnectionProxy(handler, "default"))  # type: ignore[no-any-return]  # as the module's own


def test_they_can_be_imported_and_looked_at_before_anything_is_configured() -> None:
    program = (
        "from backend_sdk import backend, connection, BaseBackend, DatabaseWrapper\n"
        "assert isinstance(connection, DatabaseWrapper) and isinstance(backend, BaseBackend)\n"
        "assert connection.__class__ is DatabaseWrapper\n"
        "assert repr(connection) and hash(connection) == hash(connection) and connection == connection\n"
        "assert not hasattr(connection, '__wrapped__') and not hasattr(connection, 'pytestmark')\n"
        "import doctest, inspect\n"
        "inspect.isclass(connection), inspect.isfunction(connection), inspect.unwrap(connection)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parents[2])


def test_instance_of_the_wrapper_without_resolving() -> None:
    unconfigured = ConnectionProxy(Connections(), "default")
    assert isinstance(unconfigured, DatabaseWrapper)
    assert isinstance(BackendProxy(Connections(), "default"), BaseBackend)


def test_follows_thread_and_scope(handler: Connections, proxy: DatabaseWrapper[Any, Any]) -> None:
    assert proxy.settings.name == "a"
    assert proxy.alias == "default"
    with Scopes(handler)({"default": tenant(Driver(), "other")}):
        assert proxy.settings.name == "other"
        assert in_thread(lambda: proxy.settings.name) == "a"
    assert proxy.settings.name == "a"


def test_the_backend_proxy_follows_too(handler: Connections) -> None:
    backend: Any = BackendProxy(handler, "default")
    with Scopes(handler)({"default": tenant(Driver(), "other")}):
        assert backend.settings.name == "other"
    assert backend.settings.name == "a"
    assert backend.vendor == "tenant"


def test_equality_and_hash_are_the_proxys_own(handler: Connections, proxy: DatabaseWrapper[Any, Any]) -> None:
    before = hash(proxy)
    with Scopes(handler)({"default": tenant(Driver(), "other")}):
        assert hash(proxy) == before
        assert {proxy: 1}[proxy] == 1
    assert proxy != handler["default"]
    another: object = ConnectionProxy(handler, "default")
    assert proxy != another


def test_setting_and_deleting_attributes_is_forwarded(handler: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    class Target:
        value = 0

    target = Target()
    monkeypatch.setattr(ConnectionProxy, "_resolve_", lambda self: target)
    proxy: Any = ConnectionProxy(handler, "default")
    proxy.value = 1
    assert target.value == 1
    del proxy.value
    assert target.value == 0


def test_assigning_the_proxy_to_an_alias_assigns_what_it_stands_for(handler: Connections) -> None:
    proxy: Any = ConnectionProxy(handler, "default")
    handler["other"] = proxy
    assert handler["other"] is handler["default"]
    handler["default"] = proxy
    assert handler["default"] is handler["other"]


def test_an_error_in_resolving_is_shown_as_it_is(handler: Connections) -> None:
    proxy: Any = ConnectionProxy(handler, "nowhere")
    with pytest.raises(UnknownAliasError):
        proxy.cursor()
    with pytest.raises(UnknownAliasError):
        _ = proxy.alias


@pytest.mark.parametrize("spread", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_proxy_refuses_to_leave_its_process(proxy: DatabaseWrapper[Any, Any], spread: Any) -> None:
    with pytest.raises(TypeError, match="import it"):
        spread(proxy)


def test_the_faces_names_are_the_objects_not_the_modules() -> None:
    assert isinstance(backend_sdk.connections, Connections)
    assert isinstance(backend_sdk.backend, BaseBackend)
    assert connection is backend_sdk.connection
