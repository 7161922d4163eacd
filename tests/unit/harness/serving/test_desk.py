"""What a served array answers over its control socket: the status document, and the table of commands."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rich.console import Console

from harness.serving.control_wire import Answer, Refusal, Request
from harness.serving.desk import COMMANDS, Desk
from harness.serving.event_log import EventLog
from harness.serving.rates import Meter
from harness.serving.status_view import status_view
from iscsi.constants import AsyncEvent
from iscsi.login_initiator import LoginFailed
from iscsi.pdu import AsyncMessage
from target.access_config import AccessConfig, PortGroupConfig
from target.operations import Operations
from tests.support.array import HOST, VOLUME
from tests.support.array_on_tcp import GROUP_ADDRESS, PORTALS, Served, serving

NOON_S = 1_800_000_000.0


@asynccontextmanager
async def desk_of(served: Served) -> AsyncIterator[tuple[Desk, io.StringIO]]:
    stream = io.StringIO()
    meter = Meter(served.server)
    served.server.on_end = meter.ended
    log = EventLog(stream, "json", "info", asyncio.get_running_loop().time)
    operations = Operations(served.server)
    yield Desk(served.server, operations, meter, log, lambda: NOON_S, "serving"), stream
    operations.stop()


async def ask(desk: Desk, command: str, **arguments: Any) -> Answer:
    answer = await desk.handle(Request(command, arguments))
    assert isinstance(answer, Answer), answer
    return answer


async def refused(desk: Desk, command: str, **arguments: Any) -> str:
    answer = await desk.handle(Request(command, arguments))
    assert isinstance(answer, Refusal), answer
    return answer.error


def test_the_status_has_every_session_with_its_paths_every_portal_and_volume() -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, _):
            one, two = await served.session(1, PORTALS[0]), await served.session(2, PORTALS[1])
            half = await served.connect(PORTALS[0])
            desk.meter.look(0.0)
            await one.read(0, 8)
            desk.meter.look(2.0)
            status = dict((await ask(desk, "status")).result)
            json.dumps(status)
            assert {key: status[key] for key in ("schema", "state", "connections", "connections_in_login")} == {
                "schema": "mpiolab.status/1",
                "state": "serving",
                "connections": 3,
                "connections_in_login": 1,
            }
            first, second = status["sessions"]
            assert (first["initiator"], first["target"], first["portal"]) == (HOST, VOLUME, PORTALS[0])
            assert (first["isid"], first["tsih"], first["discovery"]) == (first["isid"].lower(), 1, False)
            (path,) = first["connections"]
            local = one.socket.getsockname()
            assert (path["source"], path["portal"], path["state"]) == (
                f"127.0.0.1:{local[1]}",
                PORTALS[0],
                "logged_in",
            )
            assert path["rates"]["reads"] == 0.5
            assert path["rates"]["sent_bytes"] == (48 + 8 * 512) / 2
            assert second["connections"][0]["portal"] == PORTALS[1]
            assert [(row["name"], row["address"], row["state"], row["connections"]) for row in status["portals"]] == [
                ("group", GROUP_ADDRESS, "up", 0),
                ("eth0", PORTALS[0], "up", 2),
                ("eth1", PORTALS[1], "up", 1),
            ]
            assert status["rates"]["reads"] == 0.5
            (volume,) = [row for row in status["volumes"] if row["iqn"] == VOLUME]
            assert volume["sessions"] == 2
            assert volume["luns"][0]["used_bytes"] > 0
            assert status["at"] == "2027-01-15T08:00:00Z"
            assert first["since"] <= status["at"]
            for width in (80, 120):
                console = Console(width=width, file=io.StringIO(), record=True)
                console.print(status_view(status, width))
                shown = console.export_text()
                assert f"127.0.0.1 → {PORTALS[0]}" in shown
                assert "1 in login" in shown
                assert max(map(len, shown.splitlines())) <= width
            del two, half

    asyncio.run(main())


def test_an_empty_array_says_so() -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, _):
            status = (await ask(desk, "status")).result
            console = Console(width=80, file=io.StringIO(), record=True)
            console.print(status_view(status, 80))
            assert "nobody is logged in" in console.export_text()

    asyncio.run(main())


def test_a_reservation_shows_who_holds_it() -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, _):
            await served.session(1)
            (session,) = served.server.group.sessions.all()
            volume = served.server.group.volumes[VOLUME]
            (unit,) = volume.luns.units()
            unit.disk.reservations.reserve(session.nexus)
            rows = (await ask(desk, "status")).result["volumes"]
            (row,) = [row["luns"][0] for row in rows if row["iqn"] == VOLUME]
            assert row["reservation"] == {"type": "reserve", "initiator": HOST}

    asyncio.run(main())


def test_a_drain_says_what_it_did_and_is_logged() -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, stream):
            peer = await served.session(1, PORTALS[0])
            answer = await ask(desk, "drain", address=PORTALS[0], within_s=7)
            assert f"{PORTALS[0]} drained" in answer.said[0]
            assert "asked to log out within 7 s" in answer.said[1]
            assert [decision["kind"] for decision in answer.result["decisions"]] == ["portal", "move"]
            event = await peer.hear()
            assert isinstance(event, AsyncMessage)
            assert (event.event, event.param3) == (AsyncEvent.LOGOUT_REQUEST, 7)
            logged = [json.loads(line) for line in stream.getvalue().splitlines()]
            assert logged[-1]["message"] == f"ctl drain address={PORTALS[0]} within_s=7"
            state = {row["address"]: row["state"] for row in (await ask(desk, "status")).result["portals"]}
            assert state[PORTALS[0]] == "drained"
            await ask(desk, "undrain", address=PORTALS[0])

    asyncio.run(main())


def test_portals_go_down_and_come_back() -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, _):
            peer = await served.session(1, PORTALS[0])
            answer = await ask(desk, "portal-down", address=PORTALS[0])
            assert f"{PORTALS[0]} down" in answer.said[0]
            assert await peer.hears_the_end() == []
            with pytest.raises(ConnectionRefusedError):
                await served.connect(PORTALS[0])
            await ask(desk, "portal-up", address=PORTALS[0])
            await served.session(1, PORTALS[0])

    asyncio.run(main())


def test_faults_are_switched_on_and_off_and_shown() -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, _):
            answer = await ask(desk, "fault-on", name="no-login", portal=PORTALS[0])
            assert [decision["kind"] for decision in answer.result["decisions"]] == ["fault"]
            status = (await ask(desk, "status")).result
            assert status["faults"] == [{"name": "no-login", "place": f"portal {PORTALS[0]}"}]
            console = Console(width=80, file=io.StringIO(), record=True)
            console.print(status_view(status, 80))
            assert f"Faults: no-login (portal {PORTALS[0]})" in console.export_text()
            peer = await served.connect(PORTALS[0])
            outcome = await peer.login()
            assert isinstance(outcome, LoginFailed)
            assert await refused(desk, "fault-off", name="busy") == "busy is not on"
            await ask(desk, "fault-off", name="no-login")
            assert (await ask(desk, "status")).result["faults"] == []

    asyncio.run(main())


def test_a_port_group_gets_another_state_and_the_status_shows_it() -> None:
    async def main() -> None:
        groups = (PortGroupConfig(1, PORTALS[:1], preferred=True), PortGroupConfig(2, PORTALS[1:]))
        async with serving(access=AccessConfig(groups)) as served, desk_of(served) as (desk, stream):
            answer = await ask(desk, "access-state", group=2, state="standby")
            assert answer.said == ("volume exchange-logs: port group 2 is standby (by the operator)",)
            assert [decision["kind"] for decision in answer.result["decisions"]] == ["access"]
            assert '"ctl access-state group=2 state=standby"' in stream.getvalue()
            status = (await ask(desk, "status")).result
            assert status["volumes"][0]["port_groups"] == [
                {"id": 1, "state": "active-optimized", "preferred": True, "portals": [PORTALS[0]]},
                {"id": 2, "state": "standby", "preferred": False, "portals": [PORTALS[1]]},
            ]
            console = Console(width=80, file=io.StringIO(), record=True)
            console.print(status_view(status, 80))
            shown = console.export_text()
            assert "active-optimized, preferred" in shown
            assert "standby" in shown

    asyncio.run(main())


def test_a_volume_grows_and_its_hosts_are_told() -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, _):
            (name,) = [volume.name for volume in served.server.group.config.volumes if volume.iqn == VOLUME]
            answer = await ask(desk, "grow", volume=name, size_bytes=1 << 30)
            assert [decision["kind"] for decision in answer.result["decisions"]] == ["volume"]
            rows = (await ask(desk, "status")).result["volumes"]
            assert [row["luns"][0]["size_bytes"] for row in rows if row["iqn"] == VOLUME] == [1 << 30]

    asyncio.run(main())


def test_a_session_is_asked_to_log_out_by_its_tsih() -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, _):
            assert await refused(desk, "logout", session=1) == "there is no session 1: nobody is logged in"
            peer = await served.session(1, PORTALS[0])
            assert await refused(desk, "logout", session=9) == "there is no session 9: 1"
            answer = await ask(desk, "logout", session=1)
            assert "asked to log out" in answer.said[0]
            assert isinstance(await peer.hear(), AsyncMessage)

    asyncio.run(main())


def test_the_controller_fails_over_and_answers_when_the_other_serves() -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, _):
            peer = await served.session(1, PORTALS[0])
            answer = await ask(desk, "controller-failover", gap_s=0, how="fin")
            assert [decision["answer"] for decision in answer.result["decisions"]] == [
                "controller lost",
                "controller took over",
            ]
            assert await peer.hears_the_end() == []
            await served.session(1, PORTALS[0])

    asyncio.run(main())


def test_rebalancing_and_the_log_level() -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, stream):
            assert (await ask(desk, "rebalance")).result["decisions"]
            answer = await ask(desk, "log-level", level="error")
            assert answer.said == ("log level: info before, error now",)
            before = stream.getvalue()
            await ask(desk, "rebalance")
            assert stream.getvalue() == before

    asyncio.run(main())


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        ("drian", {}, 'no command "drian": did you mean "drain"?'),
        ("drain", {}, "drain: address: this key is wanted"),
        ("drain", {"address": 5}, "drain: address: expected a text in quotes"),
        ("drain", {"address": "nowhere"}, "drain: address: expected the IPv4 address of one interface"),
        ("drain", {"address": "127.0.81.9"}, "127.0.81.9 is not a portal of"),
        ("drain", {"address": GROUP_ADDRESS}, f"{GROUP_ADDRESS} is not a portal of"),
        ("drain", {"address": PORTALS[0], "within_s": 0}, "drain: within_s: expected at least 1, got 0"),
        ("drain", {"address": PORTALS[0], "within": 5}, 'drain: within: unknown key: did you mean "within_s"?'),
        ("controller-failover", {"how": "bang"}, 'how: expected "rst", "fin" or "silent", got "bang"'),
        ("controller-failover", {"gap_s": -1}, "gap_s: expected at least 0"),
        ("controller-failover", {"gap_s": 1e9}, "gap_s: expected at most 3600"),
        ("logout", {"session": "1"}, "logout: session: expected a whole number"),
        ("fault-on", {"name": "fire"}, "there is no fault 'fire': busy, task-set-full"),
        ("fault-on", {"name": "silent"}, "silent wants portal"),
        ("fault-on", {"name": "busy", "lba": -1}, "fault-on: lba: expected at least 0"),
        ("fault-on", {"name": "busy", "volume": "none"}, "there is no volume none"),
        ("access-state", {"group": 1, "state": "standby"}, "the array has no target port groups"),
        ("access-state", {"group": 0, "state": "standby"}, "access-state: group: expected at least 1"),
        ("access-state", {"group": 1, "state": "asleep"}, "access-state: state: expected"),
        ("grow", {"volume": "none", "size_bytes": 512}, "there is no volume none"),
        ("grow", {"volume": "none", "size_bytes": "1GiB"}, "grow: size_bytes: expected a whole number"),
        ("log-level", {"level": "loud"}, 'level: expected "debug", "info", "warning" or "error", got "loud"'),
        ("status", {"x": 1}, "status: x: unknown key"),
    ],
)
def test_a_wrong_request_is_told_in_words(command: str, arguments: dict[str, Any], told: str) -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, _):
            assert told in await refused(desk, command, **arguments)

    asyncio.run(main())


def test_every_command_has_a_sentence_for_nonsense() -> None:
    async def main() -> None:
        async with serving() as served, desk_of(served) as (desk, _):
            for command in COMMANDS:
                assert "unknown key" in await refused(desk, command, nonsense=[])

    asyncio.run(main())
