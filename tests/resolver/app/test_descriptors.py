"""The limit of open files, raised as far as it goes and told when that is little: in a process of its own."""

import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from resolver.app import descriptors
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(descriptors.raise_limit(), resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard", "reached"), [(256, 10_000, 10_000), (256, 1_024, 1_024), (900, 900, 900)])
def test_the_limit_is_raised_to_what_is_allowed(soft, hard, reached):
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if allowed != resource.RLIM_INFINITY and allowed < hard:
        pytest.skip(f"this process may open {allowed} files, and not everybody may raise that")
    command = [sys.executable, "-c", PROGRAM.format(soft=soft, hard=hard)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert f"{reached} ({reached}, {hard})" in done.stdout
    assert ("few open files" in done.stdout) == (reached < 8_192)
    assert ("LimitNOFILE" in done.stdout) == (reached < 8_192)
