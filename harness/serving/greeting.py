"""What `mpiolab serve` tells the person who started it: where to discover, and what is there."""

from __future__ import annotations

from target.config import GroupConfig


def greeting(config: GroupConfig) -> list[str]:
    """What a person needs to log in."""
    front = config.group_address or config.portals[0].address
    lines = [f"{config.name}: discover at {front}:{config.port}"]
    if config.group_address is not None:
        portals = ", ".join(portal.address for portal in config.portals)
        lines.append(f"logins are redirected to {portals} ({config.placement})")
    for volume in config.volumes:
        for lun in volume.luns:
            address = f"iscsi://{front}:{config.port}/{volume.iqn}/{lun.number}"
            lines.append(f"  {address}   {volume.name}, {lun.size_bytes} bytes")
    return lines
