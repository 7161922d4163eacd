"""The state of a run that its steps share: world, hosts, faults that stand, workloads that run, what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from harness.array import target_name
from harness.array_story import ArrayStory
from harness.check.marks import Mark
from harness.check.path_selection import PathSelection
from harness.check.suite import Oracles
from harness.checks_model import Check
from harness.expectations import Judgement
from harness.failovers import FailoverRecorder
from harness.goodput import Framing
from harness.host_site import HostSite
from harness.issuing import Journal
from harness.narration import Narrator
from harness.phases import phase_of
from harness.result import Connection, Failover, Phase
from harness.scenario import Scenario
from harness.stall_causes import StallCauses
from harness.trace import Trace
from harness.workload import WorkloadRun
from harness.world import World, WorldFault
from initiator_model.fencing import FenceRule
from target.decisions import Decision, Kind


class Bench:
    """Everything one run has on the table; also the `RunFacts` that checks ask."""

    world: World

    def __init__(
        self, scenario: Scenario, narrator: Narrator, trace: Trace, judged: Collection[str] | None = None
    ) -> None:
        self.scenario = scenario
        self.narrator = narrator
        self.trace = trace
        self._judged = judged
        self.target_names = {volume.name: target_name(scenario.array, volume) for volume in scenario.array.volumes}
        self.oracles = Oracles(scenario, self._now, scenario.array.command_window)
        self.hosts: dict[str, HostSite] = {}
        self.standing: dict[str, WorldFault] = {}
        self.running: dict[str, WorkloadRun] = {}
        self.single_ios: list[asyncio.Future[None]] = []
        """Of `io` steps in the background; done when the I/O has come back."""
        self.phases: list[Phase] = []
        self.judgements: list[Judgement] = []
        self.connections: tuple[Connection, ...] = ()
        self.connections_due = True
        self.framings: dict[str, Framing] = {}
        self.ended_ns = 0
        self._boots: list[asyncio.Task[None]] = []
        self.recorder = FailoverRecorder(self._now)
        self.selection = PathSelection(self._now)
        self.journal = Journal(self._now, self.oracles.conservation)
        self.journal.on_unknown_write = lambda: self.oracles.marks.hit(Mark.UNKNOWN_WRITE)
        self.journal.on_good = self.recorder.completed
        self.journal.on_busy = self.recorder.busy
        self.journal.on_idle = self.recorder.idle
        self.causes = StallCauses(scenario)
        self._array_story = ArrayStory(scenario)

    def enter(self, world: World) -> None:
        """Set the hosts up in the world."""
        self.world = world
        self.oracles.ticks.now_ns = self.journal.now_ns = world.now_ns  # asked for every I/O: nobody in between
        for model in self.scenario.hosts:
            self.hosts[model.name] = HostSite(
                model,
                self.world,
                self.oracles.wire.connector(model.name, world.connector(model.name)),
                self.target_names,
                self.recorder,
                self.selection,
                self.oracles.marks,
                self.tell,
            )

    def power_off(self, host: str) -> None:
        """A host's machine goes down, and with it the workloads that ran there: they ask for nothing any more."""
        for run in self.running.values():
            if run.host == host:
                run.stop()
        self.hosts[host].host.power_off("the host went down")
        self.oracles.wire.logins.forget_host(host)

    def boot(self, host: str) -> None:
        """A host's machine is up again: its persistent logins are made in the background."""
        self._boots.append(self.world.loop.create_task(self.hosts[host].boot()))

    async def booted(self) -> None:
        """Wait until the hosts that boot have made their logins, or given up."""
        for task in self._boots:
            await task

    def _now(self) -> int:
        return self.world.now_ns()

    # -- telling ---------------------------------------------------------------------------------------------------

    def tell(self, text: str) -> None:
        """A line for the walkthrough, and an event of the trace."""
        now_ns = self._now()
        self.trace.event(now_ns, "line", text=text)
        self.narrator.line(text, now_ns)

    def on_decision(self, decision: Decision) -> None:
        """The array decided something: for the trace, for the story, and as the cause of what paths feel of it."""
        self.trace.event(
            self._now(),
            "decision",
            initiator=decision.initiator,
            target=decision.target,
            source=decision.source,
            at=decision.arrived_at,
            answer=decision.answer,
            portal=decision.portal,
            reason=decision.reason,
            about=decision.kind.value,
        )
        if decision.kind is Kind.MOVE:
            self.recorder.fault("asked to log out", (decision.source,))
        elif decision.kind is Kind.FAILOVER:
            self.recorder.fault("controller failover")
        line = self._array_story.line(decision)
        if line is not None:
            self.tell(line)

    def on_array_log(self, text: str) -> None:
        """The array lost a connection."""
        self.trace.event(self._now(), "array", text=text)

    def balance(self) -> None:
        """Count the I/Os above and below."""
        self.oracles.conservation.balance(self.journal.counts, [disk for _, disk in self.selection.disks])

    def counts(self, check: Check) -> bool:
        """Whether this check of the scenario is to be judged in this run."""
        return self._judged is None or check.check in self._judged

    def judge(self, judgement: Judgement) -> None:
        """A check was judged."""
        self.judgements.append(judgement)
        self.narrator.finding(judgement.check, judgement.ok, judgement.why)

    def judge_quietly(self, judgement: Judgement) -> None:
        """As `judge`, without a line for what holds, as it nearly always does."""
        if judgement.ok:
            self.judgements.append(judgement)
        else:
            self.judge(judgement)

    def judge_oracles(self) -> None:
        """Ask the oracles, when the run has ended: a line each for those that failed, one for all the others."""
        held = 0
        for judgement in self.oracles.judgements():
            if judgement.unknown:
                self.judgements.append(judgement)
                self.narrator.line(f"{judgement.check} cannot be judged: {judgement.why}", self.ended_ns)
                continue
            self.judge_quietly(judgement)
            held += judgement.ok
            story = judgement.evidence.get("story")
            if story:
                self.narrator.pane("The ghost write", "\n".join(story))
        if held:
            self.narrator.finding("oracles", True, f"{held} hold")

    # -- workloads and connections ---------------------------------------------------------------------------------

    def end_phase(self, name: str) -> None:
        """A workload has ended and drained: make its phase."""
        run = self.running.pop(name)
        site, volume = self.hosts[run.host], run.step.volume
        phase = phase_of(run, site.policy(volume) or "none", site.paths(volume))
        self.phases.append(phase)
        self.trace.event(self._now(), "phase", name=name, ios=phase.ios, bytes=phase.bytes)
        self.narrator.phase(phase)

    def take_connections(self) -> None:
        """What netstat shows at every host, now."""
        rows = []
        for name, site in self.hosts.items():
            for line in self.world.sockets(name):
                rows.append(Connection(name, line.local, line.remote, line.state, line.offload, site.via(line.local)))
        self.connections = tuple(rows)

    # -- RunFacts --------------------------------------------------------------------------------------------------

    def path_states(self, host: str, volume: str) -> tuple[str, ...]:
        """See `RunFacts.path_states`."""
        return tuple(path.shown.display for path in self.hosts[host].paths(volume))

    def policy(self, host: str, volume: str) -> str | None:
        """See `RunFacts.policy`."""
        return self.hosts[host].policy(volume)

    def target_state(self, host: str, volume: str) -> str | None:
        """See `RunFacts.target_state`."""
        return self.hosts[host].target_state(volume)

    def redirects(self, host: str) -> tuple[str, ...]:
        """See `RunFacts.redirects`."""
        return tuple(self.hosts[host].redirects)

    def framing(self, phase: str) -> Framing:
        """See `RunFacts.framing`: taken from what the session negotiated, when the workload began."""
        return self.framings[phase]

    def io_complaints(self) -> tuple[str, ...]:
        """See `RunFacts.io_complaints`."""
        return tuple(self.journal.complaints)

    def expected_stall_ns(self, failover: Failover) -> int | None:
        """See `RunFacts.expected_stall_ns`."""
        site = self.hosts[failover.host]
        if site.fencing.rule is FenceRule.WAIT:  # longer than any of the profile's timers
            return None
        return self.causes.expected_stall_ns(failover.cause, site.profile)
