"""What the gate before the embedded AWS costs: how fast orders drain with it and without it.

Two embedded AWSes run side by side, one behind the gate and one that lets everybody in. In turns, each drains the
same number of orders from its queue; the ratio of two neighbouring rounds cancels what else the machine does. The
process's CPU time tells the same with less noise.

    python benchmarks/gate.py --rounds 21 --orders 600
"""

import argparse
import os
import statistics
import sys
from pathlib import Path
from typing import Any

from run import Side, embedded

from workshop.base.console import Console
from workshop.base.settings import Settings
from workshop.build.opening import open_workshop
from workshop.embedded import gate, launcher, passing, process

BEHIND, OPEN = "gate", "open"


class LetsEverybodyIn(gate.Gate):
    """The gate without its checks; it still tells ministack whose key the mailbox's is."""

    async def __call__(self, scope: gate.Message, receive: gate.Receive, send: gate.Send) -> None:
        """Pass a request on as it is."""
        if scope["type"] == "http":
            scope = {**scope, "headers": gate.known_as(self.post_office, scope["headers"])}
        await self.app(scope, receive, send)


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def side(name: str, folder: Path) -> Side:
    """Build the workshop in a folder's embedded AWS."""
    made = Side("design", open_workshop(Settings(state_dir=folder, prefix=name, yes=True), Console(quiet=True)))
    made.deploy(0.0)
    return made


def measure(rounds: int, orders: int) -> dict[str, list[dict[str, Any]]]:
    """Drain in turns; the first round only warms up."""
    results: dict[str, list[dict[str, Any]]] = {BEHIND: [], OPEN: []}
    behind = process.LAUNCHER
    with passing(BEHIND) as one:
        process.LAUNCHER = (sys.executable, __file__, "--serve")
        with passing(OPEN) as other:
            process.LAUNCHER = behind
            sides = {BEHIND: side(BEHIND, one), OPEN: side(OPEN, other)}
            for number in range(rounds + 1):
                for name in (BEHIND, OPEN) if number % 2 else (OPEN, BEHIND):
                    pid = embedded(sides[name].ws).instance.pid
                    before = cpu_seconds(pid)
                    rate = sides[name].drain(orders, f"{name}{number}").rate
                    if number:
                        results[name].append({"rate": rate, "cpu": (cpu_seconds(pid) - before) / orders * 1000})
    return results


def main() -> None:
    """Measure and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--orders", type=int, default=600)
    asked = parser.parse_args()
    results = measure(asked.rounds, asked.orders)
    for what, unit in (("rate", "orders/s"), ("cpu", "ms of CPU per order")):
        medians = {name: statistics.median(one[what] for one in some) for name, some in results.items()}
        pairs = zip(results[BEHIND], results[OPEN], strict=True)
        ratio = statistics.median(behind[what] / open_[what] for behind, open_ in pairs)
        print(
            f"{what}: with the gate {medians[BEHIND]:.2f}, without {medians[OPEN]:.2f} {unit}; median ratio {ratio:.3f}"
        )


if __name__ == "__main__":
    if "--serve" in sys.argv:
        # Started in the launcher's place: the folder follows.
        sys.argv.remove("--serve")
        gate.Gate = LetsEverybodyIn  # type: ignore[misc]
        launcher.main()
    else:
        main()
