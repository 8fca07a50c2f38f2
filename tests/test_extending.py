"""docs/extending.md: every example in it is carried out on a copy of the project, and the copy is used."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
BLOCK = re.compile(
    r"```python\n# (?P<file>\S+?)(?:, (?:at the end|below `(?P<line>[^\n]+)`))?\n(?P<code>.*?)```", re.DOTALL
)
OWN_STUDY = '''"""Does noise hurt? python jobs/study.py noisy.py"""
from fmnist.declare import Study, configure
STUDY = Study(
    name="noisy",
    question="Does noise hurt?",
    configurations=(configure("perceptron", epochs=1), configure("perceptron", epochs=1, noise=0.5, label="noisy")),
    repeats=2,
)
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with every example of the page in it, and the data that one of them describes."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("fmnist", "jobs", "published"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    blocks = list(BLOCK.finditer(PAGE))
    assert len(blocks) == PAGE.count("```python")
    for block in blocks:
        put(folder / block["file"], block["line"], block["code"])
    write_stripes(folder / "stripes")
    (folder / "noisy.py").write_text(OWN_STUDY)
    return folder


def put(file: Path, line: str | None, code: str) -> None:
    """Write code into a file: below the line that begins so, else at its end; a file that is not there is made."""
    text = file.read_text() if file.exists() else ""
    if line is None:
        file.write_text(f"{text.rstrip()}\n\n\n{code}".lstrip())
        return
    lines = text.splitlines(keepends=True)
    (place,) = [place for place, found in enumerate(lines) if found.strip().startswith(line)]
    opens = lines[place].rstrip().endswith("(")
    indent = re.match(" *", lines[place])[0] + 4 * " " * opens
    if line.startswith("measure."):  # below the end of a claim, whose first line is less indented
        indent = indent[:8]
    lines[place + 1 : place + 1] = [f"{indent}{added}" for added in code.splitlines(keepends=True)]
    file.write_text("".join(lines))


def write_stripes(folder: Path) -> None:
    """Write 240 and 60 images of stripes as IDX files, always the same; the page gives their hashes."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for prefix, count in (("train", 240), ("t10k", 60)):
        labels = (np.arange(count) % 2).astype(np.uint8)
        stripes = np.tile((np.arange(28) % 4 < 2) * np.uint8(150), (28, 1))
        images = np.where(labels[:, None, None] == 1, stripes, stripes.T) + generator.integers(0, 100, (count, 28, 28))
        header = b"".join(size.to_bytes(4, "big") for size in (2051, count, 28, 28))
        write_packed(folder / f"{prefix}-images-idx3-ubyte.gz", header + images.astype(np.uint8).tobytes())
        header = b"".join(size.to_bytes(4, "big") for size in (2049, count))
        write_packed(folder / f"{prefix}-labels-idx1-ubyte.gz", header + labels.tobytes())


def write_packed(file: Path, content: bytes) -> None:
    assert hashlib.sha256(content).hexdigest() in PAGE, f"{file.name}: {hashlib.sha256(content).hexdigest()}"
    file.write_bytes(gzip.compress(content))


def run(project: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(project)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_study_is_listed(project):
    assert "patience" in run(project, "jobs/study.py", "--list")
    assert "15 runs wanted" in run(project, "jobs/study.py", "patience", "--dry-run", "--data", "stripes")


def test_the_search_is_previewed(project):
    told = run(project, "jobs/study.py", "rates", "--dry-run", "--data", "stripes")
    assert "at most 12 points, 36 runs wanted" in told


def test_architecture_hyperparameter_metric_table_figure_and_data_are_in_the_rows_and_the_report(project):
    run(project, "jobs/study.py", "noisy.py", "--data", "stripes", "--address", "local")
    page = (project / "report" / "index.html").read_text()
    assert "Processor time" in page  # metric
    assert "Devices" in page  # table
    assert "Training time by repeat" in page  # figure
    assert "horizontal" in page  # data set
    rows = (project / "report" / "results.csv").read_text()
    assert "perceptron" in rows
    told = run(
        project,
        "-c",
        "from fmnist.store import Store; rows = Store('results').read(['noise', 'train_loss']).to_pylist();"
        "print(len({row['train_loss'] for row in rows}), sorted(row['noise'] for row in rows))",
    )
    assert told.split(maxsplit=1) == ["4", "[0.0, 0.0, 0.5, 0.5]\n"]  # the hyperparameter acts


def test_stored_ids_stay(project):
    code = (
        "from fmnist.declare import configure; from fmnist.declare.identity import id_of_configuration;"
        "print(id_of_configuration('structure', configure('lenet5').hyperparameters, 'data'))"
    )
    assert run(project, "-c", code) == run(ROOT, "-c", code)


def test_the_claim_is_read_on_the_rows_that_are_there(project):
    run(
        project,
        "jobs/aggregate.py",
        "--results",
        "published",
        "--study",
        "comparison",
        "--data",
        "stripes",
        "--out",
        "page",
    )
    claims = (project / "page" / "tables" / "comparison" / "claims.csv").read_text()
    assert "own v1 is more accurate than Brownlee's CNN" in claims
