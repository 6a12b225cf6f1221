"""The engine: `step(event) -> commands`. It holds no clock and does no I/O; now is the stamp of the event in
hand.
"""
