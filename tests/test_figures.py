from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from fmnist import figures
from fmnist.architectures import ARCHITECTURES
from fmnist.reporting import comparison_figures
from fmnist.reporting.appearance import COLOURS, figure_of, figure_savers, house_style, looks_of, new_axes, save_figure
from fmnist.schema import METRICS
from tests.synthetic_rows import SIX, history_of

TWELVE = [*ARCHITECTURES, *(f"variant_{place}" for place in range(12 - len(ARCHITECTURES)))]
ACCURACY, SECONDS = METRICS["test_accuracy"], METRICS["train_seconds"]


@pytest.fixture(autouse=True)
def _style():
    with house_style():
        yield


def ink(axes):
    """Share of pixels that are not white."""
    figure = figure_of(axes)
    figure.canvas.draw()
    return float((np.asarray(figure.canvas.buffer_rgba())[..., :3] < 250).any(axis=2).mean())


def texts(axes):
    ticks = [label.get_text() for label in [*axes.get_xticklabels(), *axes.get_yticklabels()]]
    return [text.get_text() for text in axes.texts] + ticks


def epochs_of(runs):
    random = np.random.default_rng(0)
    parts = [pd.DataFrame(history_of(0.9, SIX[0], random)).assign(run=run, repeat=run) for run in range(runs)]
    return pd.concat(parts, ignore_index=True)


def test_an_architecture_looks_the_same_in_every_report():
    alone, among = looks_of(["own_v3"]), looks_of(TWELVE)
    assert alone["own_v3"] == among["own_v3"]
    assert looks_of(reversed(TWELVE))["own_v3"] == among["own_v3"]


def test_twelve_configurations_differ_in_colour_and_without_it():
    looks = looks_of(TWELVE)
    assert len({look.colour for look in looks.values()}) == 12
    assert len({look.marker for look in looks.values()}) == 12
    assert len({look.hatch for look in looks.values()}) == 12


def test_beyond_the_colours_marker_and_line_differ():
    looks = looks_of([f"c{place}" for place in range(2 * len(COLOURS))])
    assert len({(look.colour, look.marker) for look in looks.values()}) == 2 * len(COLOURS)


@pytest.mark.parametrize(("labels", "runs"), [(TWELVE[:1], 1), (TWELVE[:1], 2), (TWELVE, 5), (TWELVE[:2], 1000)])
def test_distribution(labels, runs):
    random = np.random.default_rng(1)
    values = {label: random.normal(0.9, 0.002, runs) for label in labels}
    axes = figures.draw_distribution(new_axes(), values, ACCURACY, looks_of(labels))
    assert ink(axes) > 0.01
    assert f"{labels[0]} (n={runs:,})" in texts(axes)
    assert axes.get_xlabel() == "test accuracy (%)"
    drawn = sum(len(points.get_offsets()) for points in axes.collections)
    assert drawn == len(labels) * min(runs, figures.MOST_POINTS)
    assert len(axes.patches) == (len(labels) if runs >= figures.FEWEST_FOR_A_BOX else 0)


def test_distribution_bears_its_mark_and_stretches_times():
    values = {"a": np.array([10.0, 11]), "b": np.array([100.0, 120])}
    axes = figures.draw_distribution(new_axes(), values, SECONDS, looks_of("ab"), note="Shared placement: not compared")
    assert axes.get_title(loc="left") == "Shared placement: not compared"
    assert axes.get_xscale() == "log"


@pytest.mark.parametrize("runs", [1, 4])
def test_learning_curves(runs):
    epochs, look = epochs_of(runs), looks_of(["a"])["a"]
    for quantity in ("accuracy", "loss"):
        axes = figures.draw_curves(new_axes(), epochs, quantity, look)
        assert ink(axes) > 0.005
        assert [line.get_label() for line in axes.lines] == ["training", "validation"]
    assert ink(figures.draw_learning_rate(new_axes(), epochs)) > 0.005
    assert ink(figures.draw_validation(new_axes(), {"a": epochs}, {"a": look})) > 0.005


def curve_of(first, later):
    return pd.DataFrame({"run": 0, "epoch": range(1, len(later) + 2), "validation_accuracy": [first, *later]})


def test_a_first_epoch_far_off_is_written_instead_of_taking_the_axis():
    looks = looks_of(["a", "b"])
    axes = figures.draw_validation(
        new_axes(), {"a": curve_of(0.1, [0.86, 0.88, 0.9]), "b": curve_of(0.85, [0.87, 0.88, 0.89])}, looks
    )
    low, high = axes.get_ylim()
    assert 85 < low < 86
    assert 90 < high < 91
    assert [text.get_text() for text in axes.texts if text.get_text()] == ["a, epoch 1: 10.0\nb, epoch 1: 85.0"]
    assert ink(axes) > 0.005


@pytest.mark.parametrize(("first", "later"), [(0.82, [0.86, 0.88, 0.9]), (0.82, [0.8, 0.8, 0.8]), (0.1, [0.83, 0.84])])
def test_a_first_epoch_near_by_or_of_few_stays_on_the_axis(first, later):
    axes = figures.draw_validation(new_axes(), {"a": curve_of(first, later)}, looks_of(["a"]))
    low, high = axes.get_ylim()
    assert low < 100 * first < high
    assert not axes.texts


def test_a_learning_rate_that_stays_has_its_value_on_the_axis():
    epochs = pd.DataFrame({"run": 0, "epoch": [1, 2], "learning_rate": 0.001})
    assert "0.001" in texts(figures.draw_learning_rate(new_axes(), epochs))


def test_processes_that_save_figures_write_the_same_files(tmp_path):
    figure = figure_of(figures.draw_confusion(new_axes(), np.array([[9, 1], [0, 5]]), ["cat", "dog"]))
    for place in ("apart", "here"):
        (tmp_path / place).mkdir()
    with figure_savers() as save:
        svg = save(figure, tmp_path / "apart", "a")
    assert save_figure(figure, tmp_path / "here", "a") == svg.result()
    for name in ("a.svg", "a.pdf"):
        assert (tmp_path / "apart" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_a_curve_ends_where_fewer_than_half_of_the_runs_go_on():
    epochs = pd.DataFrame({"run": [0, 0, 0, 1, 2], "epoch": [1, 2, 3, 1, 1], "train_loss": [3.0, 2, 1, 5, 4]})
    curve = figures.mean_curve(epochs, "train_loss")
    assert list(curve.index) == [1]
    assert curve.loc[1, "mean"] == 4


def test_confusion_shows_percent_of_the_true_class():
    counts = np.array([[180, 20], [0, 50]])
    axes = figures.draw_confusion(new_axes(), counts, ["cat", "dog"])
    assert sorted(text.get_text() for text in axes.texts) == ["10", "100", "90"]
    assert ink(axes) > 0.05


def test_recall_shows_every_number():
    recall = pd.DataFrame([[0.9, 0.75], [0.8, 1.0]], ["a", "b"], ["Shirt", "Bag"])
    assert {"90.0", "75.0", "80.0", "100.0"} <= set(texts(figures.draw_recall(new_axes(), recall)))


def test_example_names_classes_and_confidence():
    image = np.full((28, 28), 200, np.uint8)
    assert figures.draw_example(new_axes(), image, "Bag", "Shirt", 0.987).get_xlabel() == "Shirt\n98.7 %\ntrue: Bag"
    assert figures.draw_example(new_axes(), image, "Bag", "Bag", 0.5).get_xlabel() == "Bag\n50.0 %"


def test_reliability_leaves_empty_bins_out():
    nan = np.nan
    axes = figures.draw_reliability(
        new_axes(), np.array([nan, 0.6, 0.9]), np.array([nan, 0.5, 0.95]), np.array([0, 0.2, 0.8]), looks_of("a")["a"]
    )
    assert len(axes.lines[-1].get_xdata()) == 2
    assert ink(axes) > 0.02


@pytest.mark.parametrize("labels", [TWELVE[:2], TWELVE])
def test_critical_difference_names_every_configuration(labels):
    ranks = {label: place + 1.0 for place, label in enumerate(labels)}
    axes = comparison_figures.draw_critical_difference(new_axes(6.5, 2.5), ranks, [labels[:2]])
    shown = " ".join(text.get_text() for text in axes.texts)
    assert all(label in shown for label in labels)
    assert ink(axes) > 0.005


def test_bars_that_touch_are_stacked():
    assert comparison_figures.stack_bars([(1, 2), (1.5, 3), (2.5, 4), (5, 6)]) == [0, 1, 0, 0]


def test_verdicts_have_a_sign_besides_their_colour():
    cells = {("a", "b"): ("better", "+1.0"), ("b", "a"): ("worse", "-1.0")}
    axes = comparison_figures.draw_verdicts(new_axes(), ["a", "b"], cells)
    assert {"▲", "▼", "+1.0", "-1.0"} <= {text.get_text() for text in axes.texts}


def test_trade_off_draws_the_front():
    costs = pd.DataFrame(
        {"cost": [10.0, 60], "cost_std": [1.0, np.nan], "gain": [0.9, 0.92], "gain_std": [0.001, np.nan]}, ["a", "b"]
    )
    axes = comparison_figures.draw_trade_off(new_axes(), costs, SECONDS, ACCURACY, looks_of("ab"), ["a", "b"])
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert sorted(names) == ["Pareto front", "a", "b"]
    assert axes.get_xscale() == "log"
    without = comparison_figures.draw_trade_off(new_axes(), costs, SECONDS, ACCURACY, looks_of("ab"))
    assert len(without.get_legend().get_texts()) == 2


def test_profile_and_intervals_are_drawn():
    ratios = np.array([1.0, 1.5, 4.0])
    shares = {"a": np.array([1.0, 1, 1]), "b": np.array([0.0, 0.5, 0.75])}
    assert ink(comparison_figures.draw_profile(new_axes(), ratios, shares, looks_of("ab"))) > 0.005
    summary = pd.DataFrame(
        {"mean": [0.9, 0.92], "low": [0.89, np.nan], "high": [0.91, np.nan], "original": [0.89, np.nan]}, ["a", "b"]
    )
    assert ink(comparison_figures.draw_intervals(new_axes(), summary, ACCURACY, looks_of("ab"))) > 0.005


def test_the_same_figure_gives_the_same_files(tmp_path):
    contents = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        axes = figures.draw_distribution(new_axes(), {"a": np.array([0.9, 0.91, 0.92])}, ACCURACY, looks_of("a"))
        assert save_figure(figure_of(axes), tmp_path / name, "box").startswith("<?xml")
        contents.append([(tmp_path / name / f"box.{kind}").read_bytes() for kind in ("svg", "pdf")])
    assert contents[0] == contents[1]
    assert contents[0][1].startswith(b"%PDF")


def test_settings_hold_inside_the_house_style_only():
    inside = mpl.rcParams["pdf.fonttype"]
    with mpl.rc_context(mpl.rcParamsDefault):
        outside = mpl.rcParams["pdf.fonttype"]
        with house_style():
            assert mpl.rcParams["pdf.fonttype"] == inside != outside
        assert mpl.rcParams["pdf.fonttype"] == outside
