"""May this bot trade with real money? Everything that has to be so before it, asked in one place.

- `MMBOT_LIVE=1` in the environment: nobody goes live by a slip in a command line;
- the configuration passed prep, this very one: the verdict of `mmbot prep` is PASS and names the hash of the
  files as they merge now, and so does its sealed snapshot, from which the red button restores;
- what the scenario adds to it is of the simulated venue (`sim`), which a live run has not: all else that
  trades was judged by prep;
- testnet, unless a host was named on the command line; no host over an open network without encryption;
- a venue whose order path is proven;
- of an experiment, the baseline passed prep, and the candidate has the same limits.

Keys come from the environment alone: a file would be copied and committed one day, a command line is in
every process list, and a keyring asks a person for its password, who is asleep when a bot restarts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from mmbot.config.scenario import LiveSpec, load_scenario
from mmbot.config.settings import load_settings
from mmbot.config.snapshot import SNAPSHOT, load_snapshot
from mmbot.errors import ConfigError
from mmbot.runtime.arming import open_experiment
from mmbot.runtime.live_request import LiveRequest
from mmbot.runtime.reload import Sources, differences
from mmbot.venues.bybit.hosts import TESTNET, hosts
from mmbot.venues.credentials import Credentials, Secret

SWITCH = "MMBOT_LIVE"
BOT_KEY, GUARD_KEY = "MMBOT_API", "MMBOT_GUARD_API"
"""What the names of the environment's variables begin with; behind it stands `_KEY` or `_SECRET`."""
_RISK = ("limits", "taker_cap", "breaker", "throttle")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class _Verdict(msgspec.Struct, frozen=True):
    verdict: str
    config_sha256: str | None = None


def check_live(request: LiveRequest, environment: Mapping[str, str], artifacts: Path) -> LiveSpec:
    """The market to trade. Raises ConfigError for the first thing that forbids to."""
    if environment.get(SWITCH) != "1":
        found = environment.get(SWITCH, "not set")
        raise ConfigError(f"{SWITCH} was {found}, expected 1: --mode live sends real orders")
    live = market(request.scenario, request.scenarios)
    check_host(live, request.host)
    check_prepared(Sources(tuple(request.config), request.scenario, request.scenarios), artifacts)
    if request.plan is not None:
        check_candidate(request.plan, request.scenario, request.scenarios.parent)
    return live


def check_candidate(plan: Path, scenario: str, scenarios: Path) -> None:
    """Raises ConfigError for a candidate that may do more than the baseline, which alone passed prep."""
    settings = open_experiment(plan, scenario, scenarios, live=True).settings
    loose = [key for key in differences(settings["A"], settings["B"]) if key.partition(".")[0] in _RISK]
    if loose:
        raise ConfigError(
            f"{plan}: arms differ in {', '.join(loose)}: real orders stay inside what prep passed: expected "
            "a change of the baseline first"
        )


def market(name: str, scenarios: Path) -> LiveSpec:
    """What a scenario trades. Raises ConfigError for one that cannot be traded."""
    if name.startswith("binance"):
        raise ConfigError(f"--venue was {name}, expected bybit: the order path to Binance is unproven")
    live = load_scenario(name, scenarios)[0].live
    if live is None:
        raise ConfigError(f"{scenarios / name}.yaml: expected kind live")
    return live


def check_host(live: LiveSpec, asked: str | None) -> None:
    """Raises ConfigError for a host that was not asked for, or that keys must not be sent to."""
    found = hosts(asked or live.host)
    if asked is None and found != TESTNET:
        raise ConfigError(f"the scenario's host was {live.host}, expected testnet: name any other by --host")
    url = urlsplit(found.rest)
    if url.scheme == "http" and url.hostname not in _LOOPBACK:
        raise ConfigError(f"--host was {asked}, expected https: keys go nowhere without encryption")


def check_prepared(sources: Sources, artifacts: Path) -> None:
    """Raises ConfigError unless prep passed this configuration."""
    settings = load_settings(sources.config)
    _, with_scenario = sources.load()
    added = [key for key in differences(settings, with_scenario) if not key.startswith("sim.")]
    if added:
        raise ConfigError(
            f"scenario {sources.scenario} changes {', '.join(added)}, which prep did not see: expected it in "
            "a file of --config-override"
        )
    expected = settings.sha256()
    path = artifacts / "verdicts" / "prep.json"
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Verdict)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: run `{_prep(sources.config)}` first") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: was no verdict of prep: {error}") from error
    snapshot = load_snapshot(artifacts / "release" / SNAPSHOT)
    for name, sha256 in (("verdict", found.config_sha256), ("snapshot", snapshot.config_sha256)):
        if found.verdict != "PASS" or sha256 != expected:
            raise ConfigError(
                f"prep's {name} was {found.verdict} for config_sha256 {sha256}, expected PASS for "
                f"{expected}: run `{_prep(sources.config)}`"
            )


def credentials(environment: Mapping[str, str], begin: str) -> Credentials:
    """Key and secret from two variables. Raises ConfigError, without what they hold."""
    names = [f"{begin}_KEY", f"{begin}_SECRET"]
    missing = [name for name in names if not environment.get(name)]
    if missing:
        raise ConfigError(f"{' and '.join(missing)}: not set, expected in the environment")
    key, secret = (environment[name] for name in names)
    return Credentials(key, Secret(secret))


def account_name(live: LiveSpec, host: str | None) -> str:
    """What the account's folder is called, unless somebody named it: one account for each venue's host."""
    rest = urlsplit(hosts(host or live.host).rest)
    return f"{live.venue}-{rest.netloc.replace(':', '-')}"


def _prep(config: Sequence[Path]) -> str:
    return "mmbot prep " + " ".join(f"--config {path}" for path in config)
