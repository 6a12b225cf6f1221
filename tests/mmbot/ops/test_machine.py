"""What prep asks of the machine: each question with an answer that is wrong."""

import os
from pathlib import Path

import pytest
from tests.mmbot.builders import REPO

from mmbot.ops import machine
from mmbot.units import SECOND

NOW_NS = 1_767_225_600 * SECOND


def distribution(folder: Path, name: str, version: str, *requires: str) -> None:
    """An installed package, as far as its metadata goes."""
    facts = folder / f"{name}-{version}.dist-info"
    facts.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    (facts / "METADATA").write_text("\n".join(lines + [f"Requires-Dist: {one}" for one in requires]) + "\n")


@pytest.mark.parametrize(
    ("requires", "wrong"),
    [
        (["ready>=1.2"], ()),
        (["ready>=1.2", 'absent>=1; extra == "dev"'], ()),
        (["ready>=1.3"], ("ready is 1.2.3, expected >=1.3",)),
        (["absent>=1"], ("absent is not installed, expected >=1",)),
    ],
)
def test_versions_are_held_against_what_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, requires: list[str], wrong: tuple[str, ...]
):
    distribution(tmp_path, "ready", "1.2.3")
    distribution(tmp_path, "robot", "0.5", *requires)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = machine.versions("robot")
    assert found.wrong == wrong
    assert found.found.startswith("robot 0.5 and 1 req") or len(requires) == 2


def test_folders_are_made_and_then_found(tmp_path: Path):
    out = tmp_path / "deep" / "artifacts"
    assert machine.folders(out).wrong == ()
    assert not out.exists()
    machine.make_folders(out)
    assert all((out / name).is_dir() for name in machine.FOLDERS)
    assert machine.folders(out).wrong == ()


def test_a_file_where_a_folder_should_be_is_named(tmp_path: Path):
    (tmp_path / "edge").write_text("")
    wrong = machine.folders(tmp_path).wrong
    assert wrong == (f"{tmp_path / 'edge'} is no folder",) * 3


def test_disk_counts_ticks_of_all_symbols(tmp_path: Path):
    one, ten = (machine.disk(tmp_path, symbols, 100.0, 72 * 3600) for symbols in (1, 10))
    assert one.wrong == ()
    assert " GB free for 2.6 GB: 72 h of 1 symbols" in one.found
    assert " GB free for 16.6 GB: 72 h of 10 symbols" in ten.found
    assert machine.disk(tmp_path, 10**6, 100.0, 72 * 3600).wrong


def test_a_clock_behind_a_file_or_the_snapshot_is_wrong(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text("")
    os.utime(path, ns=(NOW_NS, NOW_NS))
    assert machine.clock(NOW_NS, [path, tmp_path / "absent"], NOW_NS).wrong == ()
    early = machine.clock(NOW_NS - 1, [path], NOW_NS + SECOND).wrong
    assert early == (
        f"it is 2025-12-31 23:59:59 UTC, and {path} is of 2026-01-01 00:00:00 UTC",
        "it is 2025-12-31 23:59:59 UTC, and the snapshot of the release before is of 2026-01-01 00:00:01 UTC",
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('api_key: "hQ8sk2Lm0Pq7"', "Secret Keyword"),
        ("venue: {note: Zx81kQp4mNv72LsTq90aBcDeFgH12345678z}", "Base64 High Entropy String"),
        ("# -----BEGIN RSA PRIVATE KEY-----", "Private Key"),
        ("url: https://trader:hunter22@example.com/feed", "Basic Auth Credentials"),
    ],
)
def test_a_secret_is_told_by_its_place_and_never_shown(tmp_path: Path, text: str, kind: str):
    path = tmp_path / "top.yaml"
    path.write_text(f"emit: {{levels: 1}}\n{text}\n")
    found = machine.secrets([path])
    assert f"{path}:2: {kind}" in found.wrong
    assert not any(secret in str(found) for secret in ("hQ8sk2Lm0Pq7", "Zx81kQ", "hunter22"))


def test_what_ships_holds_no_secret():
    files = [REPO / "config.yaml", REPO / "config.soak_overrides.yaml", *(REPO / "scenarios").rglob("*.yaml")]
    assert machine.secrets(files).wrong == ()
