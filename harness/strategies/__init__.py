"""Scenarios as Hypothesis strategies: property tests draw what sweeps draw, and shrink it.

    from hypothesis import given
    from harness.strategies import scenarios

    @given(scenarios())
    def test_no_write_is_lost(mpio_lab, scenario):
        mpio_lab.run_scenario(scenario)

Machines, places of faults and policies come from the swarm's own tables (`harness.swarm`), with Hypothesis in place of
a seed's streams. What is drawn is structure: machines first, then what happens to them, each fault and each I/O with a
time of its own. A scenario's seed is 0 always, for two that search at once, Hypothesis and a seed, defeat each other.
A failure shrinks to few faults, few I/Os, round times and the plainest machines.

Hypothesis is an extra: ``pip install "mpiolab[check]"``.
"""

try:
    import hypothesis  # noqa: F401
except ImportError:
    raise ImportError('harness.strategies draws with Hypothesis: pip install "mpiolab[check]"') from None

from harness.strategies.faults import fault_schedules
from harness.strategies.operations import operations
from harness.strategies.scenarios import scenarios
from harness.strategies.topologies import topologies

__all__ = ["fault_schedules", "operations", "scenarios", "topologies"]
