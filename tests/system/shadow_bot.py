"""A bot in a process of its own: opens the run that its argument asks for, and tells every row as it is made,
a line each: `<feed> <row>`.
"""

import json
import sys

from mmbot.sut import open_run

if __name__ == "__main__":
    out = sys.stdout.buffer
    for feed, lines in open_run(json.loads(sys.argv[1])):
        for line in lines.splitlines():
            out.write(feed.encode() + b" " + line + b"\n")
        out.flush()
