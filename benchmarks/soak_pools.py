"""``python -m benchmarks.soak_pools``: a pool's accounts after a long, rough day. Bounded; prints figures.

Threads acquire, work and give back on a real server, while statements fail, waits run out, threads die with their
lease, children are forked and the server restarts. In the end nothing may be lost, doubled or left at the server.
"""

import argparse
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from backend_sdk import DatabaseError, DatabaseWrapper, Error
from conformance.servers.postgresql import PostgreSQLServer
from reference_backends.pooled import PooledBackend, PoolOptions, Pools, PoolTimeout
from reference_backends.postgresql import PostgreSQLBackend, PostgreSQLSettings

NAME = "backend_sdk_soak"
IMPATIENCE = 0.0005  # seconds: four threads wait for each connection
ENOUGH = 50_000
ROUGH = ("failures", "timeouts", "deaths", "forks", "restarts", "server away")
"""What has to happen in so many acquisitions."""
KEPT: list[object] = []
"""Wrappers whose thread has died: held, so that reference counting does not do the pool's work for it."""


class Ledger:
    """Who has which session, kept beside the pool's own books."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.holders: dict[int, int] = {}
        self.lock = threading.Lock()

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] += 1

    def take(self, connection: object) -> None:
        with self.lock:
            self.counts["acquired"] += 1
            if self.holders.setdefault(id(connection), threading.get_ident()) != threading.get_ident():
                self.counts["doubled"] += 1

    def give(self) -> None:
        """Whatever this thread has; before it goes back, since it may be another's at once."""
        me = threading.get_ident()
        with self.lock:
            for session in [session for session, holder in self.holders.items() if holder == me]:
                del self.holders[session]


class Soak:
    """One run: *total* acquisitions over *threads* threads, with *restarts* of the server."""

    def __init__(self, server: PostgreSQLServer, *, total: int, threads: int, restarts: int, seed: int) -> None:
        self.server = server
        self.total, self.threads, self.restarts, self.seed = total, threads, restarts, seed
        settings = PostgreSQLSettings.from_url(server.url()).derive(options={"application_name": NAME})
        self.pools = Pools()
        options = PoolOptions(min_size=1, max_size=8, timeout=2, max_lifetime=5, ping_after=1)
        self.backend = PooledBackend(PostgreSQLBackend(settings), options, pools=self.pools)
        self.ledger = Ledger()
        self.left = total
        self.lock = threading.Lock()

    def next(self) -> bool:
        with self.lock:
            self.left -= 1
            return self.left >= 0

    def run(self) -> None:
        workers = [threading.Thread(target=self._live, args=(number,)) for number in range(self.threads)]
        restarter = threading.Thread(target=self._restart_now_and_then)
        for worker in (*workers, restarter):
            worker.start()
        for worker in workers:
            worker.join()
        restarter.join()

    def _live(self, number: int) -> None:
        """One place of the crew: when its thread dies, another takes over."""
        generation = 0
        while self.left > 0:
            rng = random.Random(f"{self.seed}-{number}-{generation}")
            heir = threading.Thread(target=self._work_until_death, args=(rng,))
            heir.start()
            heir.join()
            generation += 1

    def _work_until_death(self, rng: random.Random) -> None:
        wrapper = DatabaseWrapper(self.backend)
        while self.next():
            try:
                if not self._once(wrapper, rng):
                    return
            except PoolTimeout:
                self.ledger.count("timeouts")
            except DatabaseError:
                self.ledger.count("server away")
                time.sleep(0.01)  # as an application would before the next attempt
            finally:
                self.ledger.give()
                if wrapper not in KEPT:
                    wrapper.close()

    def _once(self, wrapper: DatabaseWrapper[Any, Any], rng: random.Random) -> bool:
        """One lease. False if the thread is to die with it."""
        if rng.random() < 0.05:
            self._without_patience()
        self.ledger.take(wrapper.connection)
        chance = rng.random()
        if chance < 0.001:
            self.ledger.count("deaths")
            KEPT.append(wrapper)
            return False
        if chance < 0.0013:
            self._fork()
        with wrapper.cursor() as cursor:
            if chance < 0.05:
                try:
                    cursor.execute("BEGIN; SELECT 1/0")
                except DatabaseError:
                    self.ledger.count("failures")
            elif chance < 0.06:
                cursor.execute("CREATE TEMPORARY TABLE left_behind (n int); SET search_path = left_behind")
            else:
                cursor.execute("SELECT to_regclass('pg_temp.left_behind')")
                if cursor.fetchone() != (None,):
                    self.ledger.count("leaked")
        return True

    def _without_patience(self) -> None:
        """A lease of the bare connection, unless the wait is longer than next to nothing."""
        try:
            connection = self.backend.get_new_connection({"timeout": IMPATIENCE})
        except PoolTimeout:
            return self.ledger.count("timeouts")
        except psycopg.OperationalError:
            return self.ledger.count("server away")
        self.ledger.take(connection)
        self.ledger.give()
        return self.backend.close_connection(connection)

    def _fork(self) -> None:
        """A child that uses the pool and ends; the parent's sessions must not notice."""
        self.ledger.count("forks")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                mine = DatabaseWrapper(self.backend)
                try:
                    mine.connect()
                    mine.close()
                except Error:
                    pass  # the server may be away
                self.backend.pool.close()
                code = 0
            finally:
                os._exit(code)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
            self.ledger.count("failed children")

    def _restart_now_and_then(self) -> None:
        for done in range(1, self.restarts + 1):
            goal = self.total * (1 - done / (self.restarts + 1))
            while self.left > goal:
                time.sleep(0.02)
            (self.server.kill if done % 2 else self.server.stop)()
            self.server.start()
            self.ledger.count("restarts")


def sessions(server: PostgreSQLServer) -> int:
    """How many of ours the server has."""
    settings = PostgreSQLSettings.from_url(server.url())
    wrapper = DatabaseWrapper(PostgreSQLBackend(settings))
    with wrapper.cursor() as cursor:
        row = cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [NAME]).fetchone()
    return int(row[0]) if row else -1


def settled(look: Callable[[], bool], patience: float = 15.0) -> bool:
    """Whether it becomes so in time."""
    deadline = time.monotonic() + patience
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def main(arguments: Sequence[str]) -> int:
    """Run, print, and 1 if anything does not add up."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.soak_pools", description=__doc__)
    options.add_argument("--total", type=int, default=ENOUGH, help="acquisitions")
    options.add_argument("--threads", type=int, default=32)
    options.add_argument("--restarts", type=int, default=4)
    options.add_argument("--seed", type=int, default=20240131)
    given = options.parse_args(arguments)
    with PostgreSQLServer() as server:
        soak = Soak(server, total=given.total, threads=given.threads, restarts=given.restarts, seed=given.seed)
        began = time.perf_counter()
        soak.run()
        took = time.perf_counter() - began
        pool = soak.backend.pool
        at_rest = settled(lambda: pool.statistics().leased == 0 and pool.size == pool.statistics().idle)
        now = pool.statistics()
        agreed = settled(lambda: sessions(server) == pool.size)
        pool.close()
        empty = settled(lambda: sessions(server) == 0)
    counts = soak.ledger.counts
    print(f"{given.total} acquisitions from {given.threads} threads in {took:.0f} s")
    print(", ".join(f"{what} {number}" for what, number in sorted(counts.items())))
    print(f"at rest: size {now.size} = idle {now.idle} + leased {now.leased}")
    print(f"opened {now.opened}, broken {now.broken}, resets {now.resets}, reclaimed {now.reclaimed}")
    verdicts = {
        "accounts exact": at_rest and now.size == now.idle + now.leased,
        "none doubled": not counts["doubled"],
        "none leaked": not counts["leaked"],
        "children well": not counts["failed children"],
        "the server agrees": agreed,
        "none left at the server": empty,
    }
    if given.total >= ENOUGH:
        verdicts["all of it happened"] = all(counts[what] for what in ROUGH)
    print(", ".join(f"{name}: {'yes' if holds else 'NO'}" for name, holds in verdicts.items()))
    return int(not all(verdicts.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
