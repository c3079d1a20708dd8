"""``python -m tests.fuzz``: coverage-guided fuzzing of everything that reads octets of strangers (``make fuzz``).

Each target runs in a process of its own, since libFuzzer ends the one it runs in. What is found is written to
``.fuzz/<target>/`` and can be fed again with ``--input FILE``; the exit code is 1 then. ``--keep`` writes those inputs
of the run that reached something new to ``corpus/``, the smallest set that reaches as much.
"""

import argparse
import ast
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz import room

OUT = Path(".fuzz")


def main():
    """Run the targets asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n\n")[0])
    parser.add_argument("targets", nargs="*", help=f"some of {', '.join(room.names())}; without any, all")
    parser.add_argument("--inputs", type=int, default=20_000, help="inputs for each target (20,000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed tries the same inputs")
    parser.add_argument("--keep", action="store_true", help="write the inputs that reached something new to corpus/")
    parser.add_argument("--input", type=Path, help="feed this file to the one target and show what happens")
    parser.add_argument("--inside", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = sorted(set(options.targets) - set(room.names()))
    if unknown:
        parser.error(f"no target {', '.join(unknown)}: there are {', '.join(room.names())}")
    if options.inside:
        return inside(options)
    if options.input:
        if len(options.targets) != 1:
            parser.error("--input needs one target")
        took_s = room.timed(room.load(options.targets[0]).feed, options.input.read_bytes())
        print(f"{options.input}: nothing is wrong with it, {took_s * 1e3:.1f} ms")
        return 0
    failed = [name for name in options.targets or room.names() if not outside(name, options)]
    print(f"findings in {', '.join(failed)}: see {OUT}/" if failed else "no findings")
    return 1 if failed else 0


def outside(name, options):
    """Run one target in a process of its own; whether it found nothing."""
    print(f"{name}: {options.inputs} inputs", flush=True)
    (OUT / name).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        found, merged = Path(folder, "found"), Path(folder, "merged")
        found.mkdir()
        for number, octets in enumerate([*room.load(name).SEEDS, *room.kept(name)]):
            Path(found, f"seed-{number}").write_bytes(octets)
        flags = [f"-runs={options.inputs}", f"-seed={options.seed}", str(found)]
        good = _fuzz(name, options, flags, OUT / name / "log")
        if good and options.keep:
            merged.mkdir()
            _fuzz(name, options, ["-merge=1", str(merged), str(found)], OUT / name / "merge.log")
            room.keep(name, [path.read_bytes() for path in merged.iterdir()])
    return good


def _fuzz(name, options, flags, log):
    """Start this file as the fuzzer of one target; whether it ended well."""
    command = [sys.executable, "-m", "tests.fuzz", name, "--inputs", str(options.inputs), "--inside", *flags]
    octets_max = getattr(room.load(name), "OCTETS_MAX", room.INPUT_OCTETS_MAX)
    command += [f"-max_len={octets_max}", f"-artifact_prefix={OUT / name}/", "-timeout=60"]
    # libFuzzer starts itself again when it merges, by the first word of its command line.
    again = OUT / name / "again"
    again.write_text(f'#!/bin/sh\nexec {shlex.join(command[: command.index("--inside") + 1])} "$@"\n')
    again.chmod(0o755)
    with log.open("w") as stream:
        done = subprocess.run(command, stdout=stream, stderr=stream, check=False)
    lines = log.read_text(errors="replace").splitlines()
    print("\n".join(line for line in lines if " inputs, slowest " in line))
    if done.returncode:
        print("\n".join(lines[-60:]))
    return done.returncode == 0


def inside(options):
    """Fuzz one target in this process; does not return when it is done."""
    import atheris

    name = options.targets[0]
    with atheris.instrument_imports(include=_instrumented(name), enable_loader_override=False):
        target = room.load(name)
    inputs = 0 if "-merge=1" in options.inside else options.inputs
    atheris.Setup([str(OUT / name / "again"), *options.inside], room.Watch(target.feed, inputs))
    atheris.Fuzz()
    return 0


def _instrumented(name):
    """The modules that a target instruments, read from its text: importing it would import them as they are."""
    tree = ast.parse((room.HERE / "targets" / f"{name}.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "INSTRUMENT":
            return list(ast.literal_eval(node.value))
    raise LookupError(f"{name} names no INSTRUMENT")


if __name__ == "__main__":
    sys.exit(main())
