"""clusters/local.yaml on three hosts of a laboratory: up, a study submitted from outside, down."""

import json
from typing import Any

import pytest

from fmnist.store.store import Store
from tests.cluster_lab.lab import PROJECT, run_in_lab, why_not
from tests.cluster_lab.stand_ins import CUDA

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.timeout(900),
]

STUDY = '''"""Two short runs of one architecture."""
from fmnist.declare.study import Study, configure

STUDY = Study(name="lab", question="Does it run on hosts?", configurations=(configure("lenet5", epochs=1),), repeats=2)
'''


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What an operator found who ran the study once; its results are in a folder that every host sees."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "lab_study.py").write_text(STUDY)
    study = f"python jobs/study.py {folder}/lab_study.py --results {folder}/results --no-report --address auto"
    found = run_in_lab(folder, "local_cluster.py", hosts=3, environment={"STUDY_COMMAND": study}, timeout=850)
    return found | {"results": folder / "results"}


def test_the_hosts_form_one_cluster(lab: dict[str, Any]) -> None:
    assert sorted(lab["nodes"]) == ["10.77.0.1", "10.77.0.2", "10.77.0.3"]


def test_the_project_is_copied_to_the_workers_and_set_up_there(lab: dict[str, Any]) -> None:
    assert {"pyproject.toml", "fmnist", "jobs"} <= set(lab["files"])
    assert not {".git", ".venv", "results"} & set(lab["files"])
    assert lab["project"].endswith("/fmnist/fmnist/__init__.py")
    assert f"nvidia-cudnn-cu12=={lab['cudnn']}\n" in CUDA.read_text()


def test_all_but_addresses_and_the_size_of_a_host_is_the_files(lab: dict[str, Any]) -> None:
    assert lab["changed"] == [
        "auth.ssh_private_key",
        "auth.ssh_user",
        "head_start_ray_commands",  # the number of CPUs and the memory of a host
        "provider.head_ip",
        "provider.worker_ips",
        "worker_start_ray_commands",
    ]


def test_the_study_runs_on_both_workers_into_shared_storage(lab: dict[str, Any]) -> None:
    rows = Store(lab["results"]).read(["status", "repeat", "node", "ray_version"]).to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * 2, lab["job"]
    assert sorted(row["repeat"] for row in rows) == [0, 1]
    assert {row["node"] for row in rows} == {"host2", "host3"}
    manifest = json.loads((lab["results"] / "studies" / "lab.json").read_text())
    assert manifest["repeats"] == 2


def test_nobody_without_the_token_or_outside_the_head_gives_jobs(lab: dict[str, Any]) -> None:
    assert "AuthenticationError" in lab["refused_without_token"]
    assert any("127.0.0.1:8265" in word for word in lab["listens"])
    assert not any(word.startswith(("0.0.0.0:8265", "*:8265", "10.")) for word in lab["listens"])


def test_ray_down_leaves_nothing(lab: dict[str, Any]) -> None:
    assert lab["head_after_down"] == ""
    assert lab["seconds_until_workers_left"] >= 0


def test_the_laboratory_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert "openssh-server" in str(why_not())
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "needs root" in str(why_not())
    assert (PROJECT / "clusters" / "local.yaml").exists()
