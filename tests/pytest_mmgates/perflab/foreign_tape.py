"""A latency tape of code that is no bot of ours: two stages of plain arithmetic. `text` writes its module."""

_MODULE = """
class Tape:
    stages = ("price", "place", "tick_total")
    readings = (1, 1, 2)
    kind = "synthetic"

    def __init__(self, request):
        self.clock, self.repeats = request["clock"], request["repeats"]
        self.ticks, self.sha256 = request["ticks"], request.get("sha256", "none")

    def step(self, first, stop):
        ticks = range(first, stop)
        return [(str(tick % OUTPUTS), [self.tick(tick) for _ in range(self.repeats)]) for tick in ticks]

    def tick(self, tick):
        clock = self.clock
        t0 = clock()
        for _ in range(200 + tick):
            pass
        t1 = clock()
        for _ in range(WORK):
            pass
        t2 = clock()
        return t1 - t0, t2 - t1, t2 - t0


def open_tape(request):
    FIRST
    return Tape({"repeats": 2, **request})
"""


def text(*, work: int = 400, outputs: int = 1_000, first: str = "pass") -> str:
    """`work`: turns of a loop in stage `place`; `outputs`: how many different ones; `first`: what opening the
    tape begins with.
    """
    filled = _MODULE.replace("WORK", str(work)).replace("OUTPUTS", str(outputs))
    return filled.replace("FIRST", first)
