"""Step 1 of the release workflow: the merged configuration may go on to a shadow run, and there is a way
back.

    pytest -m prep                                  config.yaml with config.soak_overrides.yaml on top
    pytest -m prep --mmgates-config config.yaml     this file alone
    pytest -m prep --mmgates-scenario nexo-24h      the money arithmetic of this market

One item per check. `artifacts/reports/PREP_LOG.md` is written whatever comes of them, the snapshot that
`mmbot rollback` restores from, `artifacts/release/FEATURE_FLAGS_SNAPSHOT.json`, only when all are green.
"""

import pytest

from mmbot.ops.prep import CHECKS, Prep, Verdict


@pytest.mark.prep
@pytest.mark.parametrize("name", CHECKS)
def test_prep(prep: Prep, name: str) -> None:
    """One check of `mmbot.ops.prep`."""
    check = prep.check(name)
    if check.verdict is not Verdict.PASS:
        pytest.fail(f"{check.verdict} {name}: {check.found}; expected {check.expected}", pytrace=False)
