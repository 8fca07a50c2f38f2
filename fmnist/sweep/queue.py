"""Which run comes next: missing ones, failed ones again, not those that another sweep computes. No Ray here."""

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

from fmnist.declare import RunSpec
from fmnist.store import RowKey, Store
from fmnist.sweep.in_flight import Claims, Key, forget, forget_old
from fmnist.sweep.plan import is_satisfied

REPLACEABLE = ("failed", "pruned")  # rows of runs that may be wanted all the same
LISTING_SHARE = 10  # looking at the results takes at most one part in so many of the time


@dataclass(frozen=True)
class Attempt:
    """One attempt to compute a run."""

    run: RunSpec
    number: int = 1

    @property
    def key(self) -> Key:
        """What the run's files are named after."""
        return self.run.run_id, self.run.placement


class RunQueue:
    """Hands out attempts at the missing runs one by one.

    One repeat comes after the other, so that what is there can be compared at any time. Within a repeat the run comes
    first that `expected` gives the most seconds, or None for not known, so that no worker idles long at the end.

    Several sweeps may work on the same results: a run whose row has appeared is dropped. One that another sweep has
    claimed is put off to the end and computed there if its row is still missing: that sweep may have crashed. So
    nothing is lost, and at most the runs under way are computed twice.
    """

    def __init__(
        self,
        runs: Sequence[RunSpec],
        store: Store,
        max_failures: int,
        done_elsewhere: Callable[[RunSpec], None] = lambda _: None,
        expected: Callable[[RunSpec], float | None] = lambda _: None,
    ) -> None:
        self._waiting = deque(Attempt(run) for run in runs)
        self._put_off: set[Key] = set()  # once each
        self._under_way: dict[Key, RunSpec] = {}
        self._handed_out: set[Key] = set()
        self._store, self._claims = store, Claims(store.storage)
        self._max_failures, self._done_elsewhere, self._expected = max_failures, done_elsewhere, expected
        self._ordered_repeat: int | None = None  # the repeat whose runs are in order
        self._rows = self._rows_before = store.keys()
        self._present: set[tuple[str, str, str]] = set()  # run_id, placement and status of rows that count
        self._note(self._rows)
        there = {(run_id, placement) for run_id, placement, _ in self._present}
        forget(store.storage, there | {(run_id, "shared") for run_id, _ in there})
        forget_old(store.storage)
        self._beside_another = False  # whether another sweep was seen to work on these results
        self._look_again_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, runs: Sequence[RunSpec]) -> None:
        """Let further runs wait, behind the others; rows of theirs that are known do not count."""
        ids = {run.run_id for run in runs}
        known = {row for row in self._rows if row.run_id in ids and row.status in REPLACEABLE}
        self._rows_before = self._rows_before | known
        self._present -= {(*row.run, row.status) for row in known}
        self._waiting += [Attempt(run) for run in runs]

    def take(self) -> Attempt | None:
        """Return the attempt to start now, and claim its run; None if none waits."""
        while self._waiting:
            self._look()
            self._order_next_repeat()
            attempt = self._waiting.popleft()
            if is_satisfied(attempt.run, self._present, failed=True):
                if attempt.number > 1:
                    forget(self._store.storage, {attempt.key})
                self._done_elsewhere(attempt.run)
            elif self._claims.claim(attempt.run) and attempt.number == 1 and attempt.key not in self._put_off:
                self._put_off.add(attempt.key)
                self._waiting.append(attempt)
                self._beside_another = True
            else:
                self._under_way[attempt.key] = attempt.run
                self._handed_out.add(attempt.key)
                return attempt
        return None

    def finished(self, attempt: Attempt) -> None:
        """Say that the run's row is in place."""
        self._under_way.pop(attempt.key, None)
        forget(self._store.storage, {attempt.key})

    def failed(self, attempt: Attempt) -> bool:
        """Say that an attempt failed; returns whether there will be another, at the end of the queue."""
        if attempt.number > self._max_failures:
            self.finished(attempt)
            return False
        self._waiting.append(Attempt(attempt.run, attempt.number + 1))
        return True

    def release(self) -> None:
        """Take back the claims of runs that are not finished, when the sweep ends early; their checkpoints stay."""
        for run in self._under_way.values():
            self._claims.delete(run)

    def _order_next_repeat(self) -> None:
        """Put the longest run first when a repeat begins: by then much is known from the one before."""
        repeat, number = self._waiting[0].run.repeat, self._waiting[0].number
        if repeat != self._ordered_repeat and number == 1:
            self._ordered_repeat = repeat
            first = list(takewhile(lambda attempt: (attempt.run.repeat, attempt.number) == (repeat, 1), self._waiting))
            later = list(self._waiting)[len(first) :]
            self._waiting = deque(sorted(first, key=self._seconds, reverse=True) + later)  # equal ones stay as they are

    def _seconds(self, attempt: Attempt) -> float:
        seconds = self._expected(attempt.run)
        return math.inf if seconds is None else seconds

    def _look(self) -> None:
        """List what other sweeps have done; alone, not so often that we would do little else."""
        now = time.monotonic()
        if now < self._look_again_at and not self._beside_another:
            return
        rows: set[RowKey] = set()
        with suppress(OSError):  # a storage that is away for a while: nothing new to see
            rows = self._rows = self._store.keys()
        self._note(rows)
        new_rows = {row.run for row in rows - self._rows_before}
        self._beside_another |= bool((new_rows | (self._claims.claimed() or set())) - self._handed_out)
        self._look_again_at = time.monotonic() + LISTING_SHARE * (time.monotonic() - now)

    def _note(self, rows: set[RowKey]) -> None:
        """Take in rows that are there; a failed or pruned one counts if it is new, else the run is here to go on."""
        counting = (row for row in rows if row.status not in REPLACEABLE or row not in self._rows_before)
        self._present |= {(*row.run, row.status) for row in counting}


def failed_row(run: RunSpec, error: str, attempts: int) -> dict[str, Any]:
    """Make the row of a run that is given up: it failed `attempts` times, the last time with `error`."""
    given_up = {"status": "failed", "error": error, "attempts": attempts, "resumed": False}
    return {**run.columns(), **given_up, "started_at": datetime.now(UTC)}  # of two such rows the later one counts
