"""All connections of a run: who ends whose tasks, and where each copy of a write has gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from harness.check.findings import Findings
from harness.check.history import Ticks
from harness.check.marks import Mark, Marks
from harness.check.wire.conversation import Conversation
from harness.check.wire.copies import Copy
from harness.check.wire.logins import Logins
from harness.check.wire.tap import TappedConnector
from harness.expectations import Judgement
from initiator_model.connector import Connector

__all__ = ["WireWatch"]


class WireWatch:
    """See the module. ``depth`` is the array's command window, in commands; ``stored(writer)`` whether a logical write
    has reached the medium.
    """

    def __init__(
        self,
        ticks: Ticks,
        marks: Marks,
        depth: int,
        logins: Callable[[Findings], Logins],
        stored: Callable[[int], bool],
    ) -> None:
        self.ticks = ticks
        self.marks = marks
        self.depth = depth
        now_ns = ticks.now_ns
        self.sequence = Findings("sequence", now_ns)
        self.answers = Findings("answers", now_ns)
        self.attentions = Findings("unit attentions", now_ns)
        self.early = Findings("acknowledged writes", now_ns)
        self.login_findings = Findings("logins", now_ns)
        self.logins = logins(self.login_findings)
        self._stored = stored
        self._conversations: list[Conversation] = []
        self._lingering: list[Conversation] = []  # closed, and something they had sent may still be at the array
        self._counted = 0
        self.turned_away = 0
        """Connections nobody listens to any more: what was sent over them later is not known."""
        self._copies: dict[int, list[Copy]] = {}

    @property
    def copies(self) -> Mapping[int, list[Copy]]:
        """The copies of each logical write, by its number, in the order they were sent."""
        return MappingProxyType(self._copies)

    def connector(self, host: str, inner: Connector) -> Connector:
        """The host's network, listened to."""
        return TappedConnector(
            inner,
            lambda local, remote: self.opened(host, local, remote),
            lambda remote, source: self.logins.unreachable(host, remote, source),
        )

    def opened(self, host: str, local: str, remote: str) -> Conversation:
        """A connection of the host stands between these two ends ("ip:port")."""
        conversation = Conversation(self, host, local, remote)
        self._counted += 1
        self._conversations.append(conversation)
        return conversation

    def damaged(self, flow: tuple[tuple[str, int], tuple[str, int]]) -> None:
        """A cable changes what crosses the connection with these ends, either one first: nobody listens to it any more.

        What its host reads is not what the array has written, or the other way round: neither can be held to it.
        """
        one, other = (f"{ip}:{port}" for ip, port in flow)
        for conversation in self._conversations:
            if (conversation.local, conversation.remote) in ((one, other), (other, one)):
                self.turned_away += 1
                conversation.turn_away()
                self.logins.damaged(conversation)

    def judgements(self) -> list[Judgement]:
        """What became of it all."""
        connections = f"{self._counted:,} connection{'' if self._counted == 1 else 's'}"
        return [
            self.sequence.judgement(f"{connections}: CmdSN, StatSN, DataSN, R2T and bursts are in order"),
            self.answers.judgement(f"{connections}: every answer belongs to a command, is whole and comes once"),
            self.login_findings.judgement(f"{connections}: logins begin, move and end where they should"),
            self.attentions.judgement(f"{connections}: no unit attention was forgotten"),
            self.early.judgement(f"{len(self._copies):,} writes: none was acknowledged before it was stored"),
        ]

    # -- what conversations tell -----------------------------------------------------------------------------------

    def copied(self, copy: Copy) -> None:
        """A command that carries a logical write was sent."""
        copies = self._copies.get(copy.writer)
        if copies is None:
            self._copies[copy.writer] = [copy]
            return
        if any(one.answered is None and one.where != copy.where for one in copies):
            self.marks.hit(Mark.GHOST_CANDIDATE)
        copies.append(copy)

    def answered(self, copy: Copy, good: bool) -> None:
        """A copy was answered."""
        copy.answered = self.ticks.next()
        copy.answered_ns = self.ticks.now_ns()
        copy.good = good
        if good and not self._stored(copy.writer):
            self.early.add("stored", f"{copy.where}: write {copy.writer} was acknowledged, and is not on the medium")

    def ended(self, copy: Copy, why: str) -> None:
        """Something has ended a copy: it must not reach the medium any more."""
        if copy.open:
            copy.ended = self.ticks.next()
            copy.ended_by = why

    def logged_in(self, conversation: Conversation) -> None:
        """A session begins; one of the same nexus ends with all it had (RFC 7143 6.3.5)."""
        older = self.logins.succeeded(conversation)
        if conversation.terms.discovery:
            conversation.attentions = None
        if older is not None:
            older.end_copies("its session was reinstated")

    def logged_out(self, conversation: Conversation) -> None:
        """A session was closed in order."""
        self.logins.logged_out(conversation)

    def closed(self, conversation: Conversation) -> None:
        """A connection is over for its host."""
        self._conversations.remove(conversation)
        self._lingering = [one for one in self._lingering if one.has_open_copies]
        if conversation.has_open_copies:
            self._lingering.append(conversation)

    def reset(self, by: Conversation, lun: bytes | None, asked: int) -> None:
        """A logical unit was reset, or all of a target (None), as ``by`` had asked at tick ``asked``.

        The tasks of every nexus end there, and each is owed a unit attention.
        """
        now = self.ticks.next()
        target = by.terms.names.get("TargetName")
        for other in [*self._conversations, *self._lingering]:
            if other is not by and other.full_feature and other.terms.names.get("TargetName") == target:
                other.management.swept(lun, asked, now)
