"""Steps back that are smaller than the red button: snapshots with a name, made by prep beside its own.

    OUT/release/raise-cap.json       more may be taken, where the cap keeps the bot from getting out
    OUT/release/adaptive-off.json    the base half spread, and no moving to the front of the queue
    OUT/release/trace-down.json      a tenth of the shipped share of ticks is traced

Each sets a few flags and leaves the others alone. It is validated like any configuration when it is made, and
may hold only what a running bot can take: one that would be refused at three in the morning is refused now.
`new` are its values, `previous` those that stood in the files when it was made: the way back.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from mmbot.config.flags import FLAGS, Value, text
from mmbot.config.settings import merged, settings_of
from mmbot.config.snapshot import RecordedFlag, Snapshot, Spelled, load_snapshot, redacted, take
from mmbot.config.strict_yaml import parse
from mmbot.errors import ConfigError
from mmbot.ops.rollback import work_out
from mmbot.runtime.reload import changeable

GRADUAL: Mapping[str, Mapping[str, Value]] = MappingProxyType(
    {
        "raise-cap": {"taker_cap.max_taker_share_pct": 12.0},
        "adaptive-off": {"spread.enabled": False, "queue_aware.enabled": False},
        "trace-down": {"trace.sample_rate": 0.002},
    }
)
"""Values by key. The cap stays below `guards.hard_taker_ratio`, at which quotes are pulled."""


def path_of(name: str, out: Path) -> Path:
    """Where the snapshot of a name lies."""
    return out / "release" / f"{name}.json"


def step_back(
    name: str, values: Mapping[str, Value], config: Sequence[Path], code: Mapping[str, Any], now_ns: int
) -> Snapshot:
    """The snapshot of these values, by key, for these files. Raises ConfigError where they could not be put
    in force.
    """
    wanted = {key: Spelled(value, text(value)) for key, value in values.items()}
    _check_hot(name, list(wanted))
    before = take(config, code, now_ns, None)
    planned = work_out(wanted, config)
    after = settings_of(merged([parse(content, str(path)) for path, content in planned.after.items()]))
    written = {flag.key: flag.new for flag in before.flags}
    return msgspec.structs.replace(
        before,
        flags=[
            RecordedFlag(flag.name, flag.key, written[flag.key], wanted[flag.key])
            for flag in FLAGS
            if flag.key in wanted
        ],
        config_sha256=planned.config_sha256,
        previous_config_sha256=before.config_sha256,
        config=redacted(msgspec.to_builtins(after)),
    )


def load_step_back(name: str, out: Path) -> Snapshot:
    """As prep made it. Raises ConfigError, also where a running bot could not take it."""
    snapshot = load_snapshot(path_of(name, out))
    _check_hot(name, [flag.key for flag in snapshot.flags])
    return snapshot


def _check_hot(name: str, keys: Sequence[str]) -> None:
    flags = {flag.key for flag in FLAGS}
    for key in keys:
        if key not in flags:
            raise ConfigError(f"{name}: {key} is no feature flag, expected those that a running bot can take")
        if not changeable(key):
            raise ConfigError(f"{name}: {key} cannot change while a bot runs, expected flags that can")
