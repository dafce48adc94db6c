"""Which database a class belongs to, by the MODELS patterns of the settings: ``repo.db.connection``.

Source: the "multi-db" threads of the Django developers' list (``Manager.db``).
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, overload

from .connections import Connections, connections
from .databases import DEFAULT_ALIAS
from .errors import ImproperlyConfigured

if TYPE_CHECKING:
    from .backend import BaseBackend
    from .databases import AnyWrapper, Databases

__all__ = ["ModelConnection", "ModelDatabase", "alias_for_model"]


class _Model(NamedTuple):
    """A model by its names: ``shop.Order`` is app and class, ``myproj.shop.models.Order`` the dotted path."""

    dotted: str
    app: str
    name: str


def _described(model: str | type) -> _Model:
    if isinstance(model, str):
        if "." not in model:
            raise ImproperlyConfigured(f"a model is named as 'app.Model' or by its dotted path, not {model!r}")
        return _named(model)
    described = _named(f"{model.__module__}.{model.__qualname__}")
    label = getattr(getattr(model, "_meta", model), "app_label", None)
    return described._replace(app=label) if isinstance(label, str) else described


def _named(dotted: str) -> _Model:
    *path, name = dotted.split(".")
    if "models" in path[1:]:
        path = path[: path.index("models", 1)]  # an app's models live in its module or package of that name
    return _Model(dotted, path[-1] if path else "", name)


def _score(pattern: str, model: _Model) -> tuple[int, int] | None:
    """How closely *pattern* names *model*, the greater the closer; None where it does not."""
    label = f"{model.app}.{model.name}"
    if pattern == model.dotted:
        return 4, 0
    if pattern == label:
        return 3, 0
    if pattern == model.app:
        pattern = f"{pattern}.*"  # means the same, so both in different databases are a tie
    elif model.dotted.startswith(f"{pattern}."):
        return 2, pattern.count(".")
    if "*" in pattern and (fnmatchcase(label, pattern) or fnmatchcase(model.dotted, pattern)):
        return 1, len(pattern.replace("*", ""))
    return None


def alias_for_model(databases: Databases, model: str | type) -> str:
    """The alias whose MODELS name *model* most closely, else ``default``.

    Patterns, closest first: the class itself or its dotted path; ``app.Model``; a dotted module or package (the longer
    the closer); ``app.*``, ``app`` and other patterns with ``*`` (the more letters the closer).
    Raises `ImproperlyConfigured` where two aliases name it equally closely.
    """
    described = _described(model)
    best: tuple[int, int] | None = None
    found: dict[str, str] = {}
    for alias in databases:
        for pattern in databases.backend(alias).settings.models:
            score = _score(pattern, described)
            if score is None or (best is not None and score < best):
                continue
            found = {**found, alias: pattern} if score == best else {alias: pattern}
            best = score
    if len(found) > 1:
        claims = " and ".join(f"{alias!r} by {pattern!r}" for alias, pattern in found.items())
        raise ImproperlyConfigured(f"MODELS: {described.dotted} is claimed equally by {claims}; make one more exact")
    return next(iter(found), DEFAULT_ALIAS)


class ModelConnection:
    """Where one model's data are, for whoever asks: follows the thread and the scope at each use."""

    __slots__ = ("_connections", "_model")

    def __init__(self, handler: Connections, model: str | type) -> None:
        self._connections = handler
        self._model = model

    @property
    def alias(self) -> str:
        """Chosen at the first use under a scope and kept by the thread until the scope ends."""
        slot = self._connections.slot()
        key = self._model if isinstance(self._model, str) else f"{self._model.__module__}.{self._model.__qualname__}"
        alias = slot.models.get(key)
        if alias is None:
            alias = slot.models[key] = alias_for_model(self._connections.layer().databases, self._model)
        return alias

    @property
    def connection(self) -> AnyWrapper:
        return self._connections[self.alias]

    @property
    def backend(self) -> BaseBackend[Any, Any, Any, Any]:
        return self.connection.backend


class ModelDatabase:
    """Descriptor: ``class Repo: db = ModelDatabase("app.Model")``, then ``repo.db.connection`` on instances.

    Without a model, the class that it is read on is the model. A subclass overrides it by an attribute named after the
    descriptor: ``class Archive(Repo): db_model = "archive.Model"``.
    """

    __slots__ = ("_connections", "_model", "_name")

    def __init__(self, model: str | type | None = None, *, connections: Connections = connections) -> None:
        if isinstance(model, str):
            _described(model)
        self._model = model
        self._connections = connections
        self._name = "db"

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> NoReturn: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> ModelConnection: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> ModelConnection:
        if instance is None:
            name = owner.__qualname__ if owner is not None else "the class"
            raise AttributeError(
                f"{name}.{self._name} is served to instances, since threads share the class: use {name}().{self._name}"
            )
        override = getattr(type(instance), f"{self._name}_model", None)
        return ModelConnection(self._connections, override or self._model or type(instance))

    def __set__(self, instance: object, value: object) -> NoReturn:
        raise AttributeError(f"{self._name} follows the settings' MODELS; set {self._name}_model on a subclass instead")
