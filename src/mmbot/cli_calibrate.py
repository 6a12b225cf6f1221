"""`mmbot calibrate`: numbers of the strategy from what runs wrote down, or the old ones and why."""

from pathlib import Path
from typing import Annotated

import typer

from mmbot.cli_options import Data, Scenario, Scenarios, captures, nanoseconds
from mmbot.runtime.run import EngineKind

_CONFIG = (Path("config.yaml"), Path("config.soak_overrides.yaml"))

app = typer.Typer(no_args_is_help=True, help="Measure the numbers of the spread from data.")


@app.command()
def weights(
    dataset: Annotated[
        Path | None, typer.Option(help="Its JSON. Default: the only one in OUT/edge/datasets.")
    ] = None,
    config: Annotated[
        list[Path] | None,
        typer.Option(
            help="Of the run that the dataset was made from: base, then overlays; repeatable."
            " Default: config.yaml and config.soak_overrides.yaml."
        ),
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="Of the calibration window. Default: the dataset's begin.")
    ] = None,
    end: Annotated[
        str | None, typer.Option("--to", help="Its end. Default: an embargo before --confirm-from.")
    ] = None,
    confirm_from: Annotated[
        str | None, typer.Option(help="Of the time held back. Default: the last third of the dataset.")
    ] = None,
    confirm_to: Annotated[str | None, typer.Option(help="Its end. Default: the dataset's.")] = None,
    block: Annotated[str, typer.Option(help="Stretches that errors are taken from.")] = "30m",
    embargo: Annotated[
        str, typer.Option(help="Between fills that are fitted and time that is predicted; 60s at least.")
    ] = "5m",
    folds: Annotated[int, typer.Option(min=1, help="Stretches that walk-forward predicts.")] = 4,
    data: Data = None,
    engine: Annotated[EngineKind, typer.Option(help="Of the replays.")] = EngineKind.AUTO,
    scenarios: Scenarios = Path("scenarios"),
    out: Annotated[Path, typer.Option(help="Where artifacts go.")] = Path("artifacts"),
) -> None:
    """Fit the weights of spread.model adaptive to what fills needed, and confirm them on held-back time.

    Writes OUT/edge/calibrated_weights.yaml, an overlay for --config-override, and the page that says how it
    came about, OUT/edge/reports/calib_weights_FROM_TO.md. Exit code 0: new weights, confirmed. 1: keep the
    old; the overlay sets nothing and says why. 2: nothing could be told, and nothing was written.
    """
    from mmbot.ops.calibrate_weights import (  # noqa: PLC0415 (scipy and charts, which no run needs)
        WeightsRequest,
        calibrate_weights,
        find_dataset,
    )
    from mmbot.ops.dataset import read_moment  # noqa: PLC0415
    from mmbot.ops.weights_report import write  # noqa: PLC0415

    moments = (None if text is None else read_moment(text) for text in (begin, end, confirm_from, confirm_to))
    from_ns, to_ns, confirm_from_ns, confirm_to_ns = moments
    done = calibrate_weights(
        WeightsRequest(
            dataset=dataset or find_dataset(out / "edge" / "datasets"),
            config=config or _CONFIG,
            scenarios=scenarios,
            data=captures(data),
            from_ns=from_ns,
            to_ns=to_ns,
            confirm_from_ns=confirm_from_ns,
            confirm_to_ns=confirm_to_ns,
            block_ns=nanoseconds("--block", block),
            embargo_ns=nanoseconds("--embargo", embargo),
            folds=folds,
            engine=engine,
        )
    )
    overlay = write(done, out)
    found = done.result
    mark = ", SYNTHETIC DATA" if done.source.kind == "synthetic" else ""
    head = f"{done.source.name}, {done.source.kind}{mark}"
    typer.echo(f"{head}: {found.fills} fills to fit, net {found.net_bps:+.2f} bps")
    if found.kept_old:
        typer.echo(f"keep the old weights: {found.reason}")
    else:
        for name, old, new in zip(found.new._fields, found.old, found.new, strict=True):
            typer.echo(f"spread.{name}: {old:g} -> {new:g}")
    typer.echo(f"written to {overlay}")
    raise typer.Exit(1 if found.kept_old else 0)


@app.command()
def queue(
    feeds: Annotated[
        Path | None, typer.Option(help="A run directory. Default: what a soak published, OUT/edge/feeds.")
    ] = None,
    block: Annotated[str, typer.Option(help="Stretches that errors are taken from.")] = "30m",
    overlay: Annotated[Path | None, typer.Option(help="File to write. Default: print it.")] = None,
    out: Annotated[Path, typer.Option(help="Where artifacts are.")] = Path("artifacts"),
) -> None:
    """Measure how long orders at the touch wait, against the queue ETA that queue_aware predicts.

    Recommends queue_aware.max_eta_s as an overlay for --config-override. Exit code 0: another one. 1: keep
    the old, predictions are not off. 2: nothing could be told, and nothing was written.
    """
    from mmbot.ops.calibrate_queue import calibrate_queue, queue_overlay  # noqa: PLC0415 (as above)
    from mmbot.ops.files import write_atomically  # noqa: PLC0415

    block_ns = nanoseconds("--block", block)
    done = calibrate_queue(str(feeds or out / "edge" / "feeds"), block_ns)
    text = queue_overlay(done, block_ns)
    if overlay is None:
        typer.echo(text, nl=False)
    else:
        write_atomically({overlay: text.encode()})
        typer.echo(f"written to {overlay}")
    raise typer.Exit(0 if done.found.off else 1)


@app.command()
def glft(
    scenario: Scenario = "demo",
    symbol: Annotated[
        str | None, typer.Option(help="venue:SYMBOL. Needed where the scenario has several.")
    ] = None,
    window: Annotated[str, typer.Option(help="How long a virtual quote waits to be reached.")] = "1s",
    duration: Annotated[
        str | None, typer.Option(help="Of the data, from its beginning. Default: all.")
    ] = None,
    nearest_bps: Annotated[
        float, typer.Option(min=0.0, help="Fit from this distance on: where quotes would pay.")
    ] = 0.0,
    out: Annotated[Path | None, typer.Option(help="Overlay to write. Default: print it.")] = None,
    data: Data = None,
    scenarios: Scenarios = Path("scenarios"),
) -> None:
    """Fit the fill intensities A exp(-k distance) of spread.model glft, and write them as an overlay for
    --config-override that says what they were measured from.

    Refuses, with what was found, where the data does not show them: exit code 2, and nothing written.
    """
    from mmbot.ops.calibrate import calibrate_glft, overlay  # noqa: PLC0415 (as above)
    from mmbot.ops.files import write_atomically  # noqa: PLC0415

    done = calibrate_glft(
        scenario,
        scenarios,
        captures(data),
        symbol=symbol,
        window_ns=nanoseconds("--window", window),
        duration_ns=None if duration is None else nanoseconds("--duration", duration),
        nearest_bps=nearest_bps,
    )
    text = overlay(done)
    if out is None:
        typer.echo(text, nl=False)
        return
    write_atomically({out: text.encode()})
    typer.echo(f"written to {out}")
