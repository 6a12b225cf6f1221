"""Settings: what ships loads, and every value that is wrong is an error naming file, line and key."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from tests.mmbot.builders import REPO, shipped_settings

from mmbot.config.settings import Settings, load_config, load_settings
from mmbot.config.strict_yaml import load
from mmbot.errors import ConfigError

SHIPPED = REPO / "config.yaml"
TEXT = SHIPPED.read_text(encoding="utf-8")
DATA: dict[str, Any] = yaml.safe_load(TEXT)


def leaves(data: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in data.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


LEAVES = dict(leaves(DATA))
EFFECTIVE = dict(leaves(msgspec.to_builtins(shipped_settings())))
NUMBERS = [
    path for path, value in LEAVES.items() if isinstance(value, int | float) and not isinstance(value, bool)
]


def overlay(folder: Path, path: tuple[str, ...], value: Any) -> Path:
    """A file that sets one key, its value on line `len(path)`."""
    lines = [f"{'  ' * depth}{key}:" for depth, key in enumerate(path)]
    lines[-1] += f" {value if isinstance(value, str) else msgspec.json.encode(value).decode()}"
    file = folder / "top.yaml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def refused(folder: Path, path: tuple[str, ...], value: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings([SHIPPED, overlay(folder, path, value)])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_ships_loads_and_says_what_is_written():
    settings = load_settings([SHIPPED])
    assert msgspec.to_builtins(settings)["spread"] == DATA["spread"]
    assert dict(leaves(msgspec.to_builtins(settings))).items() >= LEAVES.items()


def test_the_soak_overrides_load_and_change_only_what_they_name():
    override = REPO / "config.soak_overrides.yaml"
    changed = dict(leaves(yaml.safe_load(override.read_text(encoding="utf-8"))))
    before = dict(leaves(msgspec.to_builtins(load_settings([SHIPPED]))))
    after = dict(leaves(msgspec.to_builtins(load_settings([SHIPPED, override]))))
    assert after == before | changed
    assert after != before


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_a_value_of_the_wrong_type_is_an_error_naming_file_line_and_key(
    tmp_path: Path, path: tuple[str, ...]
):
    is_text = isinstance(LEAVES[path], str)
    null = () if LEAVES[path] is None else ("null",)
    for wrong in (*null, "[1, 2]", *(("7", "true") if is_text else ("seven", "0.5x", '"1"'))):
        message = refused(tmp_path, path, wrong)
        assert message.startswith(f"{tmp_path}/top.yaml:{len(path)}: {'.'.join(path)}: ")
        assert "xpected" in message or "nvalid enum" in message


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_a_key_written_wrong_is_an_error_naming_file_line_and_key(tmp_path: Path, path: tuple[str, ...]):
    wrong = (*path[:-1], path[-1] + "x")
    message = refused(tmp_path, wrong, LEAVES[path])
    assert message.startswith(f"{tmp_path}/top.yaml:{len(path)}: {'.'.join(wrong)}: ")


OPTIONAL = ("sigma", "power")
"""Parameters that only some models have."""


@pytest.mark.parametrize("path", [path for path in LEAVES if path[-1] not in OPTIONAL], ids=".".join)
def test_no_key_can_be_left_out(tmp_path: Path, path: tuple[str, ...]):
    data = copy.deepcopy(DATA)
    section = data
    for key in path[:-1]:
        section = section[key]
    del section[path[-1]]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"Object missing required field `{path[-1]}`"):
        load_settings([tmp_path / "config.yaml"])


@pytest.mark.parametrize("path", NUMBERS, ids=".".join)
def test_a_number_below_its_range_is_an_error_naming_file_line_and_key(tmp_path: Path, path: tuple[str, ...]):
    if path == ("queue_aware", "min_edge_bps"):
        assert load_settings([SHIPPED, overlay(tmp_path, path, -1)]).queue_aware.min_edge_bps == -1
        return
    is_model = path[0] == "sim"
    message = refused(tmp_path, path, -1)
    assert message.startswith(f"{tmp_path}/top.yaml:")
    assert ".".join(path[: -1 if is_model else None]) in message


POSITIVE = [
    *("pipeline.tick_interval_ms", "pipeline.deadline_ms", "md_cache.max_inflight_refresh"),
    *("md_cache.refresh_retry_ms", "fetch_md.depth_ticks", "fetch_md.volatility_halflife_s"),
    *(
        "fetch_md.microprice_refit_ticks",
        "spread.base_bps",
        "spread.min_bps",
        "spread.volatility_reference_bps",
    ),
    *("glft.risk_aversion_per_quote", "glft.intensity_per_s", "glft.decay_per_bps"),
    *("spread.liquidity_fast_halflife_s", "spread.liquidity_halflife_s", "spread.slew_bps_per_s"),
    *("fast_cancel.move_bps", "fast_cancel.hold_ms"),
    *("vitals.latency_halflife_s", "vitals.drawdown_window_s", "vitals.resync_window_s"),
    *("spread.latency_reference_ms", "spread.drawdown_reference_quote"),
    *("guards.soft_volatility_bps", "guards.soft_latency_ms", "guards.soft_drawdown_quote"),
    *("guards.soft_taker_ratio", "guards.clear_ratio"),
    *("guards.soft_inventory_ratio", "inventory.max_position_quote", "queue_aware.rate_halflife_s"),
    *(
        "emit.order_notional_quote",
        "emit.levels",
        "limits.max_order_notional_quote",
        "limits.max_position_quote",
    ),
    *("limits.max_gross_quote", "limits.max_daily_loss_quote"),
    *("limits.collar_bps", "limits.collar_reference_max_age_ms"),
    *("async_batch.max_orders", "async_batch.max_batches_per_tick", "taker_cap.window_s"),
    *("breaker.window_s", "breaker.min_samples", "breaker.open_s", "breaker.probes"),
    *("breaker.answer_timeout_ms", "throttle.messages_per_s"),
    "telemetry.sample_interval_s",
]


@pytest.mark.parametrize("key", POSITIVE)
def test_zero_is_refused_where_it_would_divide_or_stop_the_bot(tmp_path: Path, key: str):
    path = tuple(key.split("."))
    zero = "0.0" if isinstance(EFFECTIVE[path], float) else "0"
    assert refused(tmp_path, path, 0) == f"{tmp_path}/top.yaml:2: {key}: was {zero}, expected more than 0"


@pytest.mark.parametrize("path", [path for path in NUMBERS if ".".join(path) not in POSITIVE], ids=".".join)
def test_zero_is_a_value_everywhere_else(tmp_path: Path, path: tuple[str, ...]):
    if path == ("guards", "soft_widen_ratio"):
        assert "a soft guard never tightens" in refused(tmp_path, path, 0)
    elif path in {
        ("spread", "max_bps"),
        ("guards", "hard_volatility_bps"),
        ("guards", "hard_latency_ms"),
        ("guards", "hard_drawdown_quote"),
        ("guards", "hard_taker_ratio"),
        ("md_cache", "invalidate_on_ws_gap_ms"),
    }:
        assert "expected at most" in refused(tmp_path, path, 0)
    else:
        assert load_settings([SHIPPED, overlay(tmp_path, path, 0)])


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("inventory.dead_band_ratio", 1.0, "was 1.0, expected below 1"),
        ("inventory.dead_band_ratio", 1.5, "was 1.5, expected below 1"),
        ("breaker.max_failure_ratio", 1.0, "was 1.0, expected below 1"),
        ("guards.soft_size_ratio", 1.01, "was 1.01, expected at most 1"),
        ("guards.clear_ratio", 1.01, "was 1.01, expected at most 1"),
        ("guards.soft_widen_ratio", 0.99, "was below 1; a soft guard never tightens"),
    ],
)
def test_a_ratio_beyond_its_range_is_refused(tmp_path: Path, key: str, value: float, expected: str):
    message = refused(tmp_path, tuple(key.split(".")), value)
    assert message == f"{tmp_path}/top.yaml:2: {key}: {expected}"


def test_a_soft_guard_may_quote_the_full_size(tmp_path: Path):
    path = ("guards", "soft_size_ratio")
    assert load_settings([SHIPPED, overlay(tmp_path, path, 1.0)]).guards.soft_size_ratio == 1.0


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("spread.min_bps", "spread.max_bps"),
        ("guards.soft_volatility_bps", "guards.hard_volatility_bps"),
        ("guards.soft_latency_ms", "guards.hard_latency_ms"),
        ("guards.soft_drawdown_quote", "guards.hard_drawdown_quote"),
        ("guards.soft_taker_ratio", "guards.hard_taker_ratio"),
        ("md_cache.ttl_ms", "md_cache.invalidate_on_ws_gap_ms"),
        ("md_cache.fresh_ms_for_pricing", "md_cache.invalidate_on_ws_gap_ms"),
        ("throttle.reserved_for_cancels", "throttle.messages_per_s"),
    ],
)
def test_a_lower_bound_above_its_upper_one_is_refused_and_an_equal_one_is_not(
    tmp_path: Path, low: str, high: str
):
    low_path, high_path = tuple(low.split(".")), tuple(high.split("."))
    upper = type(EFFECTIVE[low_path])(LEAVES[high_path])
    assert load_settings([SHIPPED, overlay(tmp_path, low_path, upper)])
    message = refused(tmp_path, low_path, upper + 1)
    assert message.startswith(f"{tmp_path}/top.yaml:2: {low}: was {upper + 1}, expected at most {high} = ")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("sim", "queue"), "{model: fifo}"),
        (("sim", "queue"), "{model: power}"),
        (("sim", "queue"), "{model: risk_averse, power: 2.0}"),
        (("sim", "entry"), "{model: lognormal, median_ms: -5, sigma: 0.3}"),
        (("sim", "entry"), "{model: constant, median_ms: 5, sigma: 0.3}"),
        (("sim", "entry"), "{model: gaussian, median_ms: 5}"),
        (("fetch_md", "fair_value"), "last_trade"),
    ],
)
def test_a_model_that_is_none_is_refused_with_its_line(tmp_path: Path, path: tuple[str, ...], value: str):
    message = refused(tmp_path, path, value)
    assert message.startswith(f"{tmp_path}/top.yaml:2: {'.'.join(path)}")


def test_the_queue_of_an_overlay_replaces_the_model_of_the_base(tmp_path: Path):
    settings = load_settings([SHIPPED, overlay(tmp_path, ("sim", "queue"), "{model: power, power: 2.0}")])
    assert settings.sim.queue.name == "power(2)"


def test_files_are_merged_in_order_and_the_last_word_wins(tmp_path: Path):
    for name, count in (("a", 1), ("b", 2), ("c", 3)):
        (tmp_path / name).write_text(f"{name}: here\ncount: {count}\n")
    document = load_config([tmp_path / "a", tmp_path / "b", tmp_path / "c"])
    assert document.data == {"a": "here", "b": "here", "c": "here", "count": 3}
    assert document.where(("count",)) == f"{tmp_path}/c:2"


def test_the_operator_has_the_last_word_over_the_scenario(tmp_path: Path):
    scenario = tmp_path / "scenario.yaml"
    scenario.write_text("emit:\n  levels: 2\n  order_notional_quote: 50\n", encoding="utf-8")
    override = overlay(tmp_path, ("emit", "levels"), 3)
    settings = load_settings([SHIPPED, override], load(scenario))
    assert (settings.emit.levels, settings.emit.order_notional_quote) == (3, 50)


def test_the_hash_is_of_the_effective_values_whatever_files_they_came_from(tmp_path: Path):
    same = tmp_path / "config.yaml"
    same.write_text("# the same\n" + TEXT, encoding="utf-8")
    assert load_settings([same]).sha256() == load_settings([SHIPPED]).sha256()
    other = load_settings([SHIPPED, overlay(tmp_path, ("emit", "levels"), 2)])
    assert other.sha256() != load_settings([SHIPPED]).sha256()
    assert shipped_settings(emit={"levels": 2}).sha256() == other.sha256()


OTHER: dict[type, Any] = {
    bool: lambda value: not value,
    int: lambda value: value + 1,
    float: lambda value: value * 1.01,
}
OTHER_NULL = {"metrics_port": 9464, "webhook_url": "http://127.0.0.1:9093/hook"}
OTHER_WORD = {"fair_value": "mid", "model": "lognormal"}


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_no_value_can_be_changed_without_changing_the_hash(tmp_path: Path, path: tuple[str, ...]):
    value = LEAVES[path]
    if path == ("sim", "queue", "model"):
        path, other = path[:-1], {"model": "power", "power": 2.0}
    elif path == ("sim", "market_data", "model"):
        path, other = path[:-1], {"model": "lognormal", "median_ms": 20, "sigma": 0.1}
    elif path == ("spread", "model"):
        other = "glft"
    elif path[-1] == "model":
        path, other = path[:-1], {"model": "constant", "median_ms": 5, "sigma": 0.0}
    elif value is None:
        other = OTHER_NULL[path[-1]]
    else:
        other = OTHER_WORD[path[-1]] if isinstance(value, str) else OTHER[type(value)](value)
    changed = load_settings([SHIPPED, overlay(tmp_path, path, msgspec.json.encode(other).decode())])
    assert changed.sha256() != load_settings([SHIPPED]).sha256()


@pytest.mark.parametrize(
    "url", ["localhost:9093", "ftp://127.0.0.1/hook", "http://", "https:///hook", "http://h:99999/"]
)
def test_a_webhook_that_is_no_address_is_refused_with_its_place(tmp_path: Path, url: str):
    message = refused(tmp_path, ("alerts", "webhook_url"), url)
    assert message == f"{tmp_path}/top.yaml:2: alerts.webhook_url: was {url!r}, expected http(s)://HOST/..."


def test_every_section_is_a_frozen_type_that_forbids_unknown_fields():
    for field in msgspec.structs.fields(Settings):
        config = field.type.__struct_config__
        assert config.frozen
        assert config.forbid_unknown_fields
