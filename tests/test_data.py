from __future__ import annotations

import gzip
import hashlib
import io
import multiprocessing
import re
import shutil
import urllib.error
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fmnist import UserError
from fmnist.data import DATASET, dataset, sources
from fmnist.data.dataset import cache_directory, draw_split, load_data
from tests.tiny_data import tiny_dataset

LABELS = "t10k-labels-idx1-ubyte.gz"
# what Zalando publishes, of the files as it packs them: https://github.com/zalandoresearch/fashion-mnist#get-the-data
PUBLISHED_MD5 = {
    "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
    "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
}
# when Zalando packed them: seconds since 1970 in the gzip header
PACKED_AT = {name: 1504176606 if name.startswith("train") else 1504176627 for name in PUBLISHED_MD5}


@pytest.fixture(autouse=True)
def _nothing_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FMNIST_DATA", raising=False)


def debian_is_at(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(dataset, "DATASET", replace(DATASET, debian_directory=folder))


@pytest.fixture(scope="session")
def real_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real files, wherever this machine has them; fetched if it has none."""
    for place in (DATASET.debian_directory, cache_directory()):
        if (place / LABELS).exists():
            return place
    target = tmp_path_factory.mktemp("fashion-mnist")
    sources.fetch(DATASET, target, check=lambda path: path.stat())
    return target


@pytest.fixture
def copied(real_directory: Path, tmp_path: Path) -> Path:
    """A folder with the four files that a test may damage."""
    target = tmp_path / "copied"
    target.mkdir()
    for name in DATASET.content_sha256:
        shutil.copy(real_directory / name, target / name)
    return target


@pytest.fixture
def no_system_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debian_is_at(monkeypatch, tmp_path / "nowhere")


@pytest.fixture
def mirror(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have the mirrors answer with the files of a folder, and nothing else be asked."""

    def answer(address: str, timeout: float) -> io.BytesIO:
        assert address.startswith("https://")
        assert timeout > 0
        path = copied / address.rpartition("/")[2]
        if not path.exists():
            raise urllib.error.URLError("no such host")
        return io.BytesIO(path.read_bytes())

    def run(command: list[str], folder: Path) -> None:
        raise OSError(f"{command[0]} was asked in {folder}")

    monkeypatch.setattr(sources.urllib.request, "urlopen", answer)
    monkeypatch.setattr(sources, "_run", run)
    return copied


# --- the real data


def test_the_real_data_is_what_it_says(real_directory: Path) -> None:
    loaded = load_data(real_directory)
    assert loaded.train_images.shape == (60_000, 28, 28)
    assert loaded.test_images.shape == (10_000, 28, 28)
    for array in (loaded.train_images, loaded.train_labels, loaded.test_images, loaded.test_labels):
        assert array.dtype == np.uint8
        assert not array.flags.writeable
    np.testing.assert_array_equal(np.bincount(loaded.train_labels), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(loaded.test_labels), [1000] * 10)
    assert DATASET.class_names[loaded.test_labels[0]] == "Ankle boot"
    # mean and standard deviation of the training images, as published: 0.2860 and 0.3530
    assert loaded.train_images.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
    assert loaded.train_images.astype(np.float32).std() / 255 == pytest.approx(0.3530, abs=5e-5)


def test_the_fingerprint_is_that_of_the_content(real_directory: Path, copied: Path) -> None:
    content = gzip.decompress((copied / LABELS).read_bytes())
    (copied / LABELS).write_bytes(gzip.compress(content, compresslevel=1))  # packed otherwise, the same data
    assert load_data(copied).fingerprint == load_data(real_directory).fingerprint == "d1fd84a877f3b78f"


@pytest.mark.parametrize("name", PUBLISHED_MD5)
def test_our_hashes_are_of_the_files_that_zalando_publishes(real_directory: Path, name: str) -> None:
    packed = (real_directory / name).read_bytes()
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == DATASET.content_sha256[name]
    if not packed[3] & 8:  # Debian's files: the original name and time were taken out of the gzip header
        header = packed[:3] + b"\x08" + PACKED_AT[name].to_bytes(4, "little") + packed[8:10]
        packed = header + name.removesuffix(".gz").encode() + b"\0" + packed[10:]
    assert hashlib.md5(packed).hexdigest() == PUBLISHED_MD5[name]


def test_counts_and_shape_are_those_of_the_files_and_stand_nowhere_else(real_directory: Path) -> None:
    loaded, spec = load_data(real_directory), DATASET
    assert len(loaded.train_labels) == spec.train_count + spec.validation_count
    assert (*loaded.test_images.shape, spec.channels) == (spec.test_count, *spec.image_shape)
    assert sorted(set(loaded.test_labels.tolist())) == list(range(len(spec.class_names)))
    package = Path(dataset.__file__).parents[1]
    elsewhere = re.compile(r"28, 28|28 x 28|(60|55|\b5)[,_]000\b|10[,_]000 (test |other )?images|Ankle boot")
    found = {file.name for file in package.rglob("*.py") if elsewhere.search(file.read_text())}
    assert found == {"spec.py"}


# --- where it is looked for


def test_a_folder_that_is_named_must_hold_the_files(tmp_path: Path, copied: Path, monkeypatch: pytest.MonkeyPatch):
    (copied / LABELS).unlink()
    with pytest.raises(FileNotFoundError, match=rf"the folder given is {copied}, which lacks {LABELS}\. Put"):
        load_data(copied)
    monkeypatch.setenv("FMNIST_DATA", str(tmp_path / "empty"))
    with pytest.raises(FileNotFoundError, match=r"FMNIST_DATA is .*empty, which lacks train-images.*, train-labels"):
        load_data()


def test_the_folder_given_counts_before_the_environment(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FMNIST_DATA", "/nonexistent")
    assert len(load_data(copied).test_labels) == 10_000
    monkeypatch.setenv("FMNIST_DATA", str(copied))
    assert len(load_data().test_labels) == 10_000


def test_debian_then_the_cache_then_the_mirror(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    read = dataset._read_content
    monkeypatch.setattr(dataset, "_read_content", lambda path: (asked.append(path.parent), read(path))[1])
    debian_is_at(monkeypatch, mirror)
    load_data()
    assert set(asked) == {mirror}
    debian_is_at(monkeypatch, mirror / "nowhere")
    load_data()
    assert sorted(path.name for path in cache_directory().iterdir()) == sorted(DATASET.content_sha256)
    for name in DATASET.content_sha256:  # from now on nothing is fetched
        (mirror / name).unlink()
    asked.clear()
    load_data()
    assert set(asked) == {cache_directory()}


# --- damaged files


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "cut":
        path.write_bytes(content[:-100])
    elif how == "flipped":
        path.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    elif how == "page":
        path.write_bytes(b"<html>not found</html>")
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(gzip.compress(gzip.decompress(content)[:-1] + b"\x03"))


@pytest.mark.parametrize("how", ["cut", "flipped", "page", "empty", "altered"])
def test_a_damaged_file_is_named_with_the_way_out(copied: Path, how: str) -> None:
    damage(copied / LABELS, how)
    with pytest.raises(
        ValueError,
        match=rf"{copied / LABELS} (is damaged|has SHA-256 \w+, expected {DATASET.content_sha256[LABELS]})",
    ) as caught:
        load_data(copied)
    assert "Delete it" in str(caught.value)


def test_a_damaged_file_of_debian_is_to_be_installed_anew(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    debian_is_at(monkeypatch, copied)
    damage(copied / LABELS, "altered")
    with pytest.raises(UserError, match="apt-get install --reinstall dataset-fashion-mnist"):
        load_data()


# --- fetching


@pytest.mark.usefixtures("no_system_copy")
def test_what_a_mirror_sends_damaged_is_not_kept(mirror: Path) -> None:
    damage(mirror / LABELS, "altered")
    with pytest.raises(OSError, match="could not be fetched") as caught:
        load_data()
    assert list(cache_directory().iterdir()) == []
    for answer in (*DATASET.mirrors, "dataset-fashion-mnist: apt-get was asked", "has SHA-256", "--data"):
        assert answer in str(caught.value)


@pytest.mark.usefixtures("no_system_copy")
def test_without_internet_debians_package_is_unpacked(
    mirror: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = mirror.with_name("shelf")
    mirror.rename(shelf)
    commands: list[str] = []

    def run(command: list[str], folder: Path) -> None:
        commands.append(" ".join(command))
        if command == ["apt-get", "download", "dataset-fashion-mnist"]:
            raise OSError("the package lists are empty")
        if command[-2:] == ["download", "dataset-fashion-mnist"]:
            (folder / "dataset-fashion-mnist_0.0_all.deb").write_bytes(b"")
        if command[0] == "dpkg":
            unpacked = folder / "package" / dataset.DATASET.debian_directory.relative_to("/")
            assert command == ["dpkg", "-x", str(folder / "dataset-fashion-mnist_0.0_all.deb"), str(folder / "package")]
            shutil.copytree(shelf, unpacked)

    monkeypatch.setattr(sources, "_run", run)
    assert len(load_data().test_labels) == 10_000
    assert [command.split()[-2:][0] if "dpkg" in command else command.split()[-1] for command in commands[:-1]] == [
        "dataset-fashion-mnist",
        "update",
        "dataset-fashion-mnist",
    ]
    assert capsys.readouterr().err.count("fetching") == 3
    assert sorted(path.name for path in cache_directory().iterdir()) == sorted(DATASET.content_sha256)


def test_a_command_that_fails_tells_why(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"`ls /nonexistent` failed: .*No such file"):
        sources._run(["ls", "/nonexistent"], tmp_path)
    with pytest.raises(OSError, match="no-such-command"):
        sources._run(["no-such-command"], tmp_path)


def _fetch_by_copy(target: Path, source: Path, start: multiprocessing.synchronize.Barrier) -> None:
    sources._fetch_from = lambda _source, spec, folder: (
        [shutil.copy(source / name, folder / name) for name in spec.content_sha256] and folder
    )
    start.wait()
    sources.fetch(DATASET, target, check=dataset._read_content)


def test_two_processes_that_fetch_at_once_do_not_hurt_each_other(copied: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    target = tmp_path / "shared"
    processes = [context.Process(target=_fetch_by_copy, args=(target, copied, start)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert sorted(path.name for path in target.iterdir()) == sorted(DATASET.content_sha256)
    assert len(load_data(target).test_labels) == 10_000


# --- splitting


def test_the_split_of_the_real_labels_is_even(real_directory: Path) -> None:
    labels = load_data(real_directory).train_labels
    split = draw_split(labels, seed=7, validation_count=5000)
    np.testing.assert_array_equal(np.bincount(labels[split.validation_indices]), [500] * 10)
    assert split.train_indices.shape == (55_000,)
    assert split.train_indices.dtype == split.validation_indices.dtype == np.int64


def test_the_seed_decides_the_split() -> None:
    labels = tiny_dataset().train_labels
    first, again, other = (draw_split(labels, seed, 40) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.validation_indices, again.validation_indices)
    np.testing.assert_array_equal(first.train_indices, again.train_indices)
    assert not np.array_equal(first.validation_indices, other.validation_indices)


def test_every_image_is_held_back_in_some_split() -> None:
    labels = tiny_dataset(train_count=40).train_labels
    held_back = {int(index) for seed in range(60) for index in draw_split(labels, seed, 10).validation_indices}
    assert held_back == set(range(40))


@given(
    labels=st.lists(st.integers(0, 9), min_size=2, max_size=200).map(lambda labels: np.array(labels, np.uint8)),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**31 - 1),
)
@settings(deadline=None)
def test_a_split_has_all_images_once_and_each_class_by_its_share(labels: np.ndarray, share: float, seed: int) -> None:
    count = 1 + int(share * (len(labels) - 2))
    split = draw_split(labels, seed, count)
    assert len(split.validation_indices) == count
    both = np.concatenate([split.train_indices, split.validation_indices])
    np.testing.assert_array_equal(np.sort(both), np.arange(len(labels)))
    for indices in (split.train_indices, split.validation_indices):
        assert (np.diff(indices) > 0).all()
    sizes = np.bincount(labels, minlength=10)
    held_back = np.bincount(labels[split.validation_indices], minlength=10)
    assert (np.abs(held_back - count * sizes / len(labels)) < 1).all()


@pytest.mark.parametrize("count", [0, -1, 400, 401])
def test_a_split_that_leaves_nothing_is_refused(count: int) -> None:
    with pytest.raises(UserError, match=f"validation_count: got {count}, expected 1 to 399 of 400 images"):
        draw_split(tiny_dataset().train_labels, 1, count)


# --- the look-alike of the other tests


def test_the_look_alike_has_the_form_of_the_real_data() -> None:
    tiny = tiny_dataset(train_count=200, test_count=50)
    assert tiny.train_images.shape == (200, 28, 28)
    assert tiny.test_images.shape == (50, 28, 28)
    assert tiny.train_images.dtype == tiny.train_labels.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(tiny.train_labels), [20] * 10)
    np.testing.assert_array_equal(tiny.train_images, tiny_dataset(train_count=200, test_count=50).train_images)
    assert not np.array_equal(tiny.train_images, tiny_dataset(train_count=200, test_count=50, seed=1).train_images)
