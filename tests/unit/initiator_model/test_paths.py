"""Path states, ids and the steps a path can take."""

import pytest

from initiator_model.paths import TRANSITIONS, Path, PathState, ScsiAddress


def new_path(target: int = 1) -> Path:
    return Path(source="192.168.50.105:2817", portal="192.168.51.2:3260", scsi_address=ScsiAddress(1, 0, target, 0))


def test_states_have_the_numbers_of_the_dsm() -> None:
    assert {state.name: state.value for state in PathState} == {
        "ACTIVE_OPTIMIZED": 0,
        "ACTIVE_UNOPTIMIZED": 1,
        "STANDBY": 2,
        "UNAVAILABLE": 3,
        "TRANSITIONING": 15,
        "NOT_USED": 16,
        "UNDETERMINED": 17,
        "FAILED": 18,
        "INVALIDATED": 19,
        "REMOVE_PENDING": 20,
        "REMOVED": 21,
    }


def test_every_state_above_not_used_is_a_failed_one() -> None:
    assert [state.name for state in PathState if state.is_failed] == [
        "UNDETERMINED",
        "FAILED",
        "INVALIDATED",
        "REMOVE_PENDING",
        "REMOVED",
    ]


def test_states_display_as_the_applet_shows_them() -> None:
    assert PathState.ACTIVE_OPTIMIZED.display == "Active"
    assert PathState.STANDBY.display == "Standby"
    assert PathState.FAILED.display == "Failed"
    assert all(state.display for state in PathState)


def test_path_id_is_made_of_port_bus_and_target() -> None:
    path = new_path(target=1)
    assert path.path_id == 0x77010001
    assert path.label == "77010001"
    assert str(path.scsi_address) == "001|000|001|000"


def test_scsi_address_refuses_what_does_not_fit_a_byte() -> None:
    with pytest.raises(ValueError, match="target is 256, wanted 0 to 255"):
        ScsiAddress(1, 0, 256, 0)


@pytest.mark.parametrize("old", list(TRANSITIONS))
@pytest.mark.parametrize("new", list(PathState))
def test_a_path_takes_the_steps_of_the_table_and_no_others(old: PathState, new: PathState) -> None:
    path = new_path()
    path.state = old
    if new in TRANSITIONS[old]:
        path.enter(new)
        assert path.state is new
    else:
        with pytest.raises(ValueError, match=f"77010001: {old.name} to {new.name}"):
            path.enter(new)
        assert path.state is old


def test_active_and_standby_paths_are_usable() -> None:
    path = new_path()
    usable = []
    for state in PathState:
        path.state = state
        if path.usable:
            usable.append(state)
    assert usable == [PathState.ACTIVE_OPTIMIZED, PathState.STANDBY]
