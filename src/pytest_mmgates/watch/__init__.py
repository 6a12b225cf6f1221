"""Stop rules and warnings, judged while a run plays: rows in, one reason to halt out. No I/O and no clock:
time is what the rows say.
"""
