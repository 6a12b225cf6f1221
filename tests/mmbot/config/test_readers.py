"""No setting without a reader: the bot takes each value of the configuration from its settings somewhere."""

import ast

import msgspec
import pytest
from tests.mmbot.builders import REPO, shipped_settings

from mmbot.config.flags import FLAGS
from mmbot.config.settings import leaves

READ = {
    node.attr
    for path in (REPO / "src" / "mmbot").rglob("*.py")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
}
FLAG_KEYS = {flag.key for flag in FLAGS}
"""Read through the registry; `tests/system/test_flags.py` plays each on and off."""


@pytest.mark.parametrize(
    "key", [key for key in leaves(msgspec.to_builtins(shipped_settings())) if key not in FLAG_KEYS]
)
def test_a_setting_is_read(key: str):
    assert key.rpartition(".")[2] in READ


def test_a_setting_that_nobody_reads_would_be_seen():
    assert "soft_volatility_bps" in READ
    assert "nobody_reads_this" not in READ
