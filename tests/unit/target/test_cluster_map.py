from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from target.cluster_map import CLUSTERS_PER_PAGE, PAGE_BYTES, ClusterMap, pages_of

END = 3 * CLUSTERS_PER_PAGE + 100

ranges = st.lists(st.tuples(st.integers(0, END - 1), st.integers(1, 2 * CLUSTERS_PER_PAGE)), max_size=8)


def clusters(made: ClusterMap, end: int = END) -> list[bool]:
    """Each cluster, as the runs tell it."""
    found: list[bool] = []
    while len(found) < end:
        own, stop = made.run(len(found), end)
        assert len(found) < stop <= end
        found += [own] * (stop - len(found))
    return found


def test_a_run_goes_on_over_pages() -> None:
    made = ClusterMap()
    assert made.run(5, END) == (False, END)
    made.add(CLUSTERS_PER_PAGE - 2, 2 * CLUSTERS_PER_PAGE + 3)
    assert made.run(0, END) == (False, CLUSTERS_PER_PAGE - 2)
    assert made.run(CLUSTERS_PER_PAGE - 1, END) == (True, 2 * CLUSTERS_PER_PAGE + 3)
    assert made.run(CLUSTERS_PER_PAGE, CLUSTERS_PER_PAGE + 7) == (True, CLUSTERS_PER_PAGE + 7)
    assert made.run(2 * CLUSTERS_PER_PAGE + 3, END) == (False, END)


def test_only_pages_that_have_changed_are_taken_and_only_once() -> None:
    made = ClusterMap()
    made.add(8, 10)
    made.add(2 * CLUSTERS_PER_PAGE, 2 * CLUSTERS_PER_PAGE + 1)
    assert made.take_changed() == [(0, b"\0\x03".ljust(PAGE_BYTES, b"\0")), (2, b"\1".ljust(PAGE_BYTES, b"\0"))]
    made.add(8, 10)
    assert made.take_changed() == []
    made.add(8, 11)
    assert made.take_changed() == [(0, b"\0\x07".ljust(PAGE_BYTES, b"\0"))]


@given(added=ranges)
def test_it_is_a_set_of_clusters_that_survives_its_pages(added: list[tuple[int, int]]) -> None:
    made, expected = ClusterMap(), [False] * END
    medium = bytearray(4 * PAGE_BYTES)
    for first, count in added:
        end = min(first + count, END)
        made.add(first, end)
        expected[first:end] = [True] * (end - first)
        for page, content in made.take_changed():
            medium[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = content
    assert clusters(made) == expected
    again = ClusterMap()
    for page, content in pages_of(PAGE_BYTES, bytes(medium[PAGE_BYTES:])):
        again.load(page, content)
    for page, content in pages_of(0, bytes(medium[:PAGE_BYTES])):
        again.load(page, content)
    assert clusters(again) == expected
