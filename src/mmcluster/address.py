"""Where the workers are: `local:N` starts N of them here, `tcp://HOST:PORT` is a scheduler that runs."""

import re
from dataclasses import dataclass

from mmcluster.errors import ClusterError

_LOCAL = re.compile(r"local:([1-9]\d{0,3})")
_REMOTE = re.compile(r"(?:tcp|tls)://(?:\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})")
_MOST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Local:
    """That many worker processes of this machine."""

    workers: int


@dataclass(frozen=True, slots=True)
class Remote:
    """A scheduler that somebody started."""

    scheduler: str


def parse_address(text: str) -> Local | Remote:
    """Raises ClusterError."""
    local, remote = _LOCAL.fullmatch(text), _REMOTE.fullmatch(text)
    if local:
        return Local(int(local[1]))
    if remote and 0 < int(remote[1]) <= _MOST_PORT:
        return Remote(text)
    raise ClusterError(f"cluster was {text!r}, expected local:N (1 to 9999 workers) or tcp://HOST:PORT")


def cluster_argument(text: str) -> str:
    """The address as it was given, once it is one. Raises ClusterError."""
    parse_address(text)
    return text


def is_local(text: str) -> bool:
    """Whether the workers are of this machine. Raises ClusterError."""
    return isinstance(parse_address(text), Local)
