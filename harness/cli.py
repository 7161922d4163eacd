"""The command: `mpiolab run`, `compare`, `check`, `sweep`, `replay`, `minimize`, `serve`, `status`, `ctl`, `schema`.

Results go to stdout, complaints to stderr with the scenario's file and dotted key. Exit codes: 0 pass, 2 bad usage or
scenario, 10 correctness, 11 liveness, 12 determinism, 70 the harness itself failed. With several scenarios the code is
the lowest of those that failed.

Each command imports what it needs when it is called: `status` and `ctl` are asked often and need little.
"""

import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from harness.mistakes import ScenarioError
from harness.result import ExitCode
from harness.serving import commands
from harness.serving.settings import LogFormat, LoopName

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A lab bench for iSCSI multipath: a redirecting array, a modeled MPIO host, virtual time.",
)


@app.command()
def run(
    scenarios: Annotated[
        list[Path], typer.Argument(metavar="SCENARIO", help="Scenario files (TOML).", show_default=False)
    ],
    seed: Annotated[
        int | None, typer.Option(min=0, help="Instead of the scenario's own seed.", show_default=False)
    ] = None,
    net: Annotated[Literal["sim", "tcp"], typer.Option(help="Virtual time, or real TCP on loopback.")] = "sim",
    json: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write the result; - is stdout, alone. Several runs make an array.", show_default=False
        ),
    ] = None,
    pcap: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.pcapng", help="Capture one run on the simulated network for Wireshark.", show_default=False
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Where each run leaves its directory.")] = Path("runs"),
) -> None:
    """Run scenarios and judge them; one is told step by step, several as a table."""
    from harness.load import load_scenario
    from harness.run_command import OutputError, Outputs, run_all

    _own_policies()
    if pcap is not None and (len(scenarios) > 1 or net == "tcp"):
        _refuse("--pcap takes one scenario, on the simulated network")
    loaded = []
    mistakes = []
    for path in scenarios:
        try:
            loaded.append((path, load_scenario(path)))
        except ScenarioError as error:
            mistakes.append(str(error))
    if mistakes:
        _refuse("\n".join(mistakes))
    try:
        code = run_all(loaded, seed=seed, net=net, outputs=Outputs(json=json, pcap=pcap, runs=runs))
    except (ScenarioError, OutputError) as error:
        _refuse(str(error))
    raise typer.Exit(code)


@app.command()
def compare(
    scenario: Annotated[Path, typer.Argument(metavar="SCENARIO", help="A scenario file (TOML).", show_default=False)],
    policy: Annotated[
        list[str],
        typer.Option(
            metavar="A,B,…",
            help='Policies, each with its settings: round-robin,"vmw-rr iops=1",module:Class.',
            show_default=False,
        ),
    ],
    seed: Annotated[
        int | None, typer.Option(min=0, help="Instead of the scenario's own seed.", show_default=False)
    ] = None,
    net: Annotated[Literal["sim", "tcp"], typer.Option(help="Virtual time, or real TCP on loopback.")] = "sim",
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the comparison; - is stdout, alone.", show_default=False),
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html|FILE.svg", help="Draw it, in one file without scripts.", show_default=False),
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Where each run leaves its directory.")] = Path("runs"),
) -> None:
    """Run one scenario under each of several policies, and show them side by side."""
    from harness.compare_command import compare as compare_policies
    from harness.load import load_scenario
    from harness.policy_choice import choices
    from harness.run_command import OutputError

    _own_policies()
    try:
        code = compare_policies(
            scenario,
            loaded := load_scenario(scenario),
            choices(policy),
            seed=loaded.seed if seed is None else seed,
            net=net,
            json=json,
            chart=chart,
            runs=runs,
        )
    except (ScenarioError, OutputError) as error:
        _refuse(str(error))
    raise typer.Exit(code)


@app.command()
def check(
    policy: Annotated[
        str, typer.Argument(metavar="MODULE:CLASS", help="A policy of your own, or a built-in one by its name.")
    ],
    examples: Annotated[int, typer.Option(min=1, help="Drawn stories of paths and requests.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws: the same seed, the same stories.")] = 0,
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the verdict; - is stdout, alone.", show_default=False),
    ] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Where a failing story is left for mpiolab run; without it runs/check-NAME.toml.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Hold a load-balance policy to the rules of path scheduling and to its own promises."""
    from harness.policy_check.command import check as check_policy
    from harness.policy_check.drawing import MissingHypothesis
    from harness.policy_check.other_processes import OtherProcessFailed
    from harness.run_command import OutputError
    from initiator_model.policies.catalog import PolicyError

    _own_policies()
    try:
        code = check_policy(policy, examples=examples, seed=seed, json_place=json, scenario=scenario)
    except (PolicyError, MissingHypothesis, OtherProcessFailed, OutputError) as error:
        _refuse(str(error))
    raise typer.Exit(code)


@app.command()
def serve(
    array: Annotated[
        Path | None,
        typer.Argument(metavar="[ARRAY.toml]", help="A file with [array], such as a scenario.", show_default=False),
    ] = None,
    bind: Annotated[
        Literal["loopback", "as-written"],
        typer.Option(help="Move the addresses into 127.0.0.0/8, or use them as the file has them."),
    ] = "loopback",
    socket: Annotated[Path | None, typer.Option(metavar="PATH", help="The control socket.", show_default=False)] = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="PORT", help="Prometheus metrics on loopback.", show_default=False)
    ] = None,
    log: Annotated[LogFormat | None, typer.Option(help="How events are written to stderr.", show_default=False)] = None,
    loop: Annotated[
        LoopName | None, typer.Option(help="The event loop: asyncio, uvloop, or auto.", show_default=False)
    ] = None,
) -> None:
    """Serve the array alone on real TCP, for real initiators, until interrupted."""
    from harness.serve import serve as serve_array
    from harness.serving.daemon import ServeError

    try:
        serve_array(
            array,
            as_written=bind == "as-written",
            say=lambda text: print(text, flush=True),
            options={
                "socket": None if socket is None else str(socket),
                "metrics": int(metrics) if metrics is not None and metrics.isdecimal() else metrics,
                "log": log,
                "loop": loop,
            },
        )
    except (ScenarioError, ServeError) as error:
        _refuse(str(error))


@app.command()
def replay(
    what: Annotated[str, typer.Argument(metavar="SEED|SCENARIO", help="A seed of a sweep, or a scenario file.")],
    seed: Annotated[
        int | None, typer.Option(min=0, help="Instead of the scenario's own seed.", show_default=False)
    ] = None,
    toml: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Where the scenario itself is left.", show_default=False),
    ] = None,
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the result; - is stdout, alone.", show_default=False),
    ] = None,
    pcap: Annotated[
        Path | None,
        typer.Option(metavar="FILE.pcapng", help="Capture the run for Wireshark.", show_default=False),
    ] = None,
    runs: Annotated[Path, typer.Option(metavar="DIR", help="Where the run leaves its directory.")] = Path("runs"),
) -> None:
    """Run one seed of a sweep again, told step by step."""
    from harness.minimize.command import NotASeed, replay_one
    from harness.run_command import OutputError, Outputs

    _own_policies()
    try:
        code = replay_one(what, seed=seed, outputs=Outputs(json=json, pcap=pcap, runs=runs), toml=toml)
    except (NotASeed, ScenarioError, OutputError) as error:
        _refuse(str(error))
    raise typer.Exit(code)


@app.command()
def minimize(
    what: Annotated[str, typer.Argument(metavar="SEED|SCENARIO", help="A seed that fails, or a scenario file.")],
    seed: Annotated[
        int | None, typer.Option(min=0, help="Instead of the scenario's own seed.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Where the smallest scenario is left; by default named by what fails.",
            show_default=False,
        ),
    ] = None,
    budget: Annotated[float, typer.Option(min=1, help="Seconds it may take.")] = 60.0,
) -> None:
    """Find the smallest scenario that fails in the same way."""
    from harness.minimize.command import NotASeed, Passes, minimize_one
    from harness.run_command import OutputError

    _own_policies()
    try:
        code = minimize_one(what, seed=seed, out=out, budget_s=budget)
    except (NotASeed, Passes, ScenarioError, OutputError) as error:
        _refuse(str(error))
    raise typer.Exit(code)


@app.command()
def sweep(
    scenario: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SCENARIO]", help="A scenario file; without one each seed has its own.", show_default=False
        ),
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="N|A..B", help="How many, or from and to.")] = "1000",
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Worker processes; one per CPU unless given.", show_default=False)
    ] = None,
    db: Annotated[
        Path | None,
        typer.Option(metavar="FILE.duckdb", help="Keep the results, a row per seed.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with --db's file: run what is missing.")] = False,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="The scheduler of a dask.distributed cluster.", show_default=False),
    ] = None,
    twice: Annotated[
        bool, typer.Option("--twice", help="Run each seed in two processes, whose traces must be the same.")
    ] = False,
    limit: Annotated[float, typer.Option(min=0.1, help="Seconds of wall-clock time a seed may take.")] = 120.0,
    json: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the summary; - is stdout, alone.", show_default=False),
    ] = None,
) -> None:
    """Run many seeds in parallel: random scenarios, or one scenario file under each seed."""
    from harness.run_command import OutputError
    from harness.sweep.command import SeedsError, SweepOptions
    from harness.sweep.command import sweep as sweep_seeds
    from harness.sweep.pools import MissingExtra, NoCluster, cpus
    from harness.sweep.store import StoreError

    _own_policies()
    options = SweepOptions(
        seeds=seeds,
        jobs=cpus() if jobs is None else jobs,
        db=db,
        resume=resume,
        dask=dask,
        twice=twice,
        limit_s=limit,
        json=json,
        command=shlex.join(["mpiolab", *sys.argv[1:]]),
    )
    try:
        code = sweep_seeds(scenario, options)
    except (ScenarioError, SeedsError, OutputError, StoreError, MissingExtra, NoCluster) as error:
        _refuse(str(error))
    raise typer.Exit(code)


app.command()(commands.status)
app.add_typer(commands.ctl, name="ctl")


@app.command()
def schema() -> None:
    """Print the JSON schema of scenario files."""
    from harness.schema import schema_text

    sys.stdout.write(schema_text())


def _own_policies() -> None:
    """`module:Class` is looked for in the current directory, too: last, so no file there hides a module of ours."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def _refuse(complaint: str) -> NoReturn:
    typer.echo(complaint, err=True)
    raise typer.Exit(ExitCode.USAGE)


def main() -> None:
    """The entry point: anything that is nobody's mistake but ours ends in exit code 70."""
    try:
        app()
    except Exception:
        traceback.print_exc()
        sys.stderr.write("mpiolab itself failed; the scenario is not to blame.\n")
        sys.exit(ExitCode.HARNESS)
