"""The real engine, but a run that starts from the beginning never gets past its first epoch: it waits to be lost."""

from __future__ import annotations

import time
from typing import Any

from fmnist.train.run import train_run as really_train


def train_run(run: Any, data: Any, *, on_epoch: Any, checkpoint: bytes | None, **settings: Any) -> dict[str, Any]:
    def wait_after_epoch(record: Any, make_checkpoint: Any) -> None:
        on_epoch(record, make_checkpoint)
        if checkpoint is None:
            time.sleep(600)

    return really_train(run, data, on_epoch=wait_after_epoch, checkpoint=checkpoint, **settings)
