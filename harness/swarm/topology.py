"""The machines of a seed: an array with its portals and volumes, hosts with their NICs, as tables of a scenario.

Addresses are the walkthrough's: 192.168.51.x the array's, 192.168.50.x the hosts'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from harness.swarm.hosts import KINDS, HostKind
from harness.swarm.switches import Switches
from sim.rng import Stream, stream

__all__ = ["DrawnHost", "Topology", "topology_of"]

Tables = dict[str, Any]

SUBNET: Final = "192.168.48.0/22"
GROUP: Final = "192.168.51.1"
VOLUME_SIZE: Final = "16MiB"
CHAP: Final = {"user": "swarm", "secret": "what-the-host-knows"}
MUTUAL: Final = {"mutual_user": "array", "mutual_secret": "what-the-array-knows"}

_PORTALS: Final = (1, 2, 2, 2, 3, 3, 4)
"""How many there are, each number as often as it is likely; the same below."""
_NICS: Final = (1, 2, 2, 2, 2, 3)
_SLOW_RATES: Final = ("100Mbit", "100Mbit", "1Gbit")
"""With large blocks: a cable that fails then finds data under way."""
_RATES: Final = ("1Gbit", "1Gbit", "10Gbit")
_LATENCIES: Final = ("10us", "10us", "100us")


@dataclass(frozen=True, slots=True)
class DrawnHost:
    """One host: what it is, and how it reaches its volumes."""

    name: str
    kind: HostKind
    nics: tuple[tuple[str, str], ...]
    """Name and address of each."""
    multipath: bool
    volumes: tuple[str, ...]

    @property
    def places(self) -> tuple[str, ...]:
        """What faults call its NICs."""
        return tuple(f"{self.name}/{nic}" for nic, _ in self.nics)

    @property
    def sources(self) -> tuple[str, ...]:
        """The addresses it logs on from, one path each; one where it has no multipath, and a manager opens two."""
        most = 2 if self.kind.opens_sessions else len(self.nics) if self.multipath else 1
        return tuple(address for _, address in self.nics[:most])


@dataclass(frozen=True, slots=True)
class Topology:
    """All machines."""

    tables: Tables
    """`network`, `array` and `hosts` of the scenario."""
    portals: tuple[str, ...]
    hosts: tuple[DrawnHost, ...]
    volumes: tuple[str, ...]
    chap: Tables
    """What a login offers."""
    groups: tuple[tuple[int, str], ...]
    """Target port groups and the access they start with."""


def topology_of(seed: int, on: Switches) -> Topology:
    """The machines of this seed."""
    rng = stream(seed, "swarm:topology")
    portals = tuple(f"192.168.51.{2 + number}" for number in range(rng.pick(_PORTALS)))
    volumes = ("vol1",) if on.hosts == 1 or on.shared_volume else ("vol1", "vol2")
    if on.hosts == 1 and rng.chance(0.2):
        volumes = ("vol1", "vol2")
    hosts = tuple(_host(seed, number, on, volumes) for number in range(on.hosts))
    mutual = on.chap and rng.chance(0.5)
    access: Tables = {"source": SUBNET}
    if on.chap:
        access["chap"] = CHAP | (MUTUAL if mutual else {})
    groups = _groups(rng, portals) if on.alua and len(portals) > 1 else ()
    placement = _placement(rng, portals) if on.redirecting else "none"
    moves = placement in ("least-connections", "round-robin")  # the others send each login back to where it was
    array: Tables = {
        "kind": "equallogic" if on.redirecting else "listed",
        "name": "PS100",
        **({"group": f"{GROUP}/22"} if on.redirecting else {}),
        "portals": list(portals),
        "rate": rng.pick(_RATES),
        "latency": rng.pick(_LATENCIES),
        "command_window": rng.pick((128, 128, 32)),
        "lost_tasks": rng.pick(("keep", "keep", "kill", "kill-beside-another-path")),
        **({"placement": placement} if on.redirecting else {}),
        **({"rebalance_interval": rng.pick(("1s", "5s"))} if rng.chance(0.1) and moves else {}),
        "volumes": [
            {"name": name, "size": VOLUME_SIZE, "block_size": rng.pick((512, 512, 4096)), "access": [access]}
            for name in volumes
        ],
    }
    if groups:
        array["alua"] = {
            "transition": rng.pick(("0ns", "100ms")),
            "groups": [{"id": number, "portals": ips, "state": state} for number, ips, state in groups],
        }
    offered = {f"chap_{key}": value for key, value in CHAP.items()} if on.chap else {}
    return Topology(
        tables={
            "network": {"subnet": SUBNET, "switch_latency": rng.pick(("5us", "50us"))},
            "array": array,
            "hosts": [_host_tables(seed, host, on) for host in hosts],
        },
        portals=portals,
        hosts=hosts,
        volumes=volumes,
        chap=offered | (MUTUAL if mutual else {}),
        groups=tuple((number, state) for number, _, state in groups),
    )


def _placement(rng: Stream, portals: tuple[str, ...]) -> Any:
    name = rng.pick(("least-connections", "least-connections", "round-robin", "hash-source", "fixed"))
    return {"fixed": rng.pick(portals)} if name == "fixed" else name


def _groups(rng: Stream, portals: tuple[str, ...]) -> tuple[tuple[int, list[str], str], ...]:
    """Two target port groups: the first serves better. Both serve, for a placement may send every path to one."""
    at = rng.between(1, len(portals) - 1)
    return (1, list(portals[:at]), "active-optimized"), (2, list(portals[at:]), "active-non-optimized")


def _host(seed: int, number: int, on: Switches, volumes: tuple[str, ...]) -> DrawnHost:
    rng = stream(seed, f"swarm:host {number}")
    kind = rng.pick([kind for kind in KINDS for _ in range(kind.weight)])
    count = min(rng.pick(_NICS), 2 if kind.opens_sessions else 3)  # of three its manager would choose two
    nics = tuple((name, f"192.168.50.{101 + 10 * number + at}") for at, name in enumerate("abc"[:count]))
    multipath = kind.opens_sessions or len(nics) > 1 or rng.chance(0.5)
    own = volumes if on.hosts == 1 or on.shared_volume else volumes[number : number + 1]
    return DrawnHost(f"host{number + 1}", kind, nics, multipath, own)


def _host_tables(seed: int, host: DrawnHost, on: Switches) -> Tables:
    rng = stream(seed, f"swarm:settings of {host.name}")
    kind = host.kind
    timers = {**(kind.patient if on.patient else kind.impatient), **(kind.short if on.short_timers else {})}
    if kind.profile.startswith(("ms", "eql")) and rng.chance(0.5):
        timers["enable_nop_out"] = True
    return {
        "name": host.name,
        "profile": kind.profile,
        "iqn": f"iqn.1991-05.com.microsoft:{host.name}",
        **({} if host.multipath else {"multipath": False}),
        **({"digests": True} if on.digests else {}),
        **({"first_cmd_sn": 2**32 - rng.between(1, 200)} if rng.chance(0.3) else {}),  # it wraps within the run
        **({"fencing": on.fencing} if on.fencing != "none" and host.multipath and not on.shared_volume else {}),
        "timers": timers,
        "nics": [
            {
                "name": name,
                "address": f"{address}/22",
                "rate": rng.pick(_SLOW_RATES if on.large_blocks else _RATES),
                "latency": rng.pick(_LATENCIES),
            }
            for name, address in host.nics
        ],
    }
