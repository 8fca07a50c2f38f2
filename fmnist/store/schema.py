"""What a row holds: the Parquet schema."""

from dataclasses import fields

import pyarrow as pa

from fmnist.declare import METRICS, Hyperparameters, Seeds

STATUSES = ("ok", "failed", "diverged", "validated", "pruned")
SEARCH_STATUSES = ("validated", "pruned")  # of runs that a search made: trained to their end, or given up on the way

EPOCH = pa.struct(
    [
        ("epoch", pa.int32()),  # from 1
        ("train_accuracy", pa.float64()),  # running mean over the epoch's steps, dropout and augmentation on
        ("train_loss", pa.float64()),
        ("validation_accuracy", pa.float64()),
        ("validation_loss", pa.float64()),
        ("learning_rate", pa.float64()),  # the rate the epoch was trained with; by a schedule, of its first step
        ("seconds", pa.float64()),  # wall time of the epoch's training steps
    ]
)

_ARROW_TYPES = {"str": pa.string(), "float": pa.float64(), "int": pa.int64(), "bool": pa.bool_()}

SCHEMA = pa.schema(
    [
        # identity
        pa.field("run_id", pa.string(), nullable=False),  # fingerprint of all that decides the outcome
        pa.field("configuration_id", pa.string(), nullable=False),  # the same without the seeds
        pa.field("study", pa.string(), nullable=False),  # the study that asked for the run first
        pa.field("label", pa.string(), nullable=False),  # the configuration's name in that study
        pa.field("architecture", pa.string(), nullable=False),
        pa.field("repeat", pa.int32(), nullable=False),
        *(pa.field(f"seed_{seed.name}", pa.int64(), nullable=False) for seed in fields(Seeds)),
        # hyperparameters
        *(
            pa.field(item.name, _ARROW_TYPES[str(item.type).removesuffix(" | None")])
            for item in fields(Hyperparameters)
        ),
        # status
        pa.field("status", pa.string(), nullable=False),  # one of STATUSES
        pa.field("error", pa.string()),  # what ended a run that failed, diverged or was pruned
        pa.field("attempts", pa.int32(), nullable=False),  # starts of the run, the successful one included
        pa.field("resumed", pa.bool_(), nullable=False),  # from a checkpoint: left out of timings
        # metrics
        *(pa.field(name, pa.int64() if metric.is_whole else pa.float64()) for name, metric in METRICS.items()),
        # course of the training
        pa.field("validation_loss", pa.float64()),
        pa.field("train_loss", pa.float64()),
        pa.field("best_epoch", pa.int32()),  # epoch of the best validation loss (see minimum_delta), from 1
        pa.field("epochs_run", pa.int32()),
        pa.field("compile_seconds", pa.float64()),  # building the model, tracing and compiling its functions
        pa.field("pretraining_seconds", pa.float64()),  # of train_seconds, the part before the run's own task
        pa.field("evaluate_seconds", pa.float64()),  # validation after each epoch and the final scores
        pa.field("processor_seconds", pa.float64()),  # of all cores, used by the run from its start to its row
        # placement
        pa.field("placement", pa.string(), nullable=False),  # shared or exclusive
        pa.field("neighbours", pa.int32()),  # most runs at a time beside it on the node, or on its GPU
        pa.field("threads", pa.int32()),  # TensorFlow's threads
        pa.field("gpus", pa.float64()),  # fraction of a GPU given to the run
        pa.field("device_model", pa.string()),  # CPU or GPU model that computed the run
        pa.field("device_kind", pa.string()),  # CPU or GPU
        pa.field("compute_dtype", pa.string()),  # what `precision` came to on this device
        pa.field("node", pa.string()),
        # history
        pa.field("history", pa.list_(EPOCH)),
        # predictions
        pa.field("test_predicted", pa.list_(pa.uint8())),  # class of each test image, in the test set's order
        pa.field("test_confidence", pa.list_(pa.float16())),  # probability given to that class
        # provenance
        pa.field("commit", pa.string()),
        pa.field("dirty", pa.bool_()),  # the work tree differed from the commit
        pa.field("code_version", pa.string()),  # fingerprint of the source, also where there is no commit
        pa.field("engine", pa.string()),  # what trained it: fmnist, or keras where fmnist's engine refuses a layer
        *(pa.field(f"{name}_version", pa.string()) for name in ("python", "tensorflow", "keras", "numpy")),
        pa.field("ray_version", pa.string()),  # null where the run was not started by Ray
        pa.field("data_fingerprint", pa.string(), nullable=False),
        pa.field("started_at", pa.timestamp("us", tz="UTC")),
    ]
)

RETIRED_COLUMNS = frozenset({"host_peak_bytes", "host_baseline_bytes"})  # of older rows; compaction may drop them
SCALAR_COLUMNS = tuple(item.name for item in SCHEMA if not pa.types.is_list(item.type))
