"""`mmgates list` and `mmgates explain`: every rule of the shipped gates, and a rule that stands in none."""

from functools import partial
from pathlib import Path

import pytest

from pytest_mmgates import explaining
from pytest_mmgates.explaining import rules_of
from pytest_mmgates.gatefile import read_gate
from pytest_mmgates.stats import alarms

ROOT = Path(__file__).parents[3]
GATES = ROOT / "gates"


def explained(out):
    """What stands behind each word."""
    return {line[2:15].strip(): line[16:] for line in out.splitlines() if line.startswith("  ")}


@pytest.fixture
def quick(monkeypatch):
    """Predictions of a few days."""
    monkeypatch.setattr(explaining, "false_alarms", partial(alarms.false_alarms, days=2))
    monkeypatch.setattr(explaining, "times_to_find", partial(alarms.times_to_find, runs=10))


@pytest.fixture
def one_gate(tmp_path):
    """A folder with the shadow gate alone."""
    (tmp_path / "shadow.yaml").write_bytes((GATES / "shadow.yaml").read_bytes())
    return tmp_path


def test_every_rule_is_listed_with_owner_window_and_false_alarms(mmgates, one_gate):
    code, out, _ = mmgates("list", "--gates", one_gate)
    head, *lines = out.splitlines()
    gate = read_gate(GATES / "shadow.yaml")
    assert code == 0
    assert head.split("  ")[0] == "gate"
    assert [line.split("  ")[-1].strip() for line in lines] == [str(rule) for _, rule in rules_of(gate)]
    assert all("trading-infra" in line and "the whole run" in line for line in lines)
    assert "at most 0.15% of runs" in lines[-1]
    assert "at most 0.15% of runs" in lines[1]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", sorted(path.stem for path in GATES.glob("*.yaml")))
def test_every_shipped_rule_has_an_explanation(mmgates, name):
    code, out, _ = mmgates("explain", name, "--gates", GATES)
    assert code == 0
    gate = read_gate(GATES / f"{name}.yaml")
    for section, rule in rules_of(gate):
        text = out.split(f"\n{section}: {rule}\n")[1].split("\n\n")[0]
        assert "false alarms" in text
        assert "asks for" in text or "does" in text or "warns of" in text


def test_a_rule_that_watches_is_explained_word_by_word(mmgates):
    rule = "deadline_miss.ratio[5m] > 5% for 10m clear 4%, n >= 300, no_data wait, fast [2m] > 15% for 1m"
    code, out, _ = mmgates("explain", rule)
    words = explained(out)
    assert code == 0
    assert words["does"] == "halts the run once the metric over 5m is above 5% for 10m"
    assert words["fast"] == "or sooner, once the metric over 2m is above 15% for 1m"
    assert words["metric"] == "deadline_miss.ratio, a ratio: share of ticks that missed their deadline"
    assert words["computed"] == "pytest_mmgates.metrics.windowed.tick_share"
    assert words["window"] == "the last 5m, made of `deadline_miss` in pipeline_ticks"
    assert words["looks"] == "every 10s, 8640 a day, from when the window is full"
    assert words["clears"].startswith("at 4% or better")
    assert words["least"] == "300 ticks in the window; fewer are no value"
    assert words["no data"] == "never fires for want of data"
    assert words["false alarms"].startswith("0 in 200 healthy days, at 2%: at most 0.45 in 30 days")
    assert "a true 10% after 11:" in words["found"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("rule", "word", "text"),
    [
        (
            "delta(net_bps) >= 0.2bps by sequence(0.975), pairs >= 24",
            "false alarms",
            "at most 2.5% of experiments",
        ),
        ("regress(fetch_md.p95) <= 3%", "asks for", "the p95 of fetch_md at most 3% slower"),
        ("same(decisions)", "false alarms", "none: a replay is exact"),
        ('fetch_md.p95{symbol="bybit:X"} <= 35ms', "asks for", "I/O wait included of bybit:X: at most 35ms"),
        (
            "B.taker_share[6h] <= 9% for 10m",
            "does",
            "takes the candidate away once the metric over 6h is above 9%",
        ),
    ],
)
def test_rules_of_every_kind(mmgates, rule, word, text):
    _, out, _ = mmgates("explain", rule)
    assert text in explained(out)[word]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            "deadline_mis.ratio < 2%",
            "unknown metric 'deadline_mis.ratio'; did you mean 'deadline_miss.ratio'?\n",
        ),
        (
            "tick_total.p95 <= 150",
            "tick_total.p95 is a time: expected ns, us, ms, s, m or h, found no unit\n",
        ),
    ],
)
def test_a_rule_that_cannot_be_read_has_a_caret(mmgates, what, said):
    code, _, err = mmgates("explain", what)
    assert code == 2
    assert said in err
    assert err.splitlines()[-1].strip() == "^"


def test_a_gate_that_there_is_not(mmgates, one_gate):
    code, out, err = mmgates("explain", "shade", "--gates", one_gate)
    assert (code, out, err) == (2, "", f"mmgates: no gate 'shade' in {one_gate}: there is shadow\n")
