"""`--mmgates-cluster`: who plays the parts of a run changes nothing, and nothing that was played is lost."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from tests.mmcluster.own_cluster import own_cluster

from pytest_mmgates.cluster.places import fetch_rows

PARTS = ["ONE", "TWO", "SIX"]
INI = "[pytest]\npythonpath = .\nmmgates_sut = foreign_bot:open_run\nmmgates_parts = foreign_bot:parts\n"


pytestmark = pytest.mark.usefixtures("dask")


@pytest.fixture
def parted(project):
    project.ini(INI)
    project.scenario("demo", parts=PARTS, tick_ms=10_000)
    project.gate("shadow", ">= 3000", ">= 300")
    return project


def played(project):
    return [request["part"] for request in project.requests()]


def digest(project, below="runs/shadow-demo"):
    return json.loads(project.artifact(f"{below}/manifest.json").read_text())["run_digest"]


def judged(project):
    """A verdict without the name of its session."""
    return {key: value for key, value in project.verdict().items() if key != "run_id"}


def single_machine(project):
    """What one process comes to. Its runs are gone."""
    project.run("-m", "shadow").assert_outcomes(passed=4)
    found = judged(project), digest(project)
    shutil.rmtree(project.path / "artifacts")
    (project.path / "requests.jsonl").unlink()
    return found


def test_a_poisoned_part_names_its_replay_and_what_had_finished_is_kept(parted):
    expected = single_machine(parted)
    parted.scenario("demo", parts=PARTS, tick_ms=10_000, of_part={"TWO": {"fail": "open"}})
    result = parted.run("-m", "shadow", "-W", "error", "--mmgates-cluster", "local:1", "-v")
    result.assert_outcomes(errors=4)
    line = "part TWO: captures/abc.zst: no such file; replay: pytest -m shadow --mmgates-scenario demo"
    result.stdout.fnmatch_lines(["cluster local:1: dashboard http://127.0.0.1:*"])
    assert parted.verdict()["verdict"] == "NO_DATA"
    assert parted.verdict()["reason"] == f"{line} --mmgates-part TWO"
    assert played(parted) == ["ONE", "TWO"]

    parted.scenario("demo", parts=PARTS, tick_ms=10_000)
    parted.run("-m", "shadow", "--mmgates-resume").assert_outcomes(passed=4)
    assert played(parted) == ["ONE", "TWO", "TWO", "SIX"]
    assert (judged(parted), digest(parted)) == expected


@pytest.fixture
def bucket(monkeypatch):
    """An object store of this machine."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "of-nobody",
        "AWS_SECRET_ACCESS_KEY": "of-nobody",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("s3")
    system.mkdir("shards")
    yield "s3://shards"
    server.stop()


def test_shards_lie_whole_in_the_shared_place_and_only_what_they_came_to_here(parted, bucket):
    parted.scenario("demo", parts=PARTS, tick_ms=10_000, of_part={"TWO": {"die": True}})
    shards = ("--mmgates-shards", f"{bucket}/soaks")
    options = ("--mmgates-cluster", "local:1", *shards, "--mmgates-report", "html")
    result = parted.run("-m", "shadow", "-W", "error", *options)
    result.assert_outcomes(passed=4)

    assert played(parted) == ["ONE", "TWO", "TWO", "SIX"]  # its worker died in the middle of it
    parts = parted.artifact("runs/shadow-demo/parts")
    run_id = json.loads((parts.parent / "manifest.json").read_text())["run_id"]
    here = {"manifest.json", "tally.json", "watch.json", "rows_elsewhere.txt"}
    assert {path.name for path in (parts / "ONE").iterdir()} == here
    place = (parts / "ONE" / "rows_elsewhere.txt").read_text()
    assert place.startswith(f"{bucket}/soaks/{run_id}/ONE/")
    there = f"{place.strip()} and 2 more places"
    result.stdout.fnmatch_lines([f"rows of shadow on demo are in {there}: no charts"])
    assert f"its rows are in {place.strip()}" in parted.artifact("md_cache/shadow_report.html").read_text()
    with_shards = judged(parted), digest(parted)
    fetch_rows(parts / "ONE")
    whole = {path.name: path.read_bytes() for path in (parts / "ONE").iterdir()}

    parted.run("-m", "shadow").assert_outcomes(passed=4)
    assert (judged(parted), digest(parted)) == with_shards
    assert {path.name for path in (parts / "ONE").iterdir()} == set(whole)
    assert (parts / "ONE" / "tally.json").read_bytes() == whole["tally.json"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["--mmgates-cluster", "local"],
            "cluster was 'local', expected local:N (1 to 9999 workers) or tcp://*",
        ),
        (["--mmgates-shards", "x"], "*--mmgates-shards: is of --mmgates-cluster, which was not given"),
        (
            ["--mmgates-cluster", "local:2", "-n", "2"],
            "*--mmgates-cluster: its own workers play, and replays only: expected no -n",
        ),
        (
            ["--mmgates-cluster", "local:2", "--mmgates-status-port", "0"],
            "*--mmgates-cluster: its own workers play, and replays only: expected no --mmgates-status-port",
        ),
    ],
)
def test_what_no_cluster_can_play_is_refused_at_once(parted, options, line):
    result = parted.run("-m", "shadow", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{line}"])
    assert parted.requests() == []


def test_workers_elsewhere_need_a_place_that_all_machines_reach(parted):
    parted.run("-m", "shadow", "--mmgates-cluster", "tcp://127.0.0.1:1").assert_outcomes(errors=4)
    assert parted.verdict()["reason"].endswith("that all machines reach, expected --mmgates-shards URL")


def test_a_source_that_is_not_there_cannot_be_held_against_the_workers(parted):
    parted.ini(f"{INI}mmgates_source = tuning.json scenarios\n")  # one line, where two were meant
    parted.run("-m", "shadow", "--mmgates-cluster", "local:1").assert_outcomes(errors=4)
    said = "is 'tuning.json scenarios', expected file or folder"
    assert parted.verdict()["reason"].endswith(said)


@pytest.mark.slow
def test_a_worker_with_another_file_of_the_project_plays_nothing(parted, tmp_path_factory):
    parted.ini(f"{INI}mmgates_source = tuning.json\n")
    (parted.path / "tuning.json").write_text("{}")
    other = tmp_path_factory.mktemp("other") / "project"
    shutil.copytree(parted.path, other)
    (other / "tuning.json").write_text('{"hits": 0.5}')
    with own_cluster(1, other) as own:
        options = ("--mmgates-cluster", own.address, "--mmgates-shards=shards")
        parted.run("-m", "shadow", *options).assert_outcomes(errors=4)
    assert re.fullmatch(
        r"worker tcp://\S+: file tuning\.json was [0-9a-f]{64}, expected [0-9a-f]{64}",
        parted.verdict()["reason"],
    )
    assert parted.requests() == []


def test_an_empty_address_is_none(parted):
    parted.ini(f"{INI}mmgates_cluster = tcp://127.0.0.1:1\n")
    parted.run("-m", "shadow", "--mmgates-cluster", "").assert_outcomes(passed=4)


@pytest.mark.slow
def test_a_lost_scheduler_is_no_data_and_the_run_goes_on(parted):
    """Part TWO waits for somebody, who kills the scheduler instead of coming."""
    expected = single_machine(parted)
    os.mkfifo(parted.path / "meeting")
    parted.scenario("demo", parts=PARTS, tick_ms=10_000, of_part={"TWO": {"meet": "r"}})
    shards = f"--mmgates-shards={parted.path / 'shards'}"
    with own_cluster(1, parted.path) as own:
        options = ["-p", "no:asyncio", "-m", "shadow", "--mmgates-cluster", own.address, shards]
        session = subprocess.Popen([sys.executable, "-m", "pytest", *options], stdout=subprocess.DEVNULL)
        with (parted.path / "meeting").open("w"):  # opens when TWO has come
            own.scheduler.kill()
            assert session.wait() == 1
    assert parted.verdict()["verdict"] == "NO_DATA"
    assert parted.verdict()["reason"] == (
        f"cluster {own.address}: the scheduler is gone;"
        " 1 of 3 shards are finished, --mmgates-resume goes on with the others"
    )
    parted.scenario("demo", parts=PARTS, tick_ms=10_000)
    with own_cluster(1, parted.path) as own:
        options = ("--mmgates-cluster", own.address, shards, "--mmgates-resume")
        parted.run("-m", "shadow", *options).assert_outcomes(passed=4)
    assert played(parted).count("ONE") == 1
    assert (judged(parted), digest(parted)) == expected
