"""What happens to a served array, as events of its log and as counts for its metrics."""

from __future__ import annotations

from harness.serving.desk import decision_data
from harness.serving.event_log import EventLog
from harness.serving.settings import LogLevel
from iscsi.constants import LoginStatus
from target.decisions import Decision, Kind
from target.server import Ended


class Happenings:
    """Hears of decisions and of connections that ended. ``tallies`` are counts by metric, then by label value."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.tallies: dict[str, dict[str, int]] = {}

    def decided(self, decision: Decision) -> None:
        """The array has decided something."""
        refused = decision.kind is Kind.LOGIN and decision.portal is None
        name = "login.refused" if refused else decision.kind.value
        fields = {key: value for key, value in decision_data(decision).items() if value not in ("", None, 0)}
        del fields["kind"]
        self._tally("mpiolab_decisions", decision.kind.value)
        if decision.kind is Kind.LOGIN:
            self._tally("mpiolab_logins", decision.answer)
        self._log.event(name, decision.words, fields, level="warning" if refused else "info")

    def ended(self, ended: Ended) -> None:
        """A connection is gone."""
        session = ended.session
        fields: dict[str, object] = {"connection": ended.number, "source": ended.source, "local": ended.local}
        if session is not None:
            fields["session"] = session.tsih
            fields["initiator"] = session.identity.initiator_name
            fields["target"] = session.identity.target_name
        name, level = _end_of(ended)
        self._tally("mpiolab_connections_ended", "login" if session is None else "full feature")
        self._log.event(name, ended.words, fields | {"reason": ended.why}, level=level)

    def _tally(self, metric: str, value: str) -> None:
        counts = self.tallies.setdefault(metric, {})
        counts[value] = counts.get(value, 0) + 1


def _end_of(ended: Ended) -> tuple[str, LogLevel]:
    """What a connection's end is called, and how loud it is: a redirect is an end, too, and told by its decision."""
    if ended.session is not None:
        return "connection.ended", "info"
    if ended.why.endswith(LoginStatus.MOVED_TEMPORARILY.words):
        return "login.redirected", "debug"
    return "login.ended", "warning" if ended.why.startswith("login ended with") else "info"
