"""What a served array takes over from its file while it runs: who may log in, and with which secrets."""

from __future__ import annotations

from dataclasses import replace

from target.config import GroupConfig, VolumeConfig
from target.group import Group


def take_over(group: Group, before: GroupConfig, after: GroupConfig) -> bool:
    """Let the access rules and secrets of ``after`` hold for logins from now on. False when more than those changed.

    A volume that has grown since the start may have its new size in the file.
    """
    known = (_without_access(before), _without_access(_as_grown(before, group)))
    if _without_access(after) not in known:
        return False
    for volume in after.volumes:
        group.volumes[volume.iqn.lower()].config = volume
    return True


def _without_access(config: GroupConfig) -> GroupConfig:
    return replace(config, volumes=tuple(replace(volume, access=()) for volume in config.volumes))


def _as_grown(config: GroupConfig, group: Group) -> GroupConfig:
    """The configuration with the sizes the volumes have by now."""

    def size(volume: VolumeConfig, lun: int, before: int) -> int:
        unit = group.volumes[volume.iqn.lower()].luns.get(lun)
        return before if unit is None else unit.disk.blocks * unit.disk.block_size

    return replace(
        config,
        volumes=tuple(
            replace(
                volume,
                size_bytes=size(volume, 0, volume.size_bytes),
                more_luns=tuple(
                    replace(lun, size_bytes=size(volume, lun.number, lun.size_bytes)) for lun in volume.more_luns
                ),
            )
            for volume in config.volumes
        ),
    )
