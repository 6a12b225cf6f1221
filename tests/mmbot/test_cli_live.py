"""What must be so before a bot trades, and what each command says when it is not."""

from pathlib import Path

import msgspec
import pytest
from tests.mmbot.builders import REPO, Command

from mmbot.clock import wall_ns
from mmbot.config.snapshot import SNAPSHOT
from mmbot.ops.prep import PrepRequest, prepare, write
from mmbot.runtime.account_folder import AccountFolder

LOOPBACK = ["--host", "http://127.0.0.1:1"]
"""Where nobody listens."""


@pytest.fixture
def live(mmbot: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:  # noqa: ARG001 (its folder)
    """The arguments of a bot that may trade: prepared, with keys, and a switch that is on."""
    monkeypatch.setenv("MMBOT_LIVE", "1")
    monkeypatch.setenv("MMBOT_API_KEY", "aKey")
    monkeypatch.setenv("MMBOT_API_SECRET", "aSecret")
    here, scenarios = Path("here"), Path("scenarios/live")
    monkeypatch.chdir(tmp_path)
    scenarios.mkdir()
    (scenarios / "paper.yaml").write_text((REPO / "scenarios/live/paper.yaml").read_text())
    (here / "config.yaml").write_text((REPO / "config.yaml").read_text())
    monkeypatch.chdir(tmp_path / "here")
    prep()
    return ["run", "--mode", "live", "--venue", "paper", "--scenarios", "../scenarios", *CONFIG, *LOOPBACK]


CONFIG = ["--config", "config.yaml"]


def prep() -> None:
    request = PrepRequest(
        config=[Path("config.yaml")],
        scenarios=["demo"],
        folder=REPO / "scenarios",
        data=None,
        out=Path("artifacts"),
        asked=[],
        code={},
        now_ns=wall_ns(),
    )
    write(prepare(request))


def refusal(answer: tuple[int, str, str]) -> str:
    """The one line of a refusal; nothing was begun."""
    code, _, err = answer
    assert code == 2
    assert err.count("\n") == 1
    assert not list(Path("artifacts").glob("runs/*"))
    assert "aSecret" not in err
    return err


def test_a_bot_that_may_trade_asks_the_venue(mmbot: Command, live: list[str]) -> None:
    assert "http://127.0.0.1:1/v5/market/instruments-info: no connection" in refusal(mmbot(*live))


def without(arguments: list[str], option: str) -> list[str]:
    at = arguments.index(option)
    return arguments[:at] + arguments[at + 2 :]


@pytest.mark.parametrize("switch", ["", "0", "yes"])
def test_the_switch_is_one(
    switch: str, mmbot: Command, live: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MMBOT_LIVE", switch)
    assert f"MMBOT_LIVE was {switch}, expected 1" in refusal(mmbot(*live))


@pytest.mark.parametrize("name", ["MMBOT_API_KEY", "MMBOT_API_SECRET"])
def test_keys_come_from_the_environment(
    name: str, mmbot: Command, live: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(name)
    assert f"{name}: not set, expected in the environment" in refusal(mmbot(*live))


def test_the_configuration_is_named(mmbot: Command, live: list[str]) -> None:
    assert "--mode live: expected --config" in refusal(mmbot(*without(live, "--config")))


def test_any_host_but_testnet_is_named(mmbot: Command, live: list[str]) -> None:
    path = Path("../scenarios/live/paper.yaml")
    path.write_text(path.read_text().replace("host: testnet", "host: mainnet"))
    said = refusal(mmbot(*without(live, "--host")))
    assert "the scenario's host was mainnet, expected testnet: name any other by --host" in said


def test_keys_go_nowhere_without_encryption(mmbot: Command, live: list[str]) -> None:
    said = refusal(mmbot(*without(live, "--host"), "--host", "http://example.org"))
    assert "--host was http://example.org, expected https" in said


def test_binance_is_unproven(mmbot: Command, live: list[str]) -> None:
    assert "unproven" in refusal(mmbot(*without(live, "--venue"), "--venue", "binance"))


def test_spot_is_refused(mmbot: Command, live: list[str]) -> None:
    path = Path("../scenarios/live/paper.yaml")
    path.write_text(path.read_text().replace("bybit_linear", "bybit_spot"))
    assert "live venue was 'bybit_spot', expected bybit_linear" in refusal(mmbot(*live))


def test_a_configuration_that_was_changed_since_prep_is_refused(mmbot: Command, live: list[str]) -> None:
    Path("more.yaml").write_text("spread: {base_bps: 1.0}\n")
    said = refusal(mmbot(*live, "--config-override", "more.yaml"))
    assert "prep's verdict was PASS for config_sha256" in said
    assert "run `mmbot prep --config config.yaml --config more.yaml`" in said


def test_no_prep_no_run(mmbot: Command, live: list[str]) -> None:
    Path("artifacts/verdicts/prep.json").unlink()
    assert "prep.json: No such file or directory: run `mmbot prep" in refusal(mmbot(*live))


def test_a_prep_that_failed_is_refused(mmbot: Command, live: list[str]) -> None:
    path = Path("artifacts/verdicts/prep.json")
    path.write_bytes(path.read_bytes().replace(b'"verdict": "PASS"', b'"verdict": "FAIL"', 1))
    assert "prep's verdict was FAIL" in refusal(mmbot(*live))


def test_a_verdict_that_was_edited_does_not_fit_its_sealed_snapshot(mmbot: Command, live: list[str]) -> None:
    path = Path("artifacts/release") / SNAPSHOT
    snapshot = msgspec.json.decode(path.read_bytes())
    path.write_bytes(msgspec.json.encode({**snapshot, "config_sha256": "0" * 64}))
    assert "the snapshot was changed after it was taken" in refusal(mmbot(*live))


def test_a_scenario_that_changes_what_prep_judged_is_refused(mmbot: Command, live: list[str]) -> None:
    path = Path("../scenarios/live/paper.yaml")
    path.write_text(path.read_text().replace("config:\n", "config:\n  limits: {max_gross_quote: 99999}\n"))
    assert "scenario paper changes limits.max_gross_quote, which prep did not see" in refusal(mmbot(*live))


def test_a_halted_account_stays_halted_until_it_is_resumed(mmbot: Command, live: list[str]) -> None:
    where = [*live[3:7], *LOOPBACK]
    folder = AccountFolder("bybit_linear-127.0.0.1-1", Path("artifacts/accounts"))
    folder.halt("a drill")
    assert "halted: a drill" in refusal(mmbot(*live))
    code, said, _ = mmbot("resume", *where)
    assert (code, "no longer halted: a drill" in said) == (0, True)
    assert "no connection" in refusal(mmbot(*live))


def test_kill_marks_first_and_tells_when_nobody_answers(mmbot: Command, live: list[str]) -> None:
    code, said, err = mmbot("kill", *live[3:7], *LOOPBACK, "--give-up", "1ms")
    assert code == 3
    assert "halted: mmbot kill" in said
    assert "orders of ours may be left" in err
    folder = AccountFolder("bybit_linear-127.0.0.1-1", Path("artifacts/accounts"))
    assert folder.halted == "mmbot kill"


def test_a_rollback_with_kill_cancels_even_where_the_flags_cannot_be_set_back(
    mmbot: Command, live: list[str]
) -> None:
    del live
    snapshot = Path("artifacts/release") / SNAPSHOT
    snapshot.write_bytes(snapshot.read_bytes().replace(b"true", b"false", 1))
    where = ["--venue", "paper", "--scenarios", "../scenarios", *LOOPBACK]
    code, said, err = mmbot("rollback", "--kill", "--give-up", "1s", *where)
    assert code == 3
    assert "the snapshot was changed after it was taken; orders are cancelled all the same" in err
    assert "halted: mmbot rollback --kill" in said
    assert "orders of ours may be left" in err


def test_a_rollback_with_kill_that_only_looks_is_refused(mmbot: Command) -> None:
    code, _, err = mmbot("rollback", "--kill", "--dry-run")
    assert (code, err) == (2, "mmbot: --kill: cancels orders: expected no --dry-run\n")


def test_a_smaller_step_is_set_and_undone_by_its_name(mmbot: Command, live: list[str]) -> None:
    del live
    before = Path("config.yaml").read_bytes()
    code, said, err = mmbot("rollback", "--to", "raise-cap")
    assert (code, err) == (0, "")
    assert "-  max_taker_share_pct: 9.0 " in said
    assert "+  max_taker_share_pct: 12 " in said
    assert "1 flags set" in said
    assert "left as it is" not in said
    code, said, _ = mmbot("rollback", "--to", "raise-cap", "--values", "previous")
    assert (code, Path("config.yaml").read_bytes()) == (0, before)
    code, _, err = mmbot("rollback", "--to", "raise-the-cap")
    assert (code, err) == (2, "mmbot: raise-the-cap: cannot be read: No such file or directory\n")
