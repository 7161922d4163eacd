"""One modeled host of a run: the initiator, what is told of it, and its answers to a scenario's questions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.check.marks import Mark, Marks
from harness.check.path_selection import PathSelection
from harness.failovers import FailoverRecorder
from harness.goodput import Framing
from harness.patience import longest_io_ns, longest_log_off_ns
from harness.scenario import Host as HostModel
from harness.stall_causes import tcp_option_bytes
from harness.steps import Workload
from initiator_model import views
from initiator_model.connector import Connector
from initiator_model.disk import MpioDisk
from initiator_model.fencing import FenceRule, Fencing
from initiator_model.host import IscsiHost
from initiator_model.host_observer import HostObserver
from initiator_model.host_records import ClaimedDisk, HostSession, InitiatorError
from initiator_model.live_connection import LOGGED_OUT
from initiator_model.paths import Path, PathState
from initiator_model.policies.guard import behind
from initiator_model.policies.path_groups import PathGroups
from initiator_model.policies.vmw_mru import VmwMru
from initiator_model.policies.vmw_rr import VmwRoundRobin
from initiator_model.profiles import profile_named
from initiator_model.scsi_calls import Submit
from initiator_model.session_events import SessionState
from initiator_model.views_elsewhere import esxcli_paths, multipath_ll

if TYPE_CHECKING:
    from harness.world import SocketLine, World

Tell = Callable[[str], None]


_DEVICES_TITLES = {
    "applet": "Device Details: MPIO",
    "multipath": "# multipath -ll",
    "esxcli": "# esxcli storage nmp path list",
}


class HostSite(HostObserver):
    """The host ``model`` of a scenario, at work in a world.

    ``tell`` hears a line for everything a person at the bench would want to see.
    """

    def __init__(
        self,
        model: HostModel,
        world: World,
        connector: Connector,
        target_names: dict[str, str],
        recorder: FailoverRecorder,
        selection: PathSelection,
        marks: Marks,
        tell: Tell,
    ) -> None:
        self.model = model
        profile = profile_named(model.profile).with_timers(model.timers)
        self.profile = profile.with_digests() if model.digests else profile
        self.fencing = Fencing(FenceRule(model.fencing), model.target_notices_ns)
        self.redirects: list[str] = []
        self.host = IscsiHost(
            model.name,
            model.iqn,
            self.profile,
            connector,
            world.stream(f"host:{model.name}").bytes,
            mpio=model.multipath,
            sources=[nic.ip for nic in model.nics],
            fencing=self.fencing,
            observer=self,
            first_cmd_sn=model.first_cmd_sn,
        )
        self._world = world
        self._target_names = target_names
        self._volume_of = {target: volume for volume, target in target_names.items()}
        self._recorder = recorder
        self._selection = selection
        self._marks = marks
        self._losses: dict[MpioDisk, int] = {}  # when each disk lost a path last
        self._tell = tell

    async def boot(self) -> None:
        """The machine is up again: its persistent logins come back; the initiator tells what does not."""
        await self.host.boot()

    async def shut_down(self) -> None:
        """Log off what is logged on; what does not answer is dropped."""
        for owner in self.host.sessions:
            await owner.session.log_out()
        self.host.power_off("the host was shut down")

    @property
    def longest_io_ns(self) -> int:
        """The longest one of its logical I/Os can take."""
        params = [owner.session.params for owner in self.host.sessions if owner.session.params is not None]
        kept_s = max((each.default_time2wait + each.default_time2retain for each in params), default=0)
        return longest_io_ns(self.profile.timers, self.fencing.longest_ns(kept_s))

    @property
    def longest_log_off_ns(self) -> int:
        """The longest a log-off can take: the sessions log out one after another, and each waits for its answer."""
        return longest_log_off_ns(self.profile.timers, len(self.host.sessions))

    # -- questions -------------------------------------------------------------------------------------------------

    def claimed(self, volume: str) -> ClaimedDisk:
        """The disk of a volume; InitiatorError when the host has none."""
        return self.host.disk(self._target_names[volume])

    def paths(self, volume: str) -> tuple[Path, ...]:
        """The paths of the volume's disk, in the order of its pane; none without a disk."""
        try:
            return self.claimed(volume).disk.dsm.paths
        except InitiatorError:
            return ()

    def session_of(self, path: Path) -> Submit | None:
        """Where commands for one path alone go; None when the host has no session for it any more."""
        for owner in self.host.sessions:
            if any(one is path for _, one in owner.paths):
                return owner.session.submit
        return None

    def is_logged_on(self, volume: str) -> bool:
        """Whether there is a session to the volume, even one that is trying to come back."""
        return any(owner.request.target == self._target_names[volume] for owner in self.host.sessions)

    def policy(self, volume: str) -> str | None:
        """The disk's policy by its option name; None without a disk."""
        try:
            return self.claimed(volume).disk.dsm.policy.option
        except InitiatorError:
            return None

    def target_state(self, volume: str) -> str | None:
        """The volume's row of the Targets list."""
        for row in self.host.targets():
            if row.name == self._target_names[volume]:
                return row.status.value
        return None

    def via(self, local: str) -> str | None:
        """The address the login of this connection was redirected from."""
        for owner in self.host.sessions:
            session = owner.session
            if session.local == local and session.via is not None:
                return session.via.redirect_value
        return None

    def framing(self, work: Workload, mtu: int) -> Framing:
        """What the sessions to a workload's volume wrap its data in, as they negotiated it."""
        params = next(
            owner.session.params
            for owner in self.host.sessions
            if owner.session.params is not None and owner.request.target == self._target_names[work.volume]
        )
        read = work.op == "read"
        return Framing(
            mtu=mtu,
            tcp_option_bytes=tcp_option_bytes(self.profile),
            max_data_segment_bytes=(
                params.max_recv_data_segment_length if read else params.peer_max_recv_data_segment_length
            ),
            immediate_data_bytes=0 if read or not params.immediate_data else params.first_burst_length,
            header_digest=params.header_digest,
            data_digest=params.data_digest,
        )

    # -- panes -----------------------------------------------------------------------------------------------------

    def targets_pane(self) -> str:
        """The Targets tab."""
        return views.targets_list(self.host.targets())

    def devices_pane(self, volume: str) -> str:
        """The paths of the volume's disk, as the host's own tool shows them."""
        claimed = self.claimed(volume)
        dsm = claimed.disk.dsm
        selector = behind(dsm.selector)
        wwid = (claimed.facts.identity or claimed.facts.serial).rpartition(":")[2]
        if self.profile.console == "multipath":
            inquiry = claimed.facts.inquiry
            groups = selector.groups(dsm.paths) if isinstance(selector, PathGroups) else [list(dsm.paths)]
            product = f"{inquiry.vendor.strip()},{inquiry.product.strip()}"
            size_bytes = claimed.facts.capacity.blocks * claimed.facts.capacity.block_size
            name = f"mpath{chr(ord('a') + claimed.number % 26)}"
            return multipath_ll(name, f"3{wwid}", product, size_bytes, dsm.policy, groups)
        if self.profile.console == "esxcli":
            working = selector.working if isinstance(selector, VmwMru | VmwRoundRobin) else None
            return esxcli_paths(f"naa.{wwid}", dsm.policy, dsm.paths, working)
        return views.device_details(f"MPIO Disk{claimed.number} ({volume})", dsm.policy, dsm.paths)

    @property
    def devices_title(self) -> str:
        """What stands above that."""
        return _DEVICES_TITLES[self.profile.console]

    def netstat_pane(self, sockets: list[SocketLine]) -> str:
        """`netstat -nt`."""
        return views.netstat(sockets)

    def mpclaim_pane(self, volume: str | None) -> str:
        """`mpclaim -s -d`, of one disk or of all."""
        if volume is None:
            return views.mpclaim_disks(
                views.MpioDiskRow(one.number, one.number + 1, one.disk.dsm.policy, self.profile.dsm_name)
                for one in self.host.disks
            )
        claimed = self.claimed(volume)
        dsm = claimed.disk.dsm
        return views.mpclaim_disk(
            claimed.number,
            dsm.policy,
            dsm.paths,
            symmetric=dsm.symmetric,
            dsm_name=self.profile.dsm_name,
            serial=claimed.facts.serial,
        )

    # -- what the initiator tells ----------------------------------------------------------------------------------

    def on_hop(self, host: IscsiHost, local: str, remote: str, status: str) -> None:
        """A login ended, well, redirected or badly."""
        if not local:
            return  # TCP never came up; the session's own note says why
        if " moved " in status and " to " in status:
            code, _, rest = status.partition(" ")
            words, _, where = rest.partition(" to ")
            self.redirects.append(where.rpartition(":")[0])
            status = f"{words} ({code}) to {where}"
        elif status.startswith("0x"):
            code, _, words = status.partition(" ")
            status = f"{words} ({code})"
        self._tell(f"{host.name} {self._nic(local)}{local} → {remote}  login → {status}")

    def on_session(self, host: IscsiHost, session: HostSession, old: SessionState, new: SessionState, why: str) -> None:
        """A session changed its state."""
        path = self._path_name(session)
        if new is SessionState.RECOVERING and old is SessionState.LOGGED_IN:
            self._recorder.session_lost(host.name, path, session.session.remote.rpartition(":")[0])
            hold_s = self.profile.timers.hold_ns(multipath=session.request.multipath) / 1e9
            how = "session logged out as the array asked" if why == LOGGED_OUT else f"session lost ({why})"
            self._tell(f"{host.name} {path}: {how}; its I/O is held for at most {hold_s:g} s")
        elif new is SessionState.LOGGED_IN and old is not SessionState.LOGGING_IN:
            self._recorder.session_back(host.name, path)
            self._tell(f"{host.name} {path}: session is back, {session.session.local} → {session.session.remote}")
        elif new is SessionState.LOST:
            self._tell(f"{host.name} {path}: session given up ({why})")

    def on_path(self, host: IscsiHost, disk: ClaimedDisk, path: Path, old: PathState, new: PathState, why: str) -> None:
        """A path changed its state."""
        self._selection.changed(disk.disk)
        if new is PathState.FAILED:
            self._recorder.path_failed(host.name, path.source.rpartition(":")[0])
            self._mark_loss(disk.disk)
        if old is not PathState.UNDETERMINED:
            self._tell(
                f"{host.name} path {path.source.rpartition(':')[0]} → {path.portal}: "
                f"{old.display} → {path.shown.display} ({why})"
            )

    def _mark_loss(self, disk: MpioDisk) -> None:
        now_ns = self._world.now_ns()
        if self._losses.get(disk) == now_ns:
            self._marks.hit(Mark.TWO_PATHS_LOST)
        self._losses[disk] = now_ns
        if not any(path.works for path in disk.dsm.paths):
            self._marks.hit(Mark.ALL_PATHS_LOST)

    def on_disk(self, host: IscsiHost, disk: ClaimedDisk, present: bool, why: str) -> None:
        """A disk came or went."""
        volume = self._volume_of.get(disk.target, disk.target)
        if present:
            self._selection.watch(disk.disk, f"{host.name} {volume}")
            self._tell(f"{host.name} MPIO Disk{disk.number} is {volume}")
        else:
            if disk.disk.dsm.paths and not any(path.works for path in disk.disk.dsm.paths):
                self._marks.hit(Mark.DISK_REMOVED)
            self._tell(f"{host.name} MPIO Disk{disk.number} ({volume}) is gone: {why}")

    def on_note(self, host: IscsiHost, text: str) -> None:
        """Worth a line."""
        self._tell(f"{host.name} {text}")

    def _path_name(self, session: HostSession) -> str:
        return session.session.local.rpartition(":")[0] or session.request.source or "default source"

    def _nic(self, local: str) -> str:
        address = local.rpartition(":")[0]
        return next((f"{nic.name} " for nic in self.model.nics if nic.ip == address), "")
