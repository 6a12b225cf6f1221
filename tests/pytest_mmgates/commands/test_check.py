"""`mmgates check` over the shipped gates, a wrong one and none."""

from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_shipped_gates_are_sound(mmgates):
    code, out, err = mmgates("check", "--gates", ROOT / "gates")
    assert (code, err) == (0, "")
    assert f"{ROOT / 'gates' / 'soak.yaml'}: 4 require, 5 stop, 5 warn\n" in out


def test_a_wrong_rule_is_shown_with_its_place(mmgates, tmp_path: Path):
    gate = (ROOT / "gates" / "shadow.yaml").read_text().replace("fetch_md.p95", "fetch_mb.p95")
    (tmp_path / "shadow.yaml").write_text(gate)
    code, _, err = mmgates("check", "--gates", tmp_path)
    assert code == 2
    assert "shadow.yaml:" in err
    assert "unknown metric 'fetch_mb.p95'; did you mean 'fetch_md.p95'?" in err


def test_a_folder_without_gates_is_one_line(mmgates, tmp_path: Path):
    code, out, err = mmgates("check", "--gates", tmp_path)
    assert (code, out) == (2, "")
    assert err == f"mmgates: {tmp_path}: found no gate file, expected *.yaml\n"
