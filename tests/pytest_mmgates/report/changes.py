"""Changes of the rows of a run, by their minute."""


def slow_from(start, end, ns=400_000_000):
    """A change of rows: within these minutes ticks take longer than their deadline."""

    def change(minute, row):
        if start <= minute < end:
            row["tick_total_ns"] = row["emit_ns"] = ns
            row["deadline_miss"] = True

    return change
