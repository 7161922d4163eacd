"""What the array says of the paths to an asymmetric disk, asked again whenever there is reason to doubt it.

A unit whose INQUIRY data has TPGS names, on each path, the target port group behind it (page 83h), and tells the states
of all its groups on any path (REPORT TARGET PORT GROUPS). Both are asked when a session has come, or come back by
another portal, and the states again when a command meets one of these:

    6/2A/06, 6/2A/07      asymmetric access state changed; an implicit transition failed
    2/04/0A, 0B, 0C       in transition; standby; unavailable

While a group is in transition the question is repeated every second, and so it is while no path serves and the array
does not answer, or changes states by itself: no command will raise a doubt then (the second is unverified). Where the
array leaves it to its hosts (explicit TPGS) and no optimized path works, a DSM that follows the array sends SET TARGET
PORT GROUPS for the group of the first path that does; when the array refuses, things stay as they are.

Two hosts that do so, and see one controller each, would pass the volume to and fro with every command, for each change
is a unit attention for the other one. So a group that this host asked for, and that was made another's soon after, is
asked for no more for a minute as long as its paths serve as they are, and where they do not, once a second at most.

Source: SPC-4 5.15.2; the Microsoft DSM's sample for when it asks and sets (FACTS D.4). The minute is ours (unverified).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from initiator_model.host_records import ClaimedDisk, HostSession
from initiator_model.lu_probe import port_group_of
from initiator_model.paths import Path
from initiator_model.scsi_calls import CommandFailed, Submit, call
from initiator_model.session_events import SessionState
from iscsi import scsi
from iscsi.port_groups import AccessState, PortGroups, build_set_list, parse_port_groups

__all__ = ["AccessWatch"]

_ANSWER_MAX: Final = 4096
_ASK_AGAIN_S: Final = 1.0
_LEFT_ALONE_S: Final = 60.0
_EXPLICIT: Final = 2
_SERVES: Final = AccessState.ACTIVE_NON_OPTIMIZED


class AccessWatch:
    """The asymmetric disks of one host. ``owners`` gives the sessions; ``note`` hears what went wrong."""

    def __init__(self, owners: Callable[[], list[HostSession]], note: Callable[[str], None]) -> None:
        self._owners = owners
        self._note = note
        self._asking: dict[ClaimedDisk, asyncio.Task[None]] = {}  # in the order the questions were begun
        self._again: list[ClaimedDisk] = []
        self._learning: dict[int, asyncio.Task[None]] = {}
        self._taken: dict[ClaimedDisk, tuple[int, float]] = {}  # the group last asked for, and when
        self._started = 0

    def session_came(self, owner: HostSession) -> None:
        """A session is there, or there again: which groups are behind it now?"""
        if any(claimed.facts.inquiry.tpgs for claimed, _ in owner.paths):
            self._started = number = self._started + 1
            task = asyncio.get_running_loop().create_task(self._learn(owner))
            self._learning[number] = task
            task.add_done_callback(lambda _: self._learning.pop(number, None))

    def doubt(self, claimed: ClaimedDisk) -> None:
        """Ask for the states of a disk's groups, now or when the present question is answered."""
        if claimed in self._asking:
            if claimed not in self._again:
                self._again.append(claimed)
            return
        task = asyncio.get_running_loop().create_task(self._ask(claimed))
        self._asking[claimed] = task
        task.add_done_callback(lambda _: self._asked(claimed))

    def stop(self) -> None:
        """The host goes down."""
        for task in (*self._asking.values(), *self._learning.values()):
            task.cancel()
        self._asking.clear()
        self._again.clear()
        self._learning.clear()

    def _asked(self, claimed: ClaimedDisk) -> None:
        self._asking.pop(claimed, None)
        if claimed in self._again:
            self._again.remove(claimed)
            if not claimed.disk.gone:
                self.doubt(claimed)

    async def _learn(self, owner: HostSession) -> None:
        for claimed, path in list(owner.paths):
            while owner.session.state is SessionState.LOGGED_IN and not claimed.disk.gone:
                try:
                    path.port_group = await port_group_of(owner.session.submit, claimed.facts.lun)
                except (CommandFailed, ValueError) as error:
                    self._note(f"which port group is behind {path.label} cannot be learned yet: {error}")
                    await asyncio.sleep(_ASK_AGAIN_S)
                else:
                    self.doubt(claimed)
                    break

    async def _ask(self, claimed: ClaimedDisk) -> None:
        told = ""
        while not claimed.disk.gone:
            groups, complaint = await self._ask_on_any_way(claimed)
            if claimed.disk.gone:
                return
            if complaint and complaint != told:
                self._note(complaint)
            told = complaint
            moving = False
            if groups is not None:
                self._tell(claimed, groups)
                moving = any(group.state is AccessState.TRANSITIONING for group in groups.groups)
                if not moving:
                    await self._take_over(claimed, groups)
            serves = claimed.disk.dsm.has_active or not self._has_a_way(claimed)
            if not moving and (serves or (groups is not None and self._is_explicit(claimed))):
                return  # the next command will show it, a session that comes back, or the other host
            await asyncio.sleep(_ASK_AGAIN_S)

    def _has_a_way(self, claimed: ClaimedDisk) -> bool:
        return any(path.works and self._submit(claimed, path) is not None for path in claimed.disk.dsm.paths)

    def _is_explicit(self, claimed: ClaimedDisk) -> bool:
        return bool(claimed.facts.inquiry.tpgs & _EXPLICIT) and claimed.disk.dsm.follows_access

    async def _ask_on_any_way(self, claimed: ClaimedDisk) -> tuple[PortGroups | None, str]:
        """What the first path that answers says: working ones are asked first. None when none does, and why."""
        complaint = ""
        for path in sorted(claimed.disk.dsm.paths, key=lambda path: not path.works):
            submit = self._submit(claimed, path)
            if submit is None:
                continue
            try:
                return await ask(submit, claimed.facts.lun), ""
            except (CommandFailed, ValueError) as error:
                complaint = str(error)
        return None, complaint

    def _tell(self, claimed: ClaimedDisk, groups: PortGroups) -> None:
        by_number = {group.number: group for group in groups.groups}
        known = {
            path.path_id: (by_number[path.port_group].state, by_number[path.port_group].preferred)
            for path in claimed.disk.dsm.paths
            if path.port_group in by_number
        }
        claimed.disk.set_access(known)

    async def _take_over(self, claimed: ClaimedDisk, groups: PortGroups) -> None:
        """Ask the array for an optimized path if there is none and it takes requests."""
        dsm = claimed.disk.dsm
        works = [path for path in dsm.paths if path.works]
        if (
            not self._is_explicit(claimed)
            or not works
            or any(path.access is AccessState.ACTIVE_OPTIMIZED for path in works)
        ):
            return
        heir = works[0]
        submit = self._submit(claimed, heir)
        if submit is None or heir.port_group is None:
            return
        if not await self._may_take(claimed, heir.port_group, serves=any(path.access is _SERVES for path in works)):
            return
        wanted = build_set_list([(heir.port_group, AccessState.ACTIVE_OPTIMIZED)])
        cdb = scsi.set_target_port_groups(len(wanted))
        try:
            await call(submit, "SET TARGET PORT GROUPS", claimed.facts.lun, cdb, data_out=wanted)
            groups = await ask(submit, claimed.facts.lun)
        except (CommandFailed, ValueError) as error:
            self._note(f"the array does not make group {heir.port_group} optimized: {error}")
            return
        if not claimed.disk.gone:
            self._tell(claimed, groups)

    async def _may_take(self, claimed: ClaimedDisk, group: int, *, serves: bool) -> bool:
        """Whether to ask for a group now: not again at once when another host has taken it since."""
        loop = asyncio.get_running_loop()
        before, at_s = self._taken.get(claimed, (None, 0.0))
        passed_s = loop.time() - at_s
        if before == group and passed_s < _LEFT_ALONE_S and serves:
            self._note(f"group {group} was taken away {passed_s:.3f} s after this host had asked for it: left alone")
            return False
        if before == group and passed_s < _ASK_AGAIN_S:
            await asyncio.sleep(_ASK_AGAIN_S - passed_s)
        self._taken[claimed] = group, loop.time()
        return not claimed.disk.gone

    def _submit(self, claimed: ClaimedDisk, path: Path) -> Submit | None:
        for owner in self._owners():
            if (claimed, path) in owner.paths and owner.session.state is SessionState.LOGGED_IN:
                return owner.session.submit
        return None


async def ask(submit: Submit, lun: int) -> PortGroups:
    """REPORT TARGET PORT GROUPS. Raises CommandFailed, or ValueError for an answer that is none."""
    cdb = scsi.report_target_port_groups(_ANSWER_MAX)
    return parse_port_groups(await call(submit, "REPORT TARGET PORT GROUPS", lun, cdb, _ANSWER_MAX))
