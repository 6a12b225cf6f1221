"""What the feature flags were before a release and what they are in it: a file that the red button reads.

Each flag is recorded with its value and with the text that stood in the configuration, so that going back
restores what was written and not only what it meant. *Previous* are the values of the last snapshot whose
flags were others: preparing the same release twice does not forget where to go back to. The first snapshot
has none.

The hash covers every other key of the file. It has no secret in it: it tells a damaged or edited file, not a
forger. Values under keys that name a secret are not written down.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mmbot.config.edit import written_values
from mmbot.config.flags import FLAGS, Value
from mmbot.config.settings import merged, settings_of
from mmbot.config.strict_yaml import parse, read
from mmbot.errors import ConfigError

SCHEMA = 1
SNAPSHOT = "FEATURE_FLAGS_SNAPSHOT.json"
"""Its name in `artifacts/release/`."""
_SECRET = re.compile(r"secret|token|passw|passphrase|credential|private|api_?key", re.IGNORECASE)
_REDACTED = "REDACTED"


class Spelled(msgspec.Struct, frozen=True):
    """A value and how it was written."""

    value: Value
    text: str


class RecordedFlag(msgspec.Struct, frozen=True):
    """One flag. `previous` is null where it is not known."""

    name: str
    key: str
    previous: Spelled | None
    new: Spelled


class RecordedFile(msgspec.Struct, frozen=True):
    """A configuration file, base first; the hash is of its bytes."""

    path: str
    sha256: str


class Snapshot(msgspec.Struct, frozen=True):
    """`config`: every effective value, without secrets; `config_sha256`: of all of them, as in a run's
    manifest.
    """

    schema: int
    taken_ns: int
    code: dict[str, Any]
    files: list[RecordedFile]
    config_sha256: str
    previous_config_sha256: str | None
    flags: list[RecordedFlag]
    config: dict[str, Any]


def take(files: Sequence[Path], code: Mapping[str, Any], now_ns: int, earlier: Snapshot | None) -> Snapshot:
    """A snapshot of what these files, merged, say now. Raises ConfigError."""
    texts = {path: read(path) for path in files}
    document = merged([parse(text, str(path)) for path, text in texts.items()])
    settings = settings_of(document)
    places = {str(path): written_values(text, str(path)) for path, text in texts.items()}
    new = {
        flag.key: Spelled(flag.of(settings), places[document.file(flag.path)][flag.path].text)
        for flag in FLAGS
    }
    previous, previous_sha256 = _previous(new, earlier)
    return Snapshot(
        schema=SCHEMA,
        taken_ns=now_ns,
        code=redacted(dict(code)),
        files=[RecordedFile(str(path), _sha256(text.encode())) for path, text in texts.items()],
        config_sha256=settings.sha256(),
        previous_config_sha256=previous_sha256,
        flags=[RecordedFlag(flag.name, flag.key, previous.get(flag.key), new[flag.key]) for flag in FLAGS],
        config=redacted(msgspec.to_builtins(settings)),
    )


def _previous(new: Mapping[str, Spelled], earlier: Snapshot | None) -> tuple[dict[str, Spelled], str | None]:
    """The flags to go back to, and the hash of the configuration that had them."""
    if earlier is None:
        return {}, None
    was = {flag.key: flag.new for flag in earlier.flags}
    if {key: flag.value for key, flag in was.items()} != {key: flag.value for key, flag in new.items()}:
        return was, earlier.config_sha256
    before = {flag.key: flag.previous for flag in earlier.flags if flag.previous is not None}
    return before, earlier.previous_config_sha256


def encoded(snapshot: Snapshot) -> bytes:
    """The file, with its hash as last key."""
    data = msgspec.to_builtins(snapshot)
    whole = {**data, "sha256": _hash(data)}
    return msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"


def load_snapshot(path: Path) -> Snapshot:
    """Raises ConfigError for a file that is missing, is no snapshot, or was changed after it was taken."""
    try:
        data = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: was no snapshot: {error}") from error
    claimed, found = data.pop("sha256", None), _hash(data)
    if claimed != found:
        raise ConfigError(
            f"{path}: sha256 was {claimed}, expected {found}: the snapshot was changed after it was taken"
        )
    try:
        snapshot = msgspec.convert(data, Snapshot)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: was no snapshot: {error}") from error
    if snapshot.schema != SCHEMA:
        raise ConfigError(f"{path}: schema was {snapshot.schema}, expected {SCHEMA}")
    return snapshot


def redacted(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same without the values of keys that name a secret, however deep."""
    return {
        key: _REDACTED if _SECRET.search(key) else redacted(value) if isinstance(value, Mapping) else value
        for key, value in data.items()
    }


def _hash(data: Mapping[str, Any]) -> str:
    return _sha256(msgspec.json.encode(data, order="sorted"))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
