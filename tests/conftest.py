"""What every test shares: oneDNN as for a user, Ray without tokens, the same examples of a property each time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import fmnist  # noqa: F401  before any test loads TensorFlow

settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("steady")

# a process keeps the mode of its first Ray: one that found a token in the home folder could use no other Ray afterwards
os.environ["RAY_AUTH_MODE"] = "disabled"


@pytest.fixture(scope="module")
def one_ray():
    """A Ray for all tests of a module, as a command of ours starts it: gives its cluster."""
    from fmnist.sweep.connection import connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
        with connection("local") as cluster:
            yield cluster
