"""Cut out of constraints.txt what one use of the workshop needs: versions and hashes, ready for pip.

pip takes hashes from a requirements file only, and wants one for every package. constraints.txt fixes them all
and says who needs whom ("# via"); so what `make demo` needs can be found without what `make lint` needs.

Example: python tools/requirements.py test
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def asked_for(extra: str) -> set[str]:
    """The names in pyproject.toml: of the build, of the workshop, and of one extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"]
    lines = [*project["build-system"]["requires"], *project["project"]["dependencies"], *extras[extra]]
    return {re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-") for line in lines}


def needed(extra: str) -> list[str]:
    """The blocks of constraints.txt for what an extra asks for, and for whatever that needs in turn."""
    blocks = re.split(r"\n(?=\S)", "\n" + (ROOT / "constraints.txt").read_text(encoding="utf-8"))
    packages = {block.split("==")[0]: block for block in blocks if "==" in block}
    users = {name: set(re.findall(r"#\s+(?:via )?([a-z0-9.-]+)", block)) for name, block in packages.items()}
    names, before = asked_for(extra), set()
    while names != before:
        before = set(names)
        names |= {name for name, by in users.items() if by & names}
    missing = names - packages.keys()
    if missing:
        raise SystemExit(f"constraints.txt lacks {', '.join(sorted(missing))}: run make lock")
    return [packages[name] for name in sorted(names)]


if __name__ == "__main__":
    print("\n".join(needed(sys.argv[1])))
