"""The trivial engine, its runs long enough for nodes to come up meanwhile."""

import time
from typing import Any

from tests import trivial_engine


def train_run(*given: Any, **options: Any) -> dict[str, Any]:
    """Sleep, then compute the run."""
    time.sleep(2)
    return trivial_engine.train_run(*given, **options)
