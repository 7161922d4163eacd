"""What the parts of a scenario say about each other: names that must exist, addresses distinct and in the subnet.

These rules read the file's raw tables, not the finished model, and skip whatever has the wrong shape: so a misspelt
rate and a misspelt host are reported together, and mending one mistake does not merely uncover the next.
"""

import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness import standing_faults, timer_overrides
from harness.io_step import MAX_BLOCK_BYTES
from harness.mistakes import did_you_mean, dotted
from harness.units import UnitError, parse_size
from initiator_model.profiles import PROFILES
from sim.net import tcp_profiles

ARRAY_NAME = "array"
DEFAULT_PROFILE = "ms-iscsi-2.07"

Finding = tuple[str, str]
"""Dotted key, and what was expected there."""
Path = tuple[str | int, ...]
Row = Mapping[str, Any]


def check(raw: Row) -> list[Finding]:
    """Every broken reference of a scenario's raw tables."""
    names = _Names(raw)
    return [
        *_duplicates(raw),
        *_outside_subnet(raw),
        *_placement(raw, names),
        *_port_groups(raw, names),
        *_hosts(raw),
        *_steps(raw, names),
    ]


def rows(node: object, *keys: str) -> list[tuple[int, Row]]:
    """The tables of an array of tables, with their index; nothing where the file has another shape."""
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    if not isinstance(node, Sequence) or isinstance(node, str):
        return []
    return [(index, row) for index, row in enumerate(node) if isinstance(row, Mapping)]


def _text(row: Row, key: str) -> str | None:
    value = row.get(key)
    return value if isinstance(value, str) else None


def _ip(text: str | None) -> str | None:
    """The canonical address of "192.168.50.105/22" or "192.168.50.105"; None for anything else."""
    try:
        return str(ipaddress.IPv4Interface(text).ip) if text is not None else None
    except ValueError:
        return None


class _Names:
    """Everything a step may refer to, in the order of the file."""

    def __init__(self, raw: Row) -> None:
        array = raw.get("array")
        self.array: Row = array if isinstance(array, Mapping) else {}
        self.nics: dict[str, list[tuple[str, str]]] = {}
        """Per host the name and address of each NIC; a name given twice is there twice."""
        for _, host in rows(raw, "hosts"):
            own = self.nics.setdefault(_text(host, "name") or "", [])
            for _, nic in rows(host, "nics"):
                own.append((_text(nic, "name") or "", _ip(_text(nic, "address")) or ""))
        portals = self.array.get("portals")
        self.portals = [ip for ip in map(_ip_of_any, portals if isinstance(portals, list) else []) if ip]
        self.group = _ip(_text(self.array, "group"))
        self.volumes = [name for _, row in rows(self.array, "volumes") if (name := _text(row, "name"))]
        self.workloads: dict[str, Row] = {}
        for _, step in rows(raw, "steps"):
            name = _text(step, "name")
            if step.get("do") == "workload" and name:
                self.workloads[name] = step

    def sources_of(self, step: Row) -> list[str] | None:
        """The addresses of the step's host, by default the first; None if unknown, which is a mistake of its own."""
        host = _text(step, "host") or next(iter(self.nics), "")
        return [ip for _, ip in self.nics[host]] if host in self.nics else None


def _ip_of_any(value: object) -> str | None:
    return _ip(value) if isinstance(value, str) else None


def _addresses(raw: Row) -> Iterator[tuple[Path, str]]:
    """Every address an interface is given, with its key."""
    array = raw.get("array")
    if isinstance(array, Mapping):
        if ip := _ip(_text(array, "group")):
            yield ("array", "group"), ip
        portals = array.get("portals")
        for index, portal in enumerate(portals if isinstance(portals, list) else []):
            if ip := _ip_of_any(portal):
                yield ("array", "portals", index), ip
    for h, host in rows(raw, "hosts"):
        for n, nic in rows(host, "nics"):
            if ip := _ip(_text(nic, "address")):
                yield ("hosts", h, "nics", n, "address"), ip


def _duplicates(raw: Row) -> Iterator[Finding]:
    named: list[tuple[str, list[tuple[Path, str]]]] = [
        ("a host", _column(("hosts",), rows(raw, "hosts"), "name")),
        ("a host with the iSCSI name", _column(("hosts",), rows(raw, "hosts"), "iqn")),
        ("a volume", _column(("array", "volumes"), rows(raw, "array", "volumes"), "name")),
        ("a volume with the iSCSI name", _column(("array", "volumes"), rows(raw, "array", "volumes"), "iqn")),
        ("an address", list(_addresses(raw))),
        (
            "a workload",
            _column(("steps",), [row for row in rows(raw, "steps") if row[1].get("do") == "workload"], "name"),
        ),
    ]
    for h, host in rows(raw, "hosts"):
        named.append(("a NIC of this host", _column(("hosts", h, "nics"), rows(host, "nics"), "name")))
    for what, values in named:
        first: dict[str, Path] = {}
        for path, value in values:
            if value in first:
                yield dotted(path), f'there is already {what} "{value}" at {dotted(first[value])}'
            first.setdefault(value, path)


def _column(prefix: Path, table: list[tuple[int, Row]], key: str) -> list[tuple[Path, str]]:
    return [((*prefix, index, key), value) for index, row in table if (value := _text(row, key))]


def _outside_subnet(raw: Row) -> Iterator[Finding]:
    whose, subnet = _subnet(raw)
    if subnet is None:
        return
    for path, ip in _addresses(raw):
        if ipaddress.IPv4Address(ip) not in subnet:
            yield dotted(path), f"expected an address in {subnet} ({whose}), got {ip}"
        elif ip in (str(subnet.network_address), str(subnet.broadcast_address)):
            yield dotted(path), f"{ip} is the network or broadcast address of {subnet}"


def _subnet(raw: Row) -> tuple[str, ipaddress.IPv4Network | None]:
    """The storage network and the key that says so; None where no key does, or badly."""
    network, array = raw.get("network"), raw.get("array")
    candidates = [("network.subnet", network, "subnet"), ("array.group", array, "group")]
    candidates += [
        ("hosts[0].nics[0].address", nic, "address")
        for _, host in rows(raw, "hosts")[:1]
        for _, nic in rows(host, "nics")[:1]
    ]
    for whose, table, key in candidates:
        text = _text(table, key) if isinstance(table, Mapping) else None
        if text is not None:
            try:
                found = ipaddress.IPv4Interface(text).network
            except ValueError:
                return whose, None
            return whose, found if found.prefixlen < 31 else None
    return "", None


def _placement(raw: Row, names: _Names) -> Iterator[Finding]:
    placement = names.array.get("placement")
    fixed = _text(placement, "fixed") if isinstance(placement, Mapping) else None
    if fixed and _ip(fixed) and _ip(fixed) not in names.portals:
        yield "array.placement.fixed", f'no portal "{fixed}" in array.portals{did_you_mean(fixed, names.portals)}'


def _port_groups(raw: Row, names: _Names) -> Iterator[Finding]:
    """Each portal is in one target port group, and nothing else is; a number is given once."""
    alua = names.array.get("alua")
    groups = rows(alua, "groups")
    numbers: dict[int, Path] = {}
    grouped: dict[str, Path] = {}
    for index, group in groups:
        here: Path = ("array", "alua", "groups", index)
        number, portals = group.get("id"), group.get("portals")
        if isinstance(number, int):
            if number in numbers:
                yield dotted((*here, "id")), f"there is already a port group {number} at {dotted(numbers[number])}"
            numbers.setdefault(number, (*here, "id"))
        yield from _known_each(here, group, "portals", names.portals, "portal")
        for place, portal in enumerate(portals if isinstance(portals, list) else []):
            ip, key = _ip_of_any(portal), (*here, "portals", place)
            if ip in grouped:
                yield dotted(key), f"{ip} is already in the port group at {dotted(grouped[ip])}"
            elif ip is not None:
                grouped[ip] = key
    missing = [ip for ip in names.portals if ip not in grouped]
    if groups and missing:
        yield "array.alua.groups", f"every portal is in one port group; in none: {', '.join(missing)}"


def _hosts(raw: Row) -> Iterator[Finding]:
    """What a host's profile says of it: which ports it hands out, which timers it has."""
    for index, host in rows(raw, "hosts"):
        if host.get("name") == ARRAY_NAME:
            yield dotted(("hosts", index, "name")), f'"{ARRAY_NAME}" is what the array\'s own machine is called'
        profile = PROFILES.get(_text(host, "profile") or DEFAULT_PROFILE)
        port = host.get("next_port")
        if profile is not None and isinstance(port, int):
            tcp = tcp_profiles.profile(profile.tcp_profile)
            if not tcp.first_port <= port <= tcp.last_port:
                expected = f"expected a port of {profile.name}'s range {tcp.first_port} to {tcp.last_port}, got {port}"
                yield dotted(("hosts", index, "next_port")), expected
        overrides = host.get("timers")
        for name, message in timer_overrides.check(
            overrides if isinstance(overrides, Mapping) else {}, _text(host, "profile") or DEFAULT_PROFILE
        ):
            yield dotted(("hosts", index, "timers", name)), message


def _steps(raw: Row, names: _Names) -> Iterator[Finding]:
    yield from standing_faults.check(rows(raw, "steps"))
    background: list[str] = []
    for index, step in rows(raw, "steps"):
        here: Path = ("steps", index)
        yield from _fields(here, step, names)
        match step.get("do"):
            case "workload":
                yield from _workload_fits(here, step, raw)
                if step.get("background") is True and (name := _text(step, "name")):
                    background.append(name)
            case "io":
                yield from _io_fits(here, step, raw)
            case "access_state":
                yield from _group_there(here, step, names)
            case "stop":
                yield from _known(here, step, "name", background, "earlier background workload")
            case "expect":
                for t, that in rows(step, "that"):
                    yield from _fields((*here, "that", t), that, names)
                    yield from _arithmetic((*here, "that", t), that, names)


def _group_there(here: Path, step: Row, names: _Names) -> Iterator[Finding]:
    known = [str(group.get("id")) for _, group in rows(names.array.get("alua"), "groups")]
    if not known:
        yield dotted((*here, "do")), "the array has no target port groups: see [array.alua]"
    elif str(step.get("group")) not in known:
        yield dotted((*here, "group")), f"no port group {step.get('group')} (known: {', '.join(known)})"


def _io_fits(here: Path, step: Row, raw: Row) -> Iterator[Finding]:
    """The blocks of a single I/O must be there, and be no more than one command may move."""
    volume = next((row for _, row in rows(raw, "array", "volumes") if row.get("name") == step.get("volume")), {})
    size, sector = _size(volume.get("size")), volume.get("block_size", 512)
    lba, blocks = step.get("lba"), step.get("blocks", 8)
    if not (isinstance(lba, int) and isinstance(blocks, int) and isinstance(sector, int) and sector > 0):
        return
    last, end = size // sector - 1 if size is not None else None, lba + blocks - 1
    if last is not None and end > last:
        yield dotted((*here, "lba")), f"the last block of the volume is {last}, that of the I/O {end}"
    if blocks * sector > MAX_BLOCK_BYTES:
        most = MAX_BLOCK_BYTES // sector
        yield dotted((*here, "blocks")), f"expected at most {most} blocks, the array's largest transfer"


def _workload_fits(here: Path, step: Row, raw: Row) -> Iterator[Finding]:
    """Blocks of the workload must be whole blocks of the volume, and lie in it."""
    volume = next((row for _, row in rows(raw, "array", "volumes") if row.get("name") == step.get("volume")), {})
    block, size = _size(step.get("block", "64KiB")), _size(volume.get("size"))
    sector = volume.get("block_size", 512)
    region = _size(step.get("region")) if "region" in step else size
    if block is None or size is None or region is None or not isinstance(sector, int) or sector <= 0:
        return
    if block == 0 or block % sector:
        yield (
            dotted((*here, "block")),
            f"expected a multiple of the volume's blocks of {sector} bytes, got {block} bytes",
        )
    if region > size:
        yield dotted((*here, "region")), f"the volume has {size} bytes, the region {region}"
    if region < block:
        yield dotted((*here, "block")), f"one block of {block} bytes does not fit into the {region} bytes to work on"


def _size(value: object) -> int | None:
    try:
        return parse_size(value)
    except UnitError:
        return None


_AT_ANY_ADDRESS = ("silent", "no_login", "out_of_resources")
"""Faults of the array's own that strike logins, and so may strike at the group address."""


def _fields(here: Path, row: Row, names: _Names) -> Iterator[Finding]:
    """The keys that refer to something, wherever they stand."""
    sources = names.sources_of(row)
    group = [names.group] if names.group else []
    # A fault strikes an interface; a login or a discovery is addressed to any address of the array, and only what
    # logins meet can strike at the group address alone.
    of_interfaces = row.get("do") in ("fault", "drain", "undrain") and row.get("kind") not in _AT_ANY_ADDRESS
    portals = names.portals if of_interfaces else [*group, *names.portals]
    yield from _known(here, row, "host", list(names.nics), "host")
    yield from _known(here, row, "volume", names.volumes, "volume")
    yield from _known(here, row, "phase", list(names.workloads), "workload")
    if row.get("check") != "share":
        yield from _known(here, row, "of", list(names.workloads), "workload")
    yield from _known(here, row, "nic", [f"{host}/{nic}" for host, own in names.nics.items() for nic, _ in own], "NIC")
    yield from _known(here, row, "portal", portals, "portal", _ip)
    if row.get("do") == "swap_volumes":
        for index, volume in enumerate(_listed(row, "volumes")):
            if volume not in names.volumes:
                yield dotted((*here, "volumes", index)), f'no volume "{volume}"{did_you_mean(volume, names.volumes)}'
    if row.get("check") == "redirects":
        yield from _known_each(here, row, "portals", names.portals, "portal")
    if sources is not None:
        yield from _known(here, row, "source", sources, "source address of this host", _ip)
        yield from _known(here, row, "preferred", sources, "source address of this host", _ip)
        yield from _known_each(here, row, "standby", sources, "source address of this host")
        yield from _known_keys(here, row, "weights", sources, "source address of this host")
        yield from _known_keys(here, row, "throughputs", sources, "source address of this host")
    if row.get("check") == "share":
        yield from _beside(here, row, names)
        every = [ip for own in names.nics.values() for _, ip in own]
        yield from _known(here, row, "path", every, "source address", _ip)


def _known(
    here: Path,
    row: Row,
    key: str,
    known: Sequence[str],
    what: str,
    canonical: Callable[[str | None], str | None] = lambda text: text,
) -> Iterator[Finding]:
    value = canonical(_text(row, key))
    if value is not None and value not in known:
        yield dotted((*here, key)), f'no {what} "{value}"{did_you_mean(value, known)}'


def _beside(here: Path, row: Row, names: _Names) -> Iterator[Finding]:
    """Workloads that are counted together are of one disk: paths of two disks have nothing to share."""
    beside = row.get("beside")
    disk = _disk(names.workloads.get(_text(row, "phase") or "", {}), names)
    for index, name in enumerate(beside if isinstance(beside, list) else []):
        key = dotted((*here, "beside", index))
        if isinstance(name, str) and name not in names.workloads:
            yield key, f'no workload "{name}"{did_you_mean(name, list(names.workloads))}'
        elif isinstance(name, str) and _disk(names.workloads[name], names) != disk:
            yield key, f'"{name}" works on another disk'


def _disk(workload: Row, names: _Names) -> tuple[str | None, str | None]:
    return _text(workload, "host") or next(iter(names.nics), None), _text(workload, "volume")


def _known_each(here: Path, row: Row, key: str, known: Sequence[str], what: str) -> Iterator[Finding]:
    values = row.get(key)
    for index, value in enumerate(values if isinstance(values, list) else []):
        ip = _ip_of_any(value)
        if ip is not None and ip not in known:
            yield dotted((*here, key, index)), f'no {what} "{ip}"{did_you_mean(ip, known)}'


def _listed(row: Row, key: str) -> list[str]:
    values = row.get(key)
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _known_keys(here: Path, row: Row, key: str, known: Sequence[str], what: str) -> Iterator[Finding]:
    values = row.get(key)
    for name in values if isinstance(values, dict) else {}:
        ip = _ip_of_any(name)
        if ip is not None and ip not in known:
            yield dotted((*here, key, name)), f'no {what} "{ip}"{did_you_mean(ip, known)}'


def _arithmetic(here: Path, that: Row, names: _Names) -> Iterator[Finding]:
    """The goodput of a link is one direction's: a mixed workload uses both."""
    phase = names.workloads.get(_text(that, "phase") or "")
    if phase is not None and "of_arithmetic" in that and phase.get("op") == "mixed":
        yield (
            dotted((*here, "of_arithmetic")),
            'wants a phase of op = "read" or "write": a mixed one fills both directions',
        )
