"""The bench as a tool of other people's tests: scenarios that must pass, and arrays to try an initiator on.

    Lab             scenarios, and coroutines on a simulated array, in virtual time
    LoopbackArray   the array on real TCP, in a thread of its own

`harness.pytest_plugin` makes fixtures of them; nothing here knows pytest.
"""

from harness.lab.judged import ScenarioFailed
from harness.lab.loopback_array import LoopbackArray
from harness.lab.simulated import Lab, Setting

__all__ = ["Lab", "LoopbackArray", "ScenarioFailed", "Setting"]
