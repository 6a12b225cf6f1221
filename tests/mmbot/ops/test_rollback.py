"""The red button: there and back is the same bytes, half of it is refused, and what was done is on record."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mmbot.builders import REPO, Command

from mmbot.audit import broken_line
from mmbot.config.edit import rewritten, written_values
from mmbot.config.flags import FLAGS
from mmbot.config.settings import load_settings
from mmbot.config.snapshot import Spelled, encoded, load_snapshot, take
from mmbot.errors import ConfigError, OutputError
from mmbot.ops.files import write_atomically
from mmbot.ops.rollback import Values, apply, targets, work_out

SHIPPED = (REPO / "config.yaml").read_text(encoding="utf-8")
SPELLINGS = {True: ("true", "True", "yes", "on"), False: ("false", "FALSE", "no", "Off")}
OVERRIDE = "# risk\r\nguards: {enabled: on}  # the last word\r\n"

spellings = st.sampled_from([text for texts in SPELLINGS.values() for text in texts])
numbers = st.sampled_from(["0.5", "0.50", "1", "0.25"])
releases = st.fixed_dictionaries(
    {flag.path: spellings if isinstance(flag.default, bool) else numbers for flag in FLAGS}
)


def spelled(text: str, release: dict[tuple[str, ...], str]) -> str:
    places = written_values(text, "x")
    return rewritten(text, {path: value for path, value in release.items() if path in places}, "x")


@settings(max_examples=8)  # each reads the whole configuration some twenty times; formats are test_edit's
@given(old=releases, new=releases, windows=st.booleans(), overridden=st.booleans())
def test_there_and_back_is_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, old: dict, new: dict, *, windows: bool, overridden: bool
):
    folder = tmp_path_factory.mktemp("here")
    base, top = folder / "config.yaml", folder / "top.yaml"
    files = [base, top] if overridden else [base]
    shipped = SHIPPED.replace("\n", "\r\n") if windows else SHIPPED

    def write(release: dict) -> None:
        base.write_bytes(spelled(shipped, release).encode())
        top.write_bytes(spelled(OVERRIDE, release).encode())

    write(old)
    before = load_settings(files)
    first = take(files, {}, 1, None)
    write(new)
    released = {path: path.read_bytes() for path in files}
    second = take(files, {}, 2, first)
    log = folder / "audit.jsonl"
    values = Values.PREVIOUS if any(flag.previous for flag in second.flags) else Values.NEW

    back = work_out(targets(values, second), files)
    apply(back, log, 3)
    assert load_settings(files).sha256() == back.config_sha256
    if values is Values.PREVIOUS:
        assert load_settings(files) == before
    forth = work_out(targets(Values.NEW, second), files)
    apply(forth, log, 4)
    assert {path: path.read_bytes() for path in files} == released
    assert broken_line(log) is None


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A folder with config.yaml, an override that has the last word on one flag, and a snapshot that knows
    both sides of a release which switched three flags off.
    """
    (tmp_path / "config.yaml").write_text(SHIPPED)
    (tmp_path / "top.yaml").write_text("# soak\nmd_cache:\n  enabled: true   # for now\n")
    files = [tmp_path / "config.yaml", tmp_path / "top.yaml"]
    first = take(files, {}, 1, None)
    (tmp_path / "config.yaml").write_text(
        rewritten(SHIPPED, {("spread", "enabled"): "no", ("queue_aware", "enabled"): "false"}, "x")
    )
    (tmp_path / "top.yaml").write_text("# soak\nmd_cache:\n  enabled: off   # for now\n")
    (tmp_path / "snapshot.json").write_bytes(encoded(take(files, {}, 2, first)))
    return tmp_path


def test_a_flag_is_set_in_the_file_that_has_the_last_word(mmbot: Command, release: Path):
    code, out, err = mmbot("rollback", "--to", release / "snapshot.json", "--out", release)
    assert (code, err) == (0, "")
    assert (release / "config.yaml").read_text() == SHIPPED
    assert (release / "top.yaml").read_text() == "# soak\nmd_cache:\n  enabled: true   # for now\n"
    for line in ("-  enabled: off   # for now", "+  enabled: true   # for now", "3 flags set"):
        assert line in out
    assert (
        f"config_sha256 = {load_settings([release / 'config.yaml', release / 'top.yaml']).sha256()}\n" in out
    )


def test_what_was_done_is_on_record(mmbot: Command, release: Path):
    mmbot("rollback", "--to", release / "snapshot.json", "--out", release)
    log = release / "release" / "audit.jsonl"
    begun, done = [msgspec.json.decode(line) for line in log.read_bytes().splitlines()]
    assert (begun["action"], done["action"]) == ("rollback_begun", "rollback_done")
    assert {one["flag"]: (one["old"], one["new"]) for one in done["changes"]} == {
        "adaptive_spread": ("no", "true"),
        "queue_aware": ("false", "true"),
        "md_cache": ("off", "true"),
    }
    assert done["found_config_sha256"] == done["config_sha256"]
    assert broken_line(log) is None


def test_a_dry_run_prints_the_diff_and_changes_nothing(mmbot: Command, release: Path):
    before = {path: path.read_bytes() for path in release.iterdir() if path.is_file()}
    code, out, _ = mmbot("rollback", "--dry-run", "--to", release / "snapshot.json", "--out", release)
    assert code == 0
    assert "+  enabled: true   # for now" in out
    assert "3 flags would be set" in out
    assert {path: path.read_bytes() for path in release.iterdir() if path.is_file()} == before
    assert not (release / "release").exists()


def test_a_tampered_snapshot_is_refused_and_nothing_is_changed(mmbot: Command, release: Path):
    path = release / "snapshot.json"
    path.write_bytes(path.read_bytes().replace(b'"value": true', b'"value": false', 1))
    before = (release / "config.yaml").read_bytes()
    code, out, err = mmbot("rollback", "--to", path, "--out", release)
    assert (code, out) == (2, "")
    assert "the snapshot was changed after it was taken" in err
    assert (release / "config.yaml").read_bytes() == before


def test_the_first_snapshot_has_nothing_to_go_back_to(mmbot: Command, release: Path):
    (release / "first.json").write_bytes(encoded(take([release / "config.yaml"], {}, 1, None)))
    code, _, err = mmbot("rollback", "--to", release / "first.json", "--out", release)
    assert code == 2
    assert "no previous values: expected --values new or --values registry" in err


def test_the_registrys_values_need_no_snapshot(mmbot: Command, release: Path):
    code, _, err = mmbot(
        *("rollback", "--values", "registry", "--out", release),
        *("--config", release / "config.yaml", "--config", release / "top.yaml"),
    )
    assert (code, err) == (0, "")
    found = load_settings([release / "config.yaml", release / "top.yaml"])
    assert {flag.name: flag.of(found) for flag in FLAGS} == {flag.name: flag.rollback for flag in FLAGS}


def test_the_registrys_values_are_set_in_the_files_of_the_snapshot_or_in_those_that_are_named(
    mmbot: Command, release: Path
):
    button = ("rollback", "--values", "registry", "--dry-run", "--out", release)
    code, out, _ = mmbot(*button, "--to", release / "snapshot.json")
    assert code == 0
    assert out.startswith(f"files: {release / 'config.yaml'} + {release / 'top.yaml'}\n")
    code, out, err = mmbot(*button)
    assert (code, out) == (2, "")
    assert "FEATURE_FLAGS_SNAPSHOT.json: cannot be read" in err


def test_pressed_again_there_is_nothing_to_change(mmbot: Command, release: Path):
    button = ("rollback", "--to", release / "snapshot.json", "--out", release)
    mmbot(*button)
    code, out, _ = mmbot(*button)
    assert code == 0
    assert out.splitlines()[1] == "nothing to change"


def test_an_altered_audit_log_is_said_and_does_not_stop_the_button(mmbot: Command, release: Path):
    button = ("rollback", "--to", release / "snapshot.json", "--out", release)
    mmbot(*button)
    log = release / "release" / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"rollback_begun", b"rollback_fine!"))
    code, out, err = mmbot(*button, "--values", "new")
    assert code == 0
    assert "3 flags set" in out
    assert err == f"{log}:1: the audit log was altered at this line\n"


def test_a_value_that_would_not_be_the_flags_is_refused_before_anything_is_written(release: Path):
    wanted = {"spread.enabled": Spelled(value=True, text="'yes'")}
    with pytest.raises(ConfigError, match=r"spread\.enabled: Expected `bool`, got `str`"):
        work_out(wanted, [release / "config.yaml"])


def test_text_and_value_that_disagree_are_a_half_applied_state(release: Path):
    wanted = {"spread.enabled": Spelled(value=True, text="no")}
    with pytest.raises(ConfigError, match=r"spread\.enabled: would be False, expected True from 'no'"):
        work_out(wanted, [release / "config.yaml"])


def test_a_file_that_changed_meanwhile_is_left_alone(release: Path):
    files = [release / "config.yaml", release / "top.yaml"]
    planned = work_out(targets(Values.PREVIOUS, load_snapshot(release / "snapshot.json")), files)
    files[1].write_text("md_cache: {enabled: no}\n")
    before = files[0].read_bytes()
    with pytest.raises(ConfigError, match=r"top\.yaml: was changed meanwhile"):
        apply(planned, release / "audit.jsonl", 1)
    assert files[0].read_bytes() == before


def test_artifacts_that_cannot_be_written_are_one_line_and_nothing_is_changed(mmbot: Command, release: Path):
    (release / "file").write_bytes(b"")
    before = (release / "config.yaml").read_bytes()
    code, _, err = mmbot("rollback", "--to", release / "snapshot.json", "--out", release / "file")
    assert code == 2
    assert err.startswith(f"mmbot: {release}/file/release/audit.jsonl: cannot be written: ")
    assert (release / "config.yaml").read_bytes() == before


def test_if_one_file_cannot_be_replaced_none_is(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write_atomically({tmp_path / "a": b"new", tmp_path / "fresh": b"new", tmp_path / "b": b"new"})
    assert (tmp_path / "a").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_replaced_file_keeps_its_mode_and_its_link(tmp_path: Path):
    real = tmp_path / "real"
    real.write_bytes(b"old")
    real.chmod(0o640)
    (tmp_path / "link").symlink_to(real)
    write_atomically({tmp_path / "link": b"new"})
    assert (tmp_path / "link").is_symlink()
    assert (real.read_bytes(), real.stat().st_mode & 0o777) == (b"new", 0o640)
