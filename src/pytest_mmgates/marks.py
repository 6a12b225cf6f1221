"""Arguments of a step's marker.

    @pytest.mark.shadow(scenario="nexo-24h", duration="60m", gate="shadow")

`scenario` pins one scenario whatever was selected; `scenarios` limits the test to those of the selected ones;
`gate` names the gate file whose rules and evidence apply (default: the step's own name); `duration` overrides
how much market time the run takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_mmgates.errors import MarkError
from pytest_mmgates.units import Quantity, parse_duration

_ARGUMENTS = ("scenario", "scenarios", "duration", "gate")


@dataclass(frozen=True, slots=True)
class StepMark:
    """A marker, read."""

    step: str
    gate: str
    scenario: str | None = None
    scenarios: tuple[str, ...] | None = None
    duration: Quantity | None = None

    def scenarios_of(self, selected: tuple[str, ...]) -> tuple[str, ...]:
        """Which scenarios the test runs on."""
        if self.scenario is not None:
            return (self.scenario,)
        if self.scenarios is not None:
            return tuple(name for name in selected if name in self.scenarios)
        return selected

    @property
    def named(self) -> tuple[str, ...]:
        """Scenarios that the marker itself names, and that must exist."""
        return self.scenarios or ((self.scenario,) if self.scenario else ())


def read_mark(step: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> StepMark:
    """The marker's arguments, or MarkError."""
    if args:
        raise MarkError(f"marker {step} takes no positional argument, found {args[0]!r}")
    unknown = [name for name in kwargs if name not in _ARGUMENTS]
    if unknown:
        raise MarkError(f"marker {step} has no argument {unknown[0]!r}: expected {', '.join(_ARGUMENTS)}")
    if "scenario" in kwargs and "scenarios" in kwargs:
        raise MarkError(f"marker {step}: scenario pins one, scenarios limits the selected: give one of them")
    return StepMark(
        step=step,
        gate=_text(step, "gate", kwargs.get("gate", step)),
        scenario=_text(step, "scenario", kwargs["scenario"]) if "scenario" in kwargs else None,
        scenarios=_texts(step, "scenarios", kwargs["scenarios"]) if "scenarios" in kwargs else None,
        duration=_duration(step, kwargs["duration"]) if "duration" in kwargs else None,
    )


def _text(step: str, name: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise MarkError(f"marker {step}: {name} is {value!r}, expected text")
    return value


def _texts(step: str, name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, tuple | list) or not value:
        raise MarkError(f"marker {step}: {name} is {value!r}, expected a tuple of texts")
    return tuple(_text(step, name, item) for item in value)


def _duration(step: str, value: object) -> Quantity:
    try:
        return parse_duration(_text(step, "duration", value))
    except ValueError as error:
        raise MarkError(f"marker {step}: duration: {error}") from error
