"""Put something around a function: around each step of it where it is a generator, so that nothing of it is in
force while the generator is suspended.
"""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from contextlib import AbstractContextManager

__all__ = ["Span", "around"]

F = TypeVar("F", bound="Callable[..., Any]")


class Span(Protocol):
    """One call: ``step()`` around each step of it, ``end()`` once, also after a failure."""

    def step(self) -> AbstractContextManager[object]: ...

    def end(self) -> None: ...


def around(function: F, begin: Callable[[], Span]) -> F:
    """*function* with a span around each call, made by *begin*. Coroutines and generators of both kinds too."""
    if inspect.isasyncgenfunction(function):
        wrapper: Any = _around_async_generator(function, begin)
    elif inspect.isgeneratorfunction(function):
        wrapper = _around_generator(function, begin)
    elif inspect.iscoroutinefunction(function):
        wrapper = _around_coroutine(function, begin)
    else:
        wrapper = _around_call(function, begin)
    return cast("F", wraps(function)(wrapper))


def _around_call(function: Callable[..., Any], begin: Callable[[], Span]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Any:
        span = begin()
        try:
            with span.step():
                return function(*args, **options)
        finally:
            span.end()

    return call


def _around_coroutine(function: Callable[..., Any], begin: Callable[[], Span]) -> Callable[..., Any]:
    async def call(*args: Any, **options: Any) -> Any:
        span = begin()
        try:
            with span.step():  # across its awaits: other tasks have contexts of their own
                return await function(*args, **options)
        finally:
            span.end()

    return call


def _around_generator(function: Callable[..., Any], begin: Callable[[], Span]) -> Callable[..., Any]:
    def call(*args: Any, **options: Any) -> Generator[Any, Any, Any]:
        span = begin()
        generator = function(*args, **options)
        try:
            step, given = generator.send, (None,)
            while True:
                try:
                    with span.step():
                        item = step(*given)
                except StopIteration as stop:
                    return stop.value
                try:
                    step, given = generator.send, ((yield item),)
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step, given = generator.throw, (error,)  # type: ignore[assignment]  # another's arguments
        finally:
            try:
                with span.step():
                    generator.close()
            finally:
                span.end()

    return call


def _around_async_generator(function: Callable[..., Any], begin: Callable[[], Span]) -> Callable[..., Any]:
    async def call(*args: Any, **options: Any) -> AsyncGenerator[Any, Any]:
        span = begin()
        generator = function(*args, **options)
        try:
            step, given = generator.asend, (None,)
            while True:
                try:
                    with span.step():
                        item = await step(*given)
                except StopAsyncIteration:
                    return
                try:
                    step, given = generator.asend, ((yield item),)
                except GeneratorExit:
                    raise
                except BaseException as error:
                    step, given = generator.athrow, (error,)  # type: ignore[assignment]  # another's arguments
        finally:
            try:
                with span.step():
                    await generator.aclose()
            finally:
                span.end()

    return call
