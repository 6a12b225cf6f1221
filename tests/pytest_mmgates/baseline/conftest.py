"""A lock as it is written, and a small repository."""

import subprocess

import msgspec
import pytest

from pytest_mmgates.baseline.lockfile import Lock, encoded_lock
from pytest_mmgates.tables import STAGES

FIGURES = dict.fromkeys(("p50_ms", "p95_ms", "p99_ms", "mean_ms", "max_ms"), 0.25)


@pytest.fixture
def lock():
    """A lock in force, with the digest that its content gives."""
    content = {
        "schema": 1,
        "name": "demo",
        "kind": "pull-request",
        "status": "locked",
        "source": {
            "commit": "c" * 40,
            "committed_at": "2026-01-01T00:00:00+00:00",
            "paths": ["src"],
            "archive": "demo.source.tar.xz",
            "sha256": "ab" * 32,
        },
        "market": {
            "scenario": "demo",
            "scenario_sha256": "cd" * 32,
            "data_kind": "synthetic",
            "data_sha256": "ab" * 32,
            "duration_min": 60.0,
            "seed": 1,
            "tick_count": 3601,
        },
        "config_files": [],
        "config_sha256": "ef" * 32,
        "run_digest": "12" * 32,
        "gates": {"ci.yaml": {"sha256": "00" * 32, "rules": ["regress(emit.p95) <= 3%", "same(decisions)"]}},
        "stages": dict.fromkeys(STAGES, FIGURES),
        "tick_total": {**FIGURES, "deadline_miss_rate": 0.0},
        "md_cache": {"hit_ratio": 0.9},
        "machine": {"cpus": 2},
        "tape": None,
        "proof": None,
        "proof_absent": "no tape",
        "without_ab": None,
        "recipe": ["git checkout c"],
        "history": [{"action": "lock", "commit": "c" * 40, "reason": None, "digest": None}],
    }
    return msgspec.json.decode(encoded_lock(msgspec.convert(content, Lock)).encode(), type=Lock)


class Repository:
    """A git repository that tests edit and commit."""

    def __init__(self, path):
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments):
        who = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
        command = ["git", "-C", str(self.path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, **files):
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, **files):
        """Write these files and commit everything; the hash."""
        self.write(**files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "x")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "repository")
