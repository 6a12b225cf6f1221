"""Plays one run of the system under test in a process of its own: the code that is first on its path.

    python -P replay_worker.py REQUEST.json        {"sut": "package.module:callable", "request": {...}}

Imports nothing of the plugin, which may itself be part of what is compared. Exit code 3: bad input, in one
line on stderr; any other exception keeps its traceback.
"""

import importlib
import json
import sys
from pathlib import Path


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_bytes())
    module, _, name = asked["sut"].partition(":")
    try:
        for _ in getattr(importlib.import_module(module), name)(asked["request"]):
            pass
    except Exception as error:
        if not getattr(type(error), "user_error", False):
            raise
        sys.stderr.write(f"{error}\n")
        sys.exit(3)


if __name__ == "__main__":
    main()
