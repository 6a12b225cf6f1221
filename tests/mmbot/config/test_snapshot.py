"""A snapshot says what the flags were and are, and is believed only as it was written."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mmbot.builders import REPO, shipped_settings

from mmbot.config.flags import FLAGS
from mmbot.config.snapshot import Snapshot, encoded, load_snapshot, redacted, take
from mmbot.errors import ConfigError

CODE = {"version": "0.1.0", "commit": "abc", "dirty": False}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_bytes((REPO / "config.yaml").read_bytes())
    return path


def taken(config: Path, earlier: Snapshot | None = None, **spelled: str) -> Snapshot:
    """After the `enabled` of some sections was respelled."""
    text = config.read_text()
    for section, value in spelled.items():
        head, _, tail = text.partition(f"\n{section}:")
        first, _, rest = tail.partition("enabled: ")
        text = f"{head}\n{section}:{first}enabled: {value}{rest[rest.index(chr(10)) :]}"
    config.write_text(text)
    return take([config], CODE, 7, earlier)


def values(snapshot: Snapshot, which: str) -> dict[str, Any]:
    return {flag.name: getattr(getattr(flag, which), "value", None) for flag in snapshot.flags}


def test_the_first_has_every_flag_and_nothing_before(config: Path):
    snapshot = taken(config)
    assert values(snapshot, "new") == {flag.name: flag.default for flag in FLAGS}
    assert set(values(snapshot, "previous").values()) == {None}
    assert snapshot.previous_config_sha256 is None
    assert snapshot.config_sha256 == shipped_settings().sha256()
    assert (snapshot.code, snapshot.taken_ns) == (CODE, 7)
    assert [file.path for file in snapshot.files] == [str(config)]


def test_a_release_remembers_what_was_before_it_however_often_it_is_prepared(config: Path):
    first = taken(config)
    second = taken(config, first, queue_aware="no", spread="off")
    assert values(second, "previous") == values(first, "new")
    assert values(second, "new")["queue_aware"] is False
    assert [flag.new.text for flag in second.flags if flag.name == "adaptive_spread"] == ["off"]
    assert second.previous_config_sha256 == first.config_sha256
    again = taken(config, second)
    assert again.flags == second.flags
    assert again.previous_config_sha256 == first.config_sha256
    third = taken(config, again, queue_aware="yes")
    assert values(third, "previous") == values(second, "new")


def test_what_was_written_is_what_is_read(config: Path, tmp_path: Path):
    snapshot = taken(config, taken(config), queue_aware="No")
    (tmp_path / "s.json").write_bytes(encoded(snapshot))
    assert load_snapshot(tmp_path / "s.json") == snapshot


def test_any_changed_value_is_refused(config: Path, tmp_path: Path):
    snapshot = taken(config, taken(config), queue_aware="No")
    path = tmp_path / "s.json"
    whole = msgspec.json.decode(encoded(snapshot))
    for key, value in whole.items():
        other = (
            {**value, "x": 1}
            if isinstance(value, dict)
            else [*value, 1]
            if isinstance(value, list)
            else "other"
        )
        path.write_bytes(msgspec.json.encode({**whole, key: other}))
        with pytest.raises(
            ConfigError, match=r"s\.json: sha256 was .* the snapshot was changed after it was taken"
        ):
            load_snapshot(path)
    flipped = encoded(snapshot).replace(b'"value": false', b'"value": true', 1)
    path.write_bytes(flipped)
    with pytest.raises(ConfigError, match="changed after it was taken"):
        load_snapshot(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"schema": 1}'])
def test_what_is_no_snapshot_is_refused_in_one_line(tmp_path: Path, content: bytes):
    (tmp_path / "s.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"s\.json: ") as caught:
        load_snapshot(tmp_path / "s.json")
    assert "\n" not in str(caught.value)


def test_a_snapshot_that_is_missing_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_snapshot(tmp_path / "s.json")


@pytest.mark.parametrize(
    "key",
    ["secret", "api_key", "apiKey", "API_SECRET", "password", "auth_token", "private_key", "passphrase"],
)
@given(path=st.lists(st.sampled_from(["venue", "net"]), max_size=3))
def test_no_secret_is_written_down_however_deep(key: str, path: list[str]):
    data: dict[str, Any] = {key: "hunter2", "name": "kept"}
    for part in path:
        data = {part: data}
    out = msgspec.json.encode(redacted(data)).decode()
    assert "hunter2" not in out
    assert "kept" in out


def test_no_setting_of_today_is_taken_for_a_secret(config: Path):
    assert taken(config).config == msgspec.to_builtins(shipped_settings())
