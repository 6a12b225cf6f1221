"""A market-making bot: events in, commands out.

The door for people is `mmbot.cli`, the door for gates is `mmbot.sut`. Everything between is one engine that
reads no clock and does no I/O; three shells feed it (live, shadow, replay).
"""
