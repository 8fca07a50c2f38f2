"""A search from its declaration to its rows and its report."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import Console

from fmnist.declare import RunSpec, Search
from fmnist.sweep.options import StudyOptions
from fmnist.sweep.resources import Cluster
from fmnist.sweep.structures import structure_process
from fmnist.sweep.study_job import Job, workplace

if TYPE_CHECKING:
    from fmnist.sweep.search_progress import Propose, SearchProgress


def run_search(search: Search, options: StudyOptions, console: Console) -> int:
    """Compute what is missing of `search`, proposing points until each track's budget is spent, and report on it.

    Returns as `run_study`.
    """
    from fmnist.sweep.proposals import propose

    with opened_search(search, options, console, propose) as job:
        given_up = job.compute()
    return given_up + job.report(job.progress.names)


@dataclass(frozen=True)
class SearchJob(Job):
    """One search on one store, while a Ray is connected."""

    kind: ClassVar[str] = "search"

    progress: "SearchProgress"

    def compute(self) -> int:
        """Compute runs until no track needs any; returns the number of runs that only failed."""
        missing = self.progress.start()
        self.write_manifest()
        failed, present = self.progress.failed(), len(self.progress.present())
        if going_on := sum(not self.progress.is_over(way) for way in self.progress.tracks if self.progress.learns(way)):
            self.say(f"Search {self.name}: {going_on} tracks propose further points as their runs end")
        given_up = self.sweep(missing, present, failed, self.progress.search.placement, follow=self._follow)
        self.write_manifest()
        return given_up

    def _follow(self, run: RunSpec, row: Mapping[str, Any] | None) -> Sequence[RunSpec]:
        further = self.progress.finished(run, row)
        if not self.progress.is_saved:
            self.write_manifest()
        return further

    def write_manifest(self) -> None:
        """Tell the store what the search is, and its points so far."""
        self.store.write_manifest(self.progress.manifest())
        self.progress.is_saved = True


@contextmanager
def opened_search(
    search: Search,
    options: StudyOptions,
    console: Console,
    propose: "Propose",
    cluster: AbstractContextManager[Cluster] | None = None,
) -> Iterator[SearchJob]:
    """Load the data, connect to Ray and see how far the search has come; `cluster` as `study_job.opened` takes it."""
    from fmnist.sweep.search_progress import SearchProgress

    with structure_process(search.examples) as structures, workplace(options, cluster) as (store, data, connected):
        progress = SearchProgress(
            search, store, structures, data.fingerprint, propose, retry_failed=options.retry_failed
        )
        yield SearchJob(search.name, options, console, store, data, connected, progress)
