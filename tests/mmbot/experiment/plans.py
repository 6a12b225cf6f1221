"""Plans, written and read as people do."""

from pathlib import Path
from typing import Any

import msgspec

from mmbot.experiment.plan import Plan

MAJOR, OTHER = "bybit_linear:SYNTH01USDT", "bybit_linear:SYNTH02USDT"


def written(**changes: Any) -> dict[str, Any]:
    """The data of a plan file."""
    facts: dict[str, Any] = {
        "name": "wider",
        "title": "A wider spread",
        "scenario": "two",
        "config": ["config.yaml"],
        "arms": {"A": [], "B": ["wider.b.yaml"]},
        "clusters": {"majors": [MAJOR], "others": [OTHER]},
        "switch": "apart",
        "block": "60m",
        "washout": "15m",
        "seed": 1,
        "stages": {
            "replay": {"duration": "24h", "pairs": 24},
            "10": {"duration": "24h", "pairs": 20},
            "50": {"duration": "24h", "pairs": 24},
            "100": {"duration": "72h", "pairs": 0},
        },
        "max_pairs": 336,
        "metric": "net_bps",
        "floor_bps": 0.2,
        "effect_bps": 0.3,
        "confidence": 0.975,
        "gate": "ab.yaml",
    }
    return facts | changes


def plan(**changes: Any) -> Plan:
    return msgspec.convert(written(**changes), Plan)


def plan_file(folder: Path, **changes: Any) -> Path:
    """In JSON, which is YAML; a key a line."""
    path = folder / "wider.yaml"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(written(**changes)), indent=1))
    return path
