from __future__ import annotations

import base64
import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from fmnist.data.dataset import Dataset
from fmnist.report import build, chapters
from fmnist.report.build import ReportResult, build_report, file_name
from fmnist.report.chapter import Chapter, Figure, StudyReport
from fmnist.report.chapters import report_study
from fmnist.report.chapters.answer import answer
from fmnist.report.chapters.overview import missing_words, overview_chapter, results_table
from fmnist.report.html import mark_commands
from fmnist.report.predictions import Example, choose_examples
from fmnist.report.selection import select_studies
from fmnist.report.study_data import MOST_COMPARED, gather
from fmnist.report.style import figure_of, house_style, new_axes, styles_of
from fmnist.report.table import Table
from fmnist.report.terminal import print_results
from fmnist.store.store import Store
from tests.synthetic_rows import (
    DATA_FINGERPRINT,
    SIX,
    TEST_IMAGES,
    balanced_labels,
    manifest_of,
    rows_of,
    without_figures,
)

REPEATS = 5
DATA = Dataset(
    train_images=np.zeros((0, 28, 28), np.uint8),
    train_labels=np.zeros(0, np.uint8),
    test_images=np.random.default_rng(0).integers(0, 256, (TEST_IMAGES, 28, 28)).astype(np.uint8),
    test_labels=balanced_labels(),
    fingerprint=DATA_FINGERPRINT,
)
THREE = (
    dataclasses.replace(SIX[0], statuses={1: "diverged", 2: "failed"}, left_out=frozenset({4})),
    SIX[2],
    SIX[5],
)


class Page(HTMLParser):
    """What a test needs of a page: its text, images, links, and tables as lists of rows."""

    def __init__(self, html):
        super().__init__()
        self.words, self.images, self.links, self.tables = [], [], [], []
        self.tags = []  # every tag with its attributes
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append((tag, found))
        if tag == "img":
            self.images.append(found)
        if tag in ("a", "link", "script", "iframe"):
            self.links.append(found.get("href") or found.get("src") or "")
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_data(self, data):
        self.words.append(data)
        if self.tables and self.tables[-1] and self.tables[-1][-1] and self.lasttag in ("td", "th") and data.strip():
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def fill(directory, makers, repeats, manifest=True, **circumstances):
    store = Store(directory)
    for row in rows_of(makers, repeats, **circumstances):
        store.write(row)
    if manifest:
        store.write_manifest(manifest_of(makers, repeats))
    return store


def figures_of(data):
    with house_style():
        report = report_study(data, styles_of(data.study.labels))
        return [figure for chapter in report.chapters for figure in chapter.figures]


def found(store, data=DATA):
    (study,) = select_studies(store)
    return gather(study, store, data)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A store of three configurations, its report and the page."""
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(build, "find_dataset", lambda _: (DATA, ""))
        store = fill(folder / "results", THREE, REPEATS)
        result = build_report(folder / "results", out=folder / "report")
    return store, result, Page(result.path.read_text("utf-8"))


def test_page_needs_no_network(built):
    _, result, page = built
    assert all(image["src"].startswith("data:") for image in page.images)
    assert not [link for link in page.links if "//" in link]
    for link in page.links:
        assert link.startswith("#") or (result.path.parent / link).is_file()


def test_every_figure_is_there(built):
    _, result, page = built
    folder = result.path.parent / "figures" / "made_up"
    names = {path.stem for path in folder.glob("*.svg")}
    wanted = {"distribution-test_accuracy", "distribution-train_seconds", "distribution-host_allocated_bytes",
              "verdicts-test_accuracy", "critical-difference", "trade-off-train_seconds", "validation", "recall",
              "original-test_accuracy"}  # fmt: skip
    for label in ("lenet5", "own_v1", "efficientnet_small"):
        wanted |= {f"{kind}-{label}" for kind in ("curves", "confusion", "examples", "reliability")}
    assert wanted <= names
    embedded = [base64.b64decode(image["src"].partition("base64,")[2]) for image in page.images]
    assert sorted(embedded) == sorted((folder / f"{name}.svg").read_bytes() for name in names)
    for name in names:
        assert (folder / f"{name}.pdf").stat().st_size > 1000


def test_every_figure_holds_data_and_says_what_is_seen(built):
    store, _, _ = built
    figures = figures_of(found(store))
    for figure in figures:
        assert all(axes.has_data() for axes in figure.drawing.axes if axes.get_visible()), figure.name
        assert figure.alt.endswith(".")
        assert figure.caption not in figure.alt
    seen = {figure.name: figure.alt for figure in figures}
    accuracy = Store(store.uri).read(["label", "status", "test_accuracy"]).to_pandas().query("status == 'ok'")
    for label, mean in accuracy.groupby("label")["test_accuracy"].mean().items():
        assert f"{label} {100 * mean:.2f} %" in seen["distribution-test_accuracy"]
    assert "Shirt taken for T-shirt/top" in seen["confusion-lenet5"]
    assert "Table of 3 pairs" in seen["verdicts-test_accuracy"]


def test_the_page_can_be_found_through_without_a_mouse_or_eyes(built):
    _, _, page = built
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(ids)
    headings = [(tag, found) for tag, found in page.tags if tag in ("h1", "h2", "h3")]
    assert [tag for tag, _ in headings] == ["h1"] + ["h2"] * (len(headings) - 1)
    chapters = {found["id"] for tag, found in headings if tag == "h2"}
    assert len(chapters) > 5
    assert {f"#{chapter}" for chapter in chapters} <= set(page.links)
    regions = [found for tag, found in page.tags if tag == "div" and found.get("tabindex") == "0"]
    assert all(found["role"] == "region" and found["aria-label"] for found in regions)
    assert len(regions) >= len(page.tables)
    assert sum(found.get("scope") == "row" for tag, found in page.tags if tag == "th") == sum(
        len(table) - 1 for table in page.tables
    )


def test_of_many_much_alike_the_leaders_is_shown_and_the_others_are_folded(built):
    _, result, _ = built
    whole = result.path.read_text("utf-8")
    folded = "".join(part.partition("</details>")[0] for part in whole.split("<details>")[1:])
    for kind in ("confusion matrix", "wrong and right"):
        assert f"efficientnet_small: {kind}" not in folded
        assert f"lenet5: {kind}" in folded


def small_figures(data):
    for label in data.compared_labels:
        axes = new_axes(1, 1)
        axes.plot([0, 1])
        yield Figure(name=f"curves-{label}", title=label, caption="", alt="", drawing=figure_of(axes))


def test_labels_and_studies_that_differ_in_any_character_have_files_of_their_own(tmp_path, monkeypatch):
    curves = lambda data, _: Chapter(key="curves", title="", figures=small_figures(data))  # noqa: E731
    monkeypatch.setattr(chapters, "CHAPTERS", (overview_chapter, curves))
    labels = ["lr 0.1", "lr/0.1", "LR 0.1", "\N{GREEK SMALL LETTER ALPHA}", "long " * 60, "[bn]", "[/bn]"]
    makers = [dataclasses.replace(SIX[0], label=label, architecture="lenet5") for label in labels]
    store = fill(tmp_path / "results", makers, 1, manifest=False)
    store.write_manifest(manifest_of(makers[:1], 1, name="a b"))
    store.write_manifest(manifest_of(makers, 1, name="A:b"))
    result = build_report(tmp_path / "results", ["a b", "A:b"], out=tmp_path / "report", data=tmp_path)
    curves = sorted((tmp_path / "report" / "figures").glob("*/*.svg"))
    assert len(curves) == 8
    assert len({str(path).casefold() for path in curves}) == 8
    assert {path.parent.name for path in curves} == {"a-b", "A-b-1"}
    console = Console(width=200)
    with console.capture() as captured:
        print_results(result, console)
    for label in ("[bn]", "[/bn]", "lr/0.1"):
        assert label in captured.get()


def test_tables_hold_pandas_numbers_of_the_rows(built):
    store, result, page = built
    rows = store.read(["label", "status", "test_accuracy", "train_seconds"]).to_pandas()
    finished = rows[rows["status"] == "ok"]
    raw = pd.read_csv(result.path.parent / "tables" / "made_up" / "metric-test_accuracy.csv").set_index("label")
    grouped = finished.groupby("label")["test_accuracy"]
    for name, values in (("mean", grouped.mean()), ("standard_deviation", grouped.std()), ("n", grouped.size()),
                         ("median", grouped.median()), ("minimum", grouped.min())):  # fmt: skip
        assert raw[name].to_dict() == pytest.approx(values.to_dict())
    shown = {row[0]: row for row in page.tables[0][1:]}
    for label, mean in grouped.mean().items():
        assert shown[label][1] == str(grouped.size()[label])
        assert shown[label][2].startswith(f"{100 * mean:.2f} ±")
    for label, mean in finished.groupby("label")["train_seconds"].mean().items():
        assert shown[label][3].startswith(f"{mean:.1f} ±")


def test_page_leads_with_the_answer(built):
    _, result, page = built
    text = result.studies[0].answer
    assert text.startswith("efficientnet_small has the highest mean test accuracy of 3 configurations: ")
    better = re.search(r"It is better than .*? \(p ", text)[0]
    assert better.count("percentage points") == 1  # the unit is said once
    assert "Holm" in text
    assert page.text.index(text[:60]) < page.text.index("Results")
    assert page.text.index("Results") < page.text.rindex("Methods")


def test_failed_diverged_and_missing_runs_are_named(built):
    _, _, page = built
    assert "Runs that failed: lenet5 1." in page.text
    assert "Runs that diverged (loss not finite): lenet5 1." in page.text
    assert "lenet5 lacks 1 repeat of 5 (4)" in page.text
    assert "MemoryError: the process was killed" in page.text
    counts = next(table for table in page.tables if table[0][:2] == ["configuration", "wanted"])
    assert ["lenet5", "5", "2", "1", "1", "1"] in counts


def test_every_table_of_configurations_lists_the_best_first(built):
    _, _, page = built
    columns = [[row[0] for row in table[1:]] for table in page.tables if table[0][0] == "configuration"]
    orders = {tuple(column) for column in columns if len(set(column)) == len(column) == len(THREE)}
    assert len(columns) > 10
    assert len(orders) == 1


def test_results_csv_has_every_row(built):
    store, result, _ = built
    rows = pd.read_csv(result.path.parent / "results.csv")
    assert len(rows) == store.read(["run_id"]).num_rows == 14
    assert "history" not in rows.columns


def test_methods_say_versions_hardware_and_tests(built):
    _, _, page = built
    for words in ("TensorFlow 2.21.0", "AMD EPYC 7B13, 1 thread, 0 GPU", "commit 2164a57", "5,000 of the 60,000",
                  "paired t test", "Holm", "0.2 percentage points", "n = 2 to 5"):  # fmt: skip
        assert words in page.text
    assert page.text.count("Pairs of configurations were compared over their common repeats") == 1
    for margins in ("test accuracy 0.2 percentage points", "training time 5 % and allocated host memory 5 %"):
        assert f"Margins of equivalence: {margins}." in page.text


def test_the_terminal_shows_the_results_in_eighty_columns(built):
    _, result, _ = built
    console = Console(width=80, record=True, file=None, quiet=False)
    with console.capture() as captured:
        print_results(result, console)
    lines = captured.get().splitlines()
    assert any("efficientnet_small" in line and "±" in line for line in lines)
    assert any("[" in line and "]" in line for line in lines)
    assert lines[-1] == f"Report: {result.path}"
    assert max(map(len, lines[:-1])) <= 80


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_terminal_cuts_no_figure_off(width):
    shown = pd.DataFrame(
        {
            "configuration": ["efficientnet_small"],
            "n": ["10"],
            "test accuracy, %": ["92.06 ± 0.25 [91.88, 92.24]"],
            "training time, s": ["1,430.5 ± 283.5"],
            "allocated host memory, MiB": ["613.2 ± 72.5"],
        }
    )
    overview = Chapter(key="overview", title="", tables=[Table("results", "Results", shown, shown, is_main=True)])
    short = StudyReport(name="s", question="", answer="", missing=(), measurement="", chapters=[overview])
    console = Console(width=width)
    with console.capture() as captured:
        print_results(ReportResult(path=Path("index.html"), studies=(short,)), console)
    words = captured.get().split()
    assert {"efficientnet_small", "10", "92.06", "[91.88,", "92.24]", "1,430.5", "283.5", "613.2"} <= set(words)
    if width == 80:
        assert any(line.strip() == "[91.88, 92.24]" for line in captured.get().splitlines())


def test_without_data_the_report_comes_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "report_study", without_figures)
    fill(tmp_path / "results", SIX[:2], 2)
    page = Page(build_report(tmp_path / "results", out=tmp_path / "report", data=tmp_path / "none").path.read_text())
    assert "no confusion matrices" in page.text
    assert str(tmp_path / "none") in page.text


def test_predictions_on_other_data_are_not_compared_with_these_images(tmp_path):
    store = fill(tmp_path, SIX[:2], 2, fingerprint="another")
    data = found(store)
    assert data.predictions == {}
    assert "another" in data.dataset_problem


def test_the_results_say_how_each_does_against_the_best(tmp_path):
    table = results_table(found(fill(tmp_path, SIX[:3], 6)))
    assert list(table.shown["configuration"]) == ["own_v1", "brownlee", "lenet5"]
    leader, *others = table.shown["against own_v1, percentage points"]
    assert leader == "\N{EN DASH}"
    assert all(re.fullmatch(r"worse, .\d\.\d\d \[.\d\.\d\d, .\d\.\d\d\]", cell) for cell in others)


def test_a_group_sequential_study_gives_its_own_verdicts(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "report_study", without_figures)
    store = fill(tmp_path / "results", SIX[:3], 8)
    plain = found(store)
    design = {"metric": "test_accuracy", "looks": [5, 20]}  # at 5 of 20 the design claims almost nothing
    store.write_manifest(manifest_of(SIX[:3], 5, sequential_design=design))
    sequential = found(store)
    verdicts = [{pair.verdict for pair in item.primary.pairs} for item in (plain, sequential)]
    assert verdicts == [{"worse"}, {"inconclusive"}]
    assert sequential.metrics["train_seconds"].pairs == plain.metrics["train_seconds"].pairs
    page = Page(build_report(tmp_path / "results", out=tmp_path / "report").path.read_text())
    assert "group-sequential design with analyses at 5 and 20 repeats; the p values are of plain tests" in page.text
    assert "Every pair: Inconclusive at analysis 1 of 2 (n = 5); the next analysis is at 20 repeats." in page.text
    assert "Repeats were added until every pair was decided on test accuracy" in page.text


def test_rows_that_a_study_is_not_read_from_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "report_study", without_figures)
    fill(tmp_path / "results", SIX[:2], 3).write_manifest(manifest_of(SIX[:2], 2))
    result = build_report(tmp_path / "results", out=tmp_path / "report")
    assert any("beyond the 2 that the study asks for" in sentence for sentence in result.studies[0].missing)
    assert "beyond the 2 that the study asks for" in Page(result.path.read_text()).text


def test_a_damaged_file_is_named_on_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "report_study", without_figures)
    fill(tmp_path / "results", SIX[:2], 2)
    (tmp_path / "results" / "runs" / "broken.parquet").write_bytes(b"PAR1")
    page = Page(build_report(tmp_path / "results", out=tmp_path / "report").path.read_text())
    assert "could not be read; their runs are missing here: runs/broken.parquet" in page.text


def test_several_studies_each_get_a_section(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "report_study", without_figures)
    store = fill(tmp_path / "results", SIX[:2], 2)
    store.write_manifest(manifest_of(SIX[:1], 2, name="second"))
    result = build_report(tmp_path / "results", out=tmp_path / "report")
    page = Page(result.path.read_text())
    assert {study.name for study in result.studies} == {"made_up", "second"}
    assert {"#made_up", "#second", "#overview-second"} <= set(page.links)
    assert [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3")][:3] == ["h1", "h2", "h3"]
    one = build_report(tmp_path / "results", studies=["second"], out=tmp_path / "report")
    assert [study.name for study in one.studies] == ["second"]


def test_shared_rows_are_described_and_not_compared(tmp_path):
    data = found(fill(tmp_path, SIX[:3], 3, placement="shared"))
    seconds = data.metrics["train_seconds"]
    assert seconds.pairs == ()
    assert len(seconds.summaries) == 3
    note = results_table(data).note
    assert "Training time and allocated host memory: shared placement: not compared." in note
    assert "`python jobs/study.py made_up --placement exclusive`" in note
    drawn = {figure.name: figure.drawing for figure in figures_of(data)}
    assert drawn["distribution-train_seconds"].axes[0].get_title(loc="left") == "Shared placement: not compared"
    assert "verdicts-train_seconds" not in drawn


def test_one_run_of_one_configuration(tmp_path):
    data = found(fill(tmp_path, SIX[:1], 1))
    assert answer(data).endswith(
        "from one run, which says nothing of the spread. There is no other configuration to compare it with."
    )
    assert len(figures_of(data)) > 8


def test_one_run_of_each_configuration_decides_nothing(tmp_path):
    text = answer(found(fill(tmp_path, SIX, 1)))
    assert "not significantly better than any other" in text
    assert "one common repeat" in text


def test_twelve_configurations(tmp_path):
    makers = [dataclasses.replace(SIX[place % 6], label=f"c{place}", accuracy=0.88 + 0.003 * place)
              for place in range(12)]  # fmt: skip
    data = found(fill(tmp_path, makers, 4))
    assert data.ranked_labels == [f"c{place}" for place in reversed(range(12))]
    figures = figures_of(data)
    assert len({figure.name for figure in figures}) == len(figures) > 50
    assert "others, from" in answer(data)


def test_the_answer_counts_the_verdicts_behind_the_leader(tmp_path):
    accuracies = {"best": 0.92, "one": 0.88, "other": 0.88}
    makers = [dataclasses.replace(SIX[0], label=label, accuracy=value) for label, value in accuracies.items()]
    text = answer(found(fill(tmp_path, makers, 20)))
    assert "Other pairs: 1 practically equivalent." in text


def test_of_many_configurations_the_best_on_validation_are_shown(tmp_path):
    makers = [dataclasses.replace(SIX[0], label=f"c{place:02}", accuracy=0.85 + 0.004 * place) for place in range(15)]
    data = found(fill(tmp_path, makers, 2))
    assert data.omitted_labels == ["c00", "c01", "c02"]
    assert len(data.compared_labels) == MOST_COMPARED
    assert len(results_table(data).shown) == 15
    assert any("3 more are in the tables" in sentence for sentence in missing_words(data))


def test_all_failed(tmp_path):
    failed = dataclasses.replace(SIX[0], statuses=dict.fromkeys(range(3), "failed"))
    fill(tmp_path / "results", [failed], 3)
    result = build_report(tmp_path / "results", out=tmp_path / "report")
    assert "no run has a test accuracy (3 failed)" in result.studies[0].answer
    page = Page(result.path.read_text())
    assert "MemoryError" in page.text
    assert "#runs-made_up" in page.links
    assert "#confidence-made_up" not in page.links  # a chapter without anything is left out


def test_examples_are_the_most_confident_mistakes_and_right_ones_at_random():
    true = np.zeros(20, np.uint8)
    predicted = np.where(np.arange(20) < 7, 1, 0).astype(np.uint8)
    example = Example(0, predicted, np.linspace(0, 1, 20).astype(np.float16))
    wrong, right = choose_examples(example, true, 5)
    assert wrong.tolist() == [6, 5, 4, 3, 2]
    assert len(right) == 5
    assert (predicted[right] == 0).all()
    assert choose_examples(example, predicted, 5)[0].size == 0


def test_text_of_the_page_is_escaped():
    assert mark_commands("a < b, run `x`") == "a &lt; b, run <code>x</code>"
    assert file_name("own v1, dropout=0.5/..") == "own-v1-dropout-0.5"


def test_the_answer_speaks_of_times_as_ratios_and_of_losses_as_positive_differences(tmp_path):
    store = fill(tmp_path, SIX[:3], 6)
    store.write_manifest(manifest_of(SIX[:3], 6, primary_metric="train_seconds"))
    text = answer(found(store))
    assert text.startswith("lenet5 has the lowest mean training time of 3 configurations")
    assert "times its training time) and own_v1 (0.5" in text
    store.write_manifest(manifest_of(SIX[:3], 6, primary_metric="test_loss"))
    loss = answer(found(store))
    assert "It is better than" in loss
    assert "by \N{MINUS SIGN}" not in loss


def test_a_shared_study_of_times_tests_nothing(tmp_path):
    store = fill(tmp_path, SIX[:2], 3, placement="shared")
    store.write_manifest(manifest_of(SIX[:2], 3, primary_metric="train_seconds"))
    assert "No difference is tested. Every run shared its machine" in answer(found(store))
