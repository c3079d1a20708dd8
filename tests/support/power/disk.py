"""A disk whose power can be cut: an ext4 file system in a file of another ext4 file system, both on loop devices.

    directory/medium.img   what keeps its octets without power
      medium/              its file system, which plays the disk's volatile cache
        disk.img           the disk that the node sees
          disk/            the node's file system

There are two cuts. ``system``: the node's file system is shut down (EXT4_IOC_SHUTDOWN without flushing its log), which
loses whatever it had not yet given to its disk, and keeps all it had given. ``device``: the outer one is shut down,
which loses in addition whatever the disk had taken without being told to flush; before, each page of the disk is
written back or not by chance, so that what came between two flushes survives in any order and in part.

What is modelled: the page cache and the volatile cache of a disk, in pages of 4 KiB. What is not: a page torn in two,
and a disk that lies about its flushes. Needs root, and a mount and process namespace of its own: see ``needs`` and
``in_namespace``.
"""

import ctypes
import fcntl
import os
import random
import shutil
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path

CUTS = ("system", "device")

MIB = 1 << 20

_SHUTDOWN = 0x8004_587D
"""EXT4_IOC_SHUTDOWN, <linux/ext4.h>."""

_NO_LOG_FLUSH = 2
"""EXT4_GOING_FLAGS_NOLOGFLUSH: the journal in memory is dropped as well."""

_WRITE_BACK = 1 | 2 | 4
"""SYNC_FILE_RANGE_WAIT_BEFORE, _WRITE and _WAIT_AFTER: no flush, no metadata, see sync_file_range(2)."""

UNMOUNT_S = 20.0
"""Seconds that dead processes may take to let go of the disk."""

_PAGE = 4_096
_IN_NAMESPACE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")


def needs():
    """What is missing on this machine for cutting power; empty when nothing is."""
    if os.geteuid():
        return "needs root, for mounts and loop devices"
    if not Path("/dev/loop-control").exists():
        return "needs loop devices: /dev/loop-control is missing"
    missing = [tool for tool in ("unshare", "mkfs.ext4", "mount", "umount") if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}: install util-linux and e2fsprogs"
    tried = subprocess.run([*in_namespace("true")], capture_output=True, text=True, check=False)
    return f"needs namespaces: {tried.stderr.strip()}" if tried.returncode else ""


def octets_for(cuts):
    """Size of a disk that so many rounds of load do not fill."""
    return (600 + 50 * cuts) * MIB


def make_medium(image, octets):
    """A file system in a file that has room for one file of so many octets, beside its own journal and inodes."""
    with image.open("wb") as file:
        file.truncate(octets + octets // 32 + 200 * MIB)  # inodes take 1/64, the journal at most 128 MiB up to 128 GiB
    _run("mkfs.ext4", "-q", "-F", str(image))


def in_namespace(*command):
    """A command whose mounts, loop devices and processes are gone when it ends, however it ends."""
    return (*_IN_NAMESPACE, *command)


def _run(*command):
    subprocess.run(command, check=True, capture_output=True, timeout=60)


class Disk:
    """The disk, formatted and mounted at ``path``. ``cut`` takes the power away, ``mount`` gives it back."""

    def __init__(self, directory, octets, *, flushes=True):
        """``flushes`` False mounts the node's file system without barriers, as on a disk with a battery it has not."""
        self.image = directory / "medium.img"
        self.medium, self.path = directory / "medium", directory / "disk"
        self._options = "loop,noatime" + ("" if flushes else ",nobarrier")
        for mount_point in (self.medium, self.path):
            mount_point.mkdir()
        make_medium(self.image, octets)
        _run("mount", "-o", "loop,noatime", str(self.image), str(self.medium))
        # Whole and written: a hole would make each flush a change of the outer file system's metadata.
        with self._inner.open("wb") as inner:
            for _ in range(octets // MIB):
                inner.write(bytes(MIB))
            inner.flush()
            os.fsync(inner.fileno())
        _run("mkfs.ext4", "-q", "-F", str(self._inner))
        _run("mount", "-o", self._options, str(self._inner), str(self.path))
        os.sync()

    @property
    def _inner(self):
        return self.medium / "disk.img"

    def sync(self):
        """Everything to the medium, as if it had lain there for long."""
        for place in (self.path, self.medium):
            _run("sync", "--file-system", str(place))

    def mount(self):
        """Power again: both journals are replayed."""
        _run("mount", "-o", "loop,noatime", str(self.image), str(self.medium))
        _run("mount", "-o", self._options, str(self._inner), str(self.path))

    def cut(self, kind, chance):
        """No power from now on; whoever has files open gets errors. After this end them and ``unmount``."""
        for path in self.path.glob("**/data.mdb"):  # the system writes back what it likes, when it likes
            _write_back_some(path, chance, 0.1)
        if kind == "device":
            _write_back_some(self._inner, chance, chance.random())
        place = os.open(self.path if kind == "system" else self.medium, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(place, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(place)

    def unmount(self):
        """Both file systems away, and their loop devices with them."""
        for mount_point in (self.path, self.medium):
            until = time.monotonic() + UNMOUNT_S  # the last threads of the dead may still hold it
            while os.path.ismount(mount_point):
                try:
                    _run("umount", str(mount_point))
                except subprocess.CalledProcessError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.02)

    def close(self):
        """Leave nothing, whatever state it is in."""
        for mount_point in (self.path, self.medium):
            with suppress(subprocess.SubprocessError):
                if os.path.ismount(mount_point):
                    _run("umount", "-l", str(mount_point))
        self.image.unlink(missing_ok=True)


def _write_back_some(path, chance: random.Random, share):
    """Write a share of a file's dirty pages to what lies below, in no order, without flushing that."""
    libc = ctypes.CDLL(None, use_errno=True)
    with path.open("rb") as file:
        pages = list(range(os.fstat(file.fileno()).st_size // _PAGE))
        for page in chance.sample(pages, int(len(pages) * share)):
            libc.sync_file_range(
                file.fileno(), ctypes.c_longlong(page * _PAGE), ctypes.c_longlong(_PAGE), ctypes.c_uint(_WRITE_BACK)
            )
