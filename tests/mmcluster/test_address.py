import pytest

from mmcluster.address import Local, Remote, cluster_argument, parse_address
from mmcluster.errors import ClusterError


def test_workers_of_this_machine() -> None:
    assert parse_address("local:12") == Local(12)


@pytest.mark.parametrize("address", ["tcp://10.0.0.7:8786", "tcp://scheduler.team:8786", "tls://[::1]:65535"])
def test_a_scheduler_that_runs(address: str) -> None:
    assert parse_address(address) == Remote(address)
    assert cluster_argument(address) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "local", "local:0", "local:-1", "local:2.5", "local:02", "LOCAL:2", " local:2", "local:2\n"),
        *("tcp://host", "tcp://host:0", "tcp://host:65536", "tcp://h:8786/x", "http://h:8786", "h:8786"),
    ],
)
def test_everything_else_is_refused_and_says_what_was_expected(text: str) -> None:
    with pytest.raises(ClusterError) as refused:
        cluster_argument(text)
    assert str(refused.value) == (
        f"cluster was {text!r}, expected local:N (1 to 9999 workers) or tcp://HOST:PORT"
    )
