"""From an exception to the author's own line: which frame, whose code, what it says."""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import backend_sdk

if TYPE_CHECKING:
    from types import TracebackType

    from .judged import Judged

__all__ = ["author_frames", "files_of", "inherited_from", "is_author_file", "place_in"]

_KIT = Path(__file__).parent
_OURS = (str(_KIT), str(Path(backend_sdk.__file__).parent))
# The wrong ones are the authors' code, as far as blame goes.
_CATALOGUES = tuple(str(_KIT / folder) + os.sep for folder in ("selftest", "django/mutants", "dbapi/mutants"))
_STANDARD = sysconfig.get_path("stdlib")


def author_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """The frames of *trace* that belong to neither the kit, nor the SDK, nor Python itself."""
    frames = traceback.extract_tb(trace)
    return [frame for frame in frames if is_author_file(frame.filename)]


def is_author_file(file: str) -> bool:
    """Whether *file* belongs to neither the kit, nor the SDK, nor Python itself."""
    if file.startswith(_CATALOGUES):
        return True
    in_standard = file.startswith(_STANDARD) and "site-packages" not in file
    return not (file.startswith("<") or in_standard or any(file.startswith(folder + os.sep) for folder in _OURS))


def files_of(cls: type) -> set[str]:
    """The files of *cls* and its bases that are the author's, or his base's."""
    defined_in = (getattr(sys.modules.get(base.__module__), "__file__", None) for base in cls.__mro__)
    return {file for file in defined_in if file is not None and is_author_file(file)}


def place_in(subject: Judged, error: BaseException) -> str:
    """``file:line`` of the innermost frame of the author's (or his base's) code that *error* passed, if any."""
    files = subject.author_files()
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = [frame for frame in traceback.extract_tb(current.__traceback__) if frame.filename in files]
        if frames:
            return f"{frames[-1].filename}:{frames[-1].lineno}"
        current = current.__cause__ or current.__context__
    return ""


def inherited_from(author: type, method: str) -> str:
    """The base class that defines *method*, where that is not the author's own code; else empty."""
    for cls in author.__mro__:
        if method in vars(cls):
            own = cls.__module__ == author.__module__
            return "" if own else f"{cls.__module__}.{cls.__qualname__}"
    return ""
