"""Markdown from templates: strict about what they name, and no value can break a table."""

from collections.abc import Callable, Mapping
from typing import Any

import jinja2

from pytest_mmgates.units import show

ABSENT = "-"


def render(template: str, filters: Mapping[str, Callable[..., str]], **facts: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pytest_mmgates", "report/templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - Markdown; `finalize` escapes what would break a table
        finalize=_cell,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= filters
    return environment.get_template(template).render(**facts)


def number(value: float | None) -> str:
    return ABSENT if value is None else show(value)


def _cell(value: object) -> str:
    """Any value as it may stand inside a Markdown table."""
    return ABSENT if value is None else str(value).replace("|", "\\|").replace("\n", " ")
