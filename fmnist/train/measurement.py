"""What a run is measured with: clocks that run apart, allocated memory and library pages, device and provenance."""

import hashlib
import os
import platform
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_PROCESS = Path("/proc/self")
_CPU_INFO = Path("/proc/cpuinfo")
_PACKAGE = Path(__file__).resolve().parents[1]


class Clocks:
    """Wall time in seconds by name; each name is a clock of its own, so that what is timed apart stays apart."""

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = dict(seconds or {})

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the wall time of the `with` block to clock `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


class HostMemory:
    """Memory that this process allocates, counted from when this object was made, apart from pages of libraries.

    Resident memory is anonymous (what the process allocated: heap, tensors, stacks) or mapped from files (code of
    TensorFlow, XLA and oneDNN, loaded when it is first touched). A fork begins with next to none of its parent's file
    pages: the code that it runs decides how many come, and they are no memory of the net.

    Linux keeps a high-water mark of resident memory; writing 5 to clear_refs sets it to what is resident now. Where
    that is not allowed the mark may be older than this object; without /proc all figures are None.
    """

    def __init__(self) -> None:
        with suppress(OSError):
            (_PROCESS / "clear_refs").write_text("5")
        self._allocated_before = _process_bytes("RssAnon")

    def allocated_bytes(self) -> int | None:
        """Peak of anonymous memory above what there was at first: high-water mark less file pages less the first.

        File pages are those resident now. They only become more while a run lasts, so that code first touched after
        the peak makes the figure too small by its size; a file that was mapped and is no longer would be counted.
        """
        peak, libraries = _process_bytes("VmHWM"), self.library_bytes()
        if peak is None or libraries is None or self._allocated_before is None:
            return None
        return max(0, peak - libraries - self._allocated_before)

    def library_bytes(self) -> int | None:
        """Resident pages that are mapped from files: the code and constants of libraries that ran so far."""
        return _process_bytes("RssFile")


def _process_bytes(name: str) -> int | None:
    """Read a field of /proc/self/status that is given in kB."""
    value = _field(_PROCESS / "status", name)
    return int(value.split()[0]) * 1024 if value else None


def _field(file: Path, name: str) -> str | None:
    """First value in a file of lines `name: value`; None where there is no such file or field."""
    try:
        pairs = [line.partition(":") for line in file.read_text().splitlines()]
    except OSError:
        return None
    return next((value.strip() for found, _, value in pairs if found.strip() == name), None)


def graphics_cards() -> list[str]:
    """Names by which TensorFlow calls the GPUs that it may use ('GPU:0', ...)."""
    import tensorflow as tf

    return [f"GPU:{index}" for index in range(len(tf.config.list_logical_devices("GPU")))]


def reset_device_peak() -> None:
    """Set TensorFlow's own high-water mark of GPU memory to what is in use now; nothing to do without a GPU."""
    import tensorflow as tf

    for card in graphics_cards():
        tf.config.experimental.reset_memory_stats(card)


def ask_driver(question: Callable[[Any], int | None]) -> int | None:
    """Answer of the NVIDIA driver to `question(pynvml)`; None without a driver or without pynvml."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return question(pynvml)
    except pynvml.NVMLError:
        return None


def device_columns() -> dict[str, Any]:
    """Columns of the row that tell of the device: kind, model, and the memory taken of it, null where there is none.

    The peak is TensorFlow's, on its first GPU, since the last reset. NVML's figure is the driver's for this process, on
    all NVIDIA GPUs: null without a driver, without pynvml, and where the driver counts none for it.
    """
    import tensorflow as tf

    def used(driver: Any) -> int | None:
        cards = [driver.nvmlDeviceGetHandleByIndex(index) for index in range(driver.nvmlDeviceGetCount())]
        processes = [process for card in cards for process in driver.nvmlDeviceGetComputeRunningProcesses(card)]
        own = [process.usedGpuMemory for process in processes if process.pid == os.getpid()]
        return sum(memory for memory in own if memory is not None) or None

    kind, model, peak = "CPU", cpu_model(), None
    if cards := graphics_cards():
        details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
        kind, model = "GPU", str(details.get("device_name", "GPU"))
        peak = int(tf.config.experimental.get_memory_info(cards[0])["peak"])
    bytes_taken = {"device_peak_bytes": peak, "device_nvml_bytes": ask_driver(used)}
    return {"device_kind": kind, "device_model": model, **bytes_taken}


def cpu_model() -> str:
    """Name of the CPU as the system gives it, made plain where a virtual machine hides the number in it.

    Several generations of processors, of different speed, are called `AMD EPYC`; family and model tell them apart.
    """
    name = _cpu_field("model name") or platform.processor() or platform.machine()
    family, model = _cpu_field("cpu family"), _cpu_field("model")
    if re.search(r"\d", name) or not (family and model):
        return name
    return f"{name} (family {family}, model {model})"


def cpu_flags() -> frozenset[str]:
    """Instruction sets of the CPU by the names of /proc/cpuinfo; empty where that file is missing."""
    return frozenset((_cpu_field("flags") or "").split())


@cache
def _cpu_field(name: str) -> str | None:
    return _field(_CPU_INFO, name)


@cache
def code_version() -> str:
    """Hash this package's source and TensorFlow's version into 8 hexadecimal digits: one value, one behaviour."""
    content = b"".join(file.name.encode() + file.read_bytes() for file in sorted(_PACKAGE.rglob("*.py")))
    return hashlib.sha256(content + metadata.version("tensorflow").encode()).hexdigest()[:8]


@cache
def provenance() -> dict[str, Any]:
    """Commit of the code, whether the work tree differed from it, hash of the source, and versions.

    Outside a git tree, as on a cluster, the environment variable FMNIST_COMMIT says the commit, with `-dirty` after it
    where files differed from it; without it both are None.
    """
    told = os.environ.get("FMNIST_COMMIT", "")
    commit, dirty = told.removesuffix("-dirty") or None, told.endswith("-dirty") if told else None
    if here := _git("rev-parse", "HEAD"):
        commit, dirty = here, bool(_git("status", "--porcelain"))
    return {
        "commit": commit,
        "dirty": dirty,
        "code_version": code_version(),
        "python_version": platform.python_version(),
        **{f"{package}_version": metadata.version(package) for package in ("tensorflow", "keras", "numpy")},
    }


def _git(*arguments: str) -> str | None:
    """Output of a git command about this package's own tree, or None where git or the tree is missing."""
    command = ["git", "-C", str(_PACKAGE), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
