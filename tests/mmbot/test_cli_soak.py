"""`mmbot run --mode soak` in pytest's words, and what it refuses."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.mmbot.builders import Command

from mmbot.cli_soak import SoakRequest, arguments, hours
from mmbot.errors import ConfigError

ASKED = SoakRequest(
    scenario=None,
    venue=None,
    host=None,
    config=[],
    duration=None,
    data=None,
    seed=None,
    artifacts=Path("artifacts"),
    status_port=None,
)


def words(**changes: Any) -> str:
    return " ".join(arguments(dataclasses.replace(ASKED, **changes)))


def test_where_nothing_is_named_it_is_the_long_scenario_and_the_files_of_the_step():
    assert words() == "--mmgates-scenario soak-72h --mmgates-out=artifacts"


def test_everything_that_is_asked_for_is_passed_on():
    asked = words(
        scenario="demo",
        config=[Path("config.yaml"), Path("config.soak_overrides.yaml")],
        duration="72",
        data=Path("captures"),
        seed=3,
        status_port=0,
        artifacts=Path("out"),
    )
    assert asked == (
        "--mmgates-scenario demo --mmgates-config=config.yaml --mmgates-config=config.soak_overrides.yaml "
        "--mmgates-duration 72h --mmgates-data=captures --mmgates-seed 3 --mmgates-status-port 0 "
        "--mmgates-out=out"
    )


def test_a_venue_is_soaked_live():
    assert words(venue="bybit", host="mainnet", duration="1.5").startswith(
        "--mmgates-live bybit --mmgates-host mainnet --mmgates-duration 1.5h "
    )


@pytest.mark.parametrize(
    ("asked", "read"), [("72", "72h"), ("0.5", "0.5h"), ("72h", "72h"), ("90m", "90m"), ("all", "all")]
)
def test_a_bare_number_is_hours(asked: str, read: str):
    assert hours(asked) == read


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scenario": "demo", "venue": "bybit"}, "was given --scenario and --venue, expected one of them"),
        ({"host": "mainnet"}, "--host is of --venue, which was not given"),
    ],
)
def test_what_contradicts_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        words(**changes)


@pytest.mark.parametrize(
    "option", ["--out=x", "--wake-filter", "--engine=plain", "--inject=gap@1m", "--account=a"]
)
def test_options_of_other_modes_are_refused(mmbot: Command, option: str):
    code, out, err = mmbot("run", "--mode", "soak", option)
    assert (code, out) == (2, "")
    assert err == f"mmbot: --mode soak: takes no {option.partition('=')[0]}\n"
