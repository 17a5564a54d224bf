"""How fast the command line answers: `workshop --help` beside `aws --version`, in turns.

Each run is a new process, from its start to its end. The two take turns, so whatever else the machine does slows down
both, and the median of the runs counts. One run of each goes before, so that files are cached and bytecode is compiled.

    python benchmarks/startup.py

writes the last section of docs/benchmarks.md; `make bench` writes the whole page.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from workshop.base.files import ROOT

RUNS = 15
#: The target: seconds that `workshop --help` may take. It also has to be faster than the AWS CLI.
LONGEST = 0.25
OURS, THEIRS = "workshop --help", "aws --version"
HEADING = "## How fast the command line starts"
SECTION = f"""\
{HEADING}

| command | median, ms | fastest, ms | slowest, ms |
| --- | ---: | ---: | ---: |
{{rows}}

Each command is run {{runs}} times, in turns, every time as a new process. Measured with {{aws}} on a machine with
{{machine}}, by `python benchmarks/startup.py` or, with the rest of this page, by `make bench`.

| target | measured | |
| --- | ---: | --- |
| `{OURS}` takes at most {LONGEST * 1000:.0f} ms | {{ours:.0f}} ms | {{in_time}} |
| `{OURS}` is faster than `{THEIRS}` | {{times:.1f}} \N{MULTIPLICATION SIGN} | {{faster}} |
"""


def programs() -> dict[str, list[str]]:
    """The two commands, those of this Python's environment first: `{as it is typed: program and arguments}`.

    Raises:
        SystemExit: one isn't installed.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = {}
    for typed in (OURS, THEIRS):
        program, *arguments = typed.split()
        where = shutil.which(program, path=path)
        if where is None:
            raise SystemExit(f"Error: The command {program} isn't installed. Try: make bench")
        found[typed] = [where, *arguments]
    return found


def measure(runs: int = RUNS) -> dict[str, list[float]]:
    """Seconds of each run: `{as it is typed: [seconds, …]}`."""
    commands = programs()
    taken: dict[str, list[float]] = {typed: [] for typed in commands}
    for number in range(runs + 1):
        for typed in commands if number % 2 else reversed(commands):
            began = time.perf_counter()
            subprocess.run(commands[typed], check=True, capture_output=True, timeout=60)
            if number:
                taken[typed].append(time.perf_counter() - began)
    return taken


def section(taken: dict[str, list[float]], machine: str) -> str:
    """The section of the page.

    Args:
        taken: what `measure` returned.
        machine: a few words about the machine.
    """
    rows = [
        f"| `{typed}` | {statistics.median(some) * 1000:.0f} | {min(some) * 1000:.0f} | {max(some) * 1000:.0f} |"
        for typed, some in taken.items()
    ]
    ours, theirs = (statistics.median(taken[typed]) for typed in (OURS, THEIRS))
    version = subprocess.run(programs()[THEIRS], check=True, capture_output=True, text=True, timeout=60).stdout
    return SECTION.format(
        rows="\n".join(rows), runs=len(taken[OURS]), machine=machine, ours=ours * 1000, times=theirs / ours,
        aws=version.split()[0].replace("aws-cli/", "AWS CLI "), in_time=verdict(ours <= LONGEST),
        faster=verdict(ours < theirs),
    )  # fmt: skip


def verdict(met: bool) -> str:
    """How the page says whether a target is met."""
    return "met" if met else "**missed**"


def main() -> None:
    """Measure, and replace the section of the page."""
    from run import machine  # which imports this file

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of each command")
    parser.add_argument("--output", type=Path, default=ROOT / "docs/benchmarks.md", help="the page")
    options = parser.parse_args()
    made = section(measure(options.runs), machine())
    before = options.output.read_text(encoding="utf-8").partition(HEADING)[0].rstrip()
    options.output.write_text(f"{before}\n\n{made}", encoding="utf-8")
    print(made)


if __name__ == "__main__":
    main()
