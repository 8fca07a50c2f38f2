"""Where this program keeps files of the user's that are not results: one place for all of them."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """The folder `fmnist` in XDG_CACHE_HOME, else in ~/.cache; it may not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fmnist"
