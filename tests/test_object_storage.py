from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest

from fmnist import UserError
from fmnist.store import compaction, row_files, storage
from fmnist.store.storage import Storage
from fmnist.store.store import Store
from tests.object_store import Gate, check_permissions_from_now_on, s3_server
from tests.stored_rows import make_manifest, make_row

ROOT = Path(__file__).parents[1]
LARGE = bytes(24 * 2**20)  # more than one part of a multipart upload


@pytest.fixture(scope="module")
def server_port() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture
def gate(server_port: int) -> Iterator[Gate]:
    gate = Gate(server_port)
    yield gate
    gate.close()


@pytest.fixture
def client(server_port: int, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client that looks at the server past the gate; the store goes through it. The bucket is empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{gate.port}")
    monkeypatch.setattr(storage, "TRIES", 2)
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server_port}")
    client.create_bucket(Bucket="bucket")
    for item in client.list_objects_v2(Bucket="bucket").get("Contents", []):
        client.delete_object(Bucket="bucket", Key=item["Key"])
    return client


@pytest.fixture
def store(client: Any) -> Store:
    del client
    return Store("s3://bucket/results/fmnist")


def keys_in(client: Any) -> list[str]:
    found = client.list_objects_v2(Bucket="bucket").get("Contents", [])
    return [item["Key"] for item in found if not item["Key"].endswith("/")]


def repeats_of(store: Store) -> list[int]:
    return sorted(store.read(["repeat"])["repeat"].to_pylist())


def test_rows_and_manifests_come_back(store: Store, client: Any) -> None:
    assert store.read().num_rows == 0
    assert store.manifests() == []
    for repeat in range(3):
        store.write(make_row(repeat, images=10_000))
    store.write_manifest(make_manifest())
    assert repeats_of(store) == [0, 1, 2]
    assert store.read(["test_predicted"])["test_predicted"].combine_chunks().flatten().type == pa.uint8()
    assert len(store.present()) == 3
    assert store.read_manifest("quick") == make_manifest()
    assert store.read_manifest("other") is None
    assert len(store.manifests()) == 1
    (manifest, *rows) = sorted(keys_in(client), key=lambda key: "runs/" in key)
    assert manifest == "results/fmnist/studies/quick.json"
    assert all(key.startswith("results/fmnist/runs/") for key in rows)


def test_compaction(store: Store, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "ROWS_PER_FILE", 8)
    monkeypatch.setattr(row_files, "WHOLE_BYTES", 20_000)  # so that merged files are read part by part
    for repeat in range(10):
        store.write(make_row(repeat, images=1000))
    before = store.read()
    store.compact()
    assert len(keys_in(client)) == 2
    fresh = Store(store.uri)
    assert fresh.read().equals(before)
    assert sum(table.num_rows for table in fresh.batches(["history"])) == 10


def test_options_in_the_uri_count_before_the_environment(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = client.meta.endpoint_url
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    Store(f"s3://bucket/results?endpoint_override={endpoint}&region=us-east-1").write(make_row())
    assert len(keys_in(client)) == 1
    with pytest.raises(ValueError, match=r"colour=\.\.\..*'colour'; expected options of pyarrow.fs.S3FileSystem"):
        Store("s3://bucket?colour=blue")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("results", "results"),
        ("/data/a?b=c", "/data/a?b=c"),  # a folder's name
        ("s3://bucket/rows", "s3://bucket/rows"),
        ("s3://bucket/rows?region=eu-central-1", "s3://bucket/rows?region=eu-central-1"),
        (
            "s3://bucket?access_key=AKIA&secret_key=a/b%2B&region=us-west-2#c",
            "s3://bucket?access_key=...&secret_key=...&region=us-west-2#c",
        ),
        ("s3://AKIA:word@bucket/rows", "s3://AKIA:...@bucket/rows"),
        ("s3://AKIA:wo/rd@bucket/rows", "s3://AKIA:...@bucket/rows"),
        (
            "abfs://box@account.dfs.core.windows.net/rows?sas_token=x",
            "abfs://box@account.dfs.core.windows.net/rows?sas_token=...",
        ),
        ("hdfs://host:8020/rows", "hdfs://host:8020/rows"),
    ],
)
def test_a_uri_is_shown_without_its_secrets(uri: str, shown: str) -> None:
    assert storage.without_secrets(uri) == shown


def test_no_error_and_no_warning_shows_a_secret(gate: Gate, client: Any, caplog: pytest.LogCaptureFixture) -> None:
    options = f"secret_key=hidden&access_key=testing&endpoint_override={client.meta.endpoint_url}"
    missing = Store(f"s3://nowhere/rows?{options}")
    assert not missing.write(make_row())
    gone = Store(
        f"s3://bucket/rows?secret_key=hidden&access_key=testing&endpoint_override=http://127.0.0.1:{gate.port}"
    )
    gate.close()
    with pytest.raises(OSError, match=r"secret_key=\.\.\.") as error:
        gone.read()
    told = [str(error.value), caplog.text]
    for uri in ("s3://bucket?secret_key=hidden&colour=blue", "nothing://key:hidden@place"):
        with pytest.raises(UserError) as refused:
            Store(uri)
        told.append(str(refused.value))
    assert "It is kept in" in caplog.text
    assert "hidden" not in "".join(told)


# --- writing is atomic


def test_an_upload_that_is_cut_off_leaves_nothing(store: Store, client: Any, gate: Gate) -> None:
    for size in (2**20, len(LARGE)):
        gate.limit = 2**18
        with pytest.raises(OSError, match=r"results: cannot write runs/a\.parquet at s3://bucket/results/fmnist"):
            store.storage.put("runs/a.parquet", LARGE[:size])
        gate.limit = None
        assert keys_in(client) == []


UPLOAD = """
import sys
from fmnist.store.storage import Storage
target = Storage(sys.argv[1])
print("ready", flush=True)
target.put("runs/a.parquet", bytes(24 * 2**20))
"""


def test_a_writer_killed_during_an_upload_leaves_nothing(store: Store, client: Any) -> None:
    command = [sys.executable, "-c", UPLOAD, store.uri]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while not client.list_multipart_uploads(Bucket="bucket").get("Uploads"):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert keys_in(client) == []


def test_overwriting_is_whole_too(store: Store, client: Any, gate: Gate) -> None:
    store.storage.put("studies/a.json", b"old")
    gate.limit = 2**18
    with pytest.raises(OSError, match="cannot write"):
        store.storage.put("studies/a.json", LARGE)
    gate.limit = None
    assert client.get_object(Bucket="bucket", Key="results/fmnist/studies/a.json")["Body"].read() == b"old"


# --- what goes wrong


def test_a_wrong_bucket_is_said(client: Any) -> None:
    del client
    store = Store("s3://buckte/results")
    for action in (store.read, store.present, store.compact, lambda: store.write_manifest({"name": "quick"})):
        with pytest.raises(OSError, match=r"s3://buckte/results: the bucket does not exist\. Check its name"):
            action()


@pytest.fixture
def reader_key(client: Any, server_port: int) -> Iterator[dict[str, str]]:
    """The key of a user who may list and read; from now on the server checks permissions."""
    del client
    users = boto3.client("iam", endpoint_url=f"http://127.0.0.1:{server_port}")
    name = f"reader-{uuid.uuid4().hex}"
    users.create_user(UserName=name)
    allowed = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetObject"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    users.put_user_policy(UserName=name, PolicyName="read", PolicyDocument=policy)
    key = users.create_access_key(UserName=name)["AccessKey"]
    check_permissions_from_now_on(server_port)
    yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    check_permissions_from_now_on(server_port, after=math.inf)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "unknown"}, "the access key is unknown there. Check AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "the secret key is wrong. Check AWS_SECRET_ACCESS_KEY"),
        ({}, "no permission. Check whose AWS_ACCESS_KEY_ID this is"),
    ],
)
def test_refused_credentials_are_said_and_the_row_is_kept(
    reader_key: dict[str, str],
    changes: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in (reader_key | changes).items():
        monkeypatch.setenv(name, value)
    store = Store("s3://bucket/results")
    with pytest.raises(OSError, match=f"results: cannot write studies/quick.json at s3://bucket/results: {said}"):
        store.write_manifest({"name": "quick"})
    store.write(make_row())
    assert said in caplog.text
    assert len(store.unsent.files("runs", ".parquet")) == 1


def test_who_may_only_read_can_read(
    store: Store, client: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    del client
    store.write(make_row())
    for name, value in request.getfixturevalue("reader_key").items():
        monkeypatch.setenv(name, value)
    reader = Store(store.uri)
    assert repeats_of(reader) == [0]
    assert reader.manifests() == []


def test_a_short_outage_is_waited_for(
    store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(storage, "TRIES", 5)  # the pauses are random: one alone may be shorter than the outage
    store = Store(store.uri)
    gate.limit = 0
    threading.Timer(0.2, lambda: setattr(gate, "limit", None)).start()
    store.write(make_row())
    assert not caplog.messages
    assert repeats_of(store) == [0]


def test_a_server_that_goes_in_mid_study_costs_no_row(
    store: Store, client: Any, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    store.write(make_row(0))
    gate.limit = 0
    for repeat in (1, 2):
        store.write(make_row(repeat))
    assert len(keys_in(client)) == 1
    assert caplog.text.count("It is kept in") == 2
    with pytest.raises(OSError, match="results: cannot list compacted at s3://bucket/results/fmnist"):
        store.present()
    gate.limit = None
    store.write(make_row(3))  # the first row that gets through takes the others along
    assert len(keys_in(client)) == 4
    assert not store.flush()
    assert repeats_of(Store(store.uri)) == [0, 1, 2, 3]


def test_what_was_kept_is_sent_by_the_next_program(store: Store, client: Any, gate: Gate) -> None:
    gate.limit = 0
    store.write(make_row(0))
    gate.limit = None
    assert Store("s3://bucket/other").flush() == []
    assert keys_in(client) == []
    assert len(Store(store.uri).present()) == 1


def test_an_outage_during_reading_is_no_damage(store: Store, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_files, "WHOLE_BYTES", 0)
    for repeat in range(2):
        store.write(make_row(repeat, images=10_000))
    store.compact()
    fresh = Store(store.uri)
    opened = Storage.open

    def open_and_shut(storage: Storage, path: str) -> Any:
        file = opened(storage, path)
        gate.limit = 0
        return file

    monkeypatch.setattr(Storage, "open", open_and_shut)
    with pytest.raises(OSError, match="results: cannot"):
        fresh.read()
    assert not fresh.damaged
    gate.limit = None
    monkeypatch.setattr(Storage, "open", opened)
    assert repeats_of(fresh) == [0, 1]


def test_the_command_says_what_is_wrong_in_one_line(client: Any) -> None:
    del client
    command = [sys.executable, "jobs/compact.py", "--results", "s3://buckte/results"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("compact: results: s3://buckte/results: the bucket does not exist")
    assert len(done.stderr.splitlines()) == 1
