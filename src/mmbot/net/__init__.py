"""Websockets and HTTP: the only room that imports network libraries. It knows no venue."""
