"""Derived files of the tests lie in a folder of their own, made once per worker."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MMBOT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
