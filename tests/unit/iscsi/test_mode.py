"""Layouts of mode pages and of the parameter lists that carry them, byte by byte (SPC-4 7.5, SBC-3 6.4)."""

import pytest

from iscsi.mode import (
    ALL_SUBPAGES,
    ModeData,
    ModePage,
    ModePageFormat,
    block_descriptor,
    caching_page,
    control_extension_page,
    control_page,
    disk_pages,
    page_key,
    select_pages,
)


@pytest.mark.parametrize(
    ("page", "raw"),
    [
        (caching_page(write_cache=True), "08 12 04" + "00" * 17),
        (caching_page(write_cache=False), "08 12 00" + "00" * 17),
        (control_page(), "0a 0a 00 10 00 00" + "00" * 6),
        (control_page(descriptor_sense=True), "0a 0a 04 10 00 00" + "00" * 6),
        (control_page(write_protect=True), "0a 0a 00 10 08 00" + "00" * 6),
        (control_page(task_aborted_status=True), "0a 0a 00 10 00 40" + "00" * 6),
        (control_extension_page(), "4a 01 00 1c" + "00" * 28),
    ],
)
def test_pages_on_the_wire(page: bytes, raw: str) -> None:
    assert page == bytes.fromhex(raw)


def test_a_disk_s_pages_stand_in_ascending_order_with_their_lengths() -> None:
    pages = disk_pages(write_cache=True)
    assert [(page.key, len(page.default)) for page in pages] == [
        ((0x01, 0), 12),
        ((0x02, 0), 16),
        ((0x08, 0), 20),
        ((0x0A, 0), 12),
        ((0x0A, 1), 32),
        ((0x18, 0), 8),
        ((0x19, 0), 8),
        ((0x1C, 0), 12),
    ]
    assert [page.default[2] for page in pages if page.key[0] in (0x18, 0x19)] == [5, 5]  # the protocol is iSCSI


def test_four_bits_can_be_changed() -> None:
    masks = {page.key: page.changeable for page in disk_pages(write_cache=False) if any(page.changeable[4:])}
    masks |= {page.key: page.changeable for page in disk_pages(write_cache=False) if page.key == (0x08, 0)}
    assert masks == {
        (0x08, 0): bytes.fromhex("08 12 04") + bytes(17),
        (0x0A, 0): bytes.fromhex("0a 0a 04 00 08 40") + bytes(6),
    }


def test_a_mask_must_fit_its_page() -> None:
    for mask in (bytes(12), control_page()[:-1]):
        with pytest.raises(ValueError, match="length and the header"):
            ModePageFormat(control_page(), mask)


KEYS = [page.key for page in disk_pages(write_cache=False)]


@pytest.mark.parametrize(
    ("code", "subpage", "chosen"),
    [
        (0x0A, 0x00, [(0x0A, 0)]),
        (0x0A, 0x01, [(0x0A, 1)]),
        (0x0A, ALL_SUBPAGES, [(0x0A, 0), (0x0A, 1)]),
        (0x08, ALL_SUBPAGES, [(0x08, 0)]),
        (0x0A, 0x02, []),
        (0x3F, 0x00, [key for key in KEYS if key[1] == 0]),
        (0x3F, ALL_SUBPAGES, KEYS),
        (0x3F, 0x01, []),
        (0x05, 0x00, []),
        (0x05, ALL_SUBPAGES, []),
    ],
)
def test_which_pages_a_mode_sense_means(code: int, subpage: int, chosen: list[tuple[int, int]]) -> None:
    assert list(select_pages(KEYS, code, subpage)) == chosen


def test_mode_data_in_both_sizes() -> None:
    pages = (caching_page(write_cache=True), control_page())
    data = ModeData(write_protected=True, block_descriptor=block_descriptor(2048, 512), pages=pages)
    assert data.encode_6()[:12] == bytes.fromhex("2b 00 90 08 00000800 00000200")
    assert data.encode_10()[:16] == bytes.fromhex("002e 00 90 00 00 0008 00000800 00000200")
    assert ModeData.decode_6(data.encode_6()) == data
    assert ModeData.decode_10(data.encode_10()) == data
    assert data.page(ModePage.CACHING) == pages[0]
    assert data.page(ModePage.CONTROL, 1) is None


def test_a_long_block_descriptor_is_announced_by_longlba() -> None:
    data = ModeData(block_descriptor=block_descriptor(1 << 40, 4096, long_lba=True), pages=(control_extension_page(),))
    raw = data.encode_10()
    assert raw[:24] == bytes.fromhex("0036 00 10 01 00 0010 0000010000000000 00000000 00001000")
    assert ModeData.decode_10(raw) == data
    assert page_key(data.pages[0]) == (0x0A, 1)


def test_a_short_block_descriptor_saturates() -> None:
    assert block_descriptor(1 << 32, 512) == bytes.fromhex("ffffffff 00000200")
    assert block_descriptor((1 << 32) - 1, 512) == bytes.fromhex("ffffffff 00000200")


@pytest.mark.parametrize("cut", [1, 2, 20, 30, 33, 43])
def test_a_list_that_ends_inside_something_is_refused(cut: int) -> None:
    whole = ModeData(block_descriptor=block_descriptor(8, 512), pages=(control_extension_page(),)).encode_6()
    assert ModeData.decode_select(whole, long_header=False).pages == (control_extension_page(),)
    with pytest.raises(ValueError, match=r"header of 4 bytes|ends inside a page"):
        ModeData.decode_select(whole[:-cut], long_header=False)
