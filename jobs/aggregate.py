"""Make the report on the studies of a store: python jobs/aggregate.py [--results URI] [--study NAME ...]."""

from __future__ import annotations

import argparse
import io
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> int:
    """Parse the command line, build the report, print the results; 2 if the user has to change something."""
    arguments = parse()
    if arguments.check:
        return check(arguments.results)
    print_now(f"Report on {', '.join(arguments.study) or 'all studies'}")
    from fmnist import UserError
    from fmnist.report import build_report, print_results, update_sections

    try:
        result = build_report(
            arguments.results, arguments.study, arguments.out, arguments.data, print_now,
            processes=len(os.sched_getaffinity(0)),
        )  # fmt: skip
        for page in arguments.pages:
            update_sections(page, result)
    except (UserError, OSError) as error:
        print(f"aggregate: {error}", file=sys.stderr)
        return 2
    print_results(result)
    return 0


def check(results: str) -> int:
    """Say what is wrong in a store; 0 if nothing is, 1 if something is, 2 if it cannot be read."""
    from fmnist import UserError
    from fmnist.store import Store, check_store

    try:
        count, problems = check_store(Store(results))
    except (UserError, OSError) as error:
        print(f"aggregate: {error}", file=sys.stderr)
        return 2
    for problem in problems:
        print(problem)
    print(f"{count} rows in {results}: {f'{len(problems)} things are wrong' if problems else 'nothing is wrong'}")
    return 1 if problems else 0


def print_now(message: str) -> None:
    """Print at once, also into a log."""
    print(message, flush=True)


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Make results.csv, tables, figures and one page, index.html, from the rows of a store.",
    )
    add = parser.add_argument
    add("--results", default="results", metavar="URI", help="folder or URI of the rows (default: %(default)s)")
    add("--study", nargs="+", default=[], metavar="NAME",
        help="report on these studies and searches, in this order (default: on all, the latest run first)")  # fmt: skip
    add("--out", type=Path, default=Path("report"), metavar="DIR", help="where it goes (default: %(default)s)")
    add("--data", type=Path, metavar="DIR", help="folder of Fashion-MNIST (default: looked for as a run does)")
    add("--check", action="store_true", help="verify every row and manifest instead, and name what is wrong")
    add("--pages", type=Path, nargs="+", default=[], metavar="FILE",
        help="also put the results into these Markdown files, where they have the lines <!-- results --> and"
        " <!-- end of results -->, or the like with `results at a glance`")  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an ASCII terminal gets a ? for what it lacks
    sys.exit(main())
