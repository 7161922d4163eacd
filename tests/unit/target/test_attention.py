import pytest

from iscsi.constants import SenseKey
from iscsi.sense import (
    BUS_RESET,
    CAPACITY_CHANGED,
    MODE_PARAMETERS_CHANGED,
    NEXUS_LOSS,
    POWER_ON_OR_RESET,
    RESERVATIONS_RELEASED,
    Sense,
)
from target.attention import MAX_NEXUSES, MAX_PENDING, UnitAttentions
from target.nexus import Nexus


def nexus(number: int) -> Nexus:
    return Nexus(f"iqn.host,i,0x{number:012x}", "iqn.array,t,0x0001", 1, 1)


A, B = nexus(1), nexus(2)


@pytest.fixture
def attentions() -> UnitAttentions:
    """Two nexuses, both greeted already."""
    made = UnitAttentions()
    made.take(A)
    made.take(B)
    return made


def test_a_new_nexus_is_greeted_once() -> None:
    attentions = UnitAttentions()
    assert attentions.take(A) == POWER_ON_OR_RESET
    assert attentions.take(A) is None


def test_conditions_come_out_in_the_order_they_arose(attentions: UnitAttentions) -> None:
    attentions.establish(A, CAPACITY_CHANGED)
    attentions.establish(A, MODE_PARAMETERS_CHANGED)
    assert [attentions.take(A), attentions.take(A), attentions.take(A)] == [
        CAPACITY_CHANGED,
        MODE_PARAMETERS_CHANGED,
        None,
    ]


def test_the_same_condition_is_pending_once(attentions: UnitAttentions) -> None:
    attentions.establish(A, CAPACITY_CHANGED)
    attentions.establish(A, CAPACITY_CHANGED)
    assert attentions.take(A) == CAPACITY_CHANGED
    assert attentions.take(A) is None


def test_a_reset_replaces_what_was_pending_for_everyone_but_its_issuer(attentions: UnitAttentions) -> None:
    attentions.establish(B, CAPACITY_CHANGED)
    attentions.establish_for_all(BUS_RESET, but=A)
    assert attentions.take(A) is None
    assert attentions.take(B) == BUS_RESET
    assert attentions.take(B) is None


def test_a_returning_nexus_hears_of_its_loss_and_of_nothing_older(attentions: UnitAttentions) -> None:
    attentions.establish(A, RESERVATIONS_RELEASED)
    attentions.forget(A)
    assert attentions.known() == (B,)
    assert attentions.take(A) == NEXUS_LOSS
    assert attentions.take(A) is None


def test_the_same_session_through_another_portal_is_the_same_nexus(attentions: UnitAttentions) -> None:
    elsewhere = Nexus(A.initiator_port, A.target_port, 2, 1)
    assert attentions.take(elsewhere) is None


def test_a_queue_that_overflows_tells_the_host_to_look_at_everything(attentions: UnitAttentions) -> None:
    for ascq in range(MAX_PENDING + 1):
        attentions.establish(A, Sense(SenseKey.UNIT_ATTENTION, 0x2A, ascq))
    assert attentions.take(A) == POWER_ON_OR_RESET
    assert attentions.take(A) is None


def test_memory_of_nexuses_is_bounded_living_and_lost() -> None:
    attentions = UnitAttentions()
    for number in range(2 * MAX_NEXUSES):
        attentions.take(nexus(number))
    assert len(attentions.known()) == MAX_NEXUSES
    for number in range(2 * MAX_NEXUSES, 4 * MAX_NEXUSES + 1):
        attentions.take(nexus(number))
        attentions.forget(nexus(number))
    assert attentions.take(nexus(2 * MAX_NEXUSES)) == POWER_ON_OR_RESET
    assert attentions.take(nexus(4 * MAX_NEXUSES)) == NEXUS_LOSS
