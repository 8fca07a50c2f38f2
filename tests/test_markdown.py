"""The results as a section of a README."""

from __future__ import annotations

import pandas as pd
import pytest

from fmnist.report import ReportResult, StudyResult
from fmnist.reporting.markdown import END, START, markdown_table, update_section
from fmnist.tables import Table


def table(note=""):
    shown = pd.DataFrame({"configuration": ["a|b", "c"], "n": ["3", "4"]})
    return Table("comparison", "results", "Results", shown, shown, note)


@pytest.fixture
def result(tmp_path):
    studies = tuple(
        StudyResult(name=name, question="Which?", answer=f"Answer {name}.", missing=("a lacks 2 repeats.",),
                    results=table(), original=(), measurement="Measured.")
        for name in ("timing", "comparison")
    )  # fmt: skip
    return ReportResult(path=tmp_path / "docs" / "report" / "index.html", studies=studies)


def test_a_table_becomes_rows_with_escaped_bars():
    lines = ["**Results**", "", "| configuration | n |", "| --- | --- |", r"| a\|b | 3 |", "| c | 4 |", "", "A note."]
    assert markdown_table(table("A note.")) == "\n".join(lines)


def test_the_section_takes_the_place_between_the_marks_and_nothing_else(tmp_path, result):
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    update_section(readme, result)
    text = readme.read_text()
    assert text.startswith(f"before\n{START}\n\n### Study `timing`\n")
    assert text.endswith(f"[docs/report/index.html](docs/report/index.html).\n\n{END}\nafter\n")
    assert "old" not in text
    assert "\n\n- a lacks 2 repeats.\n\n" in text
    assert text.index("Answer timing.") < text.index("### Study `comparison`") < text.index("Answer comparison.")
    update_section(readme, result)
    assert readme.read_text() == text


@pytest.mark.parametrize("text", ["nothing", START, f"{END} {START}", f"{START} {END} {END}", f"{START} {START} {END}"])
def test_without_the_marks_the_file_stays(tmp_path, result, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(ValueError, match=r"README\.md: expected the lines <!-- results -->"):
        update_section(readme, result)
    assert readme.read_text() == text
