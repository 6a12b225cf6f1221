"""The shards of one run, and what its workers must have."""

from pathlib import Path
from typing import Any

from mmcluster import is_local
from pytest_mmgates.cluster.captures import hashes
from pytest_mmgates.cluster.facts import from_here, project_facts
from pytest_mmgates.cluster.shard import Shard
from pytest_mmgates.errors import OutputError
from pytest_mmgates.options import Options
from pytest_mmgates.sut import files_of, load_callable


class ShardsOfRun:
    """Of a run that is made below `folder`, by the rules of a gate file. `request`: that of the whole. Raises
    OutputError where nobody would find the rows.
    """

    def __init__(
        self, options: Options, folder: Path, gate_file: Path, scenario: Path, request: dict[str, Any]
    ) -> None:
        if options.shards is None and not is_local(str(options.cluster)):
            raise OutputError(
                f"--mmgates-cluster {options.cluster}: its workers need a place for their run directories"
                " that all machines reach, expected --mmgates-shards URL"
            )
        self._options = options
        self._folder = folder
        self._gate = gate_file if gate_file.is_file() else None
        self._scenario = scenario
        self._captures = self._hashes(request)

    def facts(self) -> dict[str, str]:
        """Raises ClusterError."""
        files = [self._scenario] if self._gate is None else [self._scenario, self._gate]
        return project_facts(self._options, files)

    def shard(self, part: str, request: dict[str, Any], *, candidate: bool) -> Shard:
        """Of one part, by its own request."""
        options = self._options
        in_place = options.shards is None
        return Shard(
            part=part,
            sut=options.sut,
            request=request,
            config=[(Path(path).name, _text(Path(path))) for path in request["config"]],
            gate=None if self._gate is None else from_here(self._gate),
            candidate=candidate,
            captures=self._captures,
            directory=str(self._folder) if in_place else None,
            place=None if in_place else f"{options.shards}/{request['run_id']}",
            resume=options.resume and in_place,
        )

    def _hashes(self, request: dict[str, Any]) -> dict[str, str]:
        """Of the captures that the run reads, where the system under test says which."""
        options = self._options
        if not options.files or options.data_dir is None:
            return {}
        names = files_of(load_callable("mmgates_files", options.files), request)
        return hashes(options.data_dir, names)


def _text(path: Path) -> str:
    """Of a configuration, which travels. Raises OutputError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror}") from error
