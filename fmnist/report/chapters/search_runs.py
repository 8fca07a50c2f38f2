"""The chapter on the runs of a search: where and when each was computed, and which did not finish."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from fmnist.report.chapter import Chapter, Figure
from fmnist.report.plot import fit_axis
from fmnist.report.search_data import SearchData
from fmnist.report.style import INK, QUIET, Styles, in_lines, legend_below, new_axes, styles_of
from fmnist.report.table import Columns, Table, make_table, present
from fmnist.report.text import counted, names, number
from fmnist.store import STATUSES

PAUSE_SHARE = 0.02  # of the time that was computed: a longer pause of all slots is cut down to it
FEW_BARS = 300  # of which each has an edge; more become pixels, one bar running into the next
UNFINISHED = ("pruned", "diverged", "failed")
MOST_NAMED_NODES = 20  # beside the slots


def search_runs_chapter(data: SearchData) -> Chapter:
    """What all else stands on."""
    return Chapter(
        key="runs", title="Runs", figures=timeline_figures(data), tables=present(runs_table(data), failures_table(data))
    )


def runs_table(data: SearchData) -> Table | None:
    """Runs by architecture and status."""
    rows = []
    for name in data.architectures:
        own = data.search.rows["configuration_id"].isin([item.point.configuration_id for item in data.points[name]])
        counts = data.search.rows.loc[own, "status"].value_counts()
        rows.append({"architecture": name, **{status: int(counts.get(status, 0)) for status in STATUSES}})
    columns: Columns = {"architecture": "architecture", "validated": "validated", "scored by a study too": "ok",
                        "pruned": "pruned", "diverged": "diverged", "failed": "failed"}  # fmt: skip
    note = (
        "Each run of each repeat of a point once, however many tracks or studies asked for it. A point that two"
        " architectures share, as one net with two sets of defaults, counts in both."
    )
    return make_table("runs", "Runs", rows, columns, note)


def failures_table(data: SearchData) -> Table | None:
    """Each run that failed or diverged, with its error."""
    rows = data.search.rows
    columns = {"point": "label", "repeat": "repeat", "status": "status", "attempts": "attempts", "error": "error"}
    bad = rows.loc[rows["status"].isin(("failed", "diverged")), list(columns.values())].to_dict("records")
    return make_table("failures", "Runs that did not finish", bad, columns)


def timeline_figures(data: SearchData) -> Iterator[Figure]:
    """When each run was computed and in which slot of its node."""
    rows = slots_of(data.search.rows)
    if rows.empty:
        return
    shown, pauses = without_pauses(rows)
    used = shown[["node", "slot"]].drop_duplicates()
    architectures = [name for name in data.architectures if name in set(shown["architecture"])]
    axes = draw_timeline(shown, pauses, styles_of(architectures))
    busy = 100 * shown["seconds"].sum() / (shown["end"].max() * len(used))
    caption = (
        f"{counted(len(shown), 'run')} in {counted(len(used), 'slot')} of {counted(shown['node'].nunique(), 'node')};"
        f" a slot is a place for one run at a time, filled as the times show. Busy: {number(busy)} % of them."
    )
    if (shown["status"].isin(UNFINISHED)).any():
        caption += f" Hatched: {names(list(UNFINISHED))}."
    if pauses:
        caption += f" Dotted: {counted(len(pauses), 'pause')} of all slots, shortened."
    alt = f"Bars over {number(shown['end'].max() / 3600, 1)} hours, coloured by architecture."
    yield Figure(name="timeline", title="Timeline of slots", caption=caption, alt=alt, drawing=legend_below(axes))


def slots_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Give each run that has times its slot: the first of its node's that is free when it starts.

    Columns architecture, status, node, slot (from 0), start, end and seconds; start and end count from the first start.
    """
    timed = rows[rows["started_at"].notna() & (rows["total_seconds"].astype(float) > 0)].sort_values("started_at")
    frame = pd.DataFrame(
        {"architecture": timed["architecture"], "status": timed["status"], "node": timed["node"].fillna("?"),
         "seconds": timed["total_seconds"].astype(float)}
    )  # fmt: skip
    frame["start"] = (timed["started_at"] - timed["started_at"].min()).dt.total_seconds()
    frame["end"] = frame["start"] + frame["seconds"]
    free: dict[str, list[float]] = {}
    slots = []
    for node, start, end in zip(frame["node"], frame["start"], frame["end"], strict=True):
        ends = free.setdefault(node, [])
        slot = next((place for place, until in enumerate(ends) if until <= start + 0.5), len(ends))
        ends[slot : slot + 1] = [end]
        slots.append(slot)
    return frame.assign(slot=slots).reset_index(drop=True)


def without_pauses(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[float]]:
    """Shorten the stretches in which no slot computed, as between two commands; give where they are now."""
    starts, ends = rows["start"].to_numpy(), rows["end"].to_numpy()  # by start
    until = np.maximum.accumulate(ends)
    gaps = np.concatenate([[0.0], np.maximum(starts[1:] - until[:-1], 0)])
    kept = PAUSE_SHARE * (until[-1] - gaps.sum())
    cut = np.maximum(gaps - kept, 0)
    shift = np.cumsum(cut)
    shown = rows.assign(start=starts - shift, end=ends - shift)
    return shown, [float(start - kept / 2) for start in (starts - shift)[cut > 0]]


def draw_timeline(rows: pd.DataFrame, pauses: Sequence[float], styles: Styles) -> Axes:
    """Draw each run as a bar in its slot, slots of a node together, coloured by architecture.

    `rows` has the columns that `slots_of` gives. All bars of an architecture are one collection.
    """
    places = rows[["node", "slot"]].drop_duplicates().sort_values(["node", "slot"]).reset_index(drop=True)
    heights = {key: place for place, key in enumerate(places.itertuples(index=False, name=None))}
    height = np.array([heights[key] for key in zip(rows["node"], rows["slot"], strict=True)], dtype=float)
    axes = new_axes(7.0, min(1.0 + 0.16 * max(len(places), 4), 6.0))
    length, unit = (3600.0, "hours") if rows["end"].max() >= 7200 else (60.0, "minutes")
    left, right = rows["start"].to_numpy() / length, rows["end"].to_numpy() / length
    boxes = np.stack([np.stack([x, height + y], axis=-1)
                      for x, y in ((left, -0.4), (left, 0.4), (right, 0.4), (right, -0.4))], axis=1)  # fmt: skip
    few = len(rows) <= FEW_BARS
    unfinished = rows["status"].isin(UNFINISHED).to_numpy()
    for name in styles:
        own = (rows["architecture"] == name).to_numpy()
        for chosen, hatch in ((own & ~unfinished, None), (own & unfinished, "/////")):
            axes.add_collection(
                PolyCollection(list(boxes[chosen]), facecolor=styles[name].colour if hatch is None else "white",
                               edgecolor="white" if hatch is None and few else styles[name].colour, hatch=hatch,
                               linewidth=0.2 if few else 0.4, rasterized=not few)
            )  # fmt: skip
    for pause in pauses:
        axes.axvline(pause / length, color=QUIET, linestyle=":", linewidth=0.8)
    _name_slots(axes, places)
    fit_axis(axes, "x", np.array([0.0, right.max()]))
    axes.set_xlim(0, 1.01 * right.max())
    axes.set_xlabel(f"{unit} since the first run{', without pauses' if pauses else ''}")
    _add_legend(axes, styles, hatched=bool(unfinished.any()))
    return axes


def _name_slots(axes: Axes, places: pd.DataFrame) -> None:
    """Name each node beside its slots, where there are not too many, and draw a line between nodes."""
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    nodes = places.groupby("node", sort=False).indices
    for slots in list(nodes.values())[1:]:
        axes.axhline(min(slots) - 0.5, color=INK, linewidth=0.4)
    if len(nodes) <= MOST_NAMED_NODES:
        axes.set_yticks([float(np.mean(slots)) for slots in nodes.values()], [in_lines(str(node)) for node in nodes])
    else:
        axes.set_yticks([])
        axes.set_ylabel(f"slots of {number(len(nodes))} nodes")


def _add_legend(axes: Axes, styles: Styles, *, hatched: bool) -> None:
    """Give the legend an entry for each architecture, as empty patches that lie nowhere."""
    for name, style in styles.items():
        axes.fill_between([], [], [], color=style.colour, label=name)
    if hatched:
        axes.fill_between([], [], [], facecolor="white", edgecolor=INK, hatch="/////", label=names(list(UNFINISHED)))
