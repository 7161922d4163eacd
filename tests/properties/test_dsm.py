"""The DSM under any order of arrivals, losses, returns and policy requests.

* Fail Over Only: exactly one path is active while any is usable, and only an active path is chosen.
* Round Robin and Weighted Paths: every usable path is active; Weighted Paths uses one of the lightest.
* Round Robin with Subset: some path is active while any is usable.
* The work moves to a path that returns only if that path is preferred or was asked to be Active.
* A refused request changes nothing; an accepted one is told in full to `on_change`.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from initiator_model.dsm import Dsm, PolicyRefused, PolicyRequest
from initiator_model.paths import Path, PathState
from initiator_model.policies import FailBack, LoadBalancePolicy, PathWish
from initiator_model.policies.catalog import SelectorOptions
from initiator_model.requests import Io
from tests.support.paths_by_hand import new_path

ACTIVE, STANDBY = PathState.ACTIVE_OPTIMIZED, PathState.STANDBY
FOO, RR = LoadBalancePolicy.FAIL_OVER_ONLY, LoadBalancePolicy.ROUND_ROBIN
RRWS, WP = LoadBalancePolicy.ROUND_ROBIN_SUBSET, LoadBalancePolicy.WEIGHTED_PATHS


class DsmMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.told: dict[str, PathState] = {}
        self.targets = 0

    @initialize(policy=st.sampled_from([FOO, RR, RRWS, WP]), fail_back=st.sampled_from(list(FailBack)))
    def start(self, policy: LoadBalancePolicy, fail_back: FailBack) -> None:
        self.dsm = Dsm(policy, options=SelectorOptions(fail_back=fail_back), on_change=self.on_change)

    def on_change(self, path: Path, old: PathState, new: PathState, why: str) -> None:
        assert why
        assert old is not new
        assert self.told.get(path.label, PathState.UNDETERMINED) is old
        self.told[path.label] = new
        if self.dsm.policy is FOO and new is ACTIVE:  # nobody joins an active path, not even between two steps
            assert list(self.told.values()).count(ACTIVE) == 1

    def pick(self, data: st.DataObject) -> Path:
        return data.draw(st.sampled_from(list(self.dsm.paths)))

    def active(self) -> Path | None:
        return next((path for path in self.dsm.paths if path.state is ACTIVE), None)

    @precondition(lambda self: len(self.dsm.paths) < 5)
    @rule(can_be_active=st.sampled_from([True, True, True, False]))
    def add(self, can_be_active: bool) -> None:
        self.targets += 1
        self.dsm.add_path(new_path(self.targets % 256, can_be_active=can_be_active))

    @precondition(lambda self: self.dsm.paths)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        path = self.pick(data)
        self.dsm.remove_path(path, "logged out")
        del self.told[path.label]

    @precondition(lambda self: self.dsm.paths)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        path = self.pick(data)
        was_usable = path.usable
        assert self.dsm.path_failed(path, "down") is was_usable

    @precondition(lambda self: any(path.state is PathState.FAILED for path in self.dsm.paths))
    @rule(data=st.data())
    def recover(self, data: st.DataObject) -> None:
        failed = [path for path in self.dsm.paths if path.state is PathState.FAILED]
        path = data.draw(st.sampled_from(failed))
        before = self.active()
        assert self.dsm.path_recovered(path, "up")
        if self.dsm.policy in (RR, WP) or before is None:
            assert path.state is ACTIVE
            return
        if self.dsm.policy is RRWS:
            assert (path.state is ACTIVE) is (path.desired_state is ACTIVE and path.can_be_active)
            return
        asked = path.preferred and self.dsm.options.fail_back is not FailBack.NONE
        asked |= (
            path.desired_state is ACTIVE and self.dsm.options.fail_back is FailBack.DESIRED and not before.preferred
        )
        assert self.active() is (path if asked else before)

    @rule(data=st.data(), policy=st.sampled_from([FOO, RR, RRWS, WP]))
    def set_policy(self, data: st.DataObject, policy: LoadBalancePolicy) -> None:
        wished = st.tuples(st.sampled_from([ACTIVE, ACTIVE, STANDBY]), st.booleans(), st.integers(0, 3))
        wishes = tuple(PathWish(path.path_id, *data.draw(wished)) for path in self.dsm.paths)
        active = sum(wish.state is ACTIVE for wish in wishes)
        if policy is FOO:
            valid = active <= 1 and sum(wish.preferred for wish in wishes) <= 1
        elif policy is RRWS:
            asked = [path for path, wish in zip(self.dsm.paths, wishes, strict=True) if wish.state is ACTIVE]
            valid = len(asked) < 2 or all(path.can_be_active for path in asked)
        else:
            valid = active == len(wishes) and self.dsm.symmetric
        before = (self.dsm.policy, [(p.state, p.preferred, p.desired_state, p.weight) for p in self.dsm.paths])
        if valid:
            self.dsm.set_policy(PolicyRequest(policy, wishes))
            assert self.dsm.policy is policy
            return
        with pytest.raises(PolicyRefused, match="path"):
            self.dsm.set_policy(PolicyRequest(policy, wishes))
        after = (self.dsm.policy, [(p.state, p.preferred, p.desired_state, p.weight) for p in self.dsm.paths])
        assert after == before

    @rule(requests=st.integers(1, 6))
    def use(self, requests: int) -> None:
        for _ in range(requests):
            path = self.dsm.choose(Io())
            assert (path is None) is (self.active() is None)
            assert path is None or path.state is ACTIVE
            if self.dsm.policy is WP and path is not None:
                assert path.weight == min(other.weight for other in self.dsm.paths if other.state is ACTIVE)

    @invariant()
    def the_right_number_of_paths_is_active(self) -> None:
        if not hasattr(self, "dsm"):
            return
        usable = [path for path in self.dsm.paths if path.usable]
        active = [path for path in usable if path.state is ACTIVE]
        if self.dsm.policy is FOO:
            assert len(active) == min(1, len(usable))
        elif self.dsm.policy is RRWS:
            assert len(active) >= min(1, len(usable))
        else:
            assert active == usable

    @invariant()
    def listeners_know_every_state(self) -> None:
        if hasattr(self, "dsm"):
            assert self.told == {path.label: path.state for path in self.dsm.paths}


DsmMachine.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=30)
TestDsm = DsmMachine.TestCase
