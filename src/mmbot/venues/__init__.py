"""Venues: bytes in, market events out. A codec knows the wire format, a session knows the rules of the
stream.
"""
