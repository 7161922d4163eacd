"""The array of a scenario file as the target package knows it: one mapping between two configuration types."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from harness import scenario as model
from harness.fields import access_state
from harness.mistakes import Mistake, ScenarioError
from iscsi.chap import ChapCredentials, ChapPolicy
from target.access_config import AccessConfig, PortGroupConfig
from target.block_file import FileRefused
from target.config import (
    AccessRule,
    ArrayKind,
    Balancing,
    ConfigError,
    DirectLogin,
    GroupConfig,
    Limits,
    LostTasks,
    LunConfig,
    PortalConfig,
    VolumeConfig,
)
from target.decisions import Decision
from target.file_store import FileStore
from target.flush import Offload
from target.group import Group, Volume
from target.identity import volume_identity
from target.lun import LogicalUnit
from target.lun_map import LunMap
from target.ownership import Ownership
from target.port_groups import PortGroups
from target.reservation_memory import RecordFile, ReservationMemory
from target.snapshot_store import SnapshotStore
from target.store import LARGE_GRANULE_BYTES, BlockStore, MemoryStore


def target_name(array: model.Array, volume: model.Volume) -> str:
    """The volume's target name: its own, or one in the array's grammar."""
    return volume.iqn or volume_identity(array.name, volume.name.lower()).iqn


def group_config(array: model.Array, limits: Limits | None = None) -> GroupConfig:
    """The target's configuration of a scenario's array. Raises ScenarioError for what only the target refuses."""
    try:
        return _group_config(array, _limits(array, limits or _limits_said(array)))
    except ConfigError as error:
        raise ScenarioError([Mistake("", "array", str(error))]) from None


def _limits_said(array: model.Array) -> Limits:
    return Limits(time2wait_s=array.time2wait_ns / 1e9, command_window=array.command_window)


def _limits(array: model.Array, limits: Limits) -> Limits:
    """The limits with what the array's own table says of them."""
    retain_ns, interval_ns, timeout_ns = array.time2retain_ns, array.ping_interval_ns, array.ping_timeout_ns
    return replace(
        limits,
        time2retain_s=limits.time2retain_s if retain_ns is None else retain_ns / 1e9,
        nop_interval_s=limits.nop_interval_s if interval_ns is None else interval_ns / 1e9,
        nop_timeout_s=limits.nop_timeout_s if timeout_ns is None else timeout_ns / 1e9,
    )


def _group_config(array: model.Array, limits: Limits) -> GroupConfig:
    fixed = array.placement.fixed if isinstance(array.placement, model.FixedPlacement) else None
    return GroupConfig(
        name=array.name,
        group_address=array.group_ip,
        portals=tuple(PortalConfig(f"eth{index}", address) for index, address in enumerate(array.portals)),
        volumes=tuple(
            VolumeConfig(
                name=volume.name,
                iqn=target_name(array, volume),
                size_bytes=volume.size_bytes,
                block_size=volume.block_size,
                physical_block_size=volume.physical_block_size,
                access=tuple(_rule(access) for access in volume.access),
                path=volume.file,
                snapshot_of=volume.snapshot_of,
                read_only=volume.read_only,
                removable=volume.removable,
                thin=volume.provisioning == "thin",
                more_luns=tuple(_lun(lun) for lun in volume.luns),
                max_sessions=volume.max_sessions,
            )
            for volume in array.volumes
        ),
        kind=ArrayKind.LISTED if array.kind == "listed" else ArrayKind.REDIRECTING,
        port=array.port,
        placement="fixed" if isinstance(array.placement, model.FixedPlacement) else array.placement,
        fixed_portal=fixed,
        direct_login=DirectLogin(array.direct_login),
        active_passive=array.active_passive,
        access=None if array.alua is None else _access(array.alua),
        lost_tasks=LostTasks(array.lost_tasks),
        lun_gone_after_logout_request=array.lun_gone_after_logout_request,
        r2t_without_numbers=array.r2t_without_numbers,
        balancing=Balancing(
            interval_s=array.rebalance_interval_ns / 1e9,
            threshold=array.rebalance_threshold,
            logout_request_s=array.logout_request_ns // 10**9,
        ),
        limits=limits,
    )


def _access(alua: model.Alua) -> AccessConfig:
    return AccessConfig(
        groups=tuple(
            PortGroupConfig(group.id, group.portals, access_state(group.state), group.preferred)
            for group in alua.groups
        ),
        implicit=alua.implicit,
        explicit=alua.explicit,
        failover=alua.failover,
        transition_s=alua.transition_ns / 1e9,
        non_optimized_latency_s=alua.non_optimized_latency_ns / 1e9,
    )


def build_group(
    config: GroupConfig,
    *,
    files: bool = False,
    offload: Offload | None = None,
    on_decision: Callable[[Decision], None] | None = None,
) -> Group:
    """An array at work. With ``files`` a volume that names a file is kept in it, else everything is in memory,
    and in small granules, since a run may have many disks.

    Persistent reservations are kept beside the file, in ``<file>.reservations``. ``offload`` is where files are flushed
    (None: on the spot). Raises FileRefused for a file that cannot be used; none stays open then.
    """
    volumes: dict[str, Volume] = {}
    opened: list[BlockStore] = []
    try:
        for volume in config.volumes:
            stores: dict[int, BlockStore] = {}
            memories: dict[int, ReservationMemory] = {}
            for lun in volume.luns:
                stores[lun.number] = _store(lun, offload) if files else MemoryStore(lun.size_bytes)
                opened.append(stores[lun.number])
                if files and lun.path is not None:
                    memories[lun.number] = RecordFile(f"{lun.path}.reservations")
            volumes[volume.iqn.lower()] = Volume(volume, lun_map(config, volume, stores, memories))
    except FileRefused as error:
        for store in opened:
            store.close()
        raise FileRefused(f"volume {volume.name}: {error}") from None
    return Group(config, volumes, on_decision)


def _store(lun: LunConfig, offload: Offload | None) -> BlockStore:
    if lun.path is None:
        return MemoryStore(lun.size_bytes, granule_bytes=LARGE_GRANULE_BYTES)
    path = Path(lun.path)
    if lun.snapshot_of is not None:
        return SnapshotStore.open(path, Path(lun.snapshot_of), lun.size_bytes, offload=offload)
    return FileStore.open(path, lun.size_bytes, read_only=lun.read_only, offload=offload)


def lun_map(
    config: GroupConfig,
    volume: VolumeConfig,
    stores: Mapping[int, BlockStore],
    memories: Mapping[int, ReservationMemory],
) -> LunMap:
    """The volume's logical units over their stores, named as the array names its volumes.

    ``memories`` keep persistent reservations through a loss of power; a LUN without one refuses to (APTPL).
    """
    units = {}
    groups = None
    if config.access is not None:
        groups = PortGroups(config.access, tuple(portal.address for portal in config.portals), volume.name)
    for lun in volume.luns:
        units[lun.number] = LogicalUnit.over(
            stores[lun.number],
            replace(volume_identity(config.name, volume.name.lower(), lun.number), iqn=volume.iqn),
            block_size=lun.block_size,
            physical_block_size=lun.physical_block_size,
            read_only=lun.read_only,
            removable=lun.removable,
            thin=lun.thin,
            memory=memories.get(lun.number),
            port_groups=groups,
        )
    return LunMap(units, Ownership() if config.active_passive else None, groups)


def _lun(lun: model.Lun) -> LunConfig:
    return LunConfig(
        lun.lun,
        lun.size_bytes,
        lun.block_size,
        path=lun.file,
        snapshot_of=lun.snapshot_of,
        read_only=lun.read_only,
        removable=lun.removable,
        thin=lun.provisioning == "thin",
        physical_block_size=lun.physical_block_size,
    )


def _rule(access: model.Access) -> AccessRule:
    chap = None
    if access.chap is not None:
        mutual = None
        if access.chap.mutual_user is not None and access.chap.mutual_secret is not None:
            mutual = ChapCredentials(access.chap.mutual_user, _bytes(access.chap.mutual_secret))
        chap = ChapPolicy((ChapCredentials(access.chap.user, _bytes(access.chap.secret)),), mutual)
    return AccessRule(
        initiator=access.initiator,
        source=ipaddress.IPv4Network(access.source) if access.source else None,
        chap=chap,
    )


def _bytes(secret: SecretStr) -> bytes:
    return secret.get_secret_value().encode()
