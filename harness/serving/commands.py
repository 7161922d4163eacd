"""The commands of the served array: `mpiolab status` and `mpiolab ctl ...`, which talk to its control socket.

What was done goes to stdout, in sentences or with --json as data; why not goes to stderr, with exit code 2.
"""

from __future__ import annotations

import json as json_module
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from harness.fields import AccessStateName
from harness.result import ExitCode
from harness.serving.control_client import ControlError, connected
from harness.serving.control_wire import Request
from harness.serving.settings import LogLevel
from harness.serving.socket_place import SocketError, find
from harness.units import UnitError, parse_duration, parse_size

ctl = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Control a served array: break, mend and move things."
)
portal = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="An interface of the array.")
ctl.add_typer(portal, name="portal")

fault = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Break something on purpose: busy, task-set-full, medium-error, silent, no-login, redirect-to-dead.",
)
ctl.add_typer(fault, name="fault")

Socket = Annotated[
    Path | None,
    typer.Option(
        "--socket", metavar="PATH", help="The array's control socket, if not the only one.", show_default=False
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="A portal's address.", show_default=False)]
FaultName = Annotated[str, typer.Argument(metavar="NAME", help="Which fault.", show_default=False)]
FaultPortal = Annotated[
    str | None, typer.Option("--portal", metavar="ADDRESS", help="At this address only.", show_default=False)
]
FaultVolume = Annotated[
    str | None, typer.Option("--volume", metavar="NAME", help="For this volume only.", show_default=False)
]
FaultLba = Annotated[
    int | None, typer.Option("--lba", metavar="N", help="medium-error: the first block.", show_default=False)
]
FaultBlocks = Annotated[
    int | None, typer.Option("--blocks", metavar="N", help="medium-error: how many blocks.", show_default=False)
]
FaultTo = Annotated[
    str | None, typer.Option("--to", metavar="ADDRESS", help="redirect-to-dead: where to.", show_default=False)
]
FaultSense = Annotated[
    str | None,
    typer.Option("--sense", metavar="K/AA/QQ", help="check-condition: the sense, such as 5/25/00.", show_default=False),
]
FaultCount = Annotated[
    int | None,
    typer.Option("--count", metavar="N", help="check-condition, late: how many.", show_default=False),
]
FaultOp = Annotated[
    str | None, typer.Option("--op", metavar="OP", help="late, slow: read or write.", show_default=False)
]
FaultExtra = Annotated[
    int | None,
    typer.Option("--extra", metavar="TIME", parser=parse_duration, help="slow: such as 200ms.", show_default=False),
]
Within = Annotated[
    int | None,
    typer.Option(metavar="SECONDS", help="What initiators are given to log out.", show_default=False),
]

REFRESH_S = 2.0


def status(
    json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every two seconds, until interrupted.")] = False,
    socket: Socket = None,
) -> None:
    """Show a served array: its portals, sessions and volumes, and the I/O rate of each path."""
    from rich.console import Console
    from rich.live import Live

    from harness.serving.status_view import status_view

    try:
        with connected(find(socket)) as client:
            document = client.ask(Request("status")).result
            if json:
                _print_json(document)
                while watch:
                    time.sleep(REFRESH_S)
                    _print_json(client.ask(Request("status")).result)
                return
            console = Console()
            if not watch:
                console.print(status_view(document, console.width))
                return
            first = status_view(document, console.width)
            with Live(first, console=console, screen=console.is_terminal, auto_refresh=False) as live:
                while True:
                    time.sleep(REFRESH_S)
                    document = client.ask(Request("status")).result
                    live.update(status_view(document, console.width), refresh=True)
    except (ControlError, SocketError) as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        return


@portal.command("down")
def portal_down(address: Address, json: Json = False, socket: Socket = None) -> None:
    """The interface fails: its address is gone, its connections break."""
    _do("portal-down", socket, json, address=address)


@portal.command("up")
def portal_up(address: Address, json: Json = False, socket: Socket = None) -> None:
    """It is back."""
    _do("portal-up", socket, json, address=address)


@ctl.command()
def drain(address: Address, within: Within = None, json: Json = False, socket: Socket = None) -> None:
    """Ask everybody at a portal to log out, and place no login there any more."""
    _do("drain", socket, json, address=address, within_s=within)


@ctl.command()
def undrain(address: Address, json: Json = False, socket: Socket = None) -> None:
    """Place logins there again."""
    _do("undrain", socket, json, address=address)


@ctl.command()
def rebalance(within: Within = None, json: Json = False, socket: Socket = None) -> None:
    """Have the balancer look now, and move what is better elsewhere."""
    _do("rebalance", socket, json, within_s=within)


@ctl.command("controller-failover")
def controller_failover(
    gap: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="How long nobody serves.", show_default=False)
    ] = None,
    how: Annotated[Literal["rst", "silent", "fin"], typer.Option(help="How the sessions end.")] = "rst",
    json: Json = False,
    socket: Socket = None,
) -> None:
    """Lose the active controller; returns when the other one serves."""
    _do("controller-failover", socket, json, takes_s=3600.0 if gap is None else gap, gap_s=gap, how=how)


@ctl.command()
def grow(
    volume: Annotated[str, typer.Argument(metavar="VOLUME", help="Its name.", show_default=False)],
    size: Annotated[str, typer.Argument(metavar="SIZE", help="Such as 20GiB.", show_default=False)],
    lun: Annotated[int, typer.Option(help="Which of its LUNs.")] = 0,
    json: Json = False,
    socket: Socket = None,
) -> None:
    """Make a volume larger; its hosts are told by a unit attention. The array file has to name the new size, too."""
    try:
        size_bytes = parse_size(size)
    except UnitError as error:
        _refuse(f"grow: SIZE: {error}")
    _do("grow", socket, json, volume=volume, size_bytes=size_bytes, lun=lun)


@ctl.command("access-state")
def access_state(
    group: Annotated[int, typer.Argument(metavar="GROUP", help="The target port group's id.", show_default=False)],
    state: Annotated[AccessStateName, typer.Argument(help="What it becomes.", show_default=False)],
    volume: Annotated[
        str | None, typer.Option(metavar="NAME", help="For this volume only.", show_default=False)
    ] = None,
    json: Json = False,
    socket: Socket = None,
) -> None:
    """Give a target port group another access to a volume, or to all (ALUA); hosts are told by a unit attention."""
    _do("access-state", socket, json, group=group, state=state, volume=volume)


@fault.command("on")
def fault_on(
    name: FaultName,
    portal: FaultPortal = None,
    volume: FaultVolume = None,
    lba: FaultLba = None,
    blocks: FaultBlocks = None,
    to: FaultTo = None,
    sense: FaultSense = None,
    count: FaultCount = None,
    op: FaultOp = None,
    extra: FaultExtra = None,
    json: Json = False,
    socket: Socket = None,
) -> None:
    """Switch a fault on, at a place or everywhere."""
    _do(
        "fault-on",
        socket,
        json,
        name=name,
        portal=portal,
        volume=volume,
        lba=lba,
        blocks=blocks,
        to=to,
        sense=sense,
        count=count,
        op=op,
        extra_ns=extra,
    )


@fault.command("off")
def fault_off(
    name: FaultName,
    portal: FaultPortal = None,
    volume: FaultVolume = None,
    lba: FaultLba = None,
    blocks: FaultBlocks = None,
    to: FaultTo = None,
    sense: FaultSense = None,
    count: FaultCount = None,
    op: FaultOp = None,
    extra: FaultExtra = None,
    json: Json = False,
    socket: Socket = None,
) -> None:
    """Switch it off; without a place, wherever it is on."""
    _do(
        "fault-off",
        socket,
        json,
        name=name,
        portal=portal,
        volume=volume,
        lba=lba,
        blocks=blocks,
        to=to,
        sense=sense,
        count=count,
        op=op,
        extra_ns=extra,
    )


@ctl.command()
def logout(
    session: Annotated[int, typer.Argument(metavar="TSIH", help="As the status shows it.", show_default=False)],
    within: Within = None,
    json: Json = False,
    socket: Socket = None,
) -> None:
    """Ask the initiator of a session to log out; its next login is placed elsewhere, if there is an elsewhere."""
    _do("logout", socket, json, session=session, within_s=within)


@ctl.command("log-level")
def log_level(
    level: Annotated[LogLevel, typer.Argument(help="What is written from now on.", show_default=False)],
    json: Json = False,
    socket: Socket = None,
) -> None:
    """Log more or less."""
    _do("log-level", socket, json, level=level)


def _do(command: str, path: Path | None, json: bool, *, takes_s: float = 0.0, **arguments: Any) -> None:
    given = {name: value for name, value in arguments.items() if value is not None}
    try:
        with connected(find(path)) as client:
            answer = client.ask(Request(command, given), takes_s=takes_s)
    except (ControlError, SocketError) as error:
        _refuse(str(error))
    if json:
        _print_json({"command": command, "said": answer.said} | dict(answer.result))
    else:
        for line in answer.said:
            print(line)


def _print_json(document: Any) -> None:
    json_module.dump(document, sys.stdout, ensure_ascii=False)
    sys.stdout.write("\n")
    sys.stdout.flush()


def _refuse(complaint: str) -> NoReturn:
    typer.echo(complaint, err=True)
    raise typer.Exit(ExitCode.USAGE)
