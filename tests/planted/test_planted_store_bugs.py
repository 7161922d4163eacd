"""Mistakes one makes about stable data, planted one at a time: the power-cut check finds each of them.

The check is `tests.support.promises`, the lives are those of `tests.properties.test_power_cut`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings

from target.cluster_map import PAGE_BYTES
from target.command import GOOD, ScsiResult
from target.disk import Disk
from target.flush import Flush, Flusher, Job
from target.snapshot_store import CLUSTER_BYTES, SnapshotStore
from tests.support.plans import plans
from tests.support.promises import Broken, Plan, check

Plant = Callable[[pytest.MonkeyPatch], None]


def fua_is_acknowledged_before_the_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Disk.flushed

    def flushed(disk: Disk) -> ScsiResult:
        honest(disk)
        return GOOD

    monkeypatch.setattr(Disk, "flushed", flushed)


def fua_is_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Disk, "flushed", lambda disk: GOOD)


def a_write_cache_that_is_off_still_caches_discards(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Disk.written
    monkeypatch.setattr(Disk, "written", lambda disk, *, stable: honest(disk, stable=True) if stable else GOOD)


def who_asks_while_a_flush_runs_is_given_that_one(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Flusher.flush
    monkeypatch.setattr(Flusher, "flush", lambda flusher: flusher._running or honest(flusher))


def a_failed_sync_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flusher, "_raise_failure", lambda flusher: None)


def a_failed_sync_counts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Flush.end
    monkeypatch.setattr(Flush, "end", lambda flush, error: honest(flush, None))


def the_map_is_written_before_the_data_is_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(store: SnapshotStore) -> Job:
        delta, pages = store._delta, store._map.take_changed()

        def map_with_data() -> None:
            for page, content in pages:
                delta.write(CLUSTER_BYTES + page * PAGE_BYTES, content)
            delta.sync()

        return map_with_data

    monkeypatch.setattr(SnapshotStore, "_begin_flush", begin)


def the_map_is_not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = SnapshotStore._begin_flush

    def begin(store: SnapshotStore) -> Job:
        job, delta = honest(store), store._delta

        def without_the_last_sync() -> None:
            syncs: list[Any] = []
            sync, delta.sync = delta.sync, lambda: syncs.append(1) or (sync() if len(syncs) == 1 else None)
            try:
                job()
            finally:
                delta.sync = sync

        return without_the_last_sync

    monkeypatch.setattr(SnapshotStore, "_begin_flush", begin)


def the_map_of_a_flush_is_taken_when_the_data_has_been_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits of clusters that were written meanwhile are then on the medium before their data."""

    def begin(store: SnapshotStore) -> Job:
        delta = store._delta

        def write_map() -> None:
            for page, content in store._map.take_changed():
                delta.write(CLUSTER_BYTES + page * PAGE_BYTES, content)

        def data_then_map() -> None:
            delta.sync()
            delta.recorded.append(write_map) if delta.recorded is not None else write_map()
            delta.sync()

        return data_then_map

    monkeypatch.setattr(SnapshotStore, "_begin_flush", begin)


def a_cluster_is_taken_over_without_the_rest_of_the_base_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SnapshotStore, "_is_own", lambda store, cluster: True)


def a_discarded_cluster_is_only_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier write that was never flushed has left in the delta then comes up again."""
    honest = SnapshotStore.discard

    def discard(store: SnapshotStore, offset: int, length: int) -> None:
        delta = store._delta
        punch, delta.discard = delta.discard, lambda offset, length: None
        honest(store, offset, length)
        delta.discard = punch

    monkeypatch.setattr(SnapshotStore, "discard", discard)


def a_discarded_cluster_is_the_base_s_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SnapshotStore, "discard", lambda store, offset, length: None)


FINDING = settings(
    database=None,
    deadline=None,
    derandomize=True,
    max_examples=3000,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def breaks(plan: Plan) -> bool:
    """Whether a promise is broken in these lives."""
    try:
        check(plan)
    except Broken:
        return True
    return False


@pytest.mark.parametrize(
    ("plant", "snapshot"),
    [
        (fua_is_acknowledged_before_the_sync, False),
        (fua_is_acknowledged_before_the_sync, True),
        (fua_is_overlooked, False),
        (a_write_cache_that_is_off_still_caches_discards, False),
        (who_asks_while_a_flush_runs_is_given_that_one, False),
        (a_failed_sync_is_forgotten, False),
        (a_failed_sync_counts_as_one, False),
        (the_map_is_written_before_the_data_is_stable, True),
        (the_map_is_not_synced, True),
        (the_map_of_a_flush_is_taken_when_the_data_has_been_synced, True),
        (a_cluster_is_taken_over_without_the_rest_of_the_base_s, True),
        (a_discarded_cluster_is_only_marked, True),
        (a_discarded_cluster_is_the_base_s_again, True),
    ],
)
def test_the_power_cut_check_finds_it(monkeypatch: pytest.MonkeyPatch, plant: Plant, snapshot: bool) -> None:
    plant(monkeypatch)
    found = find(plans(snapshot=snapshot), breaks, settings=FINDING)
    with pytest.raises(Broken, match=r"holds .*; allowed: "):
        check(found)
    monkeypatch.undo()
    check(found)
