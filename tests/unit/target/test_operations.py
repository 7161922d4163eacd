"""The operator's desk over an array on real TCP: drain, rebalance, logout requests, the other controller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from iscsi.constants import AsyncEvent
from iscsi.login_initiator import LoginDone, LoginRedirected
from iscsi.pdu import AsyncMessage, DataIn, LogoutRequest, LogoutResponse, ScsiCommand, ScsiResponse
from iscsi.port_groups import AccessState
from iscsi.sense import (
    ASYMMETRIC_ACCESS_CHANGED,
    CAPACITY_CHANGED,
    NOT_READY_STANDBY,
    NOT_READY_TRANSITION,
    POWER_ON_OR_RESET,
)
from target.access_config import AccessConfig, PortGroupConfig
from target.config import ArrayKind, Balancing
from target.decisions import Decision, Kind
from target.operations import FailoverManner, OperationError, Operations
from tests.support.array import sense_of
from tests.support.array_on_tcp import GROUP_ADDRESS, PORTALS, Served, TcpPeer, block_data, serving

HERE, THERE = PORTALS


@dataclass
class Desk:
    """An array with its operations and what it decided."""

    served: Served
    operations: Operations
    decisions: list[Decision] = field(default_factory=list)

    async def session(self, number: int, address: str = HERE) -> TcpPeer:
        """A session at this very portal."""
        return await self.served.session(number, address)

    async def led_to(self, number: int) -> str:
        """Where the group address sends the host's session ``number``."""
        outcome = await (await self.served.connect(GROUP_ADDRESS)).login(number)
        assert isinstance(outcome, LoginRedirected)
        return outcome.address.host

    def told(self, kind: Kind) -> list[str]:
        """The decisions of a kind, in words."""
        return [decision.words for decision in self.decisions if decision.kind is kind]


@asynccontextmanager
async def desk(**changes: Any) -> AsyncIterator[Desk]:
    async with serving(**changes) as served:
        made = Desk(served, Operations(served.server))
        served.server.group.on_decision = made.decisions.append
        made.operations.start()
        try:
            yield made
        finally:
            made.operations.stop()


async def asked_to_log_out(peer: TcpPeer) -> int:
    """The seconds that async event 1 gives."""
    event = await peer.hear()
    assert isinstance(event, AsyncMessage)
    assert event.event == AsyncEvent.LOGOUT_REQUEST
    return event.param3


async def log_out(peer: TcpPeer) -> None:
    await peer.send(LogoutRequest(itt=0x99, cmd_sn=peer.cmd_sn, immediate=True))
    *_, answer = await peer.hears_the_end()
    assert isinstance(answer, LogoutResponse)


# -- drain -------------------------------------------------------------------------------------------------------------


def test_a_drained_portal_asks_its_connections_to_leave_and_gets_no_logins() -> None:
    async def main() -> None:
        async with desk() as at:
            here, there = await at.session(1), await at.session(2, THERE)
            decisions = at.operations.drain(HERE, 7)
            assert [one.kind for one in decisions] == [Kind.PORTAL, Kind.MOVE]
            assert await asked_to_log_out(here) == 7
            await log_out(here)
            assert [await at.led_to(number) for number in (1, 3, 4)] == [THERE, THERE, THERE]
            assert await there.read(1, 1) == block_data(1)

    asyncio.run(main())


def test_a_drained_portal_listens_and_sends_logins_back_to_the_group() -> None:
    async def main() -> None:
        async with desk() as at:
            at.operations.drain(HERE)
            outcome = await (await at.served.connect(HERE)).login(1)
            assert isinstance(outcome, LoginRedirected)
            assert outcome.address.host == GROUP_ADDRESS
            at.operations.undrain(HERE)
            assert isinstance(await (await at.served.connect(HERE)).login(1), LoginDone)
            assert at.told(Kind.PORTAL) == [
                f"portal {HERE} drained (by the operator)",
                f"portal {HERE} takes logins again (by the operator)",
            ]

    asyncio.run(main())


def test_the_last_portal_that_takes_logins_is_not_drained() -> None:
    async def main() -> None:
        async with desk() as at:
            at.operations.drain(HERE)
            with pytest.raises(OperationError, match=f"{THERE} is the last portal that takes logins"):
                at.operations.drain(THERE)
            assert at.served.server.group.takes_logins(THERE)

    asyncio.run(main())


# -- rebalance and logout requests -------------------------------------------------------------------------------------


def test_a_moved_connection_is_led_to_the_portal_it_was_moved_to() -> None:
    """Though by itself `least-connections` would send it back: its own session no longer counts there."""

    async def main() -> None:
        async with desk() as at:
            peers = [await at.session(1), await at.session(2)]
            (moved,) = at.operations.rebalance(5)
            assert (moved.kind, moved.arrived_at, moved.portal) == (Kind.MOVE, HERE, THERE)
            assert "2 paths of this host to this volume share" in moved.reason
            assert await asked_to_log_out(peers[0]) == 5
            await log_out(peers[0])
            assert await at.led_to(1) == THERE
            placed = at.decisions[-1]
            assert placed.reason.startswith(f"moved from {HERE}: by the operator, 2 paths")
            assert placed.portal == THERE

    asyncio.run(main())


def test_an_initiator_with_a_new_isid_for_every_login_is_led_there_too() -> None:
    """libiscsi is one; while both its sessions live, a third from its address is somebody else's."""

    async def main() -> None:
        async with desk(placement="round-robin") as at:
            peers = [await at.session(1), await at.session(2)]
            assert at.operations.rebalance(5)[0].portal == THERE
            assert await at.led_to(3) == HERE
            await log_out(peers[0])
            assert [await at.led_to(4), await at.led_to(5)] == [THERE, THERE]  # 4 may have failed, and try again as 5
            await at.session(5, THERE)
            assert await at.led_to(6) in PORTALS
            assert not at.decisions[-1].reason.startswith("moved from")

    asyncio.run(main())


def test_while_a_path_is_on_its_way_the_other_one_is_left_alone() -> None:
    async def main() -> None:
        async with desk() as at:
            peers = [await at.session(1), await at.session(2), await at.session(3)]
            assert len(at.operations.rebalance()) == 1
            (settled,) = at.operations.rebalance()
            assert settled.answer == "all connections stay"
            assert "wait for a path of theirs that is away" in settled.reason
            await log_out(peers[0])
            assert [one.kind for one in at.operations.rebalance()] == [Kind.KEEP]

    asyncio.run(main())


def test_a_path_that_broke_and_is_not_back_keeps_the_other_from_being_moved() -> None:
    async def main() -> None:
        async with desk() as at:
            peers = [await at.session(1), await at.session(2), await at.session(3, THERE)]
            peers[2].reset()
            while len(at.served.server.connections()) > 2:
                await asyncio.sleep(0.01)
            (settled,) = at.operations.rebalance()
            assert "2 wait for a path of theirs that is away" in settled.reason
            await at.session(3, THERE)
            assert at.operations.rebalance()[0].kind is Kind.KEEP  # two here and one there: as even as it gets

    asyncio.run(main())


def test_a_path_that_its_host_gave_up_is_not_waited_for() -> None:
    """A Linux host that logs out and in again comes with another ISID each time: its old names are not missed."""

    async def main() -> None:
        async with desk() as at:
            peers = [await at.session(1), await at.session(2), await at.session(3, THERE)]
            await log_out(peers[2])
            (move,) = at.operations.rebalance()
            assert (move.kind, move.arrived_at, move.portal) == (Kind.MOVE, HERE, THERE)

    asyncio.run(main())


def test_a_single_connection_is_asked_to_log_out_and_does_not_come_back_to_where_it_was() -> None:
    async def main() -> None:
        async with desk() as at:
            peer = await at.session(1)
            (protocol,) = at.served.server.connections()
            decision = at.operations.request_logout(protocol.number)
            assert decision.words == (
                f"127.0.0.1 -> {HERE}: {decision.initiator} at {decision.target}: "
                "asked to log out within 10 s, to go elsewhere (by the operator)"
            )
            assert await asked_to_log_out(peer) == 10
            await log_out(peer)
            assert await at.led_to(1) == THERE

    asyncio.run(main())


def test_who_does_not_log_out_in_time_is_dropped_and_goes_elsewhere_all_the_same() -> None:
    async def main() -> None:
        async with desk() as at:
            peer = await at.session(1)
            (protocol,) = at.served.server.connections()
            at.operations.request_logout(protocol.number, 1)
            asked, dropped = await peer.hears_the_end()
            assert isinstance(asked, AsyncMessage)
            assert isinstance(dropped, AsyncMessage)
            assert [asked.event, dropped.event] == [AsyncEvent.LOGOUT_REQUEST, AsyncEvent.CONNECTION_DROP]
            assert await at.led_to(1) == THERE

    asyncio.run(main())


def test_a_policy_that_says_where_a_login_belongs_may_send_it_back() -> None:
    async def main() -> None:
        async with desk(placement="fixed", fixed_portal=HERE) as at:
            peer = await at.session(1)
            (protocol,) = at.served.server.connections()
            at.operations.request_logout(protocol.number)
            await log_out(peer)
            assert await at.led_to(1) == HERE
            (settled,) = at.operations.rebalance()
            assert settled.words == "nothing to rebalance (placement fixed decides where logins go)"

    asyncio.run(main())


def test_when_the_place_it_should_go_to_dies_the_policy_finds_another() -> None:
    async def main() -> None:
        async with desk() as at:
            peers = [await at.session(1), await at.session(2)]
            at.operations.rebalance()
            await log_out(peers[0])
            await at.operations.portal_down(THERE)
            assert await at.led_to(1) == HERE

    asyncio.run(main())


def test_an_array_that_lists_its_portals_has_nothing_to_rebalance() -> None:
    async def main() -> None:
        async with desk(kind=ArrayKind.LISTED, group_address=None) as at:
            (settled,) = at.operations.rebalance()
            assert settled.words == "nothing to rebalance (listed decides where logins go)"

    asyncio.run(main())


def test_the_balancer_looks_by_itself_and_tells_only_what_is_new() -> None:
    async def main() -> None:
        async with desk(balancing=Balancing(interval_s=0.05, rest_intervals=0, logout_request_s=3)) as at:
            peer = await at.session(1)
            await at.session(2)
            assert await asked_to_log_out(peer) == 3
            await asyncio.sleep(0.2)
            assert len(at.told(Kind.MOVE)) == 1

    asyncio.run(main())


# -- the other controller ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", FailoverManner)
def test_a_controller_failover_ends_every_session_and_serves_again_after_the_gap(how: FailoverManner) -> None:
    async def main() -> None:
        async with desk() as at:
            peers = [await at.session(1), await at.session(2, THERE)]
            failover = asyncio.create_task(at.operations.controller_failover(0.2, how))
            await asyncio.sleep(0.05)
            for address in (GROUP_ADDRESS, *PORTALS):
                with pytest.raises(ConnectionRefusedError):
                    await at.served.connect(address)
            with pytest.raises(OperationError, match="under way"):
                await at.operations.controller_failover()
            lost, served = await failover
            for peer in peers:
                assert await peer.hears_the_end() == []
            assert lost.words == f"controller lost (sessions end by {how.value}, the other controller serves in 0.2 s)"
            assert served.words == "controller took over (its addresses are up)"
            back = await at.served.connect(HERE)
            assert isinstance(await back.login(1), LoginDone)
            await back.send(ScsiCommand(itt=1, cmd_sn=back.cmd_sn, cdb=bytes(16)))
            answer = await back.hear()
            assert isinstance(answer, ScsiResponse)
            assert sense_of(answer) == POWER_ON_OR_RESET
            back.cmd_sn += 1
            assert await back.read(4, 1) == block_data(4)

    asyncio.run(main())


def test_a_silent_controller_says_nothing_until_the_other_one_breaks_its_connections() -> None:
    async def main() -> None:
        async with desk() as at:
            peer = await at.session(1)
            failover = asyncio.create_task(at.operations.controller_failover(0.2, FailoverManner.SILENT))
            await asyncio.sleep(0)
            await peer.send(peer.read_command(0, 1))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(peer.hear(), 0.1)
            await failover
            assert await peer.hears_the_end() == []

    asyncio.run(main())


def test_a_portal_that_is_down_stays_down_over_a_failover() -> None:
    async def main() -> None:
        async with desk() as at:
            await at.operations.portal_down(HERE)
            await at.operations.controller_failover(0)
            assert await at.led_to(1) == THERE
            with pytest.raises(ConnectionRefusedError):
                await at.served.connect(HERE)
            await at.operations.portal_up(HERE)
            assert isinstance(await (await at.served.connect(HERE)).login(1), LoginDone)

    asyncio.run(main())


def test_a_portal_told_up_during_the_gap_is_up_after_it() -> None:
    async def main() -> None:
        async with desk() as at:
            await at.operations.portal_down(HERE)
            failover = asyncio.create_task(at.operations.controller_failover(0.05))
            await asyncio.sleep(0)
            await at.operations.portal_up(HERE)
            with pytest.raises(ConnectionRefusedError):
                await at.served.connect(HERE)
            await failover
            assert isinstance(await (await at.served.connect(HERE)).login(1), LoginDone)

    asyncio.run(main())


# -- asymmetric access -------------------------------------------------------------------------------------------------

TWO_GROUPS = (PortGroupConfig(1, (HERE,)), PortGroupConfig(2, (THERE,), AccessState.ACTIVE_NON_OPTIMIZED))


def test_an_operator_changes_what_a_group_of_portals_gives() -> None:
    async def main() -> None:
        async with desk(access=AccessConfig(TWO_GROUPS)) as at:
            here, there = await at.session(1), await at.session(2, THERE)
            for peer in (here, there):
                assert await peer.read(1, 1) == block_data(1)
            at.operations.access_state(2, AccessState.STANDBY)
            for peer in (here, there):
                await peer.send(peer.read_command(1, 1))
                assert sense_of(await peer.hear()) == ASYMMETRIC_ACCESS_CHANGED
            assert await here.read(1, 1) == block_data(1)
            await there.send(there.read_command(1, 1))
            assert sense_of(await there.hear()).code == NOT_READY_STANDBY.code
            assert at.told(Kind.ACCESS) == ["volume exchange-logs: port group 2 is standby (by the operator)"]

    asyncio.run(main())


def test_a_transition_and_a_slower_way_take_their_time_on_the_loop_s_clock() -> None:
    async def main() -> None:
        slow = AccessConfig(TWO_GROUPS, transition_s=0.15, non_optimized_latency_s=0.1)
        async with desk(access=slow) as at:
            clock = asyncio.get_running_loop().time
            here, there = await at.session(1), await at.session(2, THERE)
            assert await here.read(1, 1) == block_data(1)
            began = clock()
            assert await there.read(0, 4) == b"".join(map(block_data, range(4)))
            assert clock() - began >= 0.1
            await there.send(there.read_command(2, 1))
            await there.send(there.read_command(3, 1))
            began = clock()
            heard = [await there.hear(), await there.hear()]
            assert clock() - began < 0.2  # both waited at the same time
            assert [pdu.data for pdu in heard if isinstance(pdu, DataIn)] == [block_data(2), block_data(3)]
            began = clock()
            at.operations.access_state(2, AccessState.ACTIVE_OPTIMIZED, "exchange-logs")
            await there.send(there.read_command(1, 1))
            assert sense_of(await there.hear()).code == NOT_READY_TRANSITION.code
            while len(at.told(Kind.ACCESS)) < 2:
                await asyncio.sleep(0.01)
            assert clock() - began >= 0.15
            await there.send(there.read_command(1, 1))
            assert sense_of(await there.hear()) == ASYMMETRIC_ACCESS_CHANGED
            assert await there.read(1, 1) == block_data(1)

    asyncio.run(main())


def test_a_portal_that_goes_down_makes_the_other_group_optimized() -> None:
    async def main() -> None:
        async with desk(access=AccessConfig(TWO_GROUPS, failover=True)) as at:
            there = await at.session(2, THERE)
            assert await there.read(1, 1) == block_data(1)
            await at.operations.portal_down(HERE)
            assert at.told(Kind.ACCESS) == [
                "volume exchange-logs: port group 1 is active-non-optimized (every portal of port group 1 is down)",
                "volume exchange-logs: port group 2 is active-optimized (every portal of port group 1 is down)",
            ]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("access", "number", "state", "volume", "complaint"),
    [
        (None, 1, AccessState.STANDBY, None, "the array has no target port groups"),
        (AccessConfig(TWO_GROUPS), 3, AccessState.STANDBY, None, "there is no port group 3: 1, 2"),
        (AccessConfig(TWO_GROUPS), 1, AccessState.STANDBY, "nothing", "there is no volume nothing: exchange-logs"),
        (AccessConfig(TWO_GROUPS), 1, AccessState.LBA_DEPENDENT, None, "cannot be lba-dependent here"),
        (
            AccessConfig(TWO_GROUPS, implicit=False, explicit=True),
            1,
            AccessState.STANDBY,
            None,
            "changed by hosts alone",
        ),
    ],
)
def test_access_that_cannot_be_given(
    access: AccessConfig | None, number: int, state: AccessState, volume: str | None, complaint: str
) -> None:
    async def main() -> None:
        async with desk(access=access) as at:
            with pytest.raises(OperationError, match=complaint):
                at.operations.access_state(number, state, volume)
            assert at.told(Kind.ACCESS) == []

    asyncio.run(main())


def test_a_group_that_is_cut_off_is_not_made_optimized() -> None:
    async def main() -> None:
        async with desk(access=AccessConfig(TWO_GROUPS)) as at:
            await at.operations.portal_down(THERE)
            with pytest.raises(OperationError, match="every portal of port group 2 is down"):
                at.operations.access_state(2, AccessState.ACTIVE_OPTIMIZED)

    asyncio.run(main())


# -- what cannot be done -----------------------------------------------------------------------------------------------


def test_a_volume_grows_and_its_hosts_are_told() -> None:
    async def main() -> None:
        async with desk() as at:
            peer = await at.session(1)
            (config,) = at.served.server.group.config.volumes
            await peer.read(1, 1)
            at.operations.resize(config.name, 2 * config.size_bytes)
            assert at.told(Kind.VOLUME) == [
                f"volume {config.name}, LUN 0: {2 * config.size_bytes} bytes (by the operator)"
            ]
            await peer.send(peer.read_command(1, 1))
            assert sense_of(await peer.hear()) == CAPACITY_CHANGED

    asyncio.run(main())


def test_a_volume_that_cannot_grow() -> None:
    async def main() -> None:
        async with desk() as at:
            (config,) = at.served.server.group.config.volumes
            with pytest.raises(OperationError, match="there is no volume nothing with a LUN 0"):
                at.operations.resize("nothing", 1 << 30)
            with pytest.raises(OperationError, match=f"there is no volume {config.name} with a LUN 1"):
                at.operations.resize(config.name, 1 << 30, lun=1)
            with pytest.raises(OperationError, match="can grow to a multiple of 512 bytes"):
                at.operations.resize(config.name, 512)

    asyncio.run(main())


def test_what_is_not_there_is_named() -> None:
    async def main() -> None:
        async with desk() as at:
            discovery = await at.served.connect(HERE)
            await discovery.send(b"")
            refused = [
                (lambda: at.operations.drain("10.0.0.1"), "10.0.0.1 is not a portal of ps100: " + ", ".join(PORTALS)),
                (lambda: at.operations.undrain("x"), "x is not a portal"),
                (lambda: at.operations.request_logout(77), "there is no connection 77"),
                (lambda: at.operations.rebalance(0), "given 1 to 65535 s to log out, not 0"),
                (lambda: at.operations.drain(HERE, 65536), "given 1 to 65535 s to log out, not 65536"),
            ]
            for operation, complaint in refused:
                with pytest.raises(OperationError, match=complaint):
                    operation()
            for coroutine in (at.operations.portal_down("x"), at.operations.controller_failover(-1)):
                with pytest.raises(OperationError):
                    await coroutine

    asyncio.run(main())


def test_a_connection_without_a_session_is_not_a_path() -> None:
    async def main() -> None:
        async with desk() as at:
            await at.served.connect(HERE)
            while not at.served.server.connections():
                await asyncio.sleep(0.01)
            (protocol,) = at.served.server.connections()
            with pytest.raises(OperationError, match="is not a path"):
                at.operations.request_logout(protocol.number)

    asyncio.run(main())


# -- faults ------------------------------------------------------------------------------------------------------------


def test_a_silent_portal_answers_nobody_and_takes_up_where_it_stopped() -> None:
    async def main() -> None:
        async with desk() as at:
            here, there = await at.session(1), await at.session(2, THERE)
            decision = at.operations.fault_on("silent", portal=HERE)
            assert decision.words == f"fault silent on (portal {HERE})"
            late = await at.served.connect(HERE)
            for peer in (here, late):
                await peer.send(peer.read_command(0, 1))
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(peer.hear(), 0.1)
            assert await there.read(2, 1) == block_data(2)
            (decision,) = at.operations.fault_off("silent")
            assert decision.answer == "fault silent off"
            assert isinstance(await here.hear(), DataIn)
            assert await here.read(3, 1) == block_data(3)
            await late.hears_the_end()  # a SCSI command is no login

    asyncio.run(main())


def test_a_fault_is_switched_off_by_its_place_or_by_its_name_alone() -> None:
    async def main() -> None:
        async with desk() as at:
            at.operations.fault_on("busy", portal=HERE)
            at.operations.fault_on("busy", portal=THERE)
            at.operations.fault_on("no-login", volume="exchange-logs")
            assert len(at.operations.fault_off("busy", portal=THERE)) == 1
            assert [fault.place for fault in at.operations.faults()] == [f"portal {HERE}", "volume exchange-logs"]
            assert len(at.operations.fault_off("busy")) == 1
            assert at.told(Kind.FAULT)[-1] == f"fault busy off (portal {HERE})"
            for undo in (lambda: at.operations.fault_off("busy"), lambda: at.operations.fault_off("busy", portal=HERE)):
                with pytest.raises(OperationError, match="is not on"):
                    undo()

    asyncio.run(main())


def test_a_fault_that_cannot_be_is_refused_in_words() -> None:
    async def main() -> None:
        async with desk() as at:
            refused: list[tuple[str, dict[str, Any], str]] = [
                (
                    "sluggish",
                    {},
                    "there is no fault 'sluggish': busy, task-set-full, reservation-conflict, check-condition",
                ),
                ("busy", {"portal": "10.9.9.9"}, "10.9.9.9 is not an address of the array: "),
                ("busy", {"volume": "none"}, "there is no volume none: exchange-logs"),
                ("medium-error", {"volume": "exchange-logs"}, "medium-error wants lba and blocks"),
            ]
            for name, place, complaint in refused:
                with pytest.raises(OperationError, match=complaint):
                    at.operations.fault_on(name, **place)
            assert at.operations.faults() == []

    asyncio.run(main())
