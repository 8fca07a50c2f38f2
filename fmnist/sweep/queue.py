"""Which run comes next: missing ones, failed ones again, not those that another sweep does. No Ray here."""

from __future__ import annotations

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
from fmnist.sweep.claims import InFlight, Key
from fmnist.sweep.plan import satisfying

LISTING_SHARE = 10  # looking at the results takes at most one part in so many of the time


@dataclass(frozen=True)
class Turn:
    """One start of a run."""

    run: RunSpec
    attempt: int  # from 1

    @property
    def key(self) -> Key:
        """What the run's files are named after."""
        return self.run.run_id, self.run.placement


class RunQueue:
    """Hands out missing runs one by one, each with the number of its attempt.

    One repeat comes after the other, so that what is there can be compared at any time. Within a repeat the run comes
    first that `expected` gives the most seconds, or None for not known, so that no slot idles long at the end.

    Several sweeps may work on the same results: a run whose row has appeared is dropped, one that another sweep has
    taken on is put off to the end, where it is computed after all if its row is still missing: that sweep may have
    crashed. So nothing is lost, and at most the runs in flight are computed twice.
    """

    def __init__(
        self,
        runs: Sequence[RunSpec],
        store: Store,
        max_failures: int,
        done_elsewhere: Callable[[RunSpec], None] = lambda _: None,
        expected: Callable[[RunSpec], float | None] = lambda _: None,
    ) -> None:
        self._waiting = deque(Turn(run, attempt=1) for run in runs)
        self._put_off: deque[Turn] = deque()
        self._out: dict[Key, Turn] = {}  # handed out and not finished
        self._handed_out: set[Key] = set()
        self._store, self._inflight = store, InFlight(store.storage)
        self._max_failures, self._done_elsewhere, self._expected = max_failures, done_elsewhere, expected
        self._ordered_repeat: int | None = None  # the repeat whose runs are in order
        self._rows_before = store.keys()
        self._there: set[Key] = set()  # rows that make it needless to compute their run
        self._note(self._rows_before)
        self._inflight.tidy(self._there | {(run_id, "shared") for run_id, _ in self._there})
        self._shared = False  # whether another sweep was seen to work on these results
        self._look_again_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting) + len(self._put_off)

    def take(self) -> Turn | None:
        """Return the run to start now, and tell other sweeps; None if none waits."""
        while len(self):
            self._look()
            if self._waiting:
                self._order_next_repeat()
                turn = self._waiting.popleft()
                may_wait = turn.attempt == 1
            else:
                turn, may_wait = self._put_off.popleft(), False
            if satisfying(turn.run) & self._there:
                if turn.attempt > 1:
                    self._inflight.clear(turn.run)
                self._done_elsewhere(turn.run)
            elif not self._inflight.claim(turn.run) and may_wait:
                self._put_off.append(turn)
                self._shared = True
            else:
                self._out[turn.key] = turn
                self._handed_out.add(turn.key)
                return turn
        return None

    def finished(self, turn: Turn) -> None:
        """Say that the run's row is in place."""
        self._out.pop(turn.key, None)
        self._inflight.clear(turn.run)

    def failed(self, turn: Turn) -> bool:
        """Say that the run failed; returns whether it is tried again, at the end of the queue."""
        if turn.attempt > self._max_failures:
            self.finished(turn)
            return False
        self._waiting.append(Turn(turn.run, turn.attempt + 1))
        return True

    def release(self) -> None:
        """Give back what was handed out and not finished, when the sweep ends early; saved states stay."""
        for turn in self._out.values():
            self._inflight.drop(turn.run, "claim")

    def _order_next_repeat(self) -> None:
        """Put the longest run first when a repeat begins: by then much is known from the one before."""
        repeat = self._waiting[0].run.repeat
        if repeat == self._ordered_repeat or self._waiting[0].attempt > 1:
            return
        self._ordered_repeat = repeat
        turns = list(takewhile(lambda turn: turn.run.repeat == repeat and turn.attempt == 1, self._waiting))
        if len(turns) > 1:  # equal ones stay as they are
            self._waiting = deque(sorted(turns, key=self._seconds, reverse=True) + list(self._waiting)[len(turns) :])

    def _seconds(self, turn: Turn) -> float:
        seconds = self._expected(turn.run)
        return math.inf if seconds is None else seconds

    def _look(self) -> None:
        """List what other sweeps have done; alone, not so often that we would do little else."""
        now = time.monotonic()
        if now < self._look_again_at and self._waiting and not self._shared:
            return
        rows: set[RowKey] = set()
        with suppress(OSError):  # a storage that is away for a while: nothing new to see
            rows = self._store.keys()
        self._note(rows)
        new_rows = {row.run for row in rows - self._rows_before}
        self._shared = self._shared or bool((new_rows | self._inflight.claimed()) - self._handed_out)
        self._look_again_at = time.monotonic() + LISTING_SHARE * (time.monotonic() - now)

    def _note(self, rows: set[RowKey]) -> None:
        """Take in rows that are there; a failed one counts if it is new, else the run is here to be tried again."""
        self._there |= {row.run for row in rows if row.status != "failed" or row not in self._rows_before}


def failed_row(run: RunSpec, error: str, attempts: int) -> dict[str, Any]:
    """Make the row of a run that is given up: it failed `attempts` times, the last time with `error`."""
    given_up = {"status": "failed", "error": error, "attempts": attempts, "resumed": False}
    return {**run.columns(), **given_up, "started_at": datetime.now(UTC)}  # of two such rows the later one counts
