"""From an engine name to a backend: names, entry points, paths, and errors that say what to write instead."""

from __future__ import annotations

import copy
import importlib
import sys
import textwrap
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from backend_sdk import (
    ConnectionSettings,
    DatabaseWrapper,
    ImproperlyConfigured,
    UnknownEngineError,
    engine_names,
    load_backend_class,
    make_backend,
    register,
    registry,
    settings_class_of,
)
from reference_backends.sqlite3 import SQLiteBackend, SQLiteSettings
from tests.core.settings_support import SECRET, refusal

Write = Callable[..., str]
numbers = count()

BACKEND = """
import sqlite3
from backend_sdk import ConnectionSettings, Options

class {name}:
    def __init__(self, settings: ConnectionSettings) -> None:
        self.settings = settings
    def get_connection_params(self): return {{}}
    def get_new_connection(self, params): return sqlite3.connect(":memory:")
    def init_connection_state(self, connection): pass
    def _cursor(self, connection): return connection.cursor()
"""


def backend(name: str = "Mine") -> str:
    """The source of a backend that inherits nothing, with its settings on the instance alone."""
    return BACKEND.format(name=name)


@pytest.fixture(autouse=True)
def _nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module that can be imported, under a name that no other test has; returns the name."""
    monkeypatch.syspath_prepend(tmp_path)

    def write_module(source: str, inside: str = "") -> str:
        name = f"engine_module_{next(numbers)}"
        folder = tmp_path.joinpath(*inside.split(".")) if inside else tmp_path
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return f"{inside}.{name}" if inside else name

    return write_module


@pytest.fixture
def package(tmp_path: Path) -> Callable[[str], str]:
    def make(init: str) -> str:
        name = f"engine_package_{next(numbers)}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(textwrap.dedent(init))
        return name

    return make


@pytest.fixture
def distribute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs a distribution, as far as its entry points go."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(distribution: str, **engines: str) -> None:
        folder = tmp_path / f"{distribution}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in engines.items()]
        (folder / "entry_points.txt").write_text("\n".join(["[backend_sdk.backends]", *lines]))
        importlib.invalidate_caches()

    return install


def refused(engine: str) -> str:
    with pytest.raises(UnknownEngineError) as caught:
        load_backend_class(engine)
    return str(caught.value)


class TestNames:
    @pytest.mark.parametrize("name", ["sqlite", "sqlite3"])
    def test_sqlite_is_registered_by_its_entry_point(self, name: str) -> None:
        assert load_backend_class(name) is SQLiteBackend
        assert engine_names()[name] == "reference_backends.sqlite3:SQLiteBackend"

    @pytest.mark.parametrize("form", ["{}:Mine", "{}", "{}:Mine [extra]", "{} : Mine"])
    def test_a_third_party_registers_by_an_entry_point(
        self, write: Write, distribute: Callable[..., None], form: str
    ) -> None:
        module = write(backend())
        distribute("mine", mydb=form.format(module))
        assert load_backend_class("mydb").__module__ == module
        assert engine_names()["mydb"] in {module, f"{module}:Mine"}
        assert isinstance(make_backend("mydb://host/name").settings, ConnectionSettings)

    def test_a_name_that_two_distributions_claim_is_refused_with_both(
        self, write: Write, distribute: Callable[..., None]
    ) -> None:
        one, other = sorted([write(backend()), write(backend())])
        distribute("one", mydb=f"{one}:Mine")
        distribute("other", mydb=f"{other}:Mine")
        assert refused("mydb") == (
            f"engine 'mydb' is registered more than once: {one}:Mine, {other}:Mine; name the class itself instead"
        )

    def test_a_name_that_two_distributions_give_to_one_class_is_fine(
        self, write: Write, distribute: Callable[..., None]
    ) -> None:
        module = write(backend())
        distribute("one", mydb=f"{module}:Mine")
        distribute("one-again", mydb=f"{module}:Mine")
        assert load_backend_class("mydb").__name__ == "Mine"

    def test_an_entry_point_that_leads_nowhere_names_the_engine(self, distribute: Callable[..., None]) -> None:
        distribute("mine", mydb="gone_module:Mine")
        assert refused("mydb").startswith("engine 'mydb': there is no module 'gone_module'; ")

    def test_a_name_registered_in_this_process_wins(self, write: Write) -> None:
        register("sqlite", f"{write(backend())}:Mine")
        register("mine", SQLiteBackend)
        assert load_backend_class("sqlite").__name__ == "Mine"
        assert load_backend_class("mine") is SQLiteBackend
        assert engine_names()["mine"] == "SQLiteBackend"

    def test_every_name_known_is_listed_in_order(self, distribute: Callable[..., None]) -> None:
        distribute("mine", aaa="module:Mine")
        register("zzz", "other:Mine")
        names = engine_names()
        assert list(names) == sorted(names)
        assert (names["aaa"], names["zzz"]) == ("module:Mine", "other:Mine")


class TestPaths:
    @pytest.mark.parametrize(
        "engine",
        [
            "reference_backends.sqlite3",
            "reference_backends.sqlite3:SQLiteBackend",
            "reference_backends.sqlite3.SQLiteBackend",
        ],
    )
    def test_module_and_class_paths_name_a_backend(self, engine: str) -> None:
        assert load_backend_class(engine) is SQLiteBackend

    def test_a_module_at_the_top_needs_no_dot(self, write: Write) -> None:
        module = write(backend())
        assert load_backend_class(module) is load_backend_class(f"{module}.Mine")

    def test_of_a_class_and_its_subclass_in_a_module_the_most_derived_is_meant(self, write: Write) -> None:
        module = write(backend("Base") + "\nclass Derived(Base): pass\nAlso = Derived\n")
        assert load_backend_class(module).__name__ == "Derived"

    def test_what_a_module_leaves_abstract_is_not_its_backend(self, write: Write) -> None:
        module = write(
            """
            from abc import abstractmethod
            from reference_backends.sqlite3 import SQLiteBackend

            class Abstract(SQLiteBackend):
                @abstractmethod
                def region(self): ...

            class Concrete(Abstract):
                def region(self): return "eu"
            """
        )
        assert load_backend_class(module).__name__ == "Concrete"

    def test_a_backend_that_a_module_imports_does_not_count(self, write: Write) -> None:
        module = write(backend() + "from reference_backends.sqlite3 import SQLiteBackend\n")
        assert load_backend_class(module).__name__ == "Mine"

    def test_a_module_with_several_backends_asks_which(self, write: Write) -> None:
        module = write(backend("One") + backend("Two"))
        assert refused(module) == (
            f"engine {module!r}: the module defines several backends (One, Two); write it as module:Class"
        )

    @pytest.mark.parametrize(
        ("engine", "text"),
        [
            ("sqlit", "unknown engine 'sqlit'; did you mean 'sqlite'?"),
            ("SQLite3", "unknown engine 'SQLite3'; did you mean 'sqlite3'?"),
            ("json", "engine 'json': the module defines no backend class; write it as module:Class (known: "),
            ("nosuch.db.backends.sqlite3", "there is no module 'nosuch'; did you mean 'sqlite3'?"),
            ("reference_backends.sqlite4", "no class 'sqlite4' in module 'reference_backends'; it defines no backend"),
            ("reference_backends.sqlite4:X", "there is no module 'reference_backends.sqlite4'"),
            ("reference_backends.sqlite3:SQLiteBackedn", "no class 'SQLiteBackedn' in module 'reference"),
            ("reference_backends.sqlite3.SQLiteBackedn", "did you mean 'SQLiteBackend'?"),
            ("collections:OrderedDict", "OrderedDict is not a backend: it lacks get_connection_params"),
            ("collections:abc", "no class 'abc' in module 'collections'"),
            ("backend_sdk:BaseBackend", "BaseBackend is not a backend: it lacks _cursor, get_connection_params"),
            ("", "unknown engine ''"),
            (".foo", "unknown engine '.foo'"),
            ("a..b", "unknown engine 'a..b'"),
            ("a.", "unknown engine 'a.'"),
            (":Mine", "unknown engine ':Mine'"),
            ("json:", "unknown engine 'json:'"),
            ("json:a:b", "unknown engine 'json:a:b'"),
            ("my-db", "unknown engine 'my-db'"),
            ("my db", "unknown engine 'my db'"),
            ("../etc", "unknown engine '../etc'"),
        ],
    )  # fmt: skip
    def test_what_leads_to_no_backend_is_refused_with_the_way_out(self, engine: str, text: str) -> None:
        assert text in refused(engine)

    def test_a_url_in_the_place_of_the_engine_is_not_repeated(self) -> None:
        text = refusal(lambda: load_backend_class(f"postgresql://u:{SECRET}@h/db"))
        assert text == "the engine is given as a database URL; give the whole URL in place of the settings"
        text = refusal(lambda: make_backend({"ENGINE": f"postgresql://u:{SECRET}@h/db"}, alias="reports"))
        assert text.startswith("settings of 'reports': the engine is given as a database URL")


class TestImportErrors:
    @pytest.mark.parametrize(
        ("source", "error"),
        [
            ("import driver_that_is_not_installed", ModuleNotFoundError),
            ("from json import nothing_of_that_name", ImportError),
            ("raise RuntimeError('no licence')", RuntimeError),
            ("raise ModuleNotFoundError('without a name')", ModuleNotFoundError),
        ],
    )
    @pytest.mark.parametrize("form", ["{}", "{}:Mine", "{}.Mine"])
    def test_an_error_in_the_authors_module_passes_through(
        self, write: Write, source: str, error: type[Exception], form: str
    ) -> None:
        module = write(source)
        with pytest.raises(error) as caught:
            make_backend({"ENGINE": form.format(module)})
        assert type(caught.value) is error

    @pytest.mark.parametrize("form", ["{}", "{}:Mine", "{}.Mine"])
    def test_an_error_in_the_authors_package_passes_through(
        self, write: Write, package: Callable[[str], str], form: str
    ) -> None:
        name = package("import driver_that_is_not_installed")
        module = write(backend(), inside=name)
        with pytest.raises(ModuleNotFoundError) as caught:
            load_backend_class(form.format(module))
        assert caught.value.name == "driver_that_is_not_installed"

    def test_a_missing_module_whose_name_only_begins_alike_passes_through(
        self, write: Write, package: Callable[[str], str]
    ) -> None:
        name = package("")
        module = write(f"import {name}_driver", inside=name)
        with pytest.raises(ModuleNotFoundError) as caught:
            load_backend_class(f"{module}:Mine")
        assert caught.value.name == f"{name}_driver"

    def test_a_failed_import_leaves_no_module_behind(self, write: Write) -> None:
        module = write("raise RuntimeError")
        for _ in range(2):
            with pytest.raises(RuntimeError):
                load_backend_class(module)
        assert module not in sys.modules


class MineSettings(ConnectionSettings, frozen=True):
    region: str = ""


class Declares:
    settings_class = MineSettings

    def __init__(self, settings: object) -> None: ...


class Annotates:
    def __init__(self, settings: MineSettings, extra: int = 0) -> None: ...


class AnnotatesNothing:
    def __init__(self, settings): ...  # type: ignore[no-untyped-def]  # as an author without types would write it


class Inherits(Annotates):
    pass


class SubclassedSQLite(SQLiteBackend):
    pass


class TestSettingsClass:
    @pytest.mark.parametrize(
        ("cls", "settings_class"),
        [
            (Declares, MineSettings),
            (Annotates, MineSettings),
            (Inherits, MineSettings),
            (AnnotatesNothing, ConnectionSettings),
            (object, ConnectionSettings),
            (SQLiteBackend, SQLiteSettings),
            (SubclassedSQLite, SQLiteSettings),
        ],
    )
    def test_it_is_the_declared_one_or_that_of_init(self, cls: type, settings_class: type) -> None:
        assert settings_class_of(cls) is settings_class

    def test_one_that_cannot_be_told_is_refused_rather_than_guessed(self, write: Write) -> None:
        source = backend().replace("import sqlite3", "from __future__ import annotations\nimport sqlite3")
        module = write(source.replace("settings: ConnectionSettings", "settings: OnlyForTypeCheckers"))
        text = refusal(lambda: make_backend({"ENGINE": module, "PASSWORD": SECRET}))
        assert "cannot tell the settings class of Mine" in text
        assert "'OnlyForTypeCheckers'" in text
        assert "set settings_class on the class" in text


class TestMakeBackend:
    @pytest.mark.parametrize(
        "source",
        [
            {"ENGINE": "sqlite3", "NAME": "a.db", "OPTIONS": {"timeout": 3}},
            "sqlite3:///a.db?timeout=3",
            SQLiteSettings.from_mapping({"ENGINE": "sqlite3", "NAME": "a.db", "OPTIONS": {"timeout": "3"}}),
        ],
    )
    def test_mapping_url_and_settings_make_equal_backends(self, source: Any) -> None:
        expected = SQLiteBackend(SQLiteSettings.from_url("sqlite3:///a.db?timeout=3"))
        made = make_backend(source)
        assert made == expected
        assert hash(made) == hash(expected)

    def test_the_mapping_is_neither_changed_nor_kept(self) -> None:
        mapping: dict[str, Any] = {"ENGINE": "sqlite3", "NAME": "a.db", "OPTIONS": {"pragmas": {"cache_size": 5}}}
        before = copy.deepcopy(mapping)
        made = make_backend(mapping)
        assert mapping == before
        mapping["NAME"] = "b.db"
        mapping["OPTIONS"]["pragmas"]["cache_size"] = 6
        assert made == make_backend(before)

    def test_a_backend_that_keeps_its_settings_on_the_instance_works_in_a_wrapper(self, write: Write) -> None:
        wrapper = DatabaseWrapper(make_backend({"ENGINE": f"{write(backend())}:Mine", "NAME": "x"}))
        with wrapper.cursor() as cursor:
            assert cursor.execute("SELECT 1").fetchone() == (1,)
        wrapper.close()

    @pytest.mark.parametrize(
        ("source", "text"),
        [
            ({"ENGINE": "sqlit", "NAME": "x"}, "unknown engine 'sqlit'; did you mean 'sqlite'?"),
            ("sqlit:///x", "unknown engine 'sqlit'; did you mean 'sqlite'?"),
            ({"NAME": "x"}, "ENGINE is missing, or no text; give an engine name"),
            ({"ENGINE": SQLiteBackend}, "ENGINE is missing, or no text; give an engine name"),
            (ConnectionSettings(name="x"), "ENGINE is missing, or no text; give an engine name"),
            (
                ConnectionSettings(engine="sqlite3", name="x"),
                "engine 'sqlite3' takes SQLiteSettings, not ConnectionSettings",
            ),
            ({"ENGINE": "sqlite3", "NAME": "x", "PASWORD": SECRET}, "unknown key 'PASWORD'; did you mean 'PASSWORD'?"),
            ({"ENGINE": "sqlite3", "NAME": "x", "PASSWORD": SECRET}, "PASSWORD means nothing to SQLite; leave it out"),
            (
                {"ENGINE": "sqlite3", "NAME": "x", "OPTIONS": {"driver": "no_such_driver"}},
                "OPTIONS driver: there is no module 'no_such_driver'",
            ),
            (None, "give a mapping with ENGINE and NAME, a URL or settings; this is a NoneType"),
            ([("ENGINE", "sqlite3")], "give a mapping with ENGINE and NAME, a URL or settings; this is a list"),
            (b"sqlite:///x", "give a mapping with ENGINE and NAME, a URL or settings; this is a bytes"),
        ],
    )
    def test_every_refusal_names_the_alias(self, source: Any, text: str) -> None:
        assert refusal(lambda: make_backend(source, alias="reports")).startswith(f"settings of 'reports': {text}")

    def test_a_refusal_of_the_backend_itself_keeps_its_cause(self, write: Write) -> None:
        module = write(
            """
            from backend_sdk import ImproperlyConfigured
            from reference_backends.sqlite3 import SQLiteBackend

            class Mine(SQLiteBackend):
                def __init__(self, settings):
                    raise ImproperlyConfigured("no licence") from OSError("licence.txt")
            """
        )
        with pytest.raises(ImproperlyConfigured, match="settings of 'a': no licence") as caught:
            make_backend({"ENGINE": module, "NAME": "x"}, alias="a")
        assert isinstance(caught.value.__cause__, OSError)

    def test_settings_of_a_subclass_are_taken(self) -> None:
        class Mine(SQLiteSettings, frozen=True):
            region: str = ""

        settings = Mine(name="x", region="eu")
        made = make_backend(settings)
        assert made.settings == settings
        assert made.settings is not settings
