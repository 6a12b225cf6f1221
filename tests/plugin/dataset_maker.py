"""A foreign maker of datasets: writes what it is told to in `dataset.json`, and keeps each request."""

import json
from pathlib import Path

SYMBOLS = ("venue:AAA", "venue:BBB")


class BadFeedsError(Exception):
    user_error = True


def content(hours=24.0, dropped=0, value=1.5, kind="recorded", ticks=864_000, fills=200):
    """Two symbols, an interval of five minutes each; `dropped` of each are filtered out."""
    many = round(hours * 12)
    intervals = [
        {"symbol": symbol, "start_ns": number, "fills": fills // 100, "mid": value}
        for symbol in SYMBOLS
        for number in range(dropped, many)
    ]
    return {
        "schema": 1,
        "data_kind": kind,
        "coverage": [
            {"symbol": symbol, "arm": "A", "ticks": ticks // 2, "covered_s": hours * 3600}
            for symbol in SYMBOLS
        ],
        "provenance": [{"run_id": "r", "run_digest": "d", "config_sha256": "c", "data_sha256": "s"}],
        "filters": {
            "dropped": [{"symbol": symbol, "start_ns": n} for symbol in SYMBOLS for n in range(dropped)]
        },
        "intervals": intervals,
    }


def make(request):
    with Path("dataset-requests.jsonl").open("a") as file:
        file.write(json.dumps(request) + "\n")
    told = json.loads(Path("dataset.json").read_text())
    if "error" in told:
        raise BadFeedsError(told["error"])
    if "bug" in told:
        raise ValueError(told["bug"])
    path = Path(request["out_dir"]) / "edge/datasets/calib_20250115_20250116.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content(**told)))
    return str(path)


def make_nothing(_):
    return None
