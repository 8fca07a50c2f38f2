"""Which rows a study is reported from: its configurations by their ids, one row for each repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fmnist.errors import UserError
from fmnist.results import Store
from fmnist.schema import METRICS, SCALAR_COLUMNS, STATUSES
from fmnist.statistics.comparable import MEASURED_KINDS, select_comparable
from fmnist.statistics.sequential import Design, PairDecision, decide
from fmnist.study import DEFAULT_MARGINS


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyRows:
    """The rows of one study. Frames have the scalar columns of the schema; `label` is the study's own."""

    name: str
    question: str
    primary_metric: str
    margins: Mapping[str, float]
    repeats: int | None  # wanted for each configuration; None where no manifest says it
    placement: str
    architectures: Mapping[str, str]  # label -> architecture, in the study's order
    outcomes: pd.DataFrame  # one row for each label and repeat, whatever its status
    rows: pd.DataFrame  # every row: a repeat may be there shared and exclusive, or on several kinds of hardware
    design: Design | None = None  # by which repeats were added; None: their number was fixed

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
        if METRICS[metric].kind not in MEASURED_KINDS:
            return self.finished, ""
        finished = self.rows[self.rows["status"] == "ok"]
        try:
            return select_comparable(finished[finished[metric].notna()], METRICS[metric]), ""
        except ValueError as error:
            return self.finished, str(error)

    def values(self, metric: str, rows: pd.DataFrame | None = None) -> dict[str, pd.Series]:
        """Give each label's finite values of a metric by repeat, in stored units; labels without any left out.

        `rows` are those that `rows_for` gives, where they are known already.
        """
        rows = self.rows_for(metric)[0] if rows is None else rows
        columns = {label: rows[rows["label"] == label].set_index("repeat")[metric] for label in self.labels}
        finite = {label: column[np.isfinite(column.astype(float))].astype(float) for label, column in columns.items()}
        return {label: column.sort_index() for label, column in finite.items() if len(column)}

    def decisions(self, design: Design) -> list[PairDecision]:
        """Decide every pair of the study by its group-sequential design."""
        metric = METRICS[design.metric]
        rows = select_comparable(self.rows if metric.kind in MEASURED_KINDS else self.outcomes, metric)
        return decide(rows, metric, self.margins.get(metric.name), design.looks, labels=self.labels)

    def counts(self) -> pd.DataFrame:
        """Count, for each label, the runs wanted, those of each status, and the repeats that have no row."""
        table = pd.crosstab(self.outcomes["label"], self.outcomes["status"])
        table = table.reindex(index=self.labels, columns=list(STATUSES), fill_value=0)
        missing = {label: len(self.missing_repeats(label)) for label in self.labels}
        table.insert(0, "wanted", [self.repeats] * len(table))
        return table.assign(missing=pd.Series(missing))

    def missing_repeats(self, label: str) -> list[int]:
        """List the wanted repeats of a label without any row."""
        there = set(self.outcomes.loc[self.outcomes["label"] == label, "repeat"])
        return [repeat for repeat in range(self.repeats or 0) if repeat not in there]


def read_rows(store: Store) -> pd.DataFrame:
    """Read every row of the store without its history and predictions."""
    rows: pd.DataFrame = store.read(list(SCALAR_COLUMNS)).to_pandas()
    return rows


def select_studies(store: Store, names: Sequence[str] = (), rows: pd.DataFrame | None = None) -> list[StudyRows]:
    """Select the studies of those names, in their order, or every study of the store, that with the latest run first.

    `rows` are those that `read_rows` gives, where they are read already. Rows that no manifest claims are reported
    under the study that asked for them. ValueError if there are no rows, or none of a study that was named.
    """
    rows = read_rows(store) if rows is None else rows
    if rows.empty:
        raise UserError(
            f"results: {store.uri} holds no run, expected Parquet files under runs/ or compacted/:"
            " run `python jobs/study.py quick` first, or name another place with --results"
        )
    manifests = store.manifests()
    manifests += _manifests_of_rows(rows, manifests)
    by_name = {manifest["name"]: manifest for manifest in manifests}
    for name in names:
        if name not in by_name:
            raise UserError(f"study: got {name!r}, expected one with results in {store.uri}: {', '.join(by_name)}")
    studies = [_select(rows, by_name[name]) for name in names or by_name]
    without_rows = [study.name for study in studies if study.outcomes.empty]
    if names and without_rows:
        name = without_rows[0]
        raise UserError(
            f"study {name!r}: its configurations have no run in {store.uri}: run `python jobs/study.py {name}` first"
        )
    if names:
        return studies
    with_rows = [study for study in studies if study.name not in without_rows]
    return sorted(with_rows, key=lambda study: study.outcomes["started_at"].max(), reverse=True)


def _manifests_of_rows(rows: pd.DataFrame, manifests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Make up a manifest for each study name whose rows belong to no manifest."""
    claimed = {item["configuration_id"] for manifest in manifests for item in manifest["configurations"]}
    orphans = rows[~rows["configuration_id"].isin(claimed)]
    made = []
    for name, group in orphans.groupby("study", sort=True):
        configurations = group.drop_duplicates("configuration_id")[["configuration_id", "label", "architecture"]]
        made.append(
            {
                "name": str(name) or "(no study)",
                "question": "",
                "primary_metric": "test_accuracy",
                "margins": dict(DEFAULT_MARGINS),
                "repeats": None,
                "placement": str(group["placement"].iloc[0]),
                "configurations": configurations.to_dict("records"),
            }
        )
    return made


def _select(rows: pd.DataFrame, manifest: Mapping[str, Any]) -> StudyRows:
    configurations = manifest["configurations"]
    label_of = {item["configuration_id"]: item["label"] for item in configurations}
    own = rows[rows["configuration_id"].isin(label_of)].copy()
    own["label"] = own["configuration_id"].map(label_of)
    own["of_study"] = own["study"] == manifest["name"]
    primary = manifest["primary_metric"]
    if primary not in METRICS:
        raise UserError(f"study {manifest['name']!r}: primary_metric: got {primary!r}, expected {', '.join(METRICS)}")
    return StudyRows(
        name=manifest["name"],
        question=manifest["question"],
        primary_metric=primary,
        margins={**DEFAULT_MARGINS, **manifest["margins"]},
        repeats=manifest["repeats"],
        placement=manifest["placement"],
        architectures={item["label"]: item["architecture"] for item in configurations},
        outcomes=_one_a_repeat(own, manifest["placement"]),
        rows=own.drop(columns="of_study").reset_index(drop=True),
        design=_design(manifest),
    )


def _design(manifest: Mapping[str, Any]) -> Design | None:
    described = manifest.get("sequential_design")
    return described and Design(metric=described["metric"], looks=tuple(described["looks"]))


def _one_a_repeat(rows: pd.DataFrame, placement: str) -> pd.DataFrame:
    """Keep one row for each label and repeat: finished before diverged, failed; then of the study's own
    placement; then asked for by the study; then the latest.
    """
    rank = rows["status"].map({status: place for place, status in enumerate(("ok", "diverged", "failed"))})
    ordered = rows.assign(rank=rank, elsewhere=rows["placement"] != placement).sort_values(
        ["rank", "elsewhere", "of_study", "started_at"], ascending=[True, True, False, False], kind="stable"
    )
    kept = ordered.drop_duplicates(["label", "repeat"]).drop(columns=["rank", "elsewhere", "of_study"])
    return kept.sort_values(["label", "repeat"]).reset_index(drop=True)
