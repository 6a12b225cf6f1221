"""Errors: every error that the bot raises on purpose is one that a door may print as its whole report."""

import pytest

from mmbot import errors


@pytest.mark.parametrize(
    "kind",
    [
        errors.ConfigError,
        errors.RecordingError,
        errors.RemoteProtocolError,
        errors.LocalProtocolError,
        errors.OutputError,
    ],
)
def test_every_error_is_an_mmbot_error_whose_message_is_the_report(kind: type[errors.MmbotError]):
    error = kind("config.yaml:3: key: was 1")
    assert isinstance(error, errors.MmbotError)
    assert error.user_error
    assert str(error) == "config.yaml:3: key: was 1"


@pytest.mark.parametrize("phase", ["connect", "send", "answer", "body", "lost"])
def test_a_transport_error_says_how_far_it_came(phase):
    error = errors.TransportError("https://host: no answer: time is up", phase)
    assert (error.phase, error.user_error) == (phase, True)
    assert str(error) == "https://host: no answer: time is up"
