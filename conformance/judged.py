"""What the machinery that runs checks has to know of a target and of a check's view of it, of whatever kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from typing import Self

__all__ = ["DerivedTarget", "Judged", "JudgedTarget"]


class Judged(Protocol):
    """One check's view of the target: a context manager that lets go of everything at its end."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exception: object) -> None: ...

    def secret_texts(self) -> Iterable[str]:
        """What must not be printed."""
        ...

    def author_files(self) -> set[str]:
        """The files of the author's code and of what it is derived from."""
        ...

    def blamed(self, methods: Iterable[str], profile: str) -> tuple[str, str]:
        """``file:line`` of the first of *methods* that has one, and the foreign base it is inherited from, if so."""
        ...

    def excuses(self, inherited: str) -> bool:
        """Whether a finding in code *inherited* from there is not counted against the author."""
        ...

    def unreachable(self, error: BaseException) -> str:
        """The address, where *error* only says that no server answers there; else empty."""
        ...

    def is_targets_error(self, error: BaseException) -> bool:
        """Whether an error that passed no line of the author's is the target's own all the same."""
        ...


class JudgedTarget(Protocol):
    """What is loaded once per run."""

    @property
    def support(self) -> object: ...

    @property
    def base(self) -> Mapping[str, Any]: ...

    def check_base(self, workdir: Path, /) -> None:
        """Raise `ImproperlyConfigured` where the user's settings cannot be meant for this target.

        It may run the author's code, so it is called in a process of its own.
        """
        ...

    def with_base(self, base: Mapping[str, Any]) -> JudgedTarget: ...

    def subject(self, workdir: Path) -> Judged:
        """The view of one check; *workdir* is its own."""
        ...


@runtime_checkable
class DerivedTarget(Protocol):
    """A target that stands on another one, which is no code of its author's."""

    def stock(self) -> Iterable[tuple[str, JudgedTarget]]:
        """That other one's name, and it: under the same settings, then under some that it cannot refuse; or none."""
        ...


def traceback_functions(trace: TracebackType | None) -> list[str]:
    """The names of the functions that *trace* passed."""
    names: list[str] = []
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    return names
