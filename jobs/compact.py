"""Merge the many small files of a store of results into few large ones: python jobs/compact.py [--results URI].

May be stopped at any moment, and run beside a study or another compaction: no row is lost or doubled.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fmnist import UserError
from fmnist.store import Store


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, compact, and say what was done; a user's mistake is one line and exit code 2."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--results", default="results", metavar="URI", help="folder or URI (s3://...) of the store (default: results)"
    )
    options = parser.parse_args(arguments)
    try:
        store = Store(options.results)
        if not (store.file_count() or store.manifests()):
            raise UserError(f"results: got {store.uri}, where no study was run; give the folder or URI of one")
        done = store.compact()
    except (UserError, OSError) as error:
        print(f"compact: {error}", file=sys.stderr)
        return 2
    if done.written_files:
        print(f"{store.uri}: {done.merged_files} files merged into {done.written_files}, {done.rows} rows")
    else:
        print(f"{store.uri}: nothing to merge")
    return 0


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an ASCII terminal gets a ? for what it lacks
    sys.exit(main())
