"""Under a running event loop: blocking calls are refused with a way out, and permitted ones belong to tasks."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from backend_sdk import BlockingCallError, ThreadSharingError, allow_blocking
from tests.core.fakes import (
    PATIENCE,
    CheckedFakeCursor,
    Driver,
    FakeCursor,
    FakeWrapper,
    Worker,
    fake_wrapper,
    in_thread,
    run_source,
)
from tests.core.test_ownership import CURSOR_USES, USES, Use

UNBLOCKING = {"inc_thread_sharing", "dec_thread_sharing", "shared"}
BLOCKING = {name: use for name, use in USES.items() if name not in UNBLOCKING}


@pytest.fixture
def driver() -> Driver:
    return Driver()


async def called(function: Callable[..., Any], *args: Any) -> Any:
    """*function* under the running loop, in whichever task this runs."""
    return function(*args)


async def in_another_task(function: Callable[..., Any], *args: Any) -> Any:
    return await asyncio.create_task(called(function, *args))


class TestBlockingCalls:
    @pytest.mark.parametrize("use", BLOCKING.values(), ids=BLOCKING)
    def test_each_is_refused_with_a_way_out_and_opens_nothing(self, driver: Driver, use: Use) -> None:
        async def main() -> None:
            wrapper = fake_wrapper(driver, "reports")
            with pytest.raises(BlockingCallError, match="on 'reports' would block") as caught:
                use(wrapper)
            assert "asyncio.to_thread" in str(caught.value)
            assert "allow_blocking()" in str(caught.value)

        asyncio.run(main())
        assert driver.log == []

    @pytest.mark.parametrize("use", BLOCKING.values(), ids=BLOCKING)
    def test_each_is_refused_on_a_connection_from_before_the_loop(self, driver: Driver, use: Use) -> None:
        wrapper = fake_wrapper(driver)
        wrapper.connect()
        driver.log.clear()
        with pytest.raises(BlockingCallError):
            asyncio.run(called(use, wrapper))
        assert driver.log == []
        use_again_outside = wrapper.cursor()
        assert use_again_outside.execute("SELECT 1").fetchone() == (1,)

    @pytest.mark.parametrize("cursor_class", [FakeCursor, CheckedFakeCursor])
    @pytest.mark.parametrize("use", CURSOR_USES.values(), ids=CURSOR_USES)
    def test_so_are_those_of_a_cursor_from_before_the_loop(
        self, driver: Driver, cursor_class: type[FakeCursor], use: Callable[[Any], object]
    ) -> None:
        wrapper = fake_wrapper(driver, cursor_class=cursor_class)
        cursor = wrapper.cursor().execute("SELECT 1")
        driver.log.clear()
        with pytest.raises(BlockingCallError, match=r"asyncio\.to_thread"):
            asyncio.run(called(use, cursor))
        assert driver.log == []
        use(cursor)

    def test_an_iteration_begun_before_the_loop_is_not_carried_on_in_it(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver, cursor_class=CheckedFakeCursor)
        rows: Any = iter(wrapper.cursor().execute("SELECT 1"))  # type: ignore[call-overload]  # iteration is optional in PEP 249
        next(rows)

        async def main() -> None:
            with pytest.raises(BlockingCallError, match="iteration"):
                next(rows)

        asyncio.run(main())

    def test_a_loop_in_another_thread_refuses_nothing_here(self, driver: Driver) -> None:
        running, done = threading.Event(), threading.Event()

        async def main() -> None:
            running.set()
            await asyncio.to_thread(done.wait, PATIENCE)

        other = Worker(lambda: asyncio.run(main()))
        assert running.wait(PATIENCE)
        wrapper = fake_wrapper(driver)
        wrapper.cursor().execute("SELECT 1")
        done.set()
        other.result()

    def test_a_worker_thread_of_the_loop_may_block(self, driver: Driver) -> None:
        def work() -> object:
            wrapper = fake_wrapper(driver)
            return wrapper.cursor().execute("SELECT 1").fetchone()

        async def main() -> object:
            return await asyncio.to_thread(work)

        assert asyncio.run(main()) == (1,)

    def test_what_does_not_block_is_not_refused(self, driver: Driver) -> None:
        async def main() -> None:
            wrapper = fake_wrapper(driver)
            assert not wrapper.is_open
            wrapper.copy()
            with wrapper.shared():
                await asyncio.to_thread(wrapper.connect)
            assert wrapper.is_open

        asyncio.run(main())

    def test_dropping_an_open_wrapper_in_the_loop_closes_it(self, driver: Driver) -> None:
        held = [fake_wrapper(driver)]
        held[0].connect()
        asyncio.run(called(held.clear))
        assert driver.open_connections == []


class TestPermission:
    def test_allow_blocking_holds_for_its_block(self, driver: Driver) -> None:
        async def main() -> None:
            wrapper = fake_wrapper(driver)
            with allow_blocking():
                with allow_blocking():
                    wrapper.cursor()
                cursor = wrapper.cursor()
            for use in (wrapper.cursor, lambda: cursor.execute("SELECT 1")):
                with pytest.raises(BlockingCallError):
                    use()

        asyncio.run(main())

    def test_it_ends_with_an_exception(self, driver: Driver) -> None:
        async def main() -> None:
            with pytest.raises(ValueError, match="no"), allow_blocking():
                raise ValueError("no")
            with pytest.raises(BlockingCallError):
                fake_wrapper(driver).cursor()

        asyncio.run(main())

    def test_it_holds_for_tasks_started_in_it_and_not_for_others(self, driver: Driver) -> None:
        async def main() -> None:
            def use() -> None:
                fake_wrapper(driver).cursor()

            started, permitted = asyncio.Event(), asyncio.Event()

            async def stranger() -> None:
                started.set()
                await permitted.wait()
                with pytest.raises(BlockingCallError):
                    use()

            other = asyncio.create_task(stranger())
            await started.wait()
            with allow_blocking():
                await in_another_task(use)
                permitted.set()
                await other

        asyncio.run(main())

    def test_the_setting_permits_it_for_one_database(self, driver: Driver) -> None:
        async def main() -> None:
            fake_wrapper(driver, allow_blocking=True).cursor()
            with pytest.raises(BlockingCallError):
                fake_wrapper(driver).cursor()

        asyncio.run(main())

    def test_outside_of_a_loop_it_changes_nothing(self, driver: Driver) -> None:
        wrapper = fake_wrapper(driver)
        with allow_blocking():
            wrapper.cursor()
            with pytest.raises(ThreadSharingError):
                in_thread(wrapper.cursor)


class TestOwnershipByTask:
    @pytest.fixture(autouse=True)
    def run(self, driver: Driver) -> None:
        self.driver = driver

    def permitted(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def with_permission() -> None:
            with allow_blocking():
                await main()

        asyncio.run(with_permission())

    def wrapper(self, alias: str = "default") -> FakeWrapper:
        return fake_wrapper(self.driver, alias, cursor_class=CheckedFakeCursor)

    def test_the_task_that_made_it_owns_it_across_its_awaits(self) -> None:
        async def main() -> None:
            wrapper = self.wrapper()
            cursor = wrapper.cursor()
            await asyncio.sleep(0)
            cursor.execute("SELECT 1")
            with wrapper.atomic():
                await asyncio.sleep(0)
                assert list(cursor) == [(1,), (2,), (3,)]  # type: ignore[call-overload]  # iteration is optional in PEP 249

        self.permitted(main)

    @pytest.mark.parametrize("use", USES.values(), ids=USES)
    def test_another_task_of_the_same_thread_is_refused(self, use: Use) -> None:
        async def main() -> None:
            wrapper = self.wrapper("reports")
            wrapper.connect()
            self.driver.log.clear()
            with pytest.raises(ThreadSharingError, match="belongs to the task that made it"):
                await in_another_task(use, wrapper)
            assert self.driver.log == []

        self.permitted(main)

    @pytest.mark.parametrize("use", CURSOR_USES.values(), ids=CURSOR_USES)
    def test_so_is_it_at_a_held_cursor(self, use: Callable[[Any], object]) -> None:
        async def main() -> None:
            wrapper = self.wrapper()
            cursor = wrapper.cursor().execute("SELECT 1")
            self.driver.log.clear()
            with pytest.raises(ThreadSharingError):
                await in_another_task(use, cursor)
            assert self.driver.log == []

        self.permitted(main)

    @pytest.mark.parametrize("use", USES.values(), ids=USES)
    def test_a_wrapper_from_before_the_loop_is_not_the_tasks(self, use: Use) -> None:
        wrapper = self.wrapper()
        wrapper.connect()
        self.driver.log.clear()

        async def main() -> None:
            with pytest.raises(ThreadSharingError, match=r"made by thread .* used by task"):
                use(wrapper)

        self.permitted(main)
        assert self.driver.log == []
        wrapper.cursor()

    def test_nor_is_a_cursor_from_before_the_loop(self) -> None:
        wrapper = self.wrapper()
        cursor = wrapper.cursor()

        async def main() -> None:
            with pytest.raises(ThreadSharingError):
                cursor.execute("SELECT 1")

        self.permitted(main)

    def test_a_tasks_wrapper_is_not_its_threads_after_the_loop(self) -> None:
        kept: list[FakeWrapper] = []

        async def main() -> None:
            kept.append(self.wrapper())
            kept[0].connect()

        self.permitted(main)
        with pytest.raises(ThreadSharingError, match=r"made by task .* used by thread"):
            kept[0].cursor()

    def test_nor_a_later_tasks_in_another_loop(self) -> None:
        kept: list[FakeWrapper] = []

        async def make() -> None:
            kept.append(self.wrapper())

        async def use() -> None:
            with pytest.raises(ThreadSharingError):
                kept[0].cursor()

        self.permitted(make)
        self.permitted(use)

    def test_no_later_task_inherits_it_by_name_or_by_address(self) -> None:
        async def main() -> None:
            wrapper = await asyncio.create_task(called(self.wrapper), name="the same")
            for _ in range(200):  # the freed task's memory goes to a later one
                with pytest.raises(ThreadSharingError):
                    await asyncio.create_task(called(wrapper.cursor), name="the same")

        self.permitted(main)

    def test_its_worker_thread_is_refused_and_the_error_says_how_to_lend(self) -> None:
        async def main() -> None:
            wrapper = self.wrapper()
            with pytest.raises(ThreadSharingError, match=r"with wrapper\.shared\(\)"):
                await asyncio.to_thread(wrapper.cursor)
            with wrapper.shared():
                await asyncio.to_thread(wrapper.cursor)

        self.permitted(main)

    def test_a_copied_context_makes_no_owner(self) -> None:
        async def main() -> None:
            wrapper = self.wrapper()
            context = contextvars.copy_context()
            with pytest.raises(ThreadSharingError):
                await asyncio.to_thread(context.run, wrapper.cursor)
            with pytest.raises(ThreadSharingError):
                await asyncio.create_task(called(wrapper.cursor), context=context)

        self.permitted(main)

    def test_a_callback_of_the_loop_is_no_task(self) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            outcome: asyncio.Future[object] = loop.create_future()
            tasks_own, made = self.wrapper(), list[FakeWrapper]()

            def callback() -> None:
                made.append(self.wrapper("callback"))
                made[0].cursor()
                try:
                    outcome.set_result(tasks_own.cursor())
                except ThreadSharingError as error:
                    outcome.set_exception(error)

            loop.call_soon(callback)
            with pytest.raises(ThreadSharingError, match="used by task 'callback'"):
                await outcome
            with pytest.raises(ThreadSharingError):
                made[0].cursor()

        self.permitted(main)

    def test_the_error_names_both_tasks(self) -> None:
        async def main() -> None:
            wrapper = await asyncio.create_task(called(self.wrapper, "reports"), name="the owner")
            with pytest.raises(ThreadSharingError) as caught:
                await asyncio.create_task(called(wrapper.cursor), name="the caller")
            assert "on 'reports' refused" in str(caught.value)
            assert "made by task 'the owner'" in str(caught.value)
            assert "used by task 'the caller'" in str(caught.value)

        self.permitted(main)

    def test_many_tasks_with_a_wrapper_each_do_not_disturb_one_another(self) -> None:
        async def work(number: int) -> None:
            wrapper = self.wrapper(str(number))
            with wrapper.atomic():
                for _ in range(3):
                    await asyncio.sleep(0)
                    assert wrapper.cursor().execute("SELECT 1").fetchall() == [(1,), (2,), (3,)]

        async def main() -> None:
            await asyncio.gather(*(work(number) for number in range(20)))

        self.permitted(main)
        assert self.driver.open_connections == []

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
    def test_an_eager_task_owns_what_it_makes_from_its_first_step_on(self) -> None:
        async def inner() -> FakeWrapper:
            wrapper = self.wrapper()
            await asyncio.sleep(0)
            wrapper.cursor()
            return wrapper

        async def main() -> None:
            asyncio.get_running_loop().set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - unknown to 3.11's types
            wrapper = await asyncio.create_task(inner())
            with pytest.raises(ThreadSharingError):
                wrapper.cursor()

        self.permitted(main)

    def test_a_block_cannot_be_ended_by_another_task(self) -> None:
        async def main() -> None:
            wrapper = self.wrapper()
            block = wrapper.atomic()
            block.__enter__()
            with pytest.raises(ThreadSharingError):
                await in_another_task(block.__exit__, None, None, None)
            assert "commit" not in self.driver.log
            block.__exit__(None, None, None)
            assert self.driver.log[-1] == "commit"

        self.permitted(main)


QUERY_AND_THEN_ASYNCIO = """
import sys

from backend_sdk import BlockingCallError
from tests.core.fakes import Driver, fake_wrapper

{before}
wrapper = fake_wrapper(Driver())
cursor = wrapper.cursor().execute("SELECT 1")
assert cursor.fetchone() == (1,)
{after}
import asyncio

assert cursor.fetchone() == (2,)

async def main():
    for use in (cursor.fetchone, wrapper.cursor):
        try:
            use()
        except BlockingCallError:
            continue
        raise AssertionError("allowed")

asyncio.run(main())
assert cursor.fetchone() == (3,)
"""

# What a thread sees while another one is half through the import: a probe that is not the final one.
HALF_IMPORTED = """
from importlib.util import spec_from_loader
from types import ModuleType

half = ModuleType("asyncio.events")
half.__spec__ = spec_from_loader("asyncio.events", None)
half.__spec__._initializing = True
half._get_running_loop = lambda: None
sys.modules["asyncio.events"] = half
"""


class TestLateAsyncio:
    """Nothing of the SDK imports asyncio, which a synchronous program would pay for at its start."""

    def test_a_loop_is_noticed_when_asyncio_comes_after_the_first_queries(self) -> None:
        nothing = 'assert "asyncio" not in sys.modules'
        run_source(QUERY_AND_THEN_ASYNCIO.format(before=nothing, after=nothing))

    def test_a_query_during_the_import_of_asyncio_does_not_settle_on_half_of_it(self) -> None:
        run_source(QUERY_AND_THEN_ASYNCIO.format(before=HALF_IMPORTED, after='del sys.modules["asyncio.events"]'))
