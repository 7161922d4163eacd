"""The status of a served array as terminal tables: portals, sessions, volumes, target port groups.

The tables are made from the status document alone, so that what a person sees is what a program gets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]

_STATE_STYLE = {"up": "green", "down": "bold red", "drained": "yellow", "serving": "green", "stopping": "yellow"}


WIDE = 100
"""Columns from which there is room for when a session began."""


def status_view(status: Row, width: int) -> RenderableType:
    """All of it, for a console with so many columns."""
    parts: list[RenderableType] = [_headline(status), Text(), _portals(status), Text(), _sessions(status, width)]
    parts += [Text(), _volumes(status)]
    if any(volume["port_groups"] for volume in status["volumes"]):
        parts += [Text(), _port_groups(status)]
    if status["faults"]:
        faults = ", ".join(f"{fault['name']} ({fault['place']})" for fault in status["faults"])
        parts += [Text(), Text(f"Faults: {faults}", "bold red")]
    return Group(*parts)


def _headline(status: Row) -> Text:
    logged_in = status["connections"] - status["connections_in_login"]
    text = Text.assemble(
        (status["array"], "bold"),
        "  ",
        (status["state"], _STATE_STYLE.get(status["state"], "")),
        f"  {len(status['sessions'])} sessions, {logged_in} connections",
    )
    if status["connections_in_login"]:
        text.append(f", {status['connections_in_login']} in login", "dim")
    text.append(f"  {status['at']}", "dim")
    return text


def _portals(status: Row) -> Table:
    table = _table("portal", "address", "state", ">conns", *_RATE_HEADINGS)
    for portal in status["portals"]:
        table.add_row(
            portal["name"],
            f"{portal['address']}:{portal['port']}",
            Text(portal["state"], _STATE_STYLE.get(portal["state"], "")),
            str(portal["connections"]),
            *_rates(portal["rates"]),
        )
    return table


def _sessions(status: Row, width: int) -> RenderableType:
    """A row for each session, and below it one for each of its connections, which are the paths."""
    volumes = {volume["iqn"].lower(): volume["name"] for volume in status["volumes"]}
    wide = width >= WIDE
    table = _table("session and paths", *(["since"] if wide else []), ">busy", *_RATE_HEADINGS)
    for session in status["sessions"]:
        target = "discovery" if session["discovery"] else volumes.get(session["target"], session["target"])
        since = [_clock(session["since"], status["at"])] if wide else []
        name = Text.assemble((str(session["tsih"]), "bold"), f"  {_name(session)}: {target}", overflow="fold")
        table.add_row(name, *since, str(session["outstanding"]))
        for connection in session["connections"]:
            path = Text(f"   {connection['source'].partition(':')[0]} → {connection['portal']}", "cyan")
            table.add_row(path, *([""] if wide else []), "", *_rates(connection["rates"]))
        if not session["connections"]:
            table.add_row(Text("   no connection", "yellow"))
    return table if status["sessions"] else Text("nobody is logged in", "dim")


def _volumes(status: Row) -> Table:
    table = _table("volume", ">lun", ">size", ">used", ">sessions", "reservation")
    for volume in status["volumes"]:
        for lun in volume["luns"]:
            used = lun["used_bytes"]
            table.add_row(
                Text(volume["name"], overflow="fold"),
                str(lun["lun"]),
                _binary(lun["size_bytes"]),
                "?" if used is None else _binary(used),
                str(volume["sessions"]),
                Text(_reservation(lun), overflow="fold"),
            )
    return table


def _port_groups(status: Row) -> Table:
    table = _table("volume", ">port group", "access", "portals")
    for volume in status["volumes"]:
        for group in volume["port_groups"]:
            access = f"{group['state']}{', preferred' if group['preferred'] else ''}"
            table.add_row(
                Text(volume["name"], overflow="fold"), str(group["id"]), access, Text(", ".join(group["portals"]))
            )
    return table


_RATE_HEADINGS = (">read/s", ">write/s", ">MB/s out", ">MB/s in")


def _table(*headings: str) -> Table:
    """``>`` in front of a heading: numbers, to the right."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in headings:
        if heading.startswith(">"):
            table.add_column(heading[1:], justify="right", no_wrap=True)
        else:
            table.add_column(heading, no_wrap=heading in ("address", "state", "since"), overflow="fold")
    return table


def _rates(rates: Row) -> tuple[str, str, str, str]:
    return (
        f"{rates['reads']:,.0f}",
        f"{rates['writes']:,.0f}",
        f"{rates['sent_bytes'] / 1e6:,.1f}",
        f"{rates['received_bytes'] / 1e6:,.1f}",
    )


def _name(session: Row) -> str:
    """What tells initiators apart: the part that is theirs of an IQN, and the ISID when it comes to that."""
    name: str = session["initiator"]
    return name.partition(":")[2] or name


def _clock(since: str | None, now: str) -> str:
    """The time of day, or the day when that is not today's."""
    if since is None:
        return ""
    return since[11:19] if since[:10] == now[:10] else since[:10]


def _binary(size_bytes: int) -> str:
    size, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if size >= 100 or size == int(size) else f"{size:.1f} {unit}"


def _reservation(lun: Row) -> str:
    held = lun["reservation"]
    if held is not None:
        return f"{held['type']}: {held['initiator']}"
    return f"{lun['registrations']} registered" if lun["registrations"] else ""
