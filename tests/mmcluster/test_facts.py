from importlib.metadata import version
from pathlib import Path

import pytest

from mmcluster import facts
from mmcluster.errors import ClusterError


def test_facts_of_this_process_are_found_again_by_their_names() -> None:
    said = facts.common_facts(["mmcluster"], ["numpy", "no-such-distribution"])

    assert list(said) == [
        "python",
        "machine",
        "source mmcluster",
        "version numpy",
        "version no-such-distribution",
    ]
    assert said["version numpy"] == version("numpy")
    assert said["version no-such-distribution"] == facts.NONE
    assert facts.first_difference(said) is None


def test_the_first_fact_that_differs_is_told() -> None:
    said = {**facts.common_facts([], []), "version numpy": "0.1", "version msgspec": "0.1"}

    assert facts.first_difference(said) == ("version numpy", version("numpy"), "0.1")


def test_a_source_is_every_byte_of_every_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    texts = {"one": ("a = 1\n", ""), "two": ("a = 2\n", ""), "three": ("", "a = 1\n")}
    for package, (first, second) in texts.items():
        (tmp_path / package / "inner").mkdir(parents=True)
        (tmp_path / package / "__init__.py").write_text(first)
        (tmp_path / package / "inner" / "__init__.py").write_text(second)

    found = {facts.found(f"source {package}") for package in texts}

    assert len(found) == 3
    assert facts.found("source no_such_package") == facts.NONE


def test_a_file_is_read_whenever_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gate.yaml").write_text("gate: a\n")
    name, sha256 = facts.file_fact("gate.yaml")
    assert facts.first_difference({name: sha256}) is None

    (tmp_path / "gate.yaml").write_text("gate: b\n")

    assert name == "file gate.yaml"
    assert facts.first_difference({name: sha256}) == (name, facts.found(name), sha256)
    (tmp_path / "gate.yaml").unlink()
    assert facts.found(name) == facts.NONE
    with pytest.raises(ClusterError, match=r"^gate\.yaml: no such file"):
        facts.file_fact("gate.yaml")


def test_a_fact_that_nobody_can_find_out_is_refused() -> None:
    with pytest.raises(ClusterError, match=r"^fact was 'weather', expected one of python, machine"):
        facts.found("weather")
