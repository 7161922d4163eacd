"""Every built-in policy keeps the rules of path scheduling and its own promises: `mpiolab check`, for each of them.

By hand with more: `for p in failover-only round-robin …; do mpiolab check $p --examples 10000; done`, a minute or two
each.
"""

from __future__ import annotations

import pytest

from harness.policy_check.verdict import check_policy
from initiator_model.policies import FailBack
from initiator_model.policies.catalog import BUILT_IN
from initiator_model.policies.dm_historical_service_time import DmHistoricalServiceTime
from initiator_model.policies.dm_queue_length import DmQueueLength
from initiator_model.policies.dm_round_robin import DmRoundRobin
from initiator_model.policies.dm_service_time import DmServiceTime
from initiator_model.policies.fail_over_only import FailOverOnly
from initiator_model.policies.least_blocks import LeastBlocks
from initiator_model.policies.vmw_rr import VmwRoundRobin

EXAMPLES = 200


class FailOverOnlyThatStays(FailOverOnly):
    def __init__(self) -> None:
        super().__init__(FailBack.NONE)


class FailOverOnlyToPreferred(FailOverOnly):
    def __init__(self) -> None:
        super().__init__(FailBack.PREFERRED)


class LeastBlocksOfStreams(LeastBlocks):
    def __init__(self) -> None:
        super().__init__(use_cache=True)


class ByPriority(DmRoundRobin):
    def __init__(self) -> None:
        super().__init__("group_by_prio", "immediate")


class OneByOne(DmQueueLength):
    def __init__(self) -> None:
        super().__init__("failover", "followover")


class ByPriorityManual(DmServiceTime):
    def __init__(self) -> None:
        super().__init__("group_by_prio", "manual")


class OneByOneHistorical(DmHistoricalServiceTime):
    def __init__(self) -> None:
        super().__init__("failover", "immediate", threshold_multiplier=2)


class ThreeEach(VmwRoundRobin):
    def __init__(self) -> None:
        super().__init__("iops", iops=3)


class EightKiBEach(VmwRoundRobin):
    def __init__(self) -> None:
        super().__init__("bytes", size_bytes=8192)


class ByLatency(VmwRoundRobin):
    def __init__(self) -> None:
        super().__init__("latency")


SET_OTHERWISE = [
    FailOverOnlyThatStays,
    FailOverOnlyToPreferred,
    LeastBlocksOfStreams,
    ByPriority,
    OneByOne,
    ByPriorityManual,
    OneByOneHistorical,
    ThreeEach,
    EightKiBEach,
    ByLatency,
]


@pytest.mark.parametrize(
    "option",
    [*(policy.option for policy in BUILT_IN), *(f"{__name__}:{policy.__name__}" for policy in SET_OTHERWISE)],
)
def test_it_keeps_every_rule(option: str) -> None:
    verdict = check_policy(option, examples=EXAMPLES, seed=1)
    failing = verdict.failing
    story = [] if failing is None else [f"{one.event}: {'; '.join(one.outcome)}" for one in failing.story]
    assert failing is None, "\n".join([failing.rule.name, failing.why, *story])
