"""The measuring core, on a clock and with samples that the tests make up."""

import gc
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle

import pytest

from benchmarks.gate import Run, Verdict, judge, judge_with_repeats, measure_row
from benchmarks.loops import with_own_code
from benchmarks.measure import Sampler, inner_count, interleave, quiet_collector, timed_sampler
from benchmarks.peers import Peer
from benchmarks.ratios import Spread, paired_ratio, spread
from benchmarks.report import as_data, closing, table
from benchmarks.rows import NotInstalledError, Row, Target, at_least, at_most, no_more_than

GATED = (3, 13)
OTHER = (3, 12)


@dataclass
class FakeClock:
    """Time that passes only when a loop says so."""

    now: int = 0
    counts: list[int] = field(default_factory=list)

    def __call__(self) -> int:
        return self.now

    def loop_of(self, each: int, once: int = 0) -> Callable[[int], None]:
        """A loop whose operation takes ``each``, and whose first run takes ``once`` more."""
        extra = iter([once])

        def loop(count: int) -> None:
            self.counts.append(count)
            self.now += each * count + next(extra, 0)

        return loop


def constant(value: float) -> Sampler:
    return lambda: value


def row_of(*targets: Target, contenders: Sequence[str] = ("raw", "ours"), rounds: int | None = None) -> Row:
    def source(name: str) -> None:
        raise AssertionError(f"{name} must not be opened")

    return Row("row", "a row", tuple(contenders), source, targets=targets, rounds=rounds)  # type: ignore[arg-type]


def runs(*ratios: float) -> tuple[Callable[[Row, int], Run], list[int]]:
    """A measurement that finds ours that many times slower than raw, run after run, and its rounds."""
    rounds_asked: list[int] = []
    remaining = iter(ratios)

    def measure(row: Row, rounds: int) -> Run:
        rounds_asked.append(rounds)
        return Run({"raw": [100.0], "ours": [100.0 * next(remaining)]}, {})

    return measure, rounds_asked


class TestSpread:
    def test_median_and_quartiles_of_the_samples(self) -> None:
        assert spread([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(2.0, 3.0, 4.0)

    def test_single_sample_is_its_own_quartiles(self) -> None:
        assert spread([7.0]) == Spread(7.0, 7.0, 7.0)

    def test_median_ignores_an_outlier(self) -> None:
        assert spread([1.0, 1.0, 1.0, 1.0, 1000.0]).median == 1.0

    def test_ratios_are_paired_within_their_round(self) -> None:
        # The machine is ten times slower in the middle round; unpaired, the medians would give 1.5.
        samples = {"raw": [100.0, 1000.0, 200.0], "ours": [200.0, 2000.0, 300.0]}
        assert paired_ratio(samples, "ours", "raw") == Spread(1.75, 2.0, 2.0)

    def test_unequal_numbers_of_rounds_are_refused(self) -> None:
        with pytest.raises(ValueError, match="zip"):
            paired_ratio({"raw": [1.0, 1.0], "ours": [1.0]}, "ours", "raw")


class TestSampling:
    def test_inner_count_makes_a_sample_last(self) -> None:
        clock = FakeClock()
        assert inner_count(clock.loop_of(each=100), clock, sample_ns=1_000_000) == 10_000

    def test_slow_operation_is_run_once(self) -> None:
        clock = FakeClock()
        assert inner_count(clock.loop_of(each=5_000_000), clock, sample_ns=1_000_000) == 1

    def test_coarse_clock_is_waited_for(self) -> None:
        clock = FakeClock()
        ticks_of_10_ms = lambda: clock.now // 10_000_000 * 10_000_000  # noqa: E731
        count = inner_count(clock.loop_of(each=100), ticks_of_10_ms, sample_ns=1_000_000)
        assert clock.counts[-1] > 10_000, "the count must come from a run that the clock has noticed"
        assert count == round(clock.counts[-1] / 10)

    def test_expensive_first_call_is_left_to_the_warm_up(self) -> None:
        clock = FakeClock()
        sampler = timed_sampler(clock.loop_of(each=100, once=50_000), clock, sample_ns=1_000_000)
        assert sampler() == 100.0
        assert clock.counts[-1] == 10_000, "the count must not come from the first call"

    def test_sample_is_time_for_one_operation(self) -> None:
        clock = FakeClock()
        sampler = timed_sampler(clock.loop_of(each=250), clock, sample_ns=1_000_000)
        clock.counts.clear()
        assert sampler() == 250.0
        assert clock.counts == [4000]


class TestInterleaving:
    def test_every_round_samples_each_contender_once(self) -> None:
        calls: list[str] = []

        def recorder(name: str) -> Sampler:
            def sample() -> float:
                calls.append(name)
                return float(len(calls))

            return sample

        names = ("a", "b", "c")
        interleave({name: recorder(name) for name in names}, 20, random.Random(1), before_sample=int)
        rounds = [calls[start : start + 3] for start in range(0, 60, 3)]
        assert all(sorted(order) == ["a", "b", "c"] for order in rounds)
        assert len({tuple(order) for order in rounds}) == 6, "the order must change from round to round"

    def test_samples_stay_in_the_order_of_the_rounds(self) -> None:
        rising = iter([1.0, 2.0, 3.0])
        samples = interleave({"a": lambda: next(rising), "b": constant(9.0)}, 3, random.Random(1), before_sample=int)
        assert samples == {"a": [1.0, 2.0, 3.0], "b": [9.0, 9.0, 9.0]}

    def test_same_seed_gives_the_same_order(self) -> None:
        def order(seed: int) -> list[str]:
            calls: list[str] = []
            samplers: Mapping[str, Sampler] = {
                name: lambda name=name: calls.append(name) or 1.0  # type: ignore[misc,func-returns-value]
                for name in ("a", "b", "c")
            }
            interleave(samplers, 10, random.Random(seed), before_sample=int)
            return calls

        assert order(1) == order(1) != order(2)

    def test_heap_is_tidied_before_each_sample(self) -> None:
        events: list[str] = []
        samplers: Mapping[str, Sampler] = {"a": lambda: events.append("sample") or 1.0}  # type: ignore[func-returns-value]
        interleave(samplers, 2, random.Random(1), before_sample=lambda: events.append("tidy"))
        assert events == ["tidy", "sample", "tidy", "sample"]


class TestCollector:
    def test_collector_is_off_and_the_heap_frozen_meanwhile(self) -> None:
        assert gc.isenabled()
        with quiet_collector():
            assert not gc.isenabled()
            frozen = gc.get_freeze_count()
        assert gc.isenabled()
        assert gc.get_freeze_count() < frozen / 2  # 3.12 leaves its immortal objects there

    def test_collector_that_was_off_stays_off(self) -> None:
        gc.disable()
        try:
            with quiet_collector():
                pass
            assert not gc.isenabled()
        finally:
            gc.enable()

    def test_collector_is_put_back_after_an_error(self) -> None:
        with pytest.raises(LookupError), quiet_collector():
            raise LookupError
        assert gc.isenabled()
        left = gc.get_freeze_count()
        gc.freeze()
        frozen = gc.get_freeze_count()
        gc.unfreeze()
        assert left < frozen / 2


class TestTargets:
    @pytest.mark.parametrize(("value", "met"), [(1.0, True), (1.5, True), (1.501, False)])
    def test_at_most_includes_its_limit(self, value: float, met: bool) -> None:
        assert at_most("ours", "raw", 1.5).met_by(value) is met

    @pytest.mark.parametrize(("value", "met"), [(5.0, True), (4.0, True), (3.999, False)])
    def test_at_least_includes_its_limit(self, value: float, met: bool) -> None:
        assert at_least("django", "ours", 4).met_by(value) is met

    def test_ratio_target_is_judged_by_the_paired_ratio(self) -> None:
        run = Run({"raw": [100.0, 1000.0, 200.0], "ours": [200.0, 2000.0, 300.0]}, {})
        (judged,) = judge(row_of(at_most("ours", "raw", 1.9)), run, GATED).judged
        assert judged.value == Spread(1.75, 2.0, 2.0)
        assert judged.verdict is Verdict.MISS

    def test_peer_target_divides_the_peer_by_ours(self) -> None:
        run = Run({"ours": [100.0], "django": [450.0]}, {})
        row = row_of(at_least("django", "ours", 4), contenders=("ours", "django"))
        (judged,) = judge(row, run, GATED).judged
        assert judged.value == Spread(4.5, 4.5, 4.5)
        assert judged.verdict is Verdict.OK

    def test_quantity_is_judged_by_itself(self) -> None:
        row = row_of(no_more_than("ours", 400))
        assert not judge(row, Run({"ours": [400.0]}, {}), GATED).fails
        assert judge(row, Run({"ours": [401.0]}, {}), GATED).fails

    def test_one_missed_target_of_several_fails_the_row(self) -> None:
        row = row_of(at_most("ours", "raw", 2), at_most("ours", "raw", 1.2))
        outcome = judge(row, Run({"raw": [100.0], "ours": [150.0]}, {}), GATED)
        assert [judged.verdict for judged in outcome.judged] == [Verdict.OK, Verdict.MISS]
        assert outcome.fails

    def test_miss_on_another_python_is_shown_and_not_gated(self) -> None:
        run = Run({"raw": [100.0], "ours": [300.0]}, {})
        outcome = judge(row_of(at_most("ours", "raw", 1.5)), run, OTHER)
        assert outcome.judged[0].verdict is Verdict.NOT_GATED
        assert not outcome.fails
        assert "Python 3.13" in closing([outcome], gate=True)

    def test_fact_is_gated_on_every_python(self) -> None:
        row = row_of(no_more_than("pydantic", 0, every_version=True), contenders=("pydantic",))
        assert judge(row, Run({"pydantic": [1.0]}, {}), OTHER).fails

    @pytest.mark.parametrize(("version", "fails"), [(GATED, True), (OTHER, False)])
    def test_missing_peer_of_a_target_fails_where_the_target_is_gated(
        self, version: tuple[int, int], fails: bool
    ) -> None:
        row = row_of(at_least("django", "ours", 4), contenders=("ours", "django"))
        outcome = judge(row, Run({"ours": [1.0]}, {"django": "django"}), version)
        assert outcome.judged[0].verdict is Verdict.NOT_INSTALLED
        assert outcome.fails is fails


class TestRepeats:
    ROW = row_of(at_most("ours", "raw", 1.5))

    def test_hit_is_measured_once(self) -> None:
        measure, rounds = runs(1.4)
        outcome = judge_with_repeats(self.ROW, 10, GATED, measure)
        assert (outcome.fails, outcome.attempts, rounds) == (False, 1, [10])

    def test_miss_is_measured_again_with_more_rounds_and_the_fresh_run_counts(self) -> None:
        measure, rounds = runs(1.6, 1.7, 1.45)
        outcome = judge_with_repeats(self.ROW, 10, GATED, measure)
        assert (outcome.fails, outcome.attempts, rounds) == (False, 3, [10, 20, 40])
        assert outcome.judged[0].value == Spread(1.45, 1.45, 1.45)
        assert outcome.run.samples["ours"][0] == pytest.approx(145.0)

    def test_miss_counts_when_the_attempts_are_used_up(self) -> None:
        measure, rounds = runs(1.6, 1.6, 1.6, 1.6, 1.4)
        outcome = judge_with_repeats(self.ROW, 10, GATED, measure, attempts=4)
        assert (outcome.fails, outcome.attempts, rounds) == (True, 4, [10, 20, 40, 80])

    def test_row_sets_its_own_rounds(self) -> None:
        measure, rounds = runs(1.6, 1.4)
        judge_with_repeats(row_of(at_most("ours", "raw", 1.5), rounds=3), 10, GATED, measure)
        assert rounds == [3, 6]

    def test_missing_peer_is_not_waited_for(self) -> None:
        calls: list[int] = []

        def measure(row: Row, rounds: int) -> Run:
            calls.append(rounds)
            return Run({"ours": [1.0]}, {"django": "django"})

        row = row_of(at_least("django", "ours", 4), contenders=("ours", "django"))
        assert judge_with_repeats(row, 10, GATED, measure).fails
        assert calls == [10]

    def test_miss_that_is_not_gated_is_not_measured_again(self) -> None:
        measure, rounds = runs(1.6)
        judge_with_repeats(self.ROW, 10, OTHER, measure)
        assert rounds == [10]


class TestRows:
    def test_contenders_are_closed_and_absent_ones_named(self) -> None:
        events: list[str] = []

        @contextmanager
        def source(name: str) -> Iterator[Sampler]:
            if name == "django":
                raise NotInstalledError("Django")
            events.append(f"open {name}")
            values = cycle([1.0])
            yield lambda: next(values)
            events.append(f"close {name}")

        run = measure_row(Row("row", "a row", ("raw", "django", "ours"), source), 2, random.Random(1))
        assert run == Run({"raw": [1.0, 1.0], "ours": [1.0, 1.0]}, {"django": "Django"})
        assert events == ["open raw", "open ours", "close ours", "close raw"]

    def test_peer_that_is_not_installed_says_so(self) -> None:
        with pytest.raises(NotInstalledError, match="no_such_distribution"):
            Peer("benchmarks.peers.raw", "no_such_distribution").load()

    def test_peer_that_breaks_on_import_is_not_called_absent(self) -> None:
        with pytest.raises(ModuleNotFoundError):
            Peer("benchmarks.peers.no_such_peer").load()

    def test_loop_keeps_its_cells_and_gets_code_of_its_own(self) -> None:
        seen: list[int] = []
        copy = with_own_code(loop := lambda count: seen.append(count))
        copy(3)
        assert seen == [3]
        assert copy.__code__ is not loop.__code__


class TestReport:
    ROW = row_of(at_most("ours", "raw", 1.5), at_least("django", "ours", 4), contenders=("raw", "ours", "django"))

    def test_table_names_misses_and_absences(self) -> None:
        outcome = judge(self.ROW, Run({"raw": [100.0], "ours": [160.0]}, {"django": "django"}), GATED)
        lines = [line.split() for line in table([outcome]).splitlines()]
        assert lines[1] == ["row", "raw", "100", "ns"]
        ratio = ["1.60", "[1.60-1.60]"]
        assert lines[2] == ["ours", "160", "ns", *ratio, "ours/raw", "<=", "1.5", "1.6", "MISS"]
        assert lines[3] == ["django", "-", "django/ours", ">=", "4", "not", "installed"]

    def test_table_shows_medians_of_all_rounds(self) -> None:
        run = Run({"raw": [100.0, 100.0, 100.0], "ours": [110.0, 120.0, 150.0]}, {})
        ours = table([judge(row_of(at_most("ours", "raw", 1.25)), run, GATED)]).splitlines()[2].split()
        assert ours == ["ours", "120", "ns", "1.20", "[1.15-1.35]", "ours/raw", "<=", "1.25", "1.2", "ok"]

    def test_table_names_an_absent_peer_that_no_target_needs(self) -> None:
        row = row_of(contenders=("raw", "peewee"))
        lines = table([judge(row, Run({"raw": [100.0]}, {"peewee": "peewee"}), GATED)]).splitlines()
        assert lines[2].split() == ["peewee", "-", "not", "installed"]

    def test_closing_names_the_failed_rows(self) -> None:
        miss = judge(self.ROW, Run({"raw": [1.0], "ours": [2.0], "django": [9.0]}, {}), GATED)
        hit = judge(self.ROW, Run({"raw": [1.0], "ours": [1.0], "django": [9.0]}, {}), GATED)
        assert closing([miss], gate=True) == "Missed: row."
        assert closing([hit], gate=True) == "No gated target is missed."

    def test_data_holds_ratios_verdicts_and_absences(self) -> None:
        outcome = judge(self.ROW, Run({"raw": [100.0], "ours": [140.0]}, {"django": "django"}), GATED)
        (row,) = as_data([outcome])["rows"]
        assert row["contenders"]["ours"]["ratio"]["median"] == pytest.approx(1.4)
        assert row["contenders"]["django"] == {"missing": "django"}
        assert [target["verdict"] for target in row["targets"]] == ["ok", "not installed"]
