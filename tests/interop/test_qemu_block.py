"""QEMU's block driver against the array: whole images in and out, patterns with a header digest, zeros, discard.

Everything goes through the group address and the redirect. QEMU 7.2 asks for a header digest by the option
``header-digest`` of its iscsi driver (an ``iscsi://`` URL has none of its own there) and can ask for no data digest:
libiscsi before 1.20 says DataDigest=None in every login. Data digests are tested with open-iscsi, in tests/linux_host.
"""

from __future__ import annotations

import asyncio
import filecmp
import json
import random
import re
from pathlib import Path

import pytest

from iscsi.negotiation import SessionParameters
from tests.interop.served import Serve, Served
from tests.interop.support import Finished, Require, lacking, run, run_beside
from tests.support.array import VOLUME
from tests.support.array_on_tcp import GROUP_ADDRESS, serving

pytestmark = pytest.mark.interop

MIB = 1 << 20
IMAGE_BYTES = 64 * MIB
"""The size of the volume in served.py."""

COMPARE_EQUAL, COMPARE_DIFFERENT = 0, 1
"""Exit codes of `qemu-img compare`; 2 and above are errors."""


@pytest.fixture
def qemu_img(require: Require) -> Path:
    """The program, once its iscsi driver is there too: Debian keeps that in a package of its own."""
    program = require("qemu-img")
    if not re.search(r"^Supported formats:.* iscsi( |$)", run(program, "--help").stdout, re.MULTILINE):
        lacking("qemu-img has no iscsi driver (Debian package qemu-block-extra)")
    return program


def make_image(path: Path, seed: str) -> Path:
    """A raw image of 64 MiB with data at its start, at its end, in the middle off every alignment, and holes."""
    numbers = random.Random(seed)
    with path.open("wb") as image:
        for offset, length in ((0, 3 * MIB), (20 * MIB - 512, 5 * MIB + 1024), (63 * MIB, MIB)):
            image.seek(offset)
            image.write(numbers.randbytes(length))
    return path


def blockdev(served: Served, **options: str) -> str:
    """The volume as ``--image-opts`` takes it, with options of the iscsi driver."""
    chosen = {"transport": "tcp", "portal": served.portal, "target": served.iqn("exchange-logs"), "lun": "0", **options}
    return ",".join(["driver=raw", "file.driver=iscsi", *(f"file.{key}={value}" for key, value in chosen.items())])


def went_well(finished: Finished) -> str:
    """What a program said, once it is sure that it did what it was asked; qemu-io tells only in words."""
    assert finished.returncode == 0, finished
    assert not re.search(r"failed|error|illegal", finished.stdout + finished.stderr, re.IGNORECASE), finished
    return finished.stdout


def test_qemu_sees_the_volume_with_its_size(serve: Serve, qemu_img: Path) -> None:
    seen = json.loads(went_well(run(qemu_img, "info", "--output=json", serve().url())))
    assert (seen["virtual-size"], seen["format"]) == (IMAGE_BYTES, "raw")


@pytest.mark.parametrize("digest", ["none", "crc32c"])
def test_an_image_goes_in_and_comes_out_the_same(serve: Serve, qemu_img: Path, tmp_path: Path, digest: str) -> None:
    served, image, copy = serve(), make_image(tmp_path / "in.raw", "image"), tmp_path / "out.raw"
    disk = blockdev(served, **{"header-digest": digest})
    went_well(run(qemu_img, "convert", "-n", "-f", "raw", "--target-image-opts", image, disk))
    went_well(run(qemu_img, "convert", "--image-opts", "-O", "raw", disk, copy))
    assert filecmp.cmp(image, copy, shallow=False)
    compared = run(qemu_img, "compare", "-f", "raw", "-F", "raw", image, served.url())
    assert (compared.returncode, compared.stdout) == (COMPARE_EQUAL, "Images are identical.\n")


def test_a_different_byte_is_found_and_a_second_image_replaces_the_first(
    serve: Serve, qemu_img: Path, require: Require, tmp_path: Path
) -> None:
    """The second image has holes where the first has data: QEMU writes zeros there."""
    served = serve()
    for number in range(2):
        image = make_image(tmp_path / f"{number}.raw", f"image {number}")
        qcow = tmp_path / f"{number}.qcow2"
        went_well(run(qemu_img, "convert", "-f", "raw", "-O", "qcow2", image, qcow))
        went_well(run(qemu_img, "convert", "-n", "-f", "qcow2", "-O", "raw", "-W", "-m", "16", qcow, served.url()))
        assert run(qemu_img, "compare", "-F", "raw", qcow, served.url()).returncode == COMPARE_EQUAL
        went_well(run(require("qemu-io"), "-f", "raw", "-c", "write -P 0x5a 40M 512", served.url()))
        compared = run(qemu_img, "compare", "-F", "raw", qcow, served.url())
        assert (compared.returncode, f"offset {40 * MIB}" in compared.stdout) == (COMPARE_DIFFERENT, True), compared


PATTERNS = (
    *("write -P 0x11 0 512", "read -P 0x11 0 512"),
    *("write -P 0xaa 1M 4M", "read -P 0xaa 1M 4M"),
    # Sizes and places off every power of two, one of them across the first burst and many segments.
    *("write -P 0x33 33k 7680", "read -P 0x33 33k 7680"),
    *("write -P 0x44 9M 1049088", "read -P 0x44 9M 1049088"),
    *("writev -P 0x55 16M 4k 512 64k 1536", "readv -P 0x55 16M 512 1536 4k 64k"),
    *("write -f -P 0x66 20M 64k", "read -P 0x66 20M 64k"),
    *(f"aio_write -q -P {number + 1} {24 + number}M 1M" for number in range(8)),
    "aio_flush",
    *(f"aio_read -q -P {number + 1} {24 + number}M 1M" for number in range(8)),
    "aio_flush",
    # What was written beside all this is still what it was.
    *("read -P 0 512 31k", "read -P 0xaa 4M 1M", "read -P 0 5M 4M", "read -P 8 31M 1M", "read -P 0 32M 32M"),
    "flush",
)
"""qemu-io's commands: -P checks every byte that is read."""

ZEROS = (
    *("write -P 0xcc 0 8M", "write -z 1M 1M", "read -P 0xcc 0 1M", "read -P 0 1M 1M", "read -P 0xcc 2M 6M"),
    *("write -z -u 3M 1M", "read -P 0xcc 2M 1M", "read -P 0 3M 1M", "read -P 0xcc 4M 4M"),
    *("write -z 4608k 512", "read -P 0xcc 4M 512k", "read -P 0 4608k 512", "read -P 0xcc 4719104 1k"),
    *("discard 5M 2M", "read -P 0xcc 4720128 512", "read -P 0 5M 2M", "read -P 0xcc 7M 1M"),
    *("discard 0 64M", "read -P 0 0 64M"),
)
"""A discard leaves zeros here: the array's thin volumes say LBPRZ."""


def commands(*texts: str) -> list[str]:
    """``-c`` before each."""
    return [word for text in texts for word in ("-c", text)]


@pytest.mark.parametrize("digest", ["none", "crc32c"])
@pytest.mark.parametrize("texts", [PATTERNS, ZEROS], ids=["patterns", "zeros and discard"])
def test_patterns_are_read_as_they_were_written(
    serve: Serve, require: Require, qemu_img: Path, digest: str, texts: tuple[str, ...]
) -> None:
    disk = blockdev(serve(), **{"header-digest": digest})
    said = went_well(run(require("qemu-io"), "-d", "unmap", "--image-opts", disk, *commands(*texts)))
    assert len(re.findall(r"^read ", said, re.MULTILINE)) == len([text for text in texts if text.startswith("read")])


def test_qemu_sees_which_blocks_are_mapped(serve: Serve, require: Require, qemu_img: Path) -> None:
    served = serve()
    written = commands("write -P 3 8M 1M", "write -P 4 63M 1M", "write -P 5 20M 1M", "discard 20M 1M")
    went_well(run(require("qemu-io"), "-f", "raw", "-d", "unmap", *written, served.url()))
    extents = json.loads(went_well(run(qemu_img, "map", "--output=json", served.url())))
    assert [(extent["start"] // MIB, extent["length"] // MIB) for extent in extents if extent["data"]] == [
        (8, 1),
        (63, 1),
    ]
    assert sum(extent["length"] for extent in extents) == IMAGE_BYTES


def test_qemu_io_tells_a_wrong_pattern(serve: Serve, require: Require, qemu_img: Path) -> None:
    """Else the test above could not fail."""
    wrong = run(require("qemu-io"), "-f", "raw", *commands("write -P 1 0 4k", "read -P 2 0 4k"), serve().url())
    assert "Pattern verification failed" in wrong.stdout
    with pytest.raises(AssertionError):
        went_well(wrong)


@pytest.mark.parametrize(("digest", "agreed"), [("none", False), ("crc32c", True)])
def test_the_header_digest_is_what_qemu_asked_for(require: Require, qemu_img: Path, digest: str, agreed: bool) -> None:
    """Looked up in an array that runs in this process, while qemu-io is at work and then sleeps."""
    program = require("qemu-io")

    async def parameters_and_words() -> tuple[SessionParameters, str]:
        async with serving() as served:
            disk = f"driver=raw,file.driver=iscsi,file.transport=tcp,file.portal={GROUP_ADDRESS}:{served.port},"
            disk += f"file.target={VOLUME},file.lun=0,file.header-digest={digest}"
            io = commands("write -P 7 8k 8k", "sleep 500", "read -P 7 8k 8k")
            work = asyncio.create_task(run_beside(program, "--image-opts", disk, *io))
            while not (sessions := served.server.group.sessions.all()) and not work.done():
                await asyncio.sleep(0.01)
            said = went_well(await work)
            return sessions[0].params, said

    parameters, said = asyncio.run(parameters_and_words())
    assert "read 8192/8192" in said
    assert (parameters.header_digest, parameters.data_digest) == (agreed, False)


@pytest.mark.parametrize("direction", [(), ("-w",)], ids=["read", "write"])
@pytest.mark.parametrize(("size", "depth"), [("4k", "64"), ("1M", "8")])
def test_qemus_own_benchmark_runs_to_its_end(
    serve: Serve, qemu_img: Path, direction: tuple[str, ...], size: str, depth: str
) -> None:
    said = went_well(
        run(
            qemu_img,
            "bench",
            "-f",
            "raw",
            "-t",
            "none",
            "-c",
            "500",
            "-d",
            depth,
            "-s",
            size,
            *direction,
            serve().url(),
        )
    )
    assert "Run completed in" in said


def test_the_driver_follows_the_redirect_by_turns(serve: Serve, qemu_img: Path) -> None:
    served = serve(options='placement = "round-robin"')
    for _ in range(3):
        went_well(run(qemu_img, "info", served.url()))
    admitted = re.findall(
        r"-> (127\.0\.51\.\d): iqn.2008-11.org.linux-kvm asks for \S+: admitted", "\n".join(served.close())
    )
    assert admitted == ["127.0.51.2", "127.0.51.3", "127.0.51.4"]
