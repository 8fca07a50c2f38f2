import os
import subprocess
import sys
import textwrap
import time
from types import ModuleType, SimpleNamespace

import pytest
import tensorflow as tf

from fmnist.train import measurement

MIB = 2**20


def test_clocks_run_apart_and_add_up():
    clocks = measurement.Clocks({"train": 5.0})
    with clocks.timing("train"):
        time.sleep(0.01)
    with clocks.timing("evaluate"):
        pass
    assert 5.01 <= clocks.seconds["train"] < 6
    assert 0 <= clocks.seconds["evaluate"] < 0.01


def test_a_clock_counts_what_an_error_ends():
    clocks = measurement.Clocks()
    with pytest.raises(KeyError), clocks.timing("train"):
        raise KeyError
    assert "train" in clocks.seconds


def in_a_fork(code: str) -> list[int]:
    """Run `code` in a process forked from one that waits, as every run is; `told` lists the integers it gives back."""
    script = f"""
import mmap, os, pathlib, sys, tempfile
import numpy as np
from fmnist.train import measurement

MIB = 2**20
library = tempfile.TemporaryFile()
library.write(bytes(100 * MIB))
library.flush()
if os.fork() == 0:
    told = []
{textwrap.indent(textwrap.dedent(code), "    ")}
    print(*told, flush=True)
    os._exit(0)
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return [int(word) for word in done.stdout.split()]


def test_allocated_memory_is_the_peak_also_of_what_was_given_back():
    told = in_a_fork("""
        memory = measurement.HostMemory()
        held = np.ones(80 * MIB, np.uint8)
        del held
        held = np.ones(20 * MIB, np.uint8)
        told.append(memory.allocated_bytes())
    """)
    assert 79 * MIB < told[0] < 84 * MIB


def test_pages_of_files_are_no_memory_of_the_run_and_are_told_apart():
    told = in_a_fork("""
        np.frombuffer(bytes(MIB), np.uint8).sum()  # so that the code that sums is loaded
        memory = measurement.HostMemory()
        told.append(memory.library_bytes())
        code = mmap.mmap(library.fileno(), 100 * MIB, prot=mmap.PROT_READ)
        np.frombuffer(code, np.uint8).sum()
        told += [memory.allocated_bytes(), memory.library_bytes()]
    """)
    assert told[1] < 4 * MIB
    assert 99 * MIB < told[2] - told[0] < 110 * MIB


def test_what_the_process_held_before_is_not_counted():
    told = in_a_fork("""
        before = np.ones(60 * MIB, np.uint8)
        gone = np.ones(60 * MIB, np.uint8)
        del gone
        told.append(measurement.HostMemory().allocated_bytes())
    """)
    assert told[0] < 4 * MIB


def test_without_proc_memory_is_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(measurement, "_PROCESS", tmp_path)
    memory = measurement.HostMemory()
    assert memory.allocated_bytes() is None
    assert memory.library_bytes() is None


def test_without_a_gpu_device_memory_is_unknown_and_the_cpu_is_named():
    measurement.reset_device_peak()
    found = measurement.device_columns()
    assert found.pop("device_model") == measurement.cpu_model() != ""
    assert found == {"device_kind": "CPU", "device_peak_bytes": None, "device_nvml_bytes": None}


def test_a_gpu_is_named_and_its_memory_is_that_of_this_process(monkeypatch):
    def process(pid, used):
        return SimpleNamespace(pid=pid, usedGpuMemory=used)

    driver = ModuleType("pynvml")
    driver.NVMLError, driver.nvmlInit, driver.nvmlDeviceGetCount = KeyError, lambda: None, lambda: 2
    driver.nvmlDeviceGetHandleByIndex = lambda index: index
    own = os.getpid()
    seen = {0: [process(own, 5), process(own + 1, 7)], 1: [process(own, None), process(own, 20)]}
    driver.nvmlDeviceGetComputeRunningProcesses = seen.__getitem__
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda _: ["first"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["card"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", {"card": {"device_name": "A GPU"}}.get)
    monkeypatch.setattr(tf.config.experimental, "get_memory_info", {"GPU:0": {"current": 1, "peak": 9}}.get)
    expected = {"device_kind": "GPU", "device_model": "A GPU", "device_peak_bytes": 9, "device_nvml_bytes": 25}
    assert measurement.device_columns() == expected
    seen.clear()  # an index that the driver does not know
    assert measurement.device_columns()["device_nvml_bytes"] is None


@pytest.fixture
def cpu_info(monkeypatch, tmp_path):
    """A file in place of /proc/cpuinfo, to be written."""
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(measurement, "_CPU_INFO", info)
    measurement._cpu_field.cache_clear()
    yield info
    measurement._cpu_field.cache_clear()


def test_cpu_flags_are_those_of_the_system(cpu_info):
    cpu_info.write_text("model name\t: Some CPU\nflags\t\t: avx2 amx_bf16\n\nmodel name\t: Other\n")
    assert measurement.cpu_flags() == {"avx2", "amx_bf16"}
    assert measurement.cpu_model() == "Some CPU"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("AMD EPYC", "AMD EPYC (family 25, model 17)"),
        ("AMD EPYC 9554 64-Core Processor", "AMD EPYC 9554 64-Core Processor"),
    ],
)
def test_a_cpu_whose_name_has_no_number_is_told_by_family_and_model(cpu_info, name, said):
    cpu_info.write_text(f"cpu family\t: 25\nmodel\t\t: 17\nmodel name\t: {name}\n")
    assert measurement.cpu_model() == said


@pytest.fixture
def package_copy(tmp_path, monkeypatch):
    folder = tmp_path / "tree" / "package"
    folder.mkdir(parents=True)
    (folder / "module.py").write_text("x = 1\n")
    monkeypatch.setattr(measurement, "_PACKAGE", folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    for cached in (measurement.provenance, measurement.code_version):
        cached.cache_clear()
    yield folder
    for cached in (measurement.provenance, measurement.code_version):
        cached.cache_clear()


@pytest.mark.usefixtures("package_copy")
def test_outside_a_git_tree_the_commit_is_unknown():
    found = measurement.provenance()
    assert found["commit"] is None
    assert found["dirty"] is None
    assert found["tensorflow_version"]


@pytest.mark.usefixtures("package_copy")
@pytest.mark.parametrize(("told", "dirty"), [("a" * 40, False), ("a" * 40 + "-dirty", True)])
def test_outside_a_git_tree_the_commit_is_the_one_that_was_handed_over(monkeypatch, told, dirty):
    monkeypatch.setenv("FMNIST_COMMIT", told)
    found = measurement.provenance()
    assert (found["commit"], found["dirty"]) == ("a" * 40, dirty)


def test_any_change_of_the_source_is_another_code_version(package_copy):
    first = measurement.provenance()["code_version"]
    (package_copy / "module.py").write_text("x = 2\n")
    measurement.provenance.cache_clear()
    measurement.code_version.cache_clear()
    assert len(first) == 8
    assert measurement.provenance()["code_version"] != first


def test_a_changed_work_tree_is_dirty(package_copy):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(package_copy), *identity, *arguments], check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    clean = measurement.provenance()
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (package_copy / "module.py").write_text("x = 2\n")
    measurement.provenance.cache_clear()
    assert measurement.provenance()["dirty"] is True


def test_measuring_does_not_import_tensorflow():
    code = "import sys, fmnist.train.measurement; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
