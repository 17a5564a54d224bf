"""The notebooks: clean in git, and run in their order on a fresh embedded AWS, as a person would run them.

Red is expected where a notebook shows it on purpose, and there it must be seen: cells with the tag `goes-red` break
something, and cells with the tag `exercise-check` check an exercise that nobody has solved yet.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
from support import LONGEST_COMMAND, ROOT, census, reach, run

from workshop.base.console import Console
from workshop.base.settings import Settings
from workshop.build.opening import open_workshop
from workshop.embedded import Embedded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

MISSING = "the extra `notebooks` is not installed: pip install -e '.[notebooks]'"
nbformat = pytest.importorskip("nbformat", reason=MISSING)
nbclient = pytest.importorskip("nbclient", reason=MISSING)
pytest.importorskip("ipykernel", reason=MISSING)

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
#: Seconds for all of them, and for one cell.
LONGEST_CELL = 240
#: A row of an exercise's table that is red, and its hint.
RED_ROW = re.compile(r"<tr><td[^>]*>[^<]*</td><td><b [^>]*>fail</b></td><td[^>]*>(.*?)</td></tr>")


def kernel_environment(state_dir, **more):
    return os.environ | {"WORKSHOP_STATE_DIR": str(state_dir), "JUPYTER_PREFER_ENV_PATH": "1"} | more


def account(cell):
    """How many checks of a cell were green and red, by the metadata of its outputs."""
    found = [output.get("metadata", {}).get("workshop", {}) for output in cell.outputs]
    return sum(one.get("passed", 0) for one in found), sum(one.get("failed", 0) for one in found)


def html(cell):
    return "".join(output.data.get("text/html", "") for output in cell.outputs if "data" in output)


def execute(path, environment):
    """Run a notebook cell by cell, solving its exercise on the way.

    Returns:
        What went wrong, and the notebook with its outputs.
    """
    notebook = nbformat.read(path, as_version=4)
    solution = re.search(r"```python\n(.*?)```", cell_of(notebook, "solution").source, re.DOTALL)[1]
    client = nbclient.NotebookClient(
        notebook, timeout=LONGEST_CELL, allow_errors=True, resources={"metadata": {"path": str(path.parent)}}
    )
    wrong = []
    with client.setup_kernel(env=environment):
        for index, cell in enumerate(notebook.cells):
            if cell.cell_type != "code":
                continue
            where, tags = f"{path.name}, cell {cell.id}", cell.metadata.get("tags", [])
            client.execute_cell(cell, index)
            wrong += [f"{where}: {complaint}" for complaint in complaints(cell, tags)]
            if "exercise-check" in tags:
                hints = RED_ROW.findall(html(cell))
                if len(hints) != account(cell)[1] or not all(hints):
                    wrong.append(f"{where}: a red row without a hint: {hints}")
                client.execute_cell(nbformat.v4.new_code_cell(solution), index)
                client.execute_cell(cell, index)
                passed, failed = account(cell)
                if failed or passed < 3:
                    wrong.append(f"{where}: the solution is not green: {passed} passed, {failed} failed")
    return wrong, notebook


def complaints(cell, tags):
    """What is not as it should be in a cell that was run."""
    for output in cell.outputs:
        if output.output_type == "error":
            yield f"error {output.evalue}"
        if output.output_type == "execute_result":
            yield f"a raw value is shown: {output.data.get('text/plain')}"
        if output.get("name") == "stderr":
            yield f"on standard error: {output.text}"
    _, failed = account(cell)
    if {"goes-red", "exercise-check"} & set(tags):
        if not failed:
            yield "should be red"
    elif failed:
        yield f"{failed} red: {re.sub('<style>.*?</style>|<[^>]+>', ' ', html(cell), flags=re.DOTALL)}"


def cell_of(notebook, name):
    return next(cell for cell in notebook.cells if cell.id == name)


def images(cell):
    return [output for output in cell.outputs if "data" in output and "image/png" in output.data]


def test_they_are_clean():
    done = subprocess.run(
        [sys.executable, ROOT / "tools/notebooks.py", "--check"],
        capture_output=True,
        text=True,
        timeout=LONGEST_COMMAND,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, f"{len(NOTEBOOKS)} notebooks are clean.")


@pytest.fixture
def copied(tmp_path):
    """The notebooks and their tool in a folder of their own: what runs it there, and returns exit code and output."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "tools").mkdir()
    tool = shutil.copy(ROOT / "tools/notebooks.py", tmp_path / "tools")

    def use(option):
        command = [sys.executable, tool, option]
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_COMMAND, check=False)
        return done.returncode, done.stdout + done.stderr

    use.folder = tmp_path / "notebooks"
    return use


def everything(folder):
    """What the notebooks and the texts of a folder say, to the byte."""
    return {path.name: path.read_bytes() for path in [*folder.glob("*.ipynb"), *folder.glob("source/*.md")]}


def test_what_a_run_left_is_found_and_taken_out(copied):
    before, path = everything(copied.folder), copied.folder / "01_iam.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell_of(notebook, "begin").outputs = [nbformat.v4.new_output("stream", text="somebody's account")]
    notebook.metadata.kernelspec.display_name = "somebody's kernel"
    notebook.cells.append(nbformat.v4.new_code_cell(""))
    nbformat.write(notebook, path)
    assert copied("--check") == (
        1,
        "notebooks/01_iam.ipynb holds outputs or other traces of a run: run tools/notebooks.py --clean\n",
    )
    assert copied("--clean") == (0, "")
    assert everything(copied.folder) == before


@pytest.mark.parametrize("left", [{"execution_count": 7}, {"metadata": {"collapsed": True}}])
def test_a_single_trace_of_a_run_is_found(copied, left):
    path = copied.folder / "03_sqs.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell_of(notebook, "begin").update(nbformat.from_dict(left))
    nbformat.write(notebook, path)
    code, said = copied("--check")
    assert (code, "traces of a run" in said) == (1, True)


def test_an_edited_text_becomes_the_notebook(copied):
    before, path = everything(copied.folder), copied.folder / "source/03_sqs.md"
    path.write_text(path.read_text().replace("## Do it", "## Do it now"))
    code, said = copied("--check")
    assert (code, said.splitlines()) == (
        1,
        [
            "notebooks/03_sqs.ipynb differs from source/03_sqs.md: run --build if you edited the text, --clean if the"
            " notebook"
        ],
    )
    assert copied("--build") == (0, "")
    assert copied("--check")[0] == 0
    after = everything(copied.folder)
    assert after["03_sqs.ipynb"] == before["03_sqs.ipynb"].replace(b"## Do it", b"## Do it now")
    assert {name for name in after if after[name] != before[name]} == {"03_sqs.ipynb", "03_sqs.md"}


def test_an_edited_notebook_becomes_the_text(copied):
    before, path = everything(copied.folder), copied.folder / "03_sqs.ipynb"
    path.write_text(path.read_text().replace("## Do it", "## Do it now"))
    assert copied("--check")[0] == 1
    assert copied("--clean") == (0, "")
    assert copied("--check")[0] == 0
    assert everything(copied.folder)["03_sqs.md"] == before["03_sqs.md"].replace(b"## Do it", b"## Do it now")


def test_each_stands_wholly_in_the_other(copied):
    before = everything(copied.folder)
    for form, option in (("*.ipynb", "--build"), ("source/*.md", "--clean")):
        for path in copied.folder.glob(form):
            path.unlink()
        assert copied("--check")[0] == 1
        assert copied(option) == (0, "")
        assert everything(copied.folder) == before


def test_a_cell_that_a_text_cannot_hold_is_not_lost(copied):
    path = copied.folder / "09_cleanup.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell_of(notebook, "title").source += "\n<!-- #endregion -->\nMore."
    nbformat.write(notebook, path)
    before = everything(copied.folder)
    code, said = copied("--clean")
    assert (code, "cannot hold the cell title" in said) == (1, True)
    assert everything(copied.folder) == before


def test_a_paragraph_without_a_name_gets_one(copied):
    path = copied.folder / "source/09_cleanup.md"
    path.write_text(path.read_text() + "\nOne thing more.\n")
    assert copied("--build") == (0, "")
    assert copied("--check")[0] == 0
    last = nbformat.read(copied.folder / "09_cleanup.ipynb", as_version=4).cells[-1]
    assert last.source == "One thing more."
    assert f'name="{last.id}"' in path.read_text()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_has_its_parts(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    texts = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "nb.begin(" in code[0].source
    assert "**Must have run before:**" in texts or path == NOTEBOOKS[0]
    picture = f"docs/images/step-{path.name[:2]}.png"
    assert (picture in texts) == (ROOT / picture).exists()
    # Three questions and a solution, folded away.
    assert texts.count("<details>") == texts.count("</details>") == 4
    tags = [tag for cell in code for tag in cell.metadata.get("tags", [])]
    assert sorted(tags) == ["exercise", "exercise-check", "goes-red"]
    assert "https://docs.aws.amazon.com" in texts
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", texts):
        assert (path.parent / target).exists(), target


def test_a_walk_through_them_all(tmp_path):
    state_dir, wrong, done = tmp_path / "state", [], {}
    try:
        for path in NOTEBOOKS:
            if path == NOTEBOOKS[-1]:
                # What the notebooks built is what a terminal finds, before the last one takes it away.
                ran = run("workshop", "status", "--json", env={"WORKSHOP_STATE_DIR": str(state_dir)})
                assert [one for one in ran.json["resources"] if one["state"] != "present"] == []
                assert all(one["recorded"] for one in ran.json["resources"])
            found, done[path.stem] = execute(path, kernel_environment(state_dir))
            wrong += found
        assert wrong == []
        api = done["08_api"]
        assert images(cell_of(api, "follow"))
        assert images(cell_of(api, "spike"))
        # The picture of the climax is a curve, and not a line between two points.
        assert int(re.search(r"samples</td><td[^>]*>(\d+)", html(cell_of(api, "spike")))[1]) >= 10
        # The last mail may tell of a single order; all of them together show what the lesson is about.
        mails, orders = re.search(r"E-mails so far: (\d+)\. Orders in them: (\d+)", html(cell_of(api, "mail"))).groups()
        assert int(orders) > 3 * int(mails)
        # All checks of all steps.
        assert account(cell_of(api, "repair"))[0] > 80
        assert "New order: 3 x soap" in html(cell_of(done["07_lambda_2"], "mail"))
        # Nothing is left, looked at from outside.
        ws = open_workshop(Settings(state_dir=state_dir), Console())
        assert [one for one in census(ws) if "ecommerce" in one[1] or "POC-Lambda" in one[1]] == []
    finally:
        Embedded(state_dir).stop()


def snippets(*sources, environment):
    """Run pieces of code in one kernel, and return their cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = nbclient.NotebookClient(notebook, timeout=LONGEST_CELL, allow_errors=True, kernel_name="python3")
    client.execute(env=environment)
    return notebook.cells


def errors(cell):
    return [output for output in cell.outputs if output.output_type == "error"]


def test_errors_are_one_line_with_a_remedy(state_dir, prefix):
    environment = kernel_environment(state_dir, WORKSHOP_PREFIX=prefix)
    cells = snippets(
        "from workshop import notebook as nb\nws = nb.begin(3)",
        "ws.name('x')",
        "ws = nb.begin(0)",
        "ws.need('queue', 'ecommerce-orders-queue')",
        "ws.client('dynamodb').describe_table(TableName='nobody-has-this')",
        "undefined",
        environment=environment,
    )
    too_early, not_open, opened, missing, refused, ordinary = cells
    for cell, said in (
        (too_early, f"Step 1 must run first: the policy {prefix}-Lambda-Receive-SQS is missing."),
        (too_early, f"Run 01_iam.ipynb, or in a terminal: workshop 01_iam --prefix {prefix}"),
        (not_open, "Run the first code cell"),
        (missing, f"Run: workshop 03_sqs --prefix {prefix}"),
        (refused, "AWS refused DescribeTable: ResourceNotFoundException"),
    ):
        (error,) = errors(cell)
        assert len(error.traceback) == 1
        assert "\n" not in error.traceback[0]
        assert said in error.traceback[0]
    assert errors(opened) == []
    # Other people's errors look as they always do.
    assert "Traceback" in "".join(errors(ordinary)[0].traceback)


def test_what_is_expected_to_fail_must_fail_in_this_way(state_dir, prefix):
    """Another error, or none, stops the cell."""
    environment = kernel_environment(state_dir, WORKSHOP_PREFIX=prefix)
    read = "ws.client('dynamodb').describe_table(TableName='nobody-has-this')"
    opened, right, other, none, ours = snippets(
        "from workshop import notebook as nb\nws = nb.begin(0)",
        f"with nb.expect_error('AccessDenied', 'ResourceNotFoundException'):\n    {read}",
        f"with nb.expect_error('ConditionalCheckFailedException'):\n    {read}",
        "with nb.expect_error('ResourceNotFoundException'):\n    pass",
        "with nb.expect_error('ForeignResource'):\n    nb.run(ws, 4)",
        environment=environment,
    )
    assert errors(opened) + errors(right) == []
    assert "As expected: AWS refused DescribeTable: ResourceNotFoundException" in html(right)
    for cell, said in (
        (other, "should have failed with ConditionalCheckFailedException. It failed with ResourceNotFoundException"),
        (none, "should have failed with ResourceNotFoundException, but it succeeded"),
        (ours, "should have failed with ForeignResource. It failed with NotBuilt"),
    ):
        (error,) = errors(cell)
        assert said in error.traceback[0]


HOSTILE = "<img src=x onerror=alert(1)>"


def test_what_others_wrote_does_nothing_in_a_notebook(state_dir, prefix):
    """A subscriber's address, a customer's text and an item's key are shown as text."""
    environment = kernel_environment(state_dir, WORKSHOP_PREFIX=prefix)
    cells = snippets(
        "from workshop import notebook as nb\nws = nb.begin(0)\n"
        "topic = ws.client('sns').create_topic(Name=ws.name('ecommerce-orders-topic'), Tags=ws.tag_list)['TopicArn']\n"
        f"ws.client('sns').subscribe(TopicArn=topic, Protocol='email', Endpoint={HOSTILE + '@example.com'!r})\n"
        f"text = {HOSTILE!r} + '\\x1b]52;c;eA'\n"
        f"ws.client('sns').publish(TopicArn=topic, Subject={HOSTILE!r}, Message=text)",
        "nb.mail(ws)",
        f"nb.table([{{'Key': {HOSTILE!r}, {HOSTILE!r}: 1}}], {HOSTILE!r})",
        f"ws.client('sqs').list_queues(QueueNamePrefix='```\\n{HOSTILE}')\nnb.as_cli()",
        "raise nb.WorkshopError(text)",
        "ws.client('sns').delete_topic(TopicArn=topic)",
        environment=environment,
    )
    opened, mail, table, called, failed, gone = cells
    assert errors(opened) + errors(mail) + errors(table) + errors(called) + errors(gone) == []
    for cell in (mail, table):
        assert HOSTILE not in html(cell)
        assert "&lt;img" in html(cell)
        assert "\x1b" not in html(cell)
    assert "To: &lt;img" in html(mail)
    (shown,) = [output.data["text/markdown"] for output in called.outputs]
    assert shown.split("\n")[2] == "````bash"
    assert "\x1b]" not in errors(failed)[0].traceback[0]


def test_real_aws_is_shown_before_it_is_touched(state_dir, prefix):
    """Everything but the endpoint is as on AWS."""
    environment = kernel_environment(
        state_dir,
        **reach(Embedded(state_dir).running()),
    )
    ask = f"target='aws', region='eu-central-1', prefix='{prefix}', email='a@example.com'"
    first, second, third = snippets(
        f"from workshop import notebook as nb\nws = nb.begin(2, {ask})",
        f"ws = nb.begin(2, {ask}, yes=True)\nnb.run(ws, 2)",
        "from workshop.commands.clean import cleanup\ndone = cleanup(ws)",
        environment=environment,
    )
    (error,) = errors(first)
    assert "add yes=True" in error.evalue
    for fact in ("AWS, account 000000000000", "eu-central-1", f"{prefix}-ecommerce-orders", "less than a cent"):
        assert fact in html(first)
    assert errors(second) + errors(third) == []
    assert "created" in html(second)


def test_notebook_and_terminal_go_on_where_the_other_stopped(state_dir, prefix, cli):
    environment = kernel_environment(state_dir, WORKSHOP_PREFIX=prefix)
    opened, ran = snippets(
        "from workshop import notebook as nb\nws = nb.begin(2)\nimport subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'workshop', '02_dynamodb'], check=True, capture_output=True)\n"
        "subprocess.run([sys.executable, '-m', 'workshop', '05_streams'], check=True, capture_output=True)",
        "nb.run(ws, 2)",
        environment=environment,
    )
    assert errors(opened) + errors(ran) == []
    assert "unchanged" in html(ran)
    assert "created" not in html(ran)
    # The notebook was open while the terminal worked, and lost nothing of the terminal's record.
    recorded = {one["kind"] for one in cli("status", "--json").json["resources"] if one["recorded"]}
    assert recorded == {"table", "stream"}
    cli("cleanup", "--yes")
