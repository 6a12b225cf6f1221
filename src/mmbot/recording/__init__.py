"""Recordings: raw frames exactly as received are the truth; integer columns derived from them are a
disposable cache.
"""
