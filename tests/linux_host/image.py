"""The guest's image: a Debian kernel and an initramfs with the real open-iscsi and multipath-tools.

The packages are downloaded with apt-get and unpacked, never installed; their maintainer scripts do not run. From the
unpacked tree the initramfs takes the programs listed below with the libraries they load, the kernel modules with the
modules they need, and udev's rules; behind them come the files of guest/. It is not compressed: unpacking it would cost
the emulated processor more than copying it.

Everything is kept in build/linux-host: the packages, and one image, named after this recipe and made anew when that
changes. An image that could not be finished is never taken for one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

HERE: Final = Path(__file__).parent
CACHE: Final = HERE.parents[1] / "build" / "linux-host"

PACKAGES: Final = (
    *("linux-image-cloud-amd64", "open-iscsi", "multipath-tools", "udev", "kmod", "busybox-static"),
    *("python3-minimal", "libpython3-stdlib"),
)

NOT_UNPACKED: Final = (
    *("adduser", "coreutils", "cpio", "debconf", "dpkg", "initramfs-tools", "klibc", "libklibc", "libperl"),
    *("linux-base", "passwd", "perl", "sysvinit", "tar", "usrmerge"),
)
"""How the names of packages begin that the others depend on and the guest does not use; they take long to unpack."""

PROGRAMS: Final = (
    *("/sbin/iscsid", "/sbin/iscsiadm", "/sbin/multipathd", "/sbin/multipath", "/sbin/kpartx", "/sbin/dmsetup"),
    *("/bin/udevadm", "/lib/udev/scsi_id", "/usr/bin/sg_inq", "/usr/bin/python3.*"),
)
LOADED_LATER: Final = ("/lib/multipath/*.so", "/lib/*/libgcc_s.so.1")
"""Libraries that no program names: multipath's plug-ins, and what pthread_cancel opens when a thread ends."""

MODULES: Final = (
    *("virtio_pci", "virtio_net", "virtio_console", "iscsi_tcp", "sd_mod", "sg", "dm_multipath", "dm_round_robin"),
    *("dm_service_time", "scsi_dh_alua", "crc32c_intel", "crc32c_generic"),
)

PYTHON_LEFT_OUT: Final = (
    *("asyncio", "concurrent", "ctypes", "curses", "dbm", "distutils", "email", "html", "http", "lib2to3", "logging"),
    *("multiprocessing", "pydoc_data", "sqlite3", "tkinter", "tomllib", "unittest", "venv", "wsgiref", "xml*"),
)
"""Packages of the standard library that the guest has no use for."""

PLACES: Final = {"init": "init", "multipath.conf": "etc/multipath.conf"}
"""Where the files of guest/ go that do not go to /usr/bin."""

DOWNLOAD_LIMIT_S: Final = 240
STEP_LIMIT_S: Final = 120


class ImageError(Exception):
    """The image cannot be made here; the message says why."""


@dataclass(frozen=True, slots=True)
class Image:
    """What QEMU boots."""

    kernel: Path
    initramfs: Path


def guest_image(directory: Path) -> Image:
    """The image for one boot; its initramfs lies in ``directory``. Raises ImageError."""
    image = _of_packages()
    initramfs = directory / image.initramfs.name
    with TemporaryDirectory(dir=directory) as scratch:
        root, archive = Path(scratch) / "root", Path(scratch) / "ours.cpio"
        for file in (HERE / "guest").iterdir():
            place = root / PLACES.get(file.name, f"usr/bin/{file.name}")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
            place.chmod(0o644 if file.suffix == ".conf" else 0o755)
        _pack(root, archive)
        # The kernel unpacks one archive after the other, and a later file takes the place of an earlier one.
        with initramfs.open("wb") as out:
            for part in (image.initramfs, archive):
                out.write(part.read_bytes())
    return replace(image, initramfs=initramfs)


def _of_packages() -> Image:
    """What is made of the packages alone, which takes long and is kept."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone():
        home = CACHE / f"image-{_recipe()}"
        image = Image(home / "vmlinuz", home / "initramfs.cpio")
        if not home.is_dir():
            for old in CACHE.glob("image-*"):
                shutil.rmtree(old)
            tree, root, unfinished = CACHE / "tree", CACHE / "root", CACHE / "unfinished"
            for directory in (tree, root, unfinished):
                shutil.rmtree(directory, ignore_errors=True)
            _unpack(_download(), tree)
            _fill(root, tree)
            unfinished.mkdir()
            (kernel,) = tree.glob("boot/vmlinuz-*")
            shutil.copyfile(kernel, unfinished / image.kernel.name)
            _pack(root, unfinished / image.initramfs.name)
            unfinished.rename(home)
            shutil.rmtree(tree)
            shutil.rmtree(root)
    return image


@contextmanager
def _alone() -> Iterator[None]:
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _recipe() -> str:
    """Changes whenever the image would."""
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]


def _run(*command: str | Path, limit_s: float = STEP_LIMIT_S, **more: object) -> str:
    """A program's output. Raises ImageError with its complaint."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit_s, **more)  # type: ignore[call-overload]
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageError(f"{words[0]}: {error}") from None
    if done.returncode:
        raise ImageError(f"{' '.join(words[:4])} …: {done.stderr.strip()[-2000:]}")
    assert isinstance(done.stdout, str)
    return done.stdout


# -- packages ----------------------------------------------------------------------------------------------------------


def _download() -> list[Path]:
    """Every package of the closure. With an empty status file apt takes nothing for installed."""
    archives = CACHE / "packages"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    status = CACHE / "status"
    status.write_text("")
    apt = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", f"Dir::State::status={status}"]
    apt += ["-o", f"Dir::Cache::Archives={archives}", "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"]
    try:
        _run(*apt, "--download-only", "install", *PACKAGES, limit_s=DOWNLOAD_LIMIT_S)
    except ImageError:
        # No package lists, or lists that name versions which the archive has replaced.
        _run("apt-get", "-q", "update", limit_s=DOWNLOAD_LIMIT_S)
        _run(*apt, "--download-only", "install", *PACKAGES, limit_s=DOWNLOAD_LIMIT_S)
    # The directory may hold older versions, too. "Inst udev (252.39-1 Debian:12/stable [amd64])" names those of today.
    planned = re.findall(r"^Inst (\S+) \((\S+) .*\[(\w+)\]\)", _run(*apt, "-s", "install", *PACKAGES), re.MULTILINE)
    return [archives / f"{name}_{version.replace(':', '%3a')}_{kind}.deb" for name, version, kind in planned]


def _unpack(packages: list[Path], tree: Path) -> None:
    _merged_usr(tree)
    for package in packages:
        if package.name.startswith(NOT_UNPACKED):
            continue
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as files:
            _run(
                *("tar", "-x", "--keep-directory-symlink", "-C", tree, "--no-same-owner"),
                *("--exclude=./usr/share/doc", "--exclude=./usr/share/man", "--exclude=./usr/share/locale"),
                stdin=files.stdout,
            )
        if files.returncode:
            raise ImageError(f"{package.name} cannot be unpacked")


def _merged_usr(root: Path) -> None:
    """/bin, /sbin, /lib and /lib64 lie in /usr, as on an installed Debian."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")


# -- the initramfs -----------------------------------------------------------------------------------------------------


def _fill(root: Path, tree: Path) -> None:
    _merged_usr(root)
    for directory in ("dev", "etc/iscsi", "etc/multipath/conf.d", "proc", "run", "sys", "tmp", "var/lib"):
        (root / directory).mkdir(parents=True)
    (root / "var/run").symlink_to("/run")
    for pattern in (*PROGRAMS, *LOADED_LATER):
        found = sorted(tree.glob(pattern[1:]))
        if not found:
            raise ImageError(f"the packages have no {pattern}")
        for program in found:
            _take(program, tree, root)
            for library in _libraries(program, tree):
                _take(library, tree, root)
    (root / "lib/systemd").mkdir(exist_ok=True)
    (root / "lib/systemd/systemd-udevd").symlink_to("/bin/udevadm")
    shutil.copytree(tree / "lib/udev/rules.d", root / "lib/udev/rules.d")
    _take(tree / "etc/iscsi/iscsid.conf", tree, root)
    _busybox(root, tree)
    _python(root, tree)
    _modules(root, tree)


def _take(file: Path, tree: Path, root: Path) -> None:
    place = root / file.relative_to(tree)
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        shutil.copy(file, place)


def _loader(tree: Path) -> list[str]:
    """The tree's own dynamic loader, told where its libraries are: its programs run without chroot."""
    places = (tree / "lib", *tree.glob("lib/*-linux-gnu"))
    return [str(next(tree.glob("lib64/ld-linux*"))), "--library-path", ":".join(map(str, places))]


def _libraries(program: Path, tree: Path) -> list[Path]:
    """What the loader would load for it, the loader included."""
    if program.suffix not in ("", ".so") and not program.name.startswith("python"):
        return []
    lines = _run(*_loader(tree), "--list", program).splitlines()
    return [Path(words[2]) for line in lines if len(words := line.split()) > 2 and words[2].startswith(str(tree))]


def _busybox(root: Path, tree: Path) -> None:
    """Every command it knows that is not there as a program of its own."""
    _take(tree / "bin/busybox", tree, root)
    for name in _run(root / "bin/busybox", "--list").split():
        if not any((root / directory / name).exists() for directory in ("bin", "sbin")):
            (root / "bin" / name).symlink_to("/bin/busybox")


def _python(root: Path, tree: Path) -> None:
    """The standard library, compiled: the emulated processor would take seconds for it at every start."""
    (library,) = tree.glob("usr/lib/python3.*")
    place = root / library.relative_to(tree)
    shutil.copytree(library, place, ignore=shutil.ignore_patterns(*PYTHON_LEFT_OUT, "lib-dynload"))
    for extension in library.glob("lib-dynload/mmap.*.so"):  # the others are built in
        _take(extension, tree, root)
    (program,) = tree.glob("usr/bin/python3.*")
    (root / "usr/bin/python3").symlink_to(program.name)
    interpreter = [*_loader(tree), str(program)]
    environment = {**os.environ, "PYTHONHOME": str(tree / "usr")}
    _run(*interpreter, "-m", "compileall", "-q", "-s", root, place, env=environment)


def _modules(root: Path, tree: Path) -> None:
    (library,) = tree.glob("lib/modules/*")
    depmod = [*_loader(tree)[:1], "--argv0", "depmod", *_loader(tree)[1:], str(tree / "bin/kmod")]
    _run(*depmod, "-b", tree, library.name)
    needs = {}
    for line in (library / "modules.dep").read_text().splitlines():
        module, _, needed = line.partition(":")
        needs[Path(module).name.partition(".")[0].replace("-", "_")] = [module, *needed.split()]
    for name in MODULES:
        for module in needs.get(name, ()):  # what is not there is built in
            _take(library / module, tree, root)
    for listing in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        _take(library / listing, tree, root)
    _run(*depmod, "-b", root, library.name)


def _pack(root: Path, archive: Path) -> None:
    names = "\0".join(sorted(str(path.relative_to(root)) for path in root.rglob("*")))
    with archive.open("wb") as out:
        done = subprocess.run(
            ["cpio", "--quiet", "--null", "-o", "-H", "newc", "-R", "0:0"],
            cwd=root,
            input=names.encode(),
            stdout=out,
            stderr=subprocess.PIPE,
            timeout=STEP_LIMIT_S,
        )
    if done.returncode:
        raise ImageError(f"cpio: {done.stderr.decode(errors='replace').strip()}")
