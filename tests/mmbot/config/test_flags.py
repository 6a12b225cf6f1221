"""The registry: every flag is a key of config.yaml with the default it says; off is made of real settings."""

import re

import msgspec
import pytest
from tests.mmbot.builders import REPO, shipped_settings

from mmbot.config.flags import FLAGS, Flag, in_force, registry_markdown, replaced
from mmbot.config.settings import Settings, leaves

REGISTRY = REPO / "docs" / "FEATURE_FLAGS_REGISTRY.md"
EFFECTIVE = leaves(msgspec.to_builtins(shipped_settings()))
each_flag = pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)


def switched(flag: Flag, value: object) -> Settings:
    section, name = flag.path
    return shipped_settings(**{section: {name: value}})


def test_names_and_keys_are_there_once():
    assert len({flag.name for flag in FLAGS}) == len({flag.key for flag in FLAGS}) == len(FLAGS)


def test_every_enabled_of_the_configuration_is_registered():
    assert {key for key in EFFECTIVE if key.endswith(".enabled")} == {flag.key for flag in FLAGS if flag.off}


@each_flag
def test_a_flag_is_in_config_yaml_with_its_default_and_type(flag: Flag):
    assert EFFECTIVE[flag.key] == flag.default
    assert type(EFFECTIVE[flag.key]) is type(flag.default) is type(flag.rollback)
    assert flag.of(shipped_settings()) == flag.default
    assert flag.owner
    assert flag.effect.endswith(".")


@each_flag
def test_off_replaces_settings_that_exist_and_nothing_else(flag: Flag):
    written = switched(flag, value=False)
    effective = leaves(msgspec.to_builtins(in_force(written)))
    changed = {
        key: value for key, value in effective.items() if value != leaves(msgspec.to_builtins(written))[key]
    }
    assert changed == {key: value for key, value in flag.off.items() if value != EFFECTIVE[key]}
    assert bool(changed) == flag.key.endswith(".enabled"), "what else is its own neutral value"
    assert in_force(in_force(written)) == in_force(written)


def test_what_is_on_changes_nothing():
    assert in_force(shipped_settings()) == shipped_settings()
    assert replaced(shipped_settings()) == {}


@each_flag
def test_a_flag_is_part_of_the_hash(flag: Flag):
    assert switched(flag, value=False).sha256() != shipped_settings().sha256()


def test_the_document_is_what_the_registry_makes():
    assert REGISTRY.read_text(encoding="utf-8") == registry_markdown(), (
        "run: mmbot config flags --markdown > docs/FEATURE_FLAGS_REGISTRY.md"
    )


def test_the_document_names_every_flag_once():
    assert re.findall(r"^\| `(\w+)`", registry_markdown(), re.MULTILINE) == [flag.name for flag in FLAGS]
