"""Copy what stands elsewhere in this repository into the CloudFormation templates.

A template that is deployed without packaging has to carry everything itself: the functions' code, the request model,
the mapping templates. A line of a template that ends in `# from PATH` is followed by the text of that file, indented.
The API's deployment carries a fingerprint (of `steps/08_api.py`) in its logical id and in its description.

Example: python tools/cloudformation.py --check
"""

import argparse
import difflib
import re
import sys
from pathlib import Path
from types import SimpleNamespace

from workshop.build.opening import load

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "infrastructure/cloudformation"
#: A key whose value is the text of a file: `ZipFile: | # from src/lambda/poc-lambda-1/index.py`.
COPY = re.compile(r"^(?P<indent> *)(?:- )?\S.*:(?: (?P<block>\|-?))? # from (?P<path>\S+)$")


def read(path: str) -> str:
    """The text of a file of this repository."""
    return (ROOT / path).read_text(encoding="utf-8")


def generated(template: str) -> str:
    """A template's text with its copies and its fingerprint as they should be."""
    lines, result = template.splitlines(), []
    while lines:
        line = lines.pop(0)
        result.append(line)
        copy = COPY.match(line)
        if copy:
            drop_block(lines, len(copy["indent"]))
            indent = " " * (len(copy["indent"]) + 2)
            result += [indent + text if text else "" for text in read(copy["path"]).rstrip("\n").split("\n")]
    text = "\n".join(result) + "\n"
    fingerprint = load("steps/08_api.py").fingerprint(SimpleNamespace(source=read))
    text = re.sub(r"\bDeployment[0-9a-f]{16}\b", f"Deployment{fingerprint}", text)
    return re.sub(r'Description: "[0-9a-f]{16}"', f'Description: "{fingerprint}"', text)


def drop_block(lines: list[str], indent: int) -> None:
    """Take away the lines that belong to a key, those that stand further to the right than it."""
    deeper = 0
    for number, line in enumerate(lines, start=1):
        if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
            break
        deeper = number if line.strip() else deeper
    del lines[:deeper]


def main() -> int:
    """Write the templates, or with `--check` tell how they differ from what would be written."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 and show what differs")
    check = parser.parse_args().check
    stale = False
    for path in sorted(FOLDER.glob("*.yaml")):
        is_, should = path.read_text(encoding="utf-8"), generated(path.read_text(encoding="utf-8"))
        if is_ == should:
            continue
        stale = True
        name = str(path.relative_to(ROOT))
        if check:
            sys.stdout.writelines(
                difflib.unified_diff(is_.splitlines(True), should.splitlines(True), name, f"{name} (generated)", n=1)
            )
        else:
            path.write_text(should, encoding="utf-8")
            print(f"{name}: written")
    if check and stale:
        print("Run: python tools/cloudformation.py", file=sys.stderr)
    return int(check and stale)


if __name__ == "__main__":
    sys.exit(main())
