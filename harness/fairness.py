"""How evenly work is spread over paths: Jain's fairness index.

    J = (x1 + … + xn)² / (n · (x1² + … + xn²))

It is 1 when every path carries the same and 1/n when one of n carries everything; k of n paths that share evenly give
k/n. Source: Jain, Chiu and Hawe, "A Quantitative Measure of Fairness and Discrimination for Resource Allocation in
Shared Computer Systems", DEC-TR-301, 1984. Even is not fast: over paths of different speeds the fairest policy is
often the slowest.
"""

from collections.abc import Sequence


def jain(amounts: Sequence[int]) -> float | None:
    """Jain's index of what each path carried (I/Os or bytes); None where nothing was carried."""
    squares = sum(amount * amount for amount in amounts)
    return sum(amounts) ** 2 / (len(amounts) * squares) if squares else None
