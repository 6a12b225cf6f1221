"""The status page: a state as HTML, whole or as the fragment that an open page takes in.

The page is readable as it comes: a browser without JavaScript loads it again every two seconds, one with it
replaces the fragment by each server-sent event (https://html.spec.whatwg.org/multipage/server-sent-events.html).
All text is escaped by the template engine; besides, the page forbids its browser every script and style but
its own, by their hashes.
"""

import base64
import hashlib
from functools import cache

import jinja2

from mmbot.telemetry.figures import headline, sections
from mmbot.telemetry.view import RunState


def page(state: RunState) -> bytes:
    """The whole page."""
    return _rendered("status.html.j2", state, content_security=content_security())


def event(state: RunState) -> bytes:
    """The fragment as one server-sent event."""
    lines = _rendered("state.html.j2", state).splitlines()
    return b"".join(b"data: %s\n" % line for line in lines) + b"\n"


@cache
def content_security() -> str:
    """What the page lets its browser load and run: its own style and script, and its own events."""
    style, script = (
        _hash(_environment().get_template(name).render()) for name in ("status.css", "status.js")
    )
    return (
        f"default-src 'none'; style-src '{style}'; script-src '{script}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )


def _rendered(template: str, state: RunState, **more: str) -> bytes:
    shown = {"state": state, "headline": headline(state), "sections": list(sections(state))}
    return _environment().get_template(template).render(**shown, **more).encode()


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("mmbot.telemetry"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
