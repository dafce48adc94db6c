"""All that an error could tell, for the tests that look for a secret in it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator

import pytest
from pydantic import ValidationError

from backend_sdk import ImproperlyConfigured

SECRET = "hunter2"


def told_by(error: BaseException) -> str:
    """Every text of *error* and of all it hangs together with, shown in a traceback or not."""
    texts = [*traceback.format_exception(error)]
    for one in _connected(error, set()):
        texts += [str(one), repr(one), repr(one.args), repr(vars(one))]
        if isinstance(one, ValidationError):
            texts.append(repr(one.errors()))
        if isinstance(one, OSError):
            texts += [repr(one.strerror), repr(one.filename)]
    return "\n".join(line for text in texts for line in text.splitlines() if not _is_source(line))


def _is_source(line: str) -> bool:
    """Of a traceback, the lines that quote this test's own source, where the secret is written down."""
    return line.startswith("    ")


def _connected(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    inside = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for other in (error.__cause__, error.__context__, *inside):
        yield from _connected(other, seen)


def refusal(build: Callable[[], object], secret: str = SECRET) -> str:
    """The text of the refusal of *build*, in which nothing repeats *secret*."""
    with pytest.raises(ImproperlyConfigured) as caught:
        build()
    assert secret not in told_by(caught.value)
    return str(caught.value)
