"""What every test shares: oneDNN as for a user, the same examples of a property each time, without a time limit."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

import fmnist  # noqa: F401  before any test loads TensorFlow

settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("steady")
