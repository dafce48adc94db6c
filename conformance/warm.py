"""Imported once by the process that zygotes are forked from: all that judging needs, and nothing that is judged."""

import contextlib
from importlib import import_module

from . import zygote
from .checks import load_register

__all__ = ["zygote"]

load_register()
for name in ("django.apps", "django.db.backends.sqlite3.base", "conformance.django.target"):
    with contextlib.suppress(ImportError):  # where there is no Django
        import_module(name)
