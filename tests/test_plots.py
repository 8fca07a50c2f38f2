from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist.declare.architectures import ARCHITECTURES
from fmnist.declare.metrics import METRICS
from fmnist.report import plot
from fmnist.report.chapters.accuracy import draw_critical_difference, stack_bars
from fmnist.report.chapters.classes import draw_confusion, draw_recall
from fmnist.report.chapters.confidence import draw_reliability
from fmnist.report.chapters.costs import draw_trade_off
from fmnist.report.chapters.curves import draw_curves, draw_learning_rate, draw_validation, mean_curve
from fmnist.report.chapters.examples import draw_example
from fmnist.report.chapters.pairs import draw_verdicts
from fmnist.report.style import (
    COLOURS,
    figure_of,
    figure_savers,
    house_style,
    legend_below,
    new_axes,
    save_figure,
    styles_of,
)
from tests.synthetic_rows import SIX, history_of

TWELVE = [*ARCHITECTURES, *(f"variant_{place}" for place in range(12 - len(ARCHITECTURES)))]
ACCURACY, SECONDS = METRICS["test_accuracy"], METRICS["train_seconds"]


@pytest.fixture(autouse=True)
def _style():
    with house_style():
        yield


def drawn_lines(axes):
    """The data of every line that has some, as lists of points."""
    return [line.get_xydata().round(6).tolist() for line in axes.lines if len(line.get_xydata())]


def means_of(values, half=0.001):
    rows = {label: (column.mean(), column.mean() - half, column.mean() + half) for label, column in values.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "low", "high"])


def texts(axes):
    ticks = [label.get_text() for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]]
    return [text.get_text() for text in axes.texts] + ticks


def epochs_of(runs):
    random = np.random.default_rng(0)
    parts = [pd.DataFrame(history_of(0.9, SIX[0], random)).assign(run=run, repeat=run) for run in range(runs)]
    return pd.concat(parts, ignore_index=True)


def test_an_architecture_looks_the_same_in_every_report():
    alone, among = styles_of(["own_v3"]), styles_of(TWELVE)
    assert alone["own_v3"] == among["own_v3"]
    assert styles_of(reversed(TWELVE))["own_v3"] == among["own_v3"]


def test_twelve_configurations_differ_in_colour_and_without_it():
    styles = styles_of(TWELVE)
    assert len({style.colour for style in styles.values()}) == 12
    assert len({style.marker for style in styles.values()}) == 12


def test_beyond_the_colours_marker_and_line_differ():
    styles = styles_of([f"c{place}" for place in range(2 * len(COLOURS))])
    assert len({(style.colour, style.marker) for style in styles.values()}) == 2 * len(COLOURS)


@pytest.mark.parametrize(("labels", "runs"), [(TWELVE[:1], 1), (TWELVE[:1], 2), (TWELVE, 5), (TWELVE[:2], 1000)])
def test_distribution(labels, runs):
    random = np.random.default_rng(1)
    values = {label: random.normal(0.9, 0.002, runs) for label in labels}
    means = means_of(values)
    axes = plot.draw_distribution(new_axes(), values, means, ACCURACY, styles_of(labels))
    assert f"{labels[0]} (n={runs:,})" in texts(axes)
    assert axes.get_xlabel() == "test accuracy (%)"
    for place, points in enumerate(axes.collections):
        x, y = points.get_offsets().T
        assert len(x) == min(runs, plot.MOST_POINTS)
        assert set(x.round(6)) <= set((100 * values[labels[place]]).round(6))
        assert (abs(y - place) < 0.3).all()
    assert len(axes.collections) == len(labels)
    assert len(axes.patches) == (len(labels) if runs >= plot.FEWEST_FOR_A_BOX else 0)
    assert all(not patch.get_hatch() for patch in axes.patches)
    lines = drawn_lines(axes)
    for place, label in enumerate(labels):
        mean, low, high = (100 * means.loc[label]).round(6)
        assert [[low, place + 0.26], [high, place + 0.26]] in lines
        assert [[mean, place + 0.26]] in lines
    low, high = axes.get_xlim()
    assert low <= 100 * min(map(min, values.values())) <= 100 * max(map(max, values.values())) <= high
    assert {low, high} <= set(axes.get_xticks())


def test_distribution_of_one_run_has_no_interval():
    values = {"a": np.array([0.9])}
    axes = plot.draw_distribution(new_axes(), values, means_of(values, np.nan), ACCURACY, styles_of("a"))
    assert [line for line in drawn_lines(axes) if not np.isnan(line).any()] == [[[90.0, 0.26]]]


def test_distribution_bears_its_mark_and_stretches_times():
    values = {"a": np.array([12.5, 11]), "b": np.array([600.0, 610])}
    axes = plot.draw_distribution(
        new_axes(), values, means_of(values, 1.0), SECONDS, styles_of("ab"), note="Shared placement: not compared"
    )
    assert axes.get_title(loc="left") == "Shared placement: not compared"
    assert axes.get_xscale() == "log"
    assert axes.get_xticks().tolist() == [10, 20, 50, 100, 200, 500, 1000]
    assert axes.get_xlim() == (10, 1000)


@pytest.mark.parametrize(
    ("values", "stretch", "ticks"),
    [
        ([89.3, 92.9], False, [89, 90, 91, 92, 93, 94]),
        ([0.2, 0.3], False, [0.15, 0.2, 0.25, 0.3, 0.35]),
        ([90.0, 90.0], False, [88.5, 89, 89.5, 90, 90.5, 91, 91.5]),
        ([10.0, 39.0], True, [0, 10, 20, 30, 40, 50]),
        ([0.9, 20000, np.nan], True, [0.1, 1, 10, 100, 1000, 10000, 100000]),
        ([-1.0, 50.0], True, [-20, 0, 20, 40, 60]),
    ],
)
def test_an_axis_begins_and_ends_at_a_round_tick(values, stretch, ticks):
    for which in ("x", "y"):
        axes = new_axes()
        plot.fit_axis(axes, which, np.array(values), stretch=stretch)
        assert getattr(axes, f"get_{which}ticks")() == pytest.approx(ticks)
        assert getattr(axes, f"get_{which}lim")() == pytest.approx((ticks[0], ticks[-1]))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.floats(1e-6, 1e6), st.booleans())
def test_an_axis_holds_every_value_between_ticks(values, scale, stretch):
    axes, values = new_axes(), np.array(values) * scale
    plot.fit_axis(axes, "x", values, stretch=stretch)
    (low, high), ticks = axes.get_xlim(), axes.get_xticks()
    slack = 1e-9 * abs(values).max()
    assert low - slack <= values.min() <= values.max() <= high + slack
    assert (low, high) == (ticks[0], ticks[-1])
    assert 2 <= len(ticks) <= 14


@pytest.mark.parametrize("runs", [1, 4])
def test_learning_curves(runs):
    epochs, style = epochs_of(runs), styles_of(["a"])["a"]
    for quantity, scale in (("accuracy", 100), ("loss", 1)):
        axes = draw_curves(new_axes(), epochs, quantity, style)
        lines = [line for line in axes.lines if not line.get_label().startswith("_")]
        assert [line.get_label() for line in lines] == ["training", "validation"]
        for part, line, band in zip(("train", "validation"), lines, axes.collections, strict=True):
            curve = mean_curve(epochs, f"{part}_{quantity}").fillna(0) * scale
            assert line.get_ydata() == pytest.approx(curve.loc[line.get_xdata(), "mean"].to_numpy())
            heights = band.get_paths()[0].vertices[:, 1]
            assert heights.max() == pytest.approx((curve["mean"] + curve["std"]).max())
            assert heights.min() == pytest.approx((curve["mean"] - curve["std"]).min())


def test_a_mean_is_thin_once_runs_have_stopped():
    epochs = pd.DataFrame({"run": [0, 0, 0, 0, 1, 1], "epoch": [1, 2, 3, 4, 1, 2], "train_loss": [4.0, 3, 2, 1, 2, 1]})
    epochs = epochs.assign(validation_loss=epochs["train_loss"], validation_accuracy=epochs["train_loss"] / 10)
    curves = draw_curves(new_axes(), epochs, "loss", styles_of("a")["a"])
    together = draw_validation(new_axes(), {"a": epochs}, styles_of("a"))
    for axes, scale in ((curves, 1), (together, 10)):
        whole, fewer = axes.lines[-2:]
        assert whole.get_xydata() == pytest.approx(np.array([[1, 3 * scale], [2, 2 * scale]]))
        assert fewer.get_xydata() == pytest.approx(np.array([[2, 2 * scale], [3, 2 * scale], [4, 1 * scale]]))
        assert fewer.get_linewidth() < whole.get_linewidth() / 1.5
    assert [text for text in together.get_legend_handles_labels()[1] if not text.startswith("_")] == ["a"]


def test_learning_rate():
    rates = [4e-3, 2e-3, 2e-3, 1e-3, 4e-3, 1e-3]
    epochs = pd.DataFrame({"run": [0, 0, 1, 1, 2, 2], "epoch": [1, 2] * 3, "learning_rate": rates})
    axes = draw_learning_rate(new_axes(), epochs)
    assert axes.lines[0].get_xydata().tolist() == [[1, 4e-3], [2, 1e-3]]
    heights = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (1e-3, 4e-3)
    assert axes.get_yscale() == "log"


def test_validation_curves_begin_at_epoch_one():
    epochs = {"a": epochs_of(4), "b": epochs_of(1)}
    axes = draw_validation(new_axes(), epochs, styles_of("ab"))
    for line in axes.lines[::2] if len(axes.lines) > 2 else axes.lines:
        curve = 100 * mean_curve(epochs[line.get_label()], "validation_accuracy")["mean"]
        assert line.get_ydata() == pytest.approx(curve[line.get_xdata()].to_numpy())
    assert 0.5 < axes.get_xlim()[0] < 1
    assert axes.get_xticks()[0] == 1
    assert list(axes.get_xticks()) == sorted(set(axes.get_xticks()))


def curve_of(first, later):
    return pd.DataFrame({"run": 0, "epoch": range(1, len(later) + 2), "validation_accuracy": [first, *later]})


def test_a_first_epoch_far_off_is_written_instead_of_taking_the_axis():
    styles = styles_of(["a", "b"])
    axes = draw_validation(
        new_axes(), {"a": curve_of(0.1, [0.86, 0.88, 0.9]), "b": curve_of(0.85, [0.87, 0.88, 0.89])}, styles
    )
    low, high = axes.get_ylim()
    assert 85 < low < 86
    assert 90 < high < 91
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["a, epoch 1: 10.0\nb, epoch 1: 85.0"]


@pytest.mark.parametrize(("first", "later"), [(0.82, [0.86, 0.88, 0.9]), (0.82, [0.8, 0.8, 0.8]), (0.1, [0.83, 0.84])])
def test_a_first_epoch_near_by_or_of_few_stays_on_the_axis(first, later):
    axes = draw_validation(new_axes(), {"a": curve_of(first, later)}, styles_of(["a"]))
    low, high = axes.get_ylim()
    assert low < 100 * first < high
    assert not axes.texts


def test_a_learning_rate_that_stays_has_its_value_on_the_axis():
    epochs = pd.DataFrame({"run": 0, "epoch": [1, 2], "learning_rate": 0.001})
    assert "0.001" in texts(draw_learning_rate(new_axes(), epochs))


def test_processes_that_save_figures_write_the_same_files(tmp_path):
    svgs = []
    for processes in (1, 2):
        (tmp_path / str(processes)).mkdir()
        figure = figure_of(draw_confusion(new_axes(), np.array([[9, 1], [0, 5]]), ["cat", "dog"]))
        with figure_savers(processes) as save:
            svgs.append(save(figure, tmp_path / str(processes) / "lr 0.1").result())
    assert svgs[0] == svgs[1]
    for name in ("lr 0.1.svg", "lr 0.1.pdf"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_a_curve_ends_where_fewer_than_half_of_the_runs_go_on():
    epochs = pd.DataFrame({"run": [0, 0, 0, 1, 2], "epoch": [1, 2, 3, 1, 1], "train_loss": [3.0, 2, 1, 5, 4]})
    curve = mean_curve(epochs, "train_loss")
    assert list(curve.index) == [1]
    assert curve.loc[1, "mean"] == 4


def test_confusion_shows_percent_of_the_true_class():
    counts = np.array([[180, 20], [0, 50]])
    axes = draw_confusion(new_axes(), counts, ["cat", "dog"])
    assert {text.get_position(): text.get_text() for text in axes.texts} == {(0, 0): "90", (1, 0): "10", (1, 1): "100"}
    np.testing.assert_allclose(axes.images[0].get_array(), np.sqrt([[90, 10], [0, 100]]))


def test_recall_shows_every_number():
    recall = pd.DataFrame([[0.9, 0.75], [0.8, 1.0]], ["a", "b"], ["Shirt", "Bag"])
    assert {"90.0", "75.0", "80.0", "100.0"} <= set(texts(draw_recall(new_axes(), recall)))


def test_example_names_classes_and_confidence():
    image = np.full((28, 28), 200, np.uint8)
    assert draw_example(new_axes(), image, "Bag", "Shirt", 0.987).get_xlabel() == "Shirt\n98.7 %\ntrue: Bag"
    assert draw_example(new_axes(), image, "Bag", "Bag", 0.5).get_xlabel() == "Bag\n50.0 %"


def test_reliability_leaves_empty_bins_out():
    nan = np.nan
    axes = draw_reliability(
        new_axes(), np.array([nan, 0.6, 1.0]), np.array([nan, 0.5, 1.0]), np.array([0, 0.2, 0.8]), styles_of("a")["a"]
    )
    assert drawn_lines(axes) == [[[0, 0], [1, 1]], [[0.6, 0.5], [1, 1]]]
    assert not axes.lines[-1].get_clip_on()  # the marker at (1, 1) is whole
    assert [bar.get_height() for bar in axes.patches] == [0, 0.2, 0.8]


@pytest.mark.parametrize("labels", [TWELVE[:2], TWELVE])
def test_critical_difference_names_every_configuration_at_its_rank(labels):
    ranks = {label: place + 1.0 for place, label in enumerate(labels)}
    axes = draw_critical_difference(new_axes(6.5, 2.5), ranks, [labels[:2]])
    shown = " ".join(text.get_text() for text in axes.texts)
    assert all(label in shown for label in labels)
    (bar,) = (line for line in axes.lines if line.get_linewidth() > 3)
    assert bar.get_xdata().tolist() == pytest.approx([0.96, 2.04])
    assert {line[0][0] for line in drawn_lines(axes) if len(line) == 3} == set(ranks.values())


def test_bars_that_touch_are_stacked():
    assert stack_bars([(1, 2), (1.5, 3), (2.5, 4), (5, 6)]) == [0, 1, 0, 0]


def test_verdicts_have_a_sign_besides_their_colour_and_the_interval():
    cells = {
        ("a", "b"): ("better", "+1.0 [+0.5, +1.5]"),
        ("a", "c"): ("worse", "-1.0"),
        ("b", "c"): ("inconclusive", "0.0"),
    }
    axes = draw_verdicts(new_axes(), ["a", "b", "c"], cells)
    assert {text.get_text() for text in axes.texts} == {"▲", "+1.0\n[+0.5, +1.5]", "▼", "-1.0", "?", "0.0"}
    assert {text.get_position()[0] for text in axes.texts} == {1, 2}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["b", "c"]
    centres = [tuple(cell.get_paths()[0].get_extents().get_points().mean(axis=0).round(6)) for cell in axes.collections]
    assert centres == [(1, 0), (2, 0), (2, 1)]


def test_trade_off_draws_each_point_with_its_intervals_and_the_front():
    nan = np.nan
    costs = pd.DataFrame({"mean": [10.0, 60], "low": [9.0, nan], "high": [11.0, nan]}, ["a", "b"])
    gains = pd.DataFrame({"mean": [0.9, 0.92], "low": [0.899, nan], "high": [0.901, nan]}, ["a", "b"])
    arguments = (costs, gains, (SECONDS, ACCURACY), styles_of("ab"))
    axes = draw_trade_off(new_axes(), *arguments, ["a", "b"])
    assert sorted(axes.get_legend_handles_labels()[1]) == ["Pareto front", "a", "b"]
    assert axes.get_xscale() == "log"
    assert drawn_lines(axes) == [[[10, 90]], [[60, 92]], [[10, 90], [60, 92]]]
    across, up = (bars.get_segments()[0].round(6).tolist() for bars in axes.collections[:2])
    assert (across, up) == ([[9, 90], [11, 90]], [[10, 89.9], [10, 90.1]])
    without = draw_trade_off(new_axes(), *arguments)
    assert sorted(without.get_legend_handles_labels()[1]) == ["a", "b"]


def test_the_original_figures_are_drawn_as_hollow_diamonds():
    values = {"a": np.array([0.9]), "b": np.array([0.92])}
    means = means_of(values, np.nan).assign(original=[0.88, np.nan])
    axes = plot.draw_distribution(new_axes(), values, means, ACCURACY, styles_of("ab"))
    (diamond,) = (line for line in axes.lines if line.get_marker() == "d" and not np.isnan(line.get_xdata()).any())
    assert diamond.get_xydata().round(6).tolist() == [[88, 0.26]]
    assert diamond.get_fillstyle() == "none"
    assert axes.get_xlim()[0] <= 88


@pytest.mark.parametrize("length", [1, 20, 60])
def test_a_legend_is_whole_and_covers_nothing(length):
    values = {label * length: np.array([0.9, 0.91]) for label in "abcde"}
    means = means_of(values)
    axes = draw_trade_off(new_axes(), means, means, (SECONDS, ACCURACY), styles_of(values))
    figure = legend_below(axes)
    figure.canvas.draw()
    (legend,) = figure.legends
    box, whole = legend.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0 < box.x1 <= whole.x1
    assert whole.y0 <= box.y0 < box.y1 <= axes.get_tightbbox().y0
    assert axes.get_window_extent().height > 0.4 * 2.6 * figure.dpi
    assert "".join(legend.get_texts()[0].get_text().split()) == "a" * length


def test_a_long_label_leaves_room_for_the_figure():
    values = {"a network with a name that tells everything about it": np.array([0.9, 0.91])}
    axes = plot.draw_distribution(new_axes(), values, means_of(values), ACCURACY, styles_of(values))
    figure_of(axes).canvas.draw()
    assert axes.get_window_extent().width > 0.3 * figure_of(axes).bbox.width


def test_the_same_figure_gives_the_same_files(tmp_path):
    contents = []
    for name in ("first", "second"):
        values = {"a": np.array([0.9, 0.91, 0.92])}
        axes = plot.draw_distribution(new_axes(), values, means_of(values), ACCURACY, styles_of("a"))
        assert save_figure(figure_of(axes), tmp_path / name).startswith("<?xml")
        contents.append([(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("svg", "pdf")])
    assert contents[0] == contents[1]
    assert contents[0][1].startswith(b"%PDF")


def test_settings_hold_inside_the_house_style_only():
    inside = mpl.rcParams["pdf.fonttype"]
    with mpl.rc_context(mpl.rcParamsDefault):
        outside = mpl.rcParams["pdf.fonttype"]
        with house_style():
            assert mpl.rcParams["pdf.fonttype"] == inside != outside
        assert mpl.rcParams["pdf.fonttype"] == outside
