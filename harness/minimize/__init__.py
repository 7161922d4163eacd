"""The smallest scenario that fails: delta debugging over a scenario's tables, with the same failure signature.

A failing scenario is taken apart in passes, each of which asks of a smaller candidate whether it still fails in the
same way: faults with their heals, then operations one by one, then hosts, interfaces, portals and volumes, then times
and settings. That a fault can be taken out without the rest being reshuffled is due to each consumer of chance having
a stream of its own.
"""

from harness.minimize.minimizer import Minimized, minimize

__all__ = ["Minimized", "minimize"]
