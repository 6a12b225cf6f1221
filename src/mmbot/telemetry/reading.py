"""Rows read back from the feeds of a run directory, also while another process still writes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from mmbot.errors import RecordingError

_BLOCK_BYTES = 4_000_000

RowT = TypeVar("RowT", bound=msgspec.Struct)


class FeedReader(Generic[RowT]):
    """Rows of one feed, file by file, each once. A last line without its newline waits."""

    def __init__(self, directory: Path, feed: str, row_type: type[RowT]) -> None:
        """`row_type` names the fields that are wanted."""
        self._directory, self._feed = directory, feed
        self._decoder: msgspec.json.Decoder[RowT] = msgspec.json.Decoder(row_type)
        self._read: dict[str, int] = {}
        """Bytes, by file."""

    def rows(self) -> Iterator[RowT]:
        """Those that were not read yet. Raises RecordingError for one that cannot be read."""
        for path in sorted(self._directory.glob(f"{self._feed}_*.jsonl")):
            for lines in self._whole_lines(path):
                try:
                    yield from self._decoder.decode_lines(lines)
                except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                    raise RecordingError(f"{path}: corrupt row: {error}") from error

    def _whole_lines(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            at = self._read.get(path.name, 0)
            while True:
                file.seek(at)
                block = file.read(_BLOCK_BYTES)
                whole = block.rfind(b"\n") + 1
                if not whole:
                    return
                at = self._read[path.name] = at + whole
                yield block[:whole]
