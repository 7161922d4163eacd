"""Every policy by its name, and a policy of your own by the name of its class.

`SelectorOptions` holds what an administrator may set beside the policy itself; each policy takes what concerns it. The
values here are the ones the three stacks start with. What is not built in comes `Guarded`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from initiator_model.policies import FailBack, LoadBalancePolicy, PathSelector
from initiator_model.policies.dm_historical_service_time import DmHistoricalServiceTime
from initiator_model.policies.dm_queue_length import DmQueueLength
from initiator_model.policies.dm_round_robin import DmRoundRobin
from initiator_model.policies.dm_service_time import DmServiceTime
from initiator_model.policies.fail_over_only import FailOverOnly
from initiator_model.policies.guard import Guarded
from initiator_model.policies.least_blocks import LeastBlocks
from initiator_model.policies.least_queue_depth import LeastQueueDepth
from initiator_model.policies.path_groups import FailBackMode, Grouping
from initiator_model.policies.round_robin import RoundRobin
from initiator_model.policies.round_robin_subset import RoundRobinSubset
from initiator_model.policies.vmw_fixed import VmwFixed
from initiator_model.policies.vmw_mru import VmwMru
from initiator_model.policies.vmw_rr import DEFAULT_BYTES, DEFAULT_IOPS, RoundRobinType, VmwRoundRobin
from initiator_model.policies.weighted_paths import WeightedPaths

__all__ = [
    "BUILT_IN",
    "DEFAULT_OPTIONS",
    "MICROSOFT",
    "PolicyError",
    "SelectorOptions",
    "make_selector",
    "policy_named",
    "selector_class",
]


class PolicyError(ValueError):
    """There is no such policy, or the class that was named is none."""


@dataclass(frozen=True, slots=True)
class SelectorOptions:
    """What is set beside the policy."""

    fail_back: FailBack = FailBack.DESIRED
    """Of failover-only."""
    use_cache: bool = False
    """Of least-blocks: UseCacheForLeastBlocks."""
    grouping: Grouping = "failover"
    """Of the dm- policies: path_grouping_policy."""
    failback: FailBackMode = "manual"
    """Of the dm- policies: the mode, or seconds."""
    kind: RoundRobinType = "iops"
    """Of vmw-rr: what ends a path's turn."""
    iops: int = DEFAULT_IOPS
    size_bytes: int = DEFAULT_BYTES


DEFAULT_OPTIONS: Final = SelectorOptions()

_MAKERS: Final[Mapping[type[Any], Callable[[SelectorOptions], PathSelector]]] = MappingProxyType(
    {
        FailOverOnly: lambda options: FailOverOnly(options.fail_back),
        RoundRobin: lambda options: RoundRobin(),
        RoundRobinSubset: lambda options: RoundRobinSubset(),
        LeastQueueDepth: lambda options: LeastQueueDepth(),
        WeightedPaths: lambda options: WeightedPaths(),
        LeastBlocks: lambda options: LeastBlocks(options.use_cache),
        DmRoundRobin: lambda options: DmRoundRobin(options.grouping, options.failback),
        DmQueueLength: lambda options: DmQueueLength(options.grouping, options.failback),
        DmServiceTime: lambda options: DmServiceTime(options.grouping, options.failback),
        DmHistoricalServiceTime: lambda options: DmHistoricalServiceTime(options.grouping, options.failback),
        VmwRoundRobin: lambda options: VmwRoundRobin(options.kind, options.iops, options.size_bytes),
        VmwMru: lambda options: VmwMru(),
        VmwFixed: lambda options: VmwFixed(),
    }
)

_CLASSES: Final = MappingProxyType({cls.policy.option: cls for cls in _MAKERS})
BUILT_IN: Final = tuple(cls.policy for cls in _MAKERS)
"""The policies there are, those of Windows first, in the order of their numbers."""
MICROSOFT: Final = tuple(policy for policy in BUILT_IN if policy.number != 7)


def selector_class(option: str) -> type[Any]:
    """The class behind a policy's name: a built-in one, or ``module:Class``, which is imported.

    Raises:
        PolicyError: no such policy; the module cannot be imported; it has no such class; the class has no `choose`.
    """
    if option in _CLASSES:
        return _CLASSES[option]
    module_name, colon, class_name = option.partition(":")
    if not colon:
        known = ", ".join(policy.option for policy in BUILT_IN)
        raise PolicyError(f"load-balance policy {option!r} is not one of: {known}; nor is it module:Class")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise PolicyError(f"load-balance policy {option!r}: {error}") from error
    except Exception as error:  # the module is somebody's own: anything may be wrong with it
        what = f"{type(error).__name__}: {error}"
        raise PolicyError(f"load-balance policy {option!r}: {module_name} cannot be imported: {what}") from error
    found = module
    for part in class_name.split("."):
        found = getattr(found, part, None)  # type: ignore[assignment]
    if not isinstance(found, type):
        raise PolicyError(f"load-balance policy {option!r}: {module_name} has no class {class_name}")
    missing = [name for name in _ASKED if not hasattr(found, name)]
    if missing:
        raise PolicyError(
            f"load-balance policy {option!r}: the class has no {', '.join(missing)}; "
            f"derive it from initiator_model.policies.Selector and give it a choose"
        )
    return found


_ASKED: Final = (
    "policy",
    "promises",
    "needs_every_path",
    "measures",
    "refuses",
    "installed",
    "choose",
    "after_loss",
    "after_arrival",
    "forget",
    "started",
    "ended",
)


def policy_named(option: str) -> LoadBalancePolicy:
    """What a policy of that name is called. Raises PolicyError."""
    policy: LoadBalancePolicy = selector_class(option).policy
    return policy if option in _CLASSES else LoadBalancePolicy(option, policy.display, policy.short, policy.number)


def make_selector(option: str, options: SelectorOptions = DEFAULT_OPTIONS) -> PathSelector:
    """A fresh selector of that name. One of your own is made without arguments, and guarded. Raises PolicyError."""
    cls = selector_class(option)
    if cls in _MAKERS:
        return _MAKERS[cls](options)
    try:
        selector: PathSelector = cls()
    except TypeError as error:
        raise PolicyError(f"load-balance policy {option!r} cannot be made without arguments: {error}") from error
    except Exception as error:
        raise PolicyError(f"load-balance policy {option!r} cannot be made: {type(error).__name__}: {error}") from error
    return Guarded(selector, policy_named(option))
