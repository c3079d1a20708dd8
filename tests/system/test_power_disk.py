"""The disk whose power is cut has room in what it stands on, for as many cuts as anybody asks for."""

import re
import shutil
import subprocess

import pytest

from tests.support.power import disk


@pytest.mark.skipif(not (shutil.which("mkfs.ext4") and shutil.which("dumpe2fs")), reason="needs e2fsprogs")
@pytest.mark.parametrize("cuts", [1, 12, 40, 100, 300])
def test_the_medium_has_room_for_the_disk(tmp_path, cuts):
    """From 27 cuts on its own journal and inodes took more than it had been given for them."""
    image = tmp_path / "medium.img"
    disk.make_medium(image, disk.octets_for(cuts))
    told = subprocess.run(["dumpe2fs", "-h", str(image)], capture_output=True, text=True, check=True).stdout
    free, size = (int(re.search(rf"^{word}: +(\d+)", told, re.MULTILINE)[1]) for word in ("Free blocks", "Block size"))
    assert free * size > disk.octets_for(cuts) + 8 * disk.MIB  # and for the map of where the file lies
