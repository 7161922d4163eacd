"""Round Robin is fair: while the active set stays as it is, no path is used twice more than another."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from initiator_model.dsm import Dsm
from initiator_model.paths import PathState
from initiator_model.policies import LoadBalancePolicy
from initiator_model.policies.round_robin import RoundRobin
from initiator_model.requests import Io
from tests.support.paths_by_hand import new_path

ACTIVE = PathState.ACTIVE_OPTIMIZED

states = st.sampled_from([ACTIVE, ACTIVE, PathState.STANDBY, PathState.FAILED])


@settings(deadline=None)
@given(st.lists(states, min_size=1, max_size=8), st.integers(0, 40), st.integers(1, 40))
def test_counts_over_any_window_differ_by_at_most_one(
    path_states: Sequence[PathState], before: int, window: int
) -> None:
    paths = [new_path(target) for target in range(len(path_states))]
    for path, state in zip(paths, path_states, strict=True):
        path.state = state
    selector = RoundRobin()
    for _ in range(before):
        selector.choose(paths, Io())
    counts = {path.label: 0 for path in paths if path.state is ACTIVE}
    for _ in range(window):
        chosen = selector.choose(paths, Io())
        if chosen is None:
            assert not counts
            return
        counts[chosen.label] += 1
    assert max(counts.values()) - min(counts.values()) <= 1


flap = st.tuples(st.integers(0, 4), st.integers(0, 12))


@settings(deadline=None)
@given(st.lists(flap, max_size=20))
def test_fairness_starts_anew_after_each_change(flaps: Sequence[tuple[int, int]]) -> None:
    dsm = Dsm(LoadBalancePolicy.ROUND_ROBIN)
    paths = [new_path(target) for target in range(5)]
    for path in paths:
        dsm.add_path(path)
    for which, requests in flaps:
        path = paths[which]
        assert dsm.path_failed(path, "down") or dsm.path_recovered(path, "up")
        counts = {other.label: 0 for other in paths if other.state is ACTIVE}
        for _ in range(requests):
            chosen = dsm.choose(Io())
            if chosen is None:
                assert not counts
                break
            counts[chosen.label] += 1
        assert not counts or max(counts.values()) - min(counts.values()) <= 1
