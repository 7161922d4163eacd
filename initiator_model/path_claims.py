"""From sessions to disks: which unit behind which session is a path to which MPIO disk.

After each login the units behind it are asked who they are. A unit with a known identity adds a path to the disk that
has it; one that is new makes a disk. From then on this file carries the session's news to the disks: lost, back, gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from initiator_model.access_watch import AccessWatch
from initiator_model.disk import MpioDisk
from initiator_model.dsm import MAX_PATHS, Dsm, PolicyRequest
from initiator_model.fencing import DiskFence, FenceRule, Fencing
from initiator_model.host_records import ClaimedDisk, HostSession, InitiatorError
from initiator_model.lu_probe import LogicalUnitFacts, units_are_the_same, units_unchanged
from initiator_model.paths import Path, PathState, ScsiAddress
from initiator_model.policies import LoadBalancePolicy, PathWish
from initiator_model.policies.catalog import SelectorOptions
from initiator_model.profiles import Profile
from initiator_model.registrations import Registrations
from initiator_model.scsi_calls import CommandFailed, Submit
from initiator_model.session import IscsiSession
from initiator_model.timers import SECOND_NS
from iscsi.port_groups import AccessState

__all__ = ["ADAPTER_PORT", "PathClaims"]

ADAPTER_PORT = 3
"""SCSI port number of the software initiator; which one Windows gives it depends on the machine."""

OnPath = Callable[[ClaimedDisk, Path, PathState, PathState, str], None]
OnDisk = Callable[[ClaimedDisk, bool, str], None]


class PathClaims:
    """The disks of one host.

    What an administrator chose for a disk is remembered by the disk's identity, as Windows keeps it in its registry:
    the policy with its settings, and for each source address what was wished of the first, second, ... path from
    there. It holds again when the disk comes back, after a reboot too.
    """

    def __init__(
        self,
        profile: Profile,
        fencing: Fencing,
        registrations: Registrations,
        *,
        on_path: OnPath,
        on_disk: OnDisk,
        on_note: Callable[[str], None],
    ) -> None:
        self._profile = profile
        self._fencing = fencing
        self._registrations = registrations
        self._on_note = on_note
        self._fences: dict[ClaimedDisk, DiskFence] = {}
        self._owners: list[HostSession] = []
        self.access = AccessWatch(lambda: self._owners, on_note)
        self._on_path = on_path
        self._on_disk = on_disk
        self._disks: list[ClaimedDisk] = []
        self._chosen: dict[str, tuple[LoadBalancePolicy, SelectorOptions]] = {}
        self._wished: dict[tuple[str, str, int], PathWish] = {}

    @property
    def disks(self) -> tuple[ClaimedDisk, ...]:
        """The disks that are there, in order of number."""
        return tuple(self._disks)

    async def admit(self, owner: HostSession, units: list[LogicalUnitFacts], submit: Submit | None = None) -> None:
        """Before the paths of a session are used: register its key where this host fences by keys.

        ``submit`` where the session itself takes no requests yet.

        Raises:
            CommandFailed: a unit refused it; nothing could be written through this session then.
        """
        if self._fencing.registers:
            session = owner.session
            for unit in units:
                await self._registrations.register(submit or session.submit, session.terms.isid, unit.lun)

    async def readmit(
        self, owner: HostSession, units: list[LogicalUnitFacts], submit: Submit | None = None
    ) -> str | None:
        """The same before paths that had failed are used again; what is wrong, or None."""
        try:
            await self.admit(owner, units, submit)
        except CommandFailed as failure:
            return str(failure)
        return None

    async def _check(self, owner: HostSession, units: list[LogicalUnitFacts], submit: Submit) -> str | None:
        """The path check of a session: its units are who they were, and take its writes."""
        return await units_unchanged(units, submit) or await self.readmit(owner, units, submit)

    def claim(self, owner: HostSession, units: list[LogicalUnitFacts]) -> None:
        """A session has logged in and its units have answered.

        Raises:
            InitiatorError: two units claim one identity with different sizes, there is no SCSI address left, or a disk
                disk has all the paths it can have.
        """
        session = owner.session
        session.path_check = partial(self._check, owner, units)
        session.identity_check = partial(units_are_the_same, units)
        for unit in units:
            claimed = self._disk_for(owner, unit)
            address = ScsiAddress(ADAPTER_PORT, 0, owner.number, unit.lun)
            path = self._path(owner, unit.identity, address, not unit.standby)
            owner.paths.append((claimed, path))
            claimed.disk.add_path(path, session)
        self._owners.append(owner)
        self.access.session_came(owner)

    def lost(self, owner: HostSession, why: str) -> None:
        """The session's hold time is over."""
        for claimed, path in owner.paths:
            claimed.disk.path_failed(path, why)

    def back(self, owner: HostSession) -> None:
        """The session works again, perhaps from another port and at another portal. A disk that is gone comes anew.

        Where a checker restores paths, it will find this one well.
        """
        if not self._profile.timers.session_restores_path:
            return
        why = f"session is back: {owner.session.local} -> {owner.session.remote}"
        for claimed, path in list(owner.paths):
            self._restore(owner, claimed, path, why)

    def verified(self, owner: HostSession, claimed: ClaimedDisk, path: Path) -> bool:
        """A path that had failed works, though its session never was given up; whether it is in use again.

        Its disk may be gone meanwhile.
        """
        was_gone = claimed.disk.gone
        restored = self._restore(owner, claimed, path, "path verified")
        if was_gone:
            self.access.session_came(owner)
        elif claimed.facts.inquiry.tpgs:
            self.access.doubt(claimed)
        return restored

    def _restore(self, owner: HostSession, claimed: ClaimedDisk, path: Path, why: str) -> bool:
        if not claimed.disk.gone:
            claimed.disk.path_recovered(path, why)
            return True
        try:
            known = self._disk_for(owner, claimed.facts)
        except InitiatorError as error:
            self._on_note(f"{path.label} is no path to a disk again: {error}")
            return False
        fresh = self._path(owner, claimed.facts.identity, path.scsi_address, path.can_be_active)
        owner.paths[owner.paths.index((claimed, path))] = (known, fresh)
        known.disk.add_path(fresh, owner.session)
        return True

    def moved(self, owner: HostSession) -> None:
        """The session has a new connection: its paths have new ends."""
        for claimed, path in owner.paths:
            if path.access is not None and path.portal != owner.session.remote:
                # Another port, and perhaps another controller: it serves nothing until the array has said what it is.
                path.port_group = None
                claimed.disk.set_access({path.path_id: (AccessState.UNAVAILABLE, False)})
            path.source, path.portal = owner.session.local, owner.session.remote
        self.access.session_came(owner)

    def released(self, owner: HostSession, why: str) -> None:
        """The session was logged out. A disk whose last path that was goes away."""
        for claimed, path in owner.paths:
            if not claimed.disk.gone:
                claimed.disk.remove_path(path, why)
                if not claimed.disk.dsm.paths:
                    claimed.disk.remove(why)
        owner.paths.clear()
        if owner in self._owners:
            self._owners.remove(owner)

    def remove_all(self, why: str) -> None:
        """The host went down."""
        self.access.stop()
        for claimed in self.disks:
            claimed.disk.remove(why)
        self._owners.clear()

    def _disk_for(self, owner: HostSession, unit: LogicalUnitFacts) -> ClaimedDisk:
        """The disk that a path to this unit is added to. Raises InitiatorError when none takes it."""
        claimed = self._known(owner, unit) or self._new_disk(owner, unit)
        if len(claimed.disk.dsm.paths) >= MAX_PATHS:
            raise InitiatorError(f"MPIO Disk{claimed.number} has its paths: a disk has at most {MAX_PATHS} paths")
        return claimed

    def _known(self, owner: HostSession, unit: LogicalUnitFacts) -> ClaimedDisk | None:
        """The disk this unit is, if MPIO may combine them: the box was checked, and the unit says who it is."""
        if unit.identity is None or not owner.request.multipath:
            return None
        for claimed in self._disks:
            if claimed.facts.identity == unit.identity:
                if claimed.facts.capacity != unit.capacity:
                    raise InitiatorError(
                        f"LUN {unit.lun} of {owner.request.target} has the identity of MPIO Disk{claimed.number} "
                        f"({unit.identity}) and another capacity"
                    )
                return claimed
        return None

    def _new_disk(self, owner: HostSession, unit: LogicalUnitFacts) -> ClaimedDisk:
        usual = self._profile.symmetric_policy, self._profile.options
        policy, options = self._chosen.get(unit.identity or "", usual)
        loop = asyncio.get_running_loop()
        dsm = Dsm(
            policy,
            options=options,
            clock=lambda: round(loop.time() * SECOND_NS),
            follows_access=self._profile.follows_access,
        )
        fence = None
        if self._fencing.rule is not FenceRule.NONE:
            fence = DiskFence(
                self._fencing,
                unit.lun,
                errors=self._profile.errors,
                registrations=self._registrations,
                session_of=self._session_of,
                note=self._on_note,
            )
        disk = MpioDisk(
            dsm=dsm,
            timers=self._profile.timers,
            errors=self._profile.errors,
            blocks=unit.capacity.blocks,
            block_size=unit.capacity.block_size,
            lun=unit.lun,
            call_later=loop.call_later,
            fence=fence,
        )
        taken = [claimed.number for claimed in self._disks]
        number = next(n for n in range(len(taken) + 1) if n not in taken)
        claimed = ClaimedDisk(number, owner.request.target, unit, disk)
        if fence is not None:
            self._fences[claimed] = fence
        dsm.on_change = partial(self._on_path, claimed)
        dsm.on_policy = partial(self._policy_chosen, claimed)
        disk.on_gone = partial(self._gone, claimed)
        if unit.inquiry.tpgs:
            disk.on_doubt = partial(self.access.doubt, claimed)
        self._disks.append(claimed)
        self._disks.sort(key=lambda one: one.number)
        self._on_disk(claimed, True, f"LUN {unit.lun} of {owner.request.target}")
        return claimed

    def _policy_chosen(self, claimed: ClaimedDisk, request: PolicyRequest) -> None:
        identity = claimed.facts.identity
        if identity is None:
            return
        dsm = claimed.disk.dsm
        self._chosen[identity] = request.policy, dsm.options
        sources = [_address(path.source) for path in dsm.paths]
        wishes = {wish.path_id: wish for wish in request.wishes}
        for index, path in enumerate(dsm.paths):
            self._wished[identity, sources[index], sources[:index].count(sources[index])] = wishes[path.path_id]

    def _path(self, owner: HostSession, identity: str | None, address: ScsiAddress, can_be_active: bool) -> Path:
        """A new path over a session, with what was wished of the one from the same source before."""
        session = owner.session
        source = _address(session.local)
        known = next((one.disk.dsm.paths for one in self._disks if identity and one.facts.identity == identity), ())
        ordinal = sum(_address(other.source) == source for other in known)
        wish = self._wished.get((identity or "", source, ordinal))
        return Path(
            source=session.local,
            portal=session.remote,
            scsi_address=address,
            weight=0 if wish is None else wish.weight,
            preferred=wish is not None and wish.preferred,
            desired_state=None if wish is None else wish.state,
            can_be_active=can_be_active,
            throughput=1 if wish is None else wish.throughput,
            group=owner.group,
        )

    def _session_of(self, path: Path) -> IscsiSession | None:
        for owner in self._owners:
            if any(own is path for _, own in owner.paths):
                return owner.session
        return None

    def _gone(self, claimed: ClaimedDisk, why: str) -> None:
        fence = self._fences.pop(claimed, None)
        if fence is not None:
            fence.stop()
        self._disks.remove(claimed)
        self._on_disk(claimed, False, why)


def _address(endpoint: str) -> str:
    """The address of an ``"ip:port"``."""
    return endpoint.rpartition(":")[0]
