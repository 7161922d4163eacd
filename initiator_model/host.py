"""The host as its user operates it: the initiator applet's pages, without the windows.

Add a target portal and the targets behind it appear, Inactive. Log on to one, by a chosen portal and from a chosen
source address, and it is Connected; do it again from another address with the multi-path box checked both times, and
the disk has two paths. A persistent login is made again after a reboot.

A redirecting array lists its group address alone, so that is what the user chooses and what a persistent login keeps;
an array that lists its portals leaves the choice to the user.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from initiator_model.connector import Connector
from initiator_model.discovery import DiscoveryError, discover
from initiator_model.fencing import Fencing
from initiator_model.host_identity import HostIdentity
from initiator_model.host_observer import HostObserver, SessionNews
from initiator_model.host_records import (
    ISDSC_LOGIN_FAILED,
    ISDSC_MULTIPATH_NOT_INSTALLED,
    ISDSC_TARGET_ALREADY_LOGGED_IN,
    ISDSC_TARGET_NOT_FOUND,
    ClaimedDisk,
    HostSession,
    InitiatorError,
    LoginRequestRecord,
    PortalRecord,
)
from initiator_model.login_chain import Hop, LoginError
from initiator_model.lu_probe import ProbeError, probe
from initiator_model.path_checker import PathChecker
from initiator_model.path_claims import PathClaims
from initiator_model.path_verification import PathVerifier
from initiator_model.paths import Path, PathState
from initiator_model.profiles import Profile
from initiator_model.registrations import Registrations
from initiator_model.scsi_calls import CommandFailed
from initiator_model.session import IscsiSession
from initiator_model.session_events import SessionState
from initiator_model.session_manager import SessionManager
from initiator_model.timers import SECOND_NS
from initiator_model.timers.equallogic import EqualLogicTimers
from initiator_model.views import TargetRow, TargetStatus
from iscsi.chap import ChapCredentials
from iscsi.discovery import TargetAddress

__all__ = ["IscsiHost"]

_SESSIONS_MAX = 256  # targets on one SCSI bus


class IscsiHost:
    """A host named ``name`` with the initiator name ``iqn``.

    ``random_bytes`` feeds ISIDs, first CmdSNs and CHAP challenges. ``mpio`` tells whether MPIO is installed.
    ``sources`` are its addresses, for a session manager that chooses among them. ``fencing`` is what it does before it
    sends a write again on another path, if anything. ``first_cmd_sn`` is the CmdSN every session begins with (None: a
    random one).
    Calls are made one at a time.
    """

    def __init__(
        self,
        name: str,
        iqn: str,
        profile: Profile,
        connector: Connector,
        random_bytes: Callable[[int], bytes],
        *,
        mpio: bool = True,
        sources: Sequence[str] = (),
        fencing: Fencing | None = None,
        observer: HostObserver | None = None,
        first_cmd_sn: int | None = None,
    ) -> None:
        self.name = name
        self.iqn = iqn
        self.profile = profile
        self.mpio = mpio
        self.observer = observer or HostObserver()
        self._connector = connector
        self._random_bytes = random_bytes
        self._portals: list[PortalRecord] = []
        self._targets: dict[str, list[TargetAddress]] = {}
        self._sessions: list[HostSession] = []
        self._persistent: list[LoginRequestRecord] = []
        self._identity = HostIdentity(iqn, profile, random_bytes, first_cmd_sn)
        self._claims = PathClaims(
            profile,
            fencing or Fencing(),
            Registrations(random_bytes),
            on_path=self._path_changed,
            on_disk=self._disk_changed,
            on_note=lambda text: self.observer.on_note(self, text),
        )
        self._manager: SessionManager | None = None
        if isinstance(profile.timers, EqualLogicTimers) and mpio and sources:
            self._manager = SessionManager(
                profile.timers,
                sources,
                sessions=lambda: self._sessions,
                disks=lambda: self.disks,
                log_on=self._log_on,
                note=lambda text: self.observer.on_note(self, text),
            )
        self._verifier: PathVerifier | PathChecker = (
            PathVerifier(profile.timers, lambda: self._sessions, self._claims.access.doubt, self._claims.verified)
            if profile.timers.session_restores_path
            else PathChecker(profile.timers, self._claims.access.doubt, self._claims.readmit)
        )

    # What the applet shows

    @property
    def target_portals(self) -> tuple[PortalRecord, ...]:
        """The Discovery page's list."""
        return tuple(self._portals)

    @property
    def persistent_logins(self) -> tuple[LoginRequestRecord, ...]:
        """The Persistent Targets page, in the order the logins will be made again."""
        return tuple(self._persistent)

    @property
    def sessions(self) -> tuple[HostSession, ...]:
        """The sessions in the order they were logged on, whatever their state."""
        return tuple(self._sessions)

    @property
    def disks(self) -> tuple[ClaimedDisk, ...]:
        """The disks, in order of number."""
        return self._claims.disks

    def targets(self) -> tuple[TargetRow, ...]:
        """The Targets page: Connected while any session of the target is logged in."""
        connected = [one.request.target for one in self._sessions if one.session.state is SessionState.LOGGED_IN]
        return tuple(
            TargetRow(name, TargetStatus.CONNECTED if name in connected else TargetStatus.INACTIVE)
            for name in self._targets
        )

    def addresses(self, target: str) -> tuple[TargetAddress, ...]:
        """The portals a user may choose for ``target``, in the order discovery listed them."""
        return tuple(self._target(target))

    def disk(self, target: str, lun: int = 0) -> ClaimedDisk:
        """The disk behind a target; InitiatorError when there is none."""
        for claimed in self.disks:
            if claimed.target == target and claimed.facts.lun == lun:
                return claimed
        raise InitiatorError(f"{self.name} has no disk of {target}, LUN {lun}")

    # What the user does

    async def add_target_portal(self, address: TargetAddress, source: str | None = None) -> tuple[TargetRow, ...]:
        """Ask a portal for its targets and remember it. One discovery session, one TCP connection.

        Raises:
            InitiatorError: the portal did not answer; it is not remembered then.
        """
        terms = self._identity.terms(None, source)
        try:
            found = await discover(
                terms, address, connector=self._connector, random_bytes=self._random_bytes, on_hop=self._hop
            )
        except DiscoveryError as error:
            raise InitiatorError(f"target portal {error}") from error
        record = PortalRecord(address, source)
        if record not in self._portals:
            self._portals.append(record)
        for target in found.records:
            known = self._targets.setdefault(target.name, [])
            known.extend(portal for portal in target.addresses if portal not in known)
        return self.targets()

    async def log_on(
        self,
        target: str,
        *,
        source: str | None = None,
        portal: TargetAddress | None = None,
        persistent: bool = False,
        multipath: bool = False,
        chap: ChapCredentials | None = None,
        mutual_chap: ChapCredentials | None = None,
    ) -> HostSession:
        """Log on to a target and claim its disks. ``portal`` None is the first one listed.

        Raises:
            InitiatorError: the target is not known, is logged on already without multi-path, or refused.
        """
        listed = self._target(target)
        request = LoginRequestRecord(target, portal or listed[0], source, multipath, chap, mutual_chap)
        self._check_multipath(request)
        owner = await self._log_on(request)
        if persistent and request not in self._persistent:
            self._persistent.append(request)
        if self._manager is not None:
            self._manager.logged_on(target)
            await self._manager.top_up(request)
        return owner

    async def log_off(self, target: str, source: str | None = None) -> None:
        """Log off the sessions of a target, all or those from one source address. Persistent logins stay."""
        going = [one for one in self._sessions if one.request.target == target and source in (None, one.request.source)]
        if not going:
            raise InitiatorError(f"{target} is not logged on" + (f" from {source}" if source else ""))
        if self._manager is not None and source is None:
            self._manager.forget(target)
        for owner in going:
            # The target has ended the session's commands before the disk sends them down another path.
            await owner.session.log_out()
            self._claims.released(owner, "logged off")
            self._forget(owner)

    def remove_persistent(self, target: str) -> None:
        """Forget the persistent logins of a target; present sessions stay."""
        self._persistent = [request for request in self._persistent if request.target != target]

    def power_off(self, why: str = "the host went down") -> None:
        """The host loses everything that is not on its system disk: sessions, disks, requests under way.

        Where the network is simulated, its host must have gone down before: then no segment tells of this.
        """
        self._claims.remove_all(why)
        for owner in self._sessions:
            owner.session.vanish(why)
        self._sessions.clear()
        self._verifier.stop()
        if self._manager is not None:
            self._manager.stop()

    async def boot(self) -> list[str]:
        """Come up again: the persistent logins are made in order, each PortalRetryCount times at most.

        Returns what could not be restored, a line each.
        """
        failed = [complaint for request in self._persistent if (complaint := await self._restore(request)) is not None]
        for complaint in failed:
            self.observer.on_note(self, complaint)
        return failed

    async def reboot(self) -> list[str]:
        """`power_off`, then `boot`."""
        self.power_off()
        return await self.boot()

    # How it is done

    def _target(self, target: str) -> list[TargetAddress]:
        try:
            return self._targets[target]
        except KeyError:
            raise InitiatorError(f"the target name is not found: {target}", ISDSC_TARGET_NOT_FOUND) from None

    def _check_multipath(self, request: LoginRequestRecord) -> None:
        if request.multipath and not self.mpio:
            raise InitiatorError(f"MPIO is not installed on {self.name}", ISDSC_MULTIPATH_NOT_INSTALLED)
        for other in self._sessions:
            if other.request.target == request.target and not (other.request.multipath and request.multipath):
                raise InitiatorError(
                    "The target has already been logged in via an iSCSI session.", ISDSC_TARGET_ALREADY_LOGGED_IN
                )

    async def _log_on(self, request: LoginRequestRecord) -> HostSession:
        terms = self._identity.terms(request.target, request.source, request.chap, request.mutual_chap)
        session = IscsiSession(
            terms,
            request.portal,
            connector=self._connector,
            random_bytes=self._random_bytes,
            multipath=request.multipath,
        )
        owner = HostSession(self._free_number(), request, session)
        session.observer = SessionNews(self, owner, self._claims)
        self._sessions.append(owner)
        try:
            await session.log_in()
            units = await probe(session.submit)
            await self._claims.admit(owner, units)
            self._claims.claim(owner, units)
            self._verifier.session_logged_on(owner)
        except (LoginError, CommandFailed, ProbeError, InitiatorError) as error:
            await self._give_up(owner)
            raise InitiatorError(f"log on to {request.target}: {error}", ISDSC_LOGIN_FAILED) from error
        except BaseException:
            session.vanish("the log on was given up")
            self._forget(owner)
            raise
        return owner

    async def _give_up(self, owner: HostSession) -> None:
        await owner.session.log_out()
        self._claims.released(owner, "the log on failed")
        self._forget(owner)

    def _forget(self, owner: HostSession) -> None:
        if owner in self._sessions:  # the host may have gone down meanwhile
            self._sessions.remove(owner)

    async def _restore(self, request: LoginRequestRecord) -> str | None:
        timers = self.profile.timers
        complaint: str | None = None
        for attempt in range(max(1, timers.first_login_tries)):
            if attempt:
                await asyncio.sleep(timers.reconnect_after_refusal_ns / SECOND_NS)
            try:
                await self._log_on(request)
            except InitiatorError as error:
                complaint = str(error)
            else:
                if self._manager is not None:
                    self._manager.logged_on(request.target)
                    await self._manager.top_up(request)
                return None
        return complaint

    def _free_number(self) -> int:
        taken = [owner.number for owner in self._sessions]
        number = next(n for n in range(len(taken) + 1) if n not in taken)
        if number >= _SESSIONS_MAX:
            raise InitiatorError(f"{self.name} has {_SESSIONS_MAX} sessions, as many as fit on the adapter's bus")
        return number

    def _hop(self, hop: Hop) -> None:
        self.observer.on_hop(self, hop.local, hop.remote, hop.status)

    def _path_changed(self, disk: ClaimedDisk, path: Path, old: PathState, new: PathState, why: str) -> None:
        self.observer.on_path(self, disk, path, old, new, why)
        if new is PathState.FAILED:
            for owner in self._sessions:
                if (disk, path) in owner.paths:
                    self._verifier.path_failed(owner, disk, path)

    def _disk_changed(self, disk: ClaimedDisk, present: bool, why: str) -> None:
        self.observer.on_disk(self, disk, present, why)
