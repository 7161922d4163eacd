"""A session in virtual time: redirects, loss, hold, reconnect, timeouts, logout, against a target that misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from initiator_model.login_chain import HOP_LIMIT, LoginError, LoginTerms
from initiator_model.requests import Completion, CompletionKind, ScsiRequest
from initiator_model.scsi_calls import Submit, test_unit_ready
from initiator_model.session import IscsiSession
from initiator_model.session_events import SessionObserver, SessionState
from iscsi import scsi
from iscsi.constants import LoginStatus, ScsiStatus, TmfFunction, TmfResult
from iscsi.discovery import TargetAddress
from iscsi.login_gate import Redirect, Refuse
from iscsi.negotiation import OperationalKeys
from iscsi.pdu import LogoutRequest, TmfRequest
from tests.support.lab import GROUP, GROUP_PORTAL, HOST_IQN, PORTALS, PROFILE, SOURCE_A, VOLUME_IQN, Lab
from tests.support.scripted_target import ScriptedTarget

TERMS = LoginTerms(
    initiator_name=HOST_IQN,
    target_name=VOLUME_IQN,
    isid=bytes.fromhex("400001370001"),
    source=SOURCE_A,
    wishes=OperationalKeys(initial_r2t=False),
    timers=PROFILE.timers,
)
TO_PORTAL_0 = Redirect(TargetAddress(PORTALS[0]))
TO_PORTAL_1 = Redirect(TargetAddress(PORTALS[1]))
LINK_DOWN_S = PROFILE.timers.hold_ns(multipath=True) / 1e9
DELAY_S = PROFILE.timers.first_reconnect_ns / 1e9
SRB_S = PROFILE.timers.request_ns / 1e9


class Log(SessionObserver):
    """Everything an observer hears, with the time."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.states: list[tuple[float, SessionState]] = []
        self.hops: list[tuple[str, str, str]] = []
        self.lost_at: list[float] = []
        self.back_at: list[float] = []
        self.notes: list[str] = []

    def on_state(self, session: IscsiSession, old: SessionState, new: SessionState, why: str) -> None:
        self.states.append((self.lab.now_s, new))

    def on_hop(self, session: IscsiSession, local: str, remote: str, status: str) -> None:
        self.hops.append((local, remote, status))

    def on_lost(self, session: IscsiSession, why: str) -> None:
        self.lost_at.append(self.lab.now_s)

    def on_back(self, session: IscsiSession) -> None:
        self.back_at.append(self.lab.now_s)

    def on_note(self, session: IscsiSession, text: str) -> None:
        self.notes.append(text)

    def entered(self, state: SessionState) -> list[float]:
        """When the session entered a state."""
        return [when for when, new in self.states if new is state]


class Bench:
    """A lab, a scripted target and one session; `ends` has (time, completion) of every request in completion order."""

    def __init__(self, **changes: Any) -> None:
        self.lab = Lab()
        self.target = ScriptedTarget()
        self.log = Log(self.lab)
        timers = replace(TERMS.timers, **changes.pop("timers", {}))
        multipath = changes.pop("multipath", True)
        self.session = IscsiSession(
            replace(TERMS, timers=timers, **changes),
            GROUP_PORTAL,
            connector=self.lab.connector,
            random_bytes=self.lab.random_bytes,
            multipath=multipath,
            observer=self.log,
        )
        self.ends: list[tuple[float, Completion]] = []

    def run(self, scenario: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            await scenario(self)
            self.session.vanish("the test is over")

        self.lab.run(main())

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def logged_in(self) -> None:
        """A redirecting array with a portal that serves, and the session logged in there; its attention is cleared."""
        await self.target.listen(GROUP, TO_PORTAL_0)
        await self.target.listen(PORTALS[0])
        await self.session.log_in()
        self.target.connections[-1].unit_attention = False

    def read(self, blocks: int = 1) -> None:
        request = ScsiRequest(scsi.read(0, blocks), 0, blocks * 512, b"")
        self.session.submit(request, lambda completion: self.ends.append((self.lab.now_s, completion)))

    @property
    def kinds(self) -> list[CompletionKind]:
        return [completion.kind for _, completion in self.ends]


class TestLogin:
    def test_a_redirect_is_followed_with_the_same_isid_and_cmd_sn_from_a_new_port(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            assert bench.session.local == f"{SOURCE_A}:2816"
            assert bench.session.remote == f"{PORTALS[0]}:3260"
            assert bench.session.via == GROUP_PORTAL
            first, second = bench.target.logins
            assert (first.isid, first.cmd_sn, first.tsih) == (second.isid, second.cmd_sn, 0)
            assert bench.log.hops == [
                (f"{SOURCE_A}:2815", f"{GROUP}:3260", f"0x0101 moved temporarily to {PORTALS[0]}:3260"),
                (f"{SOURCE_A}:2816", f"{PORTALS[0]}:3260", "0x0000 success"),
            ]
            bench.read()
            await bench.wait(1)
            assert bench.kinds == [CompletionKind.COMPLETED]
            assert bench.target.connections[-1].commands[0].cmd_sn == second.cmd_sn

        Bench().run(scenario)

    def test_two_portals_that_point_at_each_other_end_with_the_whole_chain(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.target.listen(GROUP, TO_PORTAL_1)
            await bench.target.listen(PORTALS[1], Redirect(GROUP_PORTAL))
            with pytest.raises(LoginError, match=f"redirected more than {HOP_LIMIT} times") as failure:
                await bench.session.log_in()
            assert len(failure.value.hops) == HOP_LIMIT + 1
            assert str(failure.value).count(f"moved temporarily to {PORTALS[1]}:3260") == HOP_LIMIT // 2 + 1
            assert bench.session.state is SessionState.CLOSED

        Bench().run(scenario)

    def test_a_redirect_to_nowhere_asks_the_group_once_more_and_then_fails(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.target.listen(GROUP, TO_PORTAL_1)
            with pytest.raises(LoginError, match=r"192.168.51.3:3260 failed: .*refused") as failure:
                await bench.session.log_in()
            assert failure.value.start_over
            assert [remote for _, remote, _ in bench.log.hops] == [f"{GROUP}:3260", f"{PORTALS[1]}:3260"] * 2
            assert bench.lab.now_s == pytest.approx(DELAY_S, abs=0.1)

        Bench().run(scenario)

    def test_a_group_that_chooses_better_the_second_time_is_followed(self) -> None:
        async def scenario(bench: Bench) -> None:
            choices = [TO_PORTAL_1, TO_PORTAL_0]
            await bench.target.listen(GROUP, lambda: choices.pop(0))
            await bench.target.listen(PORTALS[0])
            await bench.session.log_in()
            assert bench.session.remote == f"{PORTALS[0]}:3260"

        Bench().run(scenario)

    def test_a_refusal_is_final_and_says_why(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.target.listen(GROUP, Refuse(LoginStatus.AUTHORIZATION_FAILURE))
            with pytest.raises(LoginError, match="0x0202 AUTHORIZATION_FAILURE") as failure:
                await bench.session.log_in()
            assert failure.value.status is LoginStatus.AUTHORIZATION_FAILURE
            assert len(bench.target.connections) == 1

        Bench().run(scenario)

    def test_a_portal_that_does_not_answer_the_syn_is_given_tcp_connect_time(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.lab.nics[PORTALS[0]].swallow()
            with pytest.raises(LoginError, match="no TCP connection within 15 s"):
                await bench.session.log_in()
            assert bench.lab.now_s == pytest.approx(15, abs=0.1)

        Bench().run(scenario)

    def test_a_portal_that_does_not_answer_the_login_is_given_up(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.target.mute_logins = True
            await bench.target.listen(GROUP)
            with pytest.raises(LoginError, match="no end of the login within 30 s"):
                await bench.session.log_in()
            await bench.wait(1)
            assert bench.target.connections[0].lost

        Bench().run(scenario)

    def test_a_portal_that_hangs_up_during_the_login_is_not_waited_for(self) -> None:
        async def scenario(bench: Bench) -> None:
            bench.target.hangs_up = True
            await bench.target.listen(GROUP)
            with pytest.raises(LoginError, match="the target closed the connection"):
                await bench.session.log_in()
            assert bench.lab.now_s < 1

        Bench().run(scenario)

    def test_a_session_ended_while_it_logs_in_does_not_come_to_life(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.target.listen(GROUP)
            login = bench.lab.loop.create_task(bench.session.log_in())
            await bench.wait(0)
            bench.session.vanish("power failure")
            with pytest.raises(LoginError, match="ended during its login"):
                await login
            await bench.wait(1)
            assert bench.session.state is SessionState.CLOSED
            assert bench.target.connections[-1].lost

        Bench().run(scenario)


class TestLoss:
    def test_requests_are_held_and_sent_again_when_a_reconnect_comes_in_time(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.answers = lambda command: len(bench.target.connections) > 2
            bench.read()
            await bench.wait(1)
            lost_at = bench.lab.now_s
            bench.target.reset_all()
            await bench.wait(1)
            bench.read(2)
            assert (bench.session.state, bench.session.usable) == (SessionState.RECOVERING, True)
            await bench.wait(DELAY_S)
            # The new nexus reports its unit attention to the first request: the layer above retries that one.
            assert [completion.status for _, completion in bench.ends] == [ScsiStatus.CHECK_CONDITION, ScsiStatus.GOOD]
            assert len(bench.ends[1][1].data) == 1024
            assert bench.ends[0][0] == pytest.approx(lost_at + DELAY_S, abs=0.01)
            assert [remote for _, remote, _ in bench.log.hops[2:]] == [f"{GROUP}:3260", f"{PORTALS[0]}:3260"]
            assert {login.isid for login in bench.target.logins} == {TERMS.isid}
            assert bench.target.logins[-1].tsih == 0
            await bench.wait(LINK_DOWN_S)
            assert (bench.session.state, bench.log.lost_at) == (SessionState.LOGGED_IN, [])

        Bench().run(scenario)

    def test_held_requests_fail_when_the_hold_time_is_over_and_the_path_comes_back_after_a_check(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.answers = lambda command: False
            bench.read()
            await bench.wait(1)
            bench.target.stop_listening(GROUP)
            bench.target.reset_all()
            lost_at = bench.lab.now_s
            await bench.wait(LINK_DOWN_S + 1)
            assert bench.kinds == [CompletionKind.DEVICE_NOT_CONNECTED]
            assert bench.ends[0][0] == pytest.approx(lost_at + LINK_DOWN_S, abs=0.01)
            assert bench.log.lost_at == [bench.ends[0][0]]
            assert (bench.session.state, bench.session.usable) == (SessionState.LOST, False)

            bench.read()
            await bench.wait(0.001)
            assert bench.kinds == [CompletionKind.DEVICE_NOT_CONNECTED] * 2

            bench.target.answers = lambda command: True
            await bench.target.listen(GROUP, TO_PORTAL_0)
            await bench.wait(DELAY_S)
            assert len(bench.log.back_at) == 1
            checks = bench.target.connections[-1].commands
            assert [command.cdb for command in checks] == [scsi.test_unit_ready()] * 2  # the first had the attention
            bench.read()
            await bench.wait(1)
            assert bench.kinds[-1] is CompletionKind.COMPLETED

        Bench().run(scenario)

    def test_reconnects_go_on_every_delay_for_ever(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.stop_listening(GROUP)
            bench.target.reset_all()
            await bench.wait(10 * DELAY_S + 1)
            assert len(bench.log.hops) == 2 + 10
            assert bench.session.state is SessionState.LOST

        Bench().run(scenario)

    def test_a_disk_without_multipath_holds_longer(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.stop_listening(GROUP)
            bench.target.reset_all()
            await bench.wait(59)
            assert bench.session.state is SessionState.RECOVERING
            await bench.wait(2)
            assert bench.session.state is SessionState.LOST

        Bench(multipath=False).run(scenario)

    def test_a_connection_that_dies_unused_again_and_again_does_not_hold_requests_for_ever(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.deaf = True
            bench.read()
            for _ in range(4):
                bench.target.reset_all()
                await bench.wait(DELAY_S + 0.1)
            assert bench.kinds == [CompletionKind.DEVICE_NOT_CONNECTED]

        Bench().run(scenario)

    def test_after_a_permanent_move_the_new_address_is_home(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.target.listen(GROUP, replace(TO_PORTAL_1, permanent=True))
            await bench.target.listen(PORTALS[1])
            await bench.session.log_in()
            bench.target.reset_all()
            await bench.wait(DELAY_S + 1)
            assert [connection.local for connection in bench.target.connections] == [GROUP, PORTALS[1], PORTALS[1]]

        Bench().run(scenario)

    def test_losing_the_link_is_noticed_at_once(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.lab.nics[SOURCE_A].pull_cable()
            await bench.wait(0.001)
            assert bench.session.state is SessionState.RECOVERING

        Bench().run(scenario)


class TestWhoIsThere:
    """A session that comes back in time asks who is there, if its owner knows what to compare (libiscsi 8c4e2ad)."""

    def test_requests_stay_held_until_the_units_are_who_they_were(self) -> None:
        async def scenario(bench: Bench) -> None:
            strangers = ["LUN 0 was naa:01 and is now naa:02"]

            async def check(submit: Submit) -> str | None:
                return strangers.pop() if strangers else None

            await bench.logged_in()
            bench.session.identity_check = check
            bench.target.reset_all()
            await bench.wait(1)
            bench.read()
            await bench.wait(DELAY_S)
            assert bench.session.state is SessionState.RECOVERING
            assert not bench.target.connections[-1].commands
            assert "path check: LUN 0 was naa:01 and is now naa:02" in bench.log.notes
            await bench.wait(DELAY_S)
            assert (bench.session.state, bench.log.lost_at) == (SessionState.LOGGED_IN, [])
            assert len(bench.ends) == 1

        Bench().run(scenario)

    def test_a_stranger_is_no_reason_to_hold_requests_for_ever(self) -> None:
        async def scenario(bench: Bench) -> None:
            async def check(submit: Submit) -> str | None:
                return "LUN 0 was naa:01 and is now naa:02"

            await bench.logged_in()
            bench.session.identity_check = bench.session.path_check = check
            bench.target.reset_all()
            lost_at = bench.lab.now_s
            await bench.wait(1)
            bench.read()
            await bench.wait(LINK_DOWN_S + 1)
            assert bench.kinds == [CompletionKind.DEVICE_NOT_CONNECTED]
            assert bench.log.lost_at == [pytest.approx(lost_at + LINK_DOWN_S, abs=0.01)]
            assert bench.session.state is SessionState.LOST

        Bench().run(scenario)

    def test_a_connection_that_is_lost_over_the_question_is_made_anew_within_the_same_hold(self) -> None:
        async def scenario(bench: Bench) -> None:
            async def check(submit: Submit) -> str | None:
                return await test_unit_ready(submit, 0)

            await bench.logged_in()
            bench.session.identity_check = check
            bench.target.answers = lambda command: len(bench.target.connections) > 4
            bench.target.reset_all()
            await bench.wait(1)
            bench.read()
            await bench.wait(DELAY_S)
            assert bench.session.state is SessionState.RECOVERING
            bench.target.reset_all()
            await bench.wait(DELAY_S + 1)
            assert (bench.session.state, bench.log.lost_at) == (SessionState.LOGGED_IN, [])
            assert len(bench.ends) == 1
            await bench.wait(LINK_DOWN_S)
            assert bench.log.lost_at == []

        Bench().run(scenario)


class TestTimeouts:
    def test_a_request_the_target_forgot_is_aborted_and_the_session_lives(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.answers = lambda command: command.edtl != 1024
            started = bench.lab.now_s
            bench.read(2)
            await bench.wait(SRB_S - 1)
            bench.read(1)
            await bench.wait(2)
            assert bench.kinds == [CompletionKind.COMPLETED, CompletionKind.TIMED_OUT]
            assert bench.ends[1][0] == pytest.approx(started + SRB_S, abs=0.01)
            (abort,) = bench.target.connections[-1].others
            assert isinstance(abort, TmfRequest)
            assert abort.function == TmfFunction.ABORT_TASK
            assert bench.session.state is SessionState.LOGGED_IN

        Bench().run(scenario)

    def test_an_abort_that_is_not_answered_drops_the_session(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.answers = lambda command: command.edtl != 1024
            bench.target.tmf_answer = None
            started = bench.lab.now_s
            bench.read(2)
            await bench.wait(SRB_S - 1)
            bench.read(1)
            await bench.wait(17)
            (dropped_at,) = bench.log.entered(SessionState.RECOVERING)
            assert dropped_at == pytest.approx(started + SRB_S + 15, abs=0.01)

        Bench().run(scenario)

    def test_an_abort_the_target_refuses_drops_the_session(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.answers = lambda command: command.edtl != 1024
            bench.target.tmf_answer = TmfResult.FUNCTION_NOT_SUPPORTED
            bench.read(2)
            await bench.wait(SRB_S - 1)
            bench.read(1)
            await bench.wait(2)
            assert bench.session.state is SessionState.RECOVERING

        Bench().run(scenario)

    def test_a_connection_silent_for_a_requests_whole_time_is_dropped_and_the_request_held(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.deaf = True
            started = bench.lab.now_s
            bench.read()
            bench.target.stop_listening(GROUP)
            await bench.wait(SRB_S + LINK_DOWN_S + 1)
            assert bench.log.entered(SessionState.RECOVERING) == [pytest.approx(started + SRB_S, abs=0.01)]
            assert bench.kinds == [CompletionKind.DEVICE_NOT_CONNECTED]
            assert bench.ends[0][0] == pytest.approx(started + SRB_S + LINK_DOWN_S, abs=0.01)

        Bench().run(scenario)

    def test_with_nop_out_silence_is_found_in_an_interval_and_a_timeout(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            began = bench.lab.now_s
            await bench.wait(60)
            assert bench.session.state is SessionState.LOGGED_IN
            assert len(bench.target.connections[-1].others) > 5
            bench.target.deaf = True
            deaf_at = bench.lab.now_s
            await bench.wait(11)
            (dropped_at,) = bench.log.entered(SessionState.RECOVERING)
            assert 5 <= dropped_at - deaf_at <= 10
            assert began < deaf_at

        Bench(timers={"enable_nop_out": 1}).run(scenario)

    def test_data_that_keeps_coming_makes_pings_needless(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            for _ in range(40):
                bench.read()
                await bench.wait(1)
            assert bench.target.connections[-1].others == []

        Bench(timers={"enable_nop_out": 1}).run(scenario)


class TestLogout:
    def test_logout_is_answered_and_tcp_closed(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            await bench.session.log_out()
            await bench.wait(1)
            (request,) = bench.target.connections[-1].others
            assert isinstance(request, LogoutRequest)
            assert bench.target.connections[-1].lost
            assert bench.session.state is SessionState.CLOSED

        Bench().run(scenario)

    def test_a_target_that_does_not_answer_is_left_in_the_end(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.deaf = True
            bench.read()
            began = bench.lab.now_s
            await bench.session.log_out()
            assert bench.lab.now_s == pytest.approx(began + 15, abs=0.01)
            assert bench.kinds == [CompletionKind.DELETE_PENDING]

        Bench().run(scenario)

    def test_a_session_that_is_recovering_can_be_logged_out(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.stop_listening(GROUP)
            bench.target.reset_all()
            await bench.wait(1)
            bench.read()
            await bench.session.log_out()
            await bench.wait(60)
            assert bench.kinds == [CompletionKind.DELETE_PENDING]
            assert len(bench.log.hops) == 2

        Bench().run(scenario)

    def test_when_the_target_asks_the_session_logs_out_and_in_again_through_the_group(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            began = bench.lab.now_s
            bench.target.connections[-1].ask_for_logout()
            await bench.wait(0.01)
            bench.read()
            await bench.wait(1)
            assert [connection.local for connection in bench.target.connections] == [GROUP, PORTALS[0]] * 2
            assert bench.log.entered(SessionState.LOGGED_IN)[-1] - began < 0.1
            assert bench.ends[0][1].kind is CompletionKind.COMPLETED

        Bench().run(scenario)

    def test_a_host_that_vanishes_leaves_no_word_and_no_timer(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.deaf = True
            bench.read()
            await bench.wait(1)
            bench.lab.host.crash()
            bench.session.vanish("power failure")
            assert bench.kinds == [CompletionKind.DEVICE_DOES_NOT_EXIST]
            await bench.wait(200)
            assert bench.session.state is SessionState.CLOSED
            assert not bench.target.connections[-1].lost
            assert len(bench.lab.loop.pending_tasks()) == 1, "only the test itself"

        Bench().run(scenario)

    def test_a_host_that_vanishes_while_it_logs_out_waits_for_nobody(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.deaf = True
            bench.read()
            out = asyncio.create_task(bench.session.log_out())
            await bench.wait(1)
            bench.lab.host.crash()
            bench.session.vanish("power failure")
            assert bench.session.state is SessionState.CLOSED
            assert bench.kinds == [CompletionKind.DEVICE_DOES_NOT_EXIST]
            await bench.wait(0.001)
            assert out.done()

        Bench().run(scenario)

    def test_the_answer_to_an_abort_is_none_to_the_logout(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            connection = bench.target.connections[-1]
            honest = connection._on_pdu
            aborts: list[Any] = []

            def forgetful(pdu: Any) -> None:
                if isinstance(pdu, TmfRequest):
                    aborts.append(pdu)
                elif not isinstance(pdu, LogoutRequest):
                    honest(pdu)

            connection._on_pdu = forgetful  # type: ignore[method-assign]
            bench.target.answers = lambda command: command.edtl != 1024
            bench.read(2)
            await bench.wait(SRB_S - 1)
            bench.read(1)  # the connection is not silent: the request is aborted
            await bench.wait(1.01)
            assert aborts
            connection.ask_for_logout()
            await bench.wait(0.01)
            honest(aborts[0])  # the abort is answered, the logout never
            await bench.wait(60)
            assert bench.log.entered(SessionState.RECOVERING)

        Bench().run(scenario)


class TestPoison:
    def test_a_request_that_its_connection_dies_of_is_not_sent_for_ever(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()

            def answers(command: Any) -> bool:
                if command.edtl == 1024:
                    asyncio.get_running_loop().call_later(0.1, bench.target.reset_all)
                    return False
                return True

            bench.target.answers = answers
            bench.read(2)
            for _ in range(20):
                await bench.wait(6)
                bench.read(1)  # the others are served meanwhile
            assert bench.kinds.count(CompletionKind.DEVICE_NOT_CONNECTED) == 1
            assert bench.session.state is SessionState.LOGGED_IN

        Bench().run(scenario)


class TestWhatIsLeftBehind:
    """The loss that a completion names: the connection from which the target may still execute the request."""

    def test_a_request_that_was_sent_and_given_up_names_the_loss_and_one_that_was_not_sent_does_not(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.answers = lambda command: False
            bench.read()
            await bench.wait(1)
            bench.target.stop_listening(GROUP)
            lost_at = bench.lab.now_s
            bench.target.reset_all()
            await bench.wait(1)
            bench.read()
            await bench.wait(LINK_DOWN_S)
            sent, unsent = (completion.loss for _, completion in bench.ends)
            assert sent is not None
            assert (sent.isid, sent.seen, sent.threatens(0)) == (TERMS.isid, True, True)
            assert sent.at_s == pytest.approx(lost_at, abs=0.01)
            assert unsent is None

        Bench().run(scenario)

    def test_a_silent_loss_is_one_that_the_target_need_not_have_seen(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.answers = lambda command: False
            bench.read()
            await bench.wait(1)
            bench.lab.nics[SOURCE_A].pull_cable()
            await bench.wait(LINK_DOWN_S + 1)
            (loss,) = (completion.loss for _, completion in bench.ends)
            assert loss is not None
            assert not loss.seen

        Bench().run(scenario)

    def test_it_is_over_once_the_session_has_logged_in_again(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.answers = lambda command: False
            bench.read()
            await bench.wait(1)
            bench.target.stop_listening(GROUP)
            bench.target.reset_all()
            await bench.wait(LINK_DOWN_S + 1)
            (loss,) = (completion.loss for _, completion in bench.ends)
            assert loss is not None
            told: list[float] = []
            loss.when_over(lambda: told.append(bench.lab.now_s))
            bench.target.answers = lambda command: True
            await bench.target.listen(GROUP, TO_PORTAL_0)
            await bench.wait(DELAY_S + 1)
            assert bench.session.state is SessionState.LOGGED_IN
            assert (loss.over, len(told)) == (True, 1)

        Bench().run(scenario)

    def test_a_request_the_target_has_aborted_or_logged_out_is_not_left_behind(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.read()
            await bench.wait(1)
            bench.target.answers = lambda command: False
            bench.read()
            await bench.wait(1)
            bench.read()
            await bench.session.log_out()
            await bench.wait(1)
            assert bench.kinds[1:] == [CompletionKind.DELETE_PENDING] * 2
            assert [completion.loss for _, completion in bench.ends] == [None] * 3

        Bench().run(scenario)

    def test_a_logout_that_was_not_answered_leaves_what_was_sent(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.deaf = True
            bench.read()
            await bench.wait(1)
            await bench.session.log_out()
            (loss,) = (completion.loss for _, completion in bench.ends)
            assert loss is not None
            assert loss.threatens(0)

        Bench().run(scenario)


class TestUnitReset:
    def test_a_unit_reset_is_answered_by_the_target(self) -> None:
        async def scenario(bench: Bench) -> None:
            answers: list[TmfResult | None] = []
            bench.session.reset_lun(0, answers.append)
            await bench.wait(0)
            assert answers == [None]
            await bench.logged_in()
            bench.session.reset_lun(0, answers.append)
            await bench.wait(1)
            assert answers == [None, TmfResult.FUNCTION_COMPLETE]
            (request,) = [pdu for pdu in bench.target.connections[-1].others if isinstance(pdu, TmfRequest)]
            assert request.function == TmfFunction.LOGICAL_UNIT_RESET

        Bench().run(scenario)

    def test_a_unit_reset_whose_connection_is_lost_comes_back_without_an_answer(self) -> None:
        async def scenario(bench: Bench) -> None:
            await bench.logged_in()
            bench.target.tmf_answer = None
            answers: list[TmfResult | None] = []
            bench.session.reset_lun(0, answers.append)
            await bench.wait(1)
            bench.target.reset_all()
            await bench.wait(1)
            assert answers == [None]

        Bench().run(scenario)
