"""The system under test: one callable, one run object, one directory. Built-in types only.

The ini `mmgates_sut = "package.module:callable"` names a callable: one mapping in, a run out. The mapping:

    step        "shadow": what kind of run is wanted
    scenario    name of a data specification: a file's stem in the ini `mmgates_scenarios`; of a live one, in
                its subfolder `live`
    part        the part of it that is wanted, or None = all of it in one run
    run_id      to be written into manifest.json and every row
    run_dir     directory to create and write; it does not exist yet
    data_dir    directory of captures (--mmgates-data), or None
    duration_s  market time: None = the scenario's own, infinity (`math.inf`) = the whole recording
    horizon_s   of a run that may be finished, None of any other: market time that it may come to where nobody
                finishes it, at least `duration_s`, as far as there is a market
    seed        None = the scenario's own
    config      files to load: a base, then overrides; empty = the system's default
    live        true: the scenario is a venue to connect to, and the run takes as long as its market time
    host        of a live scenario: where the venue is (--mmgates-host), None = as the scenario says
    resume      true: run_dir holds what an interrupted run left, and its `checkpoint.bin`, to go on from;
                once the callable has returned, the rows in run_dir end where the run goes on
    plan        of a run of both arms: the file of their experiment, which names the configuration
    stage       of such a run: which share of blocks is the candidate's, "10", "50" or "100"
    out_dir     of such a run: where what is kept of its rollout lies
    status_port port on which to show the run while it plays (--mmgates-status-port), None = none
    running_dir directory in which a run that is shown says that it runs

A run is an iterable of `(feed, lines)`: the very bytes appended to that feed's file, in time order. Iterating
to the end drives it and leaves the directory complete. Its `manifest.json` is there before the first batch.
`halt(reason)` asks it to stop with its quotes pulled: whoever judges the batches may call it between two of
them, and goes on iterating until the run has ended. One that has `finish(reason)` can be ended as complete,
too: at its next tick its time is over, and its manifest has the reason. Another plays its time out.

A run that has `watched(rules)` is told what the rules that watch it say, a list of mappings, whenever they
have looked again: `rule` and `section` ("stop", "warn", or "accept" of a stage that is to be decided) as
text, `says` (text; None before the first look) and `fired`.

A run that trades a candidate against a baseline may have `rollback(reason)`: it is called in place of `halt`
when a rule of safety is broken or a pair of blocks shows harm, and asks the run to return to its baseline. An
event `course_in_force` whose detail has the `course` "baseline" says that it has; then it is halted. One that
is judged while it trades may have `beat()`: it is called after every batch, and a run that hears nothing for
long may return by itself.

A run may have `alert(news)`: it is told, between two batches, when a stop rule or warning fires or is over,
and passes it on to whoever has to know. `news` is a mapping: `alert` (a name), `status` (firing or resolved),
`labels` and `annotations` (text by name), `since_ns` and `until_ns` (None while it fires; of the run's own
clock). What fires at the very last look, when the run is over, stands in verdict and report alone.

A run that can be resumed has `suspend(reason)`, called when the process is told to end (SIGTERM, Ctrl-C): it
leaves a checkpoint, and halts. It keeps `checkpoint.bin` in run_dir for as long as it can be resumed; what is
in it is its own affair. A live market goes on without the run: one that is resumed on the wall clock writes
an event `gap` of no symbol ahead of its first tick, with `reason` outage, `from_ns` (its newest row before)
and `until_ns` (that tick) in its detail, and `outage_from_ns` beside `first_tick_ns` in its manifest's
`resumes`. Outages are no part of its duration: a run that is asked for 60 minutes plays 60.

A long run may be cut into parts, which several processes play at once. The optional ini `mmgates_parts` names
a second callable: the same mapping in (with `part` None), a list of names out, which are names of folders; an
empty list means that the run is played whole. Parts and their order follow from the scenario alone, never
from who plays them, so a verdict does not depend on the number of processes. Each part is a run by itself
and gets the run_id of the whole.

On a cluster, parts are played by workers that have data directories of their own. The optional ini
`mmgates_files` names a third callable: the same mapping in, a list of paths below the data directory out, of
the captures that the run reads. Every worker's are held against the driver's before it plays.

An exception whose class has a true `user_error` is bad input: its `str()` is one line with place and reason.
Any other is a bug. Another bot joins with a short wrapper; nothing here imports one.
"""

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

import msgspec

from pytest_mmgates.ending import on_signals
from pytest_mmgates.errors import RunlogError, Suspended, SutError


@runtime_checkable
class Run(Protocol):
    """What the callable returns."""

    def __iter__(self) -> Iterator[tuple[str, bytes]]: ...

    def halt(self, reason: str) -> None: ...


Door = Callable[[Mapping[str, object]], object]
"""A callable that takes the mapping."""
CHECKPOINT = "checkpoint.bin"
"""In the directory of a run for as long as it can be resumed."""
_FOLDER = re.compile(r"[\w@+-][\w@+.-]*")


def load_callable(ini: str, import_string: str) -> Door:
    """The callable behind `package.module:callable`, or SutError. `ini`: the key that names it."""
    module_name, _, name = import_string.partition(":")
    if not module_name or not name:
        raise SutError(f"ini {ini} = {import_string!r}: expected package.module:callable")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise SutError(f"ini {ini} = {import_string!r}: {error}") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise SutError(f"ini {ini} = {import_string!r}: {module_name} has no callable {name!r}")
    loaded: Door = found
    return loaded


def parts_of(parts: Door, request: Mapping[str, object]) -> tuple[str, ...]:
    """The parts that a run is played in, or SutError for what are no names of folders."""
    found = parts(request)
    if not isinstance(found, list | tuple):
        raise SutError(f"ini mmgates_parts: returned {type(found).__name__}, expected a list of names")
    for name in found:
        if not isinstance(name, str) or not _FOLDER.fullmatch(name) or found.count(name) > 1:
            raise SutError(f"ini mmgates_parts: returned {name!r}, expected names of folders, each once")
    return tuple(found)


def files_of(files: Door, request: Mapping[str, object]) -> tuple[str, ...]:
    """The captures that a run reads, as paths below the data directory, or SutError."""
    found = files(request)
    if not isinstance(found, list | tuple) or not all(isinstance(name, str) for name in found):
        raise SutError(f"ini mmgates_files: returned {found!r}, expected a list of paths")
    return tuple(found)


class Judge(Protocol):
    """Takes the batches of one run."""

    def batch(self, feed: str, lines: bytes) -> str | None:
        """Returns why the run has to be halted, or None. Raises RunlogError for rows that it cannot read."""

    def says(self) -> list[dict[str, object]] | None:
        """What every rule says now; None where nobody has looked since it was asked last."""

    def news(self) -> list[dict[str, object]]:
        """What fired or is over since it was asked last."""

    @property
    def rolls_back(self) -> bool:
        """Whether a run that has to end returns to its baseline first."""

    @property
    def done(self) -> str | None:
        """Why the run has all that it is for, or None."""

    def aborted(self) -> str | None:
        """Why the session is over elsewhere, or None."""


def drive(
    open_run: Door,
    request: Mapping[str, object],
    judge: Judge,
    kept: Callable[[], Iterable[tuple[str, bytes]]] | None = None,
) -> None:
    """Open a run and iterate it to its end. It is finished when the judge of its batches has seen enough, and
    halted when the judge says so, or cannot read them: that error is raised once the run has ended. An
    interrupt is passed on at once. After each batch that was judged, a run that listens is told what its
    rules say. `kept`: the rows that a resumed run wrote before, as soon as it is open; they are judged first.

    Raises Suspended when the process was told to end, or the session is over elsewhere, once the run has
    ended.
    """
    run = open_run(request)
    if not isinstance(run, Run):
        raise SutError(
            f"the system under test returned {type(run).__name__}: expected an iterable with halt(reason)"
        )
    told: list[str] = []

    def suspend(reason: str) -> None:
        told.append(reason)
        getattr(run, "suspend", run.halt)(reason)

    with on_signals(lambda number: suspend(number.name)):
        try:
            unreadable = _iterate(run, chain(kept() if kept else (), run), judge, suspend)
        except KeyboardInterrupt:
            run.halt("interrupted")
            raise
    if told:
        can = (Path(str(request["run_dir"])) / CHECKPOINT).is_file()
        how = "--mmgates-resume goes on with it" if can else "it cannot be resumed"
        if "stage" in request:  # what cut through a block may have been of one arm's making
            how = "the stage begins anew"
        raise Suspended(f"ABORTED by {told[0]}: run {request['run_id']} is halted; {how}")
    if unreadable is not None:
        raise unreadable


def _iterate(
    run: Run, batches: Iterable[tuple[str, bytes]], judge: Judge, suspend: Callable[[str], None]
) -> RunlogError | None:
    unreadable, ending = None, False
    rolled_back: str | None = None
    beat: Callable[[], None] = getattr(run, "beat", _nothing)
    for feed, lines in batches:
        beat()
        if ending:
            continue
        if rolled_back is not None:
            if feed == "events" and _on_baseline(lines):
                run.halt(rolled_back)
                ending = True
            continue
        try:
            reason = judge.batch(feed, lines)
        except RunlogError as error:
            unreadable, reason = error, f"rows cannot be judged: {error}"
        _tell(run, judge)
        if reason is not None and judge.rolls_back and unreadable is None:
            run.rollback(reason)  # type: ignore[attr-defined] # who judges so knows that the run has it
            rolled_back = reason
        elif reason is not None:
            run.halt(reason)
            ending = True
        elif (elsewhere := judge.aborted()) is not None:
            suspend(elsewhere)
            ending = True
        elif judge.done is not None:
            ending = _finished(run, judge.done)
    return unreadable


def _finished(run: Run, reason: str) -> bool:
    """Whether it takes that."""
    finish: Callable[[str], None] | None = getattr(run, "finish", None)
    if finish is not None:
        finish(reason)
    return finish is not None


def _nothing() -> None:
    pass


class _Course(msgspec.Struct):
    course: str | None = None


class _Event(msgspec.Struct):
    kind: str
    detail: _Course


def _on_baseline(lines: bytes) -> bool:
    """Whether one of these events says that the baseline is in force."""
    events = msgspec.json.Decoder(_Event).decode_lines(lines)
    return any(one.kind == "course_in_force" and one.detail.course == "baseline" for one in events)


def _tell(run: Run, judge: Judge) -> None:
    """A run that has `watched` what its rules say, one that has `alert` what is new of them."""
    watched, alert = getattr(run, "watched", None), getattr(run, "alert", None)
    if watched is not None and (says := judge.says()) is not None:
        watched(says)
    for news in judge.news():
        if alert is not None:
            alert(news)


def is_user_error(error: BaseException) -> bool:
    return bool(getattr(type(error), "user_error", False))
