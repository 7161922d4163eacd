"""A policy of the host's own kind, with the settings it takes, drawn for one disk."""

from __future__ import annotations

from typing import Any

from harness.swarm.chance import Chance
from harness.swarm.topology import DrawnHost

__all__ = ["policy_step"]

Tables = dict[str, Any]


def policy_step(rng: Chance, host: DrawnHost, volume: str) -> Tables:
    """A `set_policy` step that the host's profile can be asked for."""
    policy = rng.pick(host.kind.policies)
    step: Tables = {"do": "set_policy", "host": host.name, "volume": volume, "policy": policy}
    sources = host.sources
    if policy in ("failover-only", "vmw-fixed") and rng.chance(0.5):
        step["preferred"] = rng.pick(sources)
    elif policy == "round-robin-subset" and len(sources) > 1 and rng.chance(0.5):
        step["standby"] = [rng.pick(sources)]
    elif policy == "weighted-paths":
        step["weights"] = {source: rng.below(3) for source in sources}
    elif policy == "least-blocks":
        step["use_cache"] = rng.chance(0.5)
    elif policy == "vmw-rr":
        step.update(rng.pick(({"iops": 1}, {"iops": 8}, {"bytes": "64KiB"}, {"type": "latency"})))
    elif policy.startswith("dm-"):
        step["grouping"] = rng.pick(("failover", "multibus"))
        step["failback"] = rng.pick(("manual", "immediate", "1s"))
    return step
