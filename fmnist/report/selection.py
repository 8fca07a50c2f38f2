"""Which rows a study is reported from: its configurations by their ids, one row for each repeat."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import pandas as pd

from fmnist import UserError
from fmnist.compare import Design, Hardware, PairDecision, Refusal, decide, select_comparable
from fmnist.declare import DEFAULT_MARGINS, METRICS, Metric
from fmnist.report.search_data import SearchRows, select_search
from fmnist.store import SCALAR_COLUMNS, SEARCH_STATUSES, STATUSES, Store

FALLBACK_METRIC = "test_accuracy"  # decides a study whose manifest names no metric that is known
MOST_NAMED = 5  # configurations in a remark; more are counted


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyRows:
    """The rows of one study. Frames have the scalar columns of the schema; `label` is the study's own."""

    name: str
    question: str
    primary_metric: str
    margins: Mapping[str, float]
    repeats: int | None  # wanted for each configuration; None where no manifest says it
    architectures: Mapping[str, str]  # label -> architecture, in the study's order
    outcomes: pd.DataFrame  # one row for each label and repeat that the study asks for, whatever its status
    rows: pd.DataFrame  # every row: a repeat may be there shared and exclusive, or on several kinds of hardware
    design: Design | None = None  # by which repeats were added; None: their number was fixed
    first_repeat: int = 0  # of those the study asks for
    # of a study of what a search found: its name, and each architecture's labels from its default to its best point
    tuning: Mapping[str, Any] = field(default_factory=dict)
    # of its configurations' runs in the repeats before its first, one row each: those by which a search chose
    search_rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    remarks: tuple[str, ...] = ()  # sentences: which rows are there and left out, what of the manifest cannot be used

    @property
    def labels(self) -> list[str]:
        """All labels, in the study's order."""
        return list(self.architectures)

    @property
    def finished(self) -> pd.DataFrame:
        """The rows with status ok."""
        return self.outcomes[self.outcomes["status"] == "ok"]

    @property
    def finished_labels(self) -> list[str]:
        """The labels that have a finished row, in the study's order."""
        there = set(self.finished["label"])
        return [label for label in self.labels if label in there]

    def rows_for(self, metric: str) -> tuple[pd.DataFrame, str]:
        """Choose the finished rows that a metric is read from, and say why they cannot be compared on it.

        The reason is empty where they can: always for accuracy, and for time and memory on exclusive rows of one
        hardware. Where there are no such rows those of `finished` are given, to be described and not compared.
        """
        if not METRICS[metric].needs_exclusive:
            return self.finished, ""
        finished = self.rows[self.rows["status"] == "ok"]
        rows, refusal = select_comparable(finished[finished[metric].notna()], METRICS[metric])
        return (self.finished, refusal_words(refusal, METRICS[metric])) if refusal else (rows, "")

    def values(self, metric: str) -> dict[str, pd.Series]:
        """Give each label's finite values of a metric by repeat, in stored units; labels without any left out."""
        numbers = self.rows_for(metric)[0].set_index("repeat").sort_index().astype({metric: float})
        by_label = dict(iter(numbers[np.isfinite(numbers[metric])].groupby("label")[metric]))
        return {label: by_label[label] for label in self.labels if label in by_label}

    def decisions(self, design: Design) -> list[PairDecision]:
        """Decide every pair of the study by its group-sequential design; UserError where no rows may be compared."""
        metric = METRICS[design.metric]
        rows, refusal = select_comparable(self.rows if metric.needs_exclusive else self.outcomes, metric)
        if refusal:
            raise UserError(refusal_words(refusal, metric))
        return decide(rows, metric, self.margins.get(metric.name), design.analyses, labels=self.labels)

    def counts(self) -> pd.DataFrame:
        """Count, for each label, the runs wanted, those of each status, and the repeats that have no row."""
        table = pd.crosstab(self.outcomes["label"], self.outcomes["status"])
        statuses = [status for status in STATUSES if status not in SEARCH_STATUSES]
        table = table.reindex(index=self.labels, columns=statuses, fill_value=0)
        table.insert(0, "wanted", [self.repeats] * len(table))
        return table.assign(missing=[len(self.missing_repeats[label]) for label in self.labels])

    @cached_property
    def missing_repeats(self) -> dict[str, list[int]]:
        """The wanted repeats of each label without any row."""
        there = self.outcomes.groupby("label")["repeat"].agg(set)
        wanted = set(range(self.first_repeat, self.first_repeat + (self.repeats or 0)))
        return {label: sorted(wanted - there.get(label, set())) for label in self.labels}


def refusal_words(refusal: Refusal, metric: Metric) -> str:
    """Say why no rows may be compared on a metric of time or memory."""
    if refusal.hardware:
        kinds = f"{len(refusal.hardware)} kinds of hardware ({hardware_words(refusal.hardware)})"
        return f"{metric.label}: got exclusive rows of {kinds}, expected one"
    words = {"shared": "shared a machine", "disturbed": "had other runs beside them",
             "resumed": "were resumed from a checkpoint"}  # fmt: skip
    why = " or ".join(words[reason] for reason in refusal.reasons)
    return f"{metric.label}: the runs of {', '.join(refusal.labels)} {why}, expected exclusive runs, not resumed"


def hardware_words(kinds: Iterable[Hardware]) -> str:
    """Name kinds of hardware: EPYC, 2 threads, 0 GPU; Xeon, 1 thread, 0 GPU."""
    return "; ".join(
        sorted(f"{model}, {threads:g} thread{'s' * (threads != 1)}, {gpus:g} GPU" for model, threads, gpus in kinds)
    )


def read_rows(store: Store) -> pd.DataFrame:
    """Read every row of the store without its history and predictions."""
    rows: pd.DataFrame = store.read(list(SCALAR_COLUMNS)).to_pandas()
    return rows


def select_studies(store: Store, names: Sequence[str] = (), rows: pd.DataFrame | None = None) -> list[StudyRows]:
    """Select the studies of those names, in their order, or every study of the store, as `select_reported` does."""
    return [item for item in select_reported(store, names, rows) if isinstance(item, StudyRows)]


def select_reported(
    store: Store, names: Sequence[str] = (), rows: pd.DataFrame | None = None
) -> list[StudyRows | SearchRows]:
    """Select the studies and searches of those names, in their order, or all of the store, the latest run first.

    A study's configurations and its number of repeats are those of its manifest, that is of the last command that ran
    it; what other rows there are is left out and told in its remarks. Rows of no manifest, whose study has none either,
    are reported under the study that asked for them. `rows` are those that `read_rows` gives, where they are read
    already. UserError if there are no rows, or none of a study that was named.
    """
    rows = read_rows(store) if rows is None else rows
    if rows.empty:
        raise UserError(
            f"results: {store.uri} holds no run, expected Parquet files under runs/ or compacted/:"
            " run `python jobs/study.py quick` first, or name another place with --results"
        )
    manifests = store.manifests()
    claimed = {item["configuration_id"] for manifest in manifests for item in manifest["configurations"]}
    orphans = rows[~rows["configuration_id"].isin(claimed) & ~rows["status"].isin(SEARCH_STATUSES)]
    by_name = {manifest["name"]: manifest for manifest in manifests}
    by_name |= {manifest["name"]: manifest for manifest in _manifests_of_rows(orphans, set(by_name))}
    for name in names:
        if name not in by_name:
            raise UserError(f"study: got {name!r}, expected one with results in {store.uri}: {', '.join(by_name)}")
    earlier = orphans["study"].value_counts()
    chosen = [by_name[name] for name in dict.fromkeys(names) or by_name]
    found = [
        select_search(rows, manifest)
        if "search" in manifest
        else _select(rows, manifest, int(earlier.get(manifest["name"], 0)))
        for manifest in chosen
    ]
    there, lacking = ([item for item in found if item.rows.empty == empty] for empty in (False, True))
    if lacking and (names or not there):
        raise UserError(
            f"study {lacking[0].name!r}: its configurations have no run in {store.uri}: run"
            f" `python jobs/study.py {lacking[0].name}` first. {' '.join(lacking[0].remarks)}".rstrip()
        )
    return found if names else sorted(there, key=lambda item: item.rows["started_at"].max(), reverse=True)


def _manifests_of_rows(orphans: pd.DataFrame, known: Collection[str]) -> list[dict[str, Any]]:
    """Make up a manifest for each study that is not `known` from the rows that no manifest claims.

    Of configurations with one label the one that ran last keeps it; the earlier ones are marked.
    """
    made = []
    orphans = orphans[~orphans["study"].isin(known)]
    for name, group in orphans.sort_values("started_at", ascending=False, kind="stable").groupby("study", sort=True):
        configurations = group.drop_duplicates("configuration_id")[["configuration_id", "label", "architecture"]]
        made.append(
            {
                "name": str(name) or "(no study)",
                "question": "",
                "primary_metric": FALLBACK_METRIC,
                "margins": dict(DEFAULT_MARGINS),
                "repeats": None,
                "placement": str(group["placement"].iloc[0]),
                "configurations": configurations.assign(
                    label=tell_apart(configurations["label"], " (earlier settings {})")
                ).to_dict("records"),
            }
        )
    return made


def tell_apart(names: Iterable[str], mark: str, key: Callable[[str], str] = str) -> list[str]:
    """Make names unique: those that were there before, as `key` reads them, get `mark` with a number from 1."""
    told: dict[str, str] = {}  # by key
    for name in names:
        variants = (name + mark.format(number) if number else name for number in count())
        unlike = next(variant for variant in variants if key(variant) not in told)
        told[key(unlike)] = unlike
    return list(told.values())


def _select(rows: pd.DataFrame, manifest: Mapping[str, Any], earlier: int) -> StudyRows:
    configurations: dict[str, Mapping[str, str]] = {}
    for item in manifest["configurations"]:
        configurations.setdefault(item["configuration_id"], item)
    own = rows[rows["configuration_id"].isin(configurations)]
    own = own.assign(
        label=own["configuration_id"].map({key: item["label"] for key, item in configurations.items()}),
        of_study=own["study"] == manifest["name"],
    )
    described = manifest.get("sequential_design")
    design = described and Design(metric=described["metric"], analyses=tuple(described["looks"]))
    first, most = manifest.get("first_repeat", 0), design.analyses[-1] if design else manifest["repeats"]
    before, own = own[own["repeat"] < first], own[~own["status"].isin(SEARCH_STATUSES) & (own["repeat"] >= first)]
    asked = own if most is None else own[own["repeat"] < first + most]
    primary = manifest["primary_metric"]
    margins = {**DEFAULT_MARGINS, **manifest["margins"]}
    return StudyRows(
        name=manifest["name"],
        question=manifest["question"],
        primary_metric=primary if primary in METRICS else FALLBACK_METRIC,
        margins={name: margin for name, margin in margins.items() if name in METRICS},
        repeats=manifest["repeats"],
        architectures={item["label"]: item["architecture"] for item in configurations.values()},
        outcomes=_one_a_repeat(asked, manifest["placement"]),
        rows=asked.drop(columns="of_study").reset_index(drop=True),
        design=design,
        first_repeat=first,
        tuning=manifest.get("tuning") or {},
        search_rows=_one_a_repeat(before[before["status"].isin(("ok", "validated"))], manifest["placement"]),
        remarks=(
            *_remarks_on_manifest(manifest),
            *_remarks_on_rows(own, manifest, most, earlier),
            *_remarks_on_divergence(asked),
        ),
    )


def _remarks_on_manifest(manifest: Mapping[str, Any]) -> Iterator[str]:
    first: dict[str, str] = {}
    for item in manifest["configurations"]:
        label = first.setdefault(item["configuration_id"], item["label"])
        if label != item["label"]:
            yield f"{label} and {item['label']} are one and the same configuration: its runs stand under {label}."
    if manifest["primary_metric"] not in METRICS:
        yield (
            f"The study's primary metric is {manifest['primary_metric']!r}, which is none of this version's: it is read"
            f" by {METRICS[FALLBACK_METRIC].label} instead."
        )
    unknown = [name for name in manifest["margins"] if name not in METRICS]
    if unknown:
        yield f"The study has a margin for {', '.join(unknown)}, which is no metric of this version: it is not used."


def _remarks_on_rows(own: pd.DataFrame, manifest: Mapping[str, Any], most: int | None, earlier: int) -> Iterator[str]:
    """Count the rows that the study is not read from; `earlier` are those of its name that belong to no study."""
    if most is None:  # no manifest: every row is the study's
        return
    if earlier:
        are = "row of earlier settings is" if earlier == 1 else "rows of earlier settings are"
        yield f"{earlier:,} {are} left out."
    first = manifest.get("first_repeat", 0)
    further = own[own["repeat"] >= first + most].drop_duplicates(["label", "repeat"])["label"].value_counts()
    named = [f"{item['label']} {further[item['label']]}" for item in manifest["configurations"]
             if item["label"] in further]  # fmt: skip
    if named:
        more = f" and {len(named) - MOST_NAMED} more configurations" if len(named) > MOST_NAMED else ""
        yield (
            f"Repeats beyond the {most} that the study asks for are there and left out"
            f" ({', '.join(named[:MOST_NAMED])}{more}): their number was not fixed before these results were seen."
        )


def _remarks_on_divergence(rows: pd.DataFrame) -> Iterator[str]:
    ended = rows[rows["status"].isin(("ok", "diverged"))].groupby(["label", "repeat"], sort=False)["status"].nunique()
    both = [f"{label} repeat {repeat}" for label, repeat in ended[ended > 1].index]
    if both:
        yield (
            f"Diverged in one placement and finished in another: {', '.join(both)}. The run in the study's own"
            " placement counts."
        )


def _one_a_repeat(rows: pd.DataFrame, placement: str) -> pd.DataFrame:
    """Keep one row for each label and repeat: a study's that trained to its end or diverged before others; then of the
    study's own placement; then asked for by the study; then the latest.
    """
    rank = rows["status"].map({"ok": 0, "diverged": 0, "failed": 1, "validated": 1})
    ordered = rows.assign(rank=rank, elsewhere=rows["placement"] != placement).sort_values(
        ["rank", "elsewhere", "of_study", "started_at"], ascending=[True, True, False, False], kind="stable"
    )
    kept = ordered.drop_duplicates(["label", "repeat"]).drop(columns=["rank", "elsewhere", "of_study"])
    return kept.sort_values(["label", "repeat"]).reset_index(drop=True)
