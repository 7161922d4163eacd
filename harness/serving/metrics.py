"""The array's Prometheus metrics (text exposition format 0.0.4).

Labels are bounded by the configuration: portals, volumes, and the answers a login can get. What grows with the hosts
(sessions, initiators) is counted, not labelled; `mpiolab status` has it one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_PORTAL_STATES: Final = ("up", "drained", "down")
_TOTALS: Final = (
    ("reads", "mpiolab_portal_reads", "SCSI commands done whose data went to hosts."),
    ("writes", "mpiolab_portal_writes", "SCSI commands done whose data came from hosts."),
    ("sent_bytes", "mpiolab_portal_sent_bytes", "Bytes sent to hosts over TCP, headers included."),
    ("received_bytes", "mpiolab_portal_received_bytes", "Bytes received from hosts over TCP, headers included."),
)

Row = Mapping[str, Any]


class ArrayMetrics(Collector):
    """``report`` gives the status document, ``tallies`` what was counted: by metric, then by label value."""

    def __init__(self, report: Callable[[], Row], tallies: Callable[[], Mapping[str, Mapping[str, int]]]) -> None:
        self._report = report
        self._tallies = tallies

    def text(self) -> bytes:
        """All of them as Prometheus reads them."""
        return generate_latest(self)

    def collect(self) -> Iterable[Metric]:
        status = self._report()
        yield from self._of_array(status)
        yield from self._of_portals(status["portals"])
        yield from self._of_volumes(status["volumes"])
        for (name, label), help_text in _TALLIES.items():
            family = CounterMetricFamily(name, help_text, labels=[label])
            for value, count in self._tallies().get(name, {}).items():
                family.add_metric([value], count)
            yield family

    def _of_array(self, status: Row) -> Iterable[Metric]:
        in_login = status["connections_in_login"]
        yield GaugeMetricFamily("mpiolab_sessions", "Sessions that are logged in.", value=len(status["sessions"]))
        outstanding = sum(session["outstanding"] for session in status["sessions"])
        yield GaugeMetricFamily("mpiolab_outstanding_commands", "Commands under way.", value=outstanding)
        yield GaugeMetricFamily("mpiolab_connections_in_login", "Connections not logged in yet.", value=in_login)
        yield GaugeMetricFamily("mpiolab_faults", "Faults that stand.", value=len(status["faults"]))

    def _of_portals(self, portals: Iterable[Row]) -> Iterable[Metric]:
        rows = list(portals)
        state = GaugeMetricFamily("mpiolab_portal_state", "1 for the state it is in.", labels=["address", "state"])
        connections = GaugeMetricFamily("mpiolab_portal_connections", "TCP connections.", labels=["address"])
        for row in rows:
            connections.add_metric([row["address"]], row["connections"])
            for name in _PORTAL_STATES:
                state.add_metric([row["address"], name], float(row["state"] == name))
        yield state
        yield connections
        for key, name, help_text in _TOTALS:
            total = CounterMetricFamily(name, help_text, labels=["address"])
            for row in rows:
                total.add_metric([row["address"]], row["totals"][key])
            yield total

    def _of_volumes(self, volumes: Iterable[Row]) -> Iterable[Metric]:
        sessions = GaugeMetricFamily("mpiolab_volume_sessions", "Sessions of the volume.", labels=["volume"])
        size = GaugeMetricFamily("mpiolab_volume_size_bytes", "Size of the unit.", labels=["volume", "lun"])
        used = GaugeMetricFamily("mpiolab_volume_used_bytes", "What its data takes.", labels=["volume", "lun"])
        reserved = GaugeMetricFamily("mpiolab_volume_reserved", "1 while it is reserved.", labels=["volume", "lun"])
        for volume in volumes:
            sessions.add_metric([volume["name"]], volume["sessions"])
            for lun in volume["luns"]:
                labels = [volume["name"], str(lun["lun"])]
                size.add_metric(labels, lun["size_bytes"])
                reserved.add_metric(labels, float(lun["reservation"] is not None))
                if lun["used_bytes"] is not None:
                    used.add_metric(labels, lun["used_bytes"])
        yield from (sessions, size, used, reserved)


_TALLIES: Final = {
    ("mpiolab_logins", "answer"): "Answers to login requests, before authentication.",
    ("mpiolab_decisions", "kind"): "Decisions of the array, by what they are about.",
    ("mpiolab_connections_ended", "phase"): "Connections that ended, by the phase they were in.",
}
