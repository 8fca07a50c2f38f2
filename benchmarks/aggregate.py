"""What the report costs at 1,000, 10,000 and 100,000 synthetic rows: wall time and peak memory of `jobs/aggregate.py`.

    python benchmarks/aggregate.py [--rows 1000 10000 100000]
    python benchmarks/aggregate.py --search 1000    # the report of a grid search: points of each of six architectures

Each store has six configurations, with histories and predictions, in files as a compaction leaves them; each report is
made in a process of its own. The rows take about 13 kB of disk each, and are deleted again. A search has 5 repeats of
each point, with histories.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fmnist.data.dataset import load_data  # noqa: E402
from fmnist.declare import Choice, Space  # noqa: E402
from tests.synthetic_rows import write_bulk_store  # noqa: E402
from tests.synthetic_search import LEVELS, MadeSearch  # noqa: E402

THOUSAND = Space(
    {
        "optimizer": Choice(("adam", "sgd")),
        "learning_rate": Choice((1e-4, 3e-4, 1e-3, 3e-3, 1e-2)),
        "batch_size": Choice((16, 32, 64, 128, 256)),
        "l2": Choice((0.0, 1e-6, 1e-5, 1e-4, 1e-3)),
        "rotation": Choice((0.0, 5.0, 10.0, 15.0)),
    }
)
REPEATS = 5  # of each point


def main() -> None:
    """Measure each size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000], help="sizes of the stores")
    parser.add_argument("--search", type=int, metavar="POINTS", help="a grid search of at most 1,000 points instead")
    arguments = parser.parse_args()
    counts = [arguments.search * len(LEVELS) * REPEATS] if arguments.search else arguments.rows
    write = write_search if arguments.search else write_studies
    shown = Table("rows", "store, MiB", "wall, s", "CPU, s", "peak memory, MiB")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "results", count)
            shown.add_row(f"{count:,}", *measure(Path(folder)))
    Console().print(shown)


def write_studies(store: Path, count: int) -> None:
    """Write a store of `count` rows of a study."""
    data = load_data()
    write_bulk_store(store, count, labels=data.test_labels, fingerprint=data.fingerprint)


def write_search(store: Path, count: int) -> None:
    """Write a store of `count` rows of a grid search."""
    points = count // (len(LEVELS) * REPEATS)
    MadeSearch(space=THOUSAND, architectures=list(LEVELS), points=points, repeats=REPEATS, epochs=5).write(store)


def measure(folder: Path) -> list[str]:
    """Report on the store in a folder; give its size, wall time, processor time and peak memory."""
    store = folder / "results"
    size = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    wall, processor, peak_bytes = run_report(store, folder / "report")
    return [f"{size / 2**20:,.0f}", f"{wall:.1f}", f"{processor:.1f}", f"{peak_bytes / 2**20:,.0f}"]


def run_report(store: Path, out: Path) -> tuple[float, float, int]:
    """Run the job in a process of its own; give its wall and processor seconds and peak resident memory.

    Processor time is that of all its processes, memory that of the largest: those that save figures need little.
    """
    command = [sys.executable, str(ROOT / "jobs/aggregate.py"), "--results", str(store), "--out", str(out)]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


if __name__ == "__main__":
    main()
