"""A replay in a process of its own: `python -m tests.system.replay_bot FOLDER`, resumed if it can be."""

import dataclasses
import sys
from pathlib import Path

from tests.mmbot.builders import run_request

from mmbot.runtime import checkpoint
from mmbot.runtime.run import EngineKind, Run, RunRequest, interrupted


def asked(folder: Path) -> RunRequest:
    """The run in `folder`/run, from its beginning or from where it was interrupted."""
    if (folder / "run" / checkpoint.NAME).exists():
        return interrupted(folder / "run")
    return dataclasses.replace(run_request(folder, engine=EngineKind.PLAIN), directory=folder / "run")


if __name__ == "__main__":
    for _ in Run(asked(Path(sys.argv[1]))):
        pass
