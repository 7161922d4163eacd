"""Scenarios drawn from seeds: swarm testing.

A seed is drawn in two steps. First which features are on in it: how many hosts and paths, which kinds of faults,
whether the disks are patient, whether CHAP is asked for, and so on. Then their parameters. A run in which a few of them
are on in strength reaches states that a run with a little of everything never does, which is why some are left out each
time (Groce et al., "Swarm Testing", ISSTA 2012; TigerBeetle and FoundationDB draw their simulations so).

What is drawn is an ordinary scenario: explicit steps with their times, every fault healed, and at the end the demand
that every path is back and the disks serve. Whoever wants to see one writes it as a file (`scenario_toml`).
"""

from harness.swarm.drawing import swarm_scenario
from harness.swarm.features import features_of
from harness.swarm.writing import scenario_toml

__all__ = ["features_of", "scenario_toml", "swarm_scenario"]
