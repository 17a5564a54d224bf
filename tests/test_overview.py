"""`workshop --help`, `--version` and completion: answered without loading what the commands need."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest
from support import BIN, run, sample

from workshop import cli
from workshop.commands.overview import summaries

#: The file that completion is installed in, from the home folder, and what completes `sta` there.
SHELLS = {
    "bash": (".bash_completions/workshop.sh", {"COMP_WORDS": "workshop sta", "COMP_CWORD": "1"}),
    "zsh": (".zfunc/_workshop", {"_TYPER_COMPLETE_ARGS": "workshop sta"}),
    "fish": (
        ".config/fish/completions/workshop.fish",
        {"_TYPER_COMPLETE_ARGS": "workshop sta", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    ),
}


def test_the_overview_lists_every_command_as_it_describes_itself():
    described = {
        name: (command.rich_help_panel, command.help.split("\n")[0])
        for name, command in cli.commands().commands.items()
    }
    assert {name: (group, summary) for group, name, summary in summaries()} == described


def test_help_shows_the_overview():
    for arguments in ([], ["--help"], ["-h"]):
        shown = run("workshop", *arguments)
        assert shown.code == 0
        assert [name for _, name, _ in summaries() if f" {name} " not in shown.out] == []


def test_version():
    shown = run("workshop", "--version")
    assert (shown.code, shown.out, shown.err) == (0, f"workshop {version('workshop')}\n", "")


@pytest.mark.parametrize("asked", [["--help"], ["--version"], ["--show-completion"]])
def test_what_takes_long_to_import_is_not_imported(asked):
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(sorted({'boto3', 'botocore', 'yaml', 'ssl'} & sys.modules.keys())))\n"
        f"sys.argv = ['workshop', *{asked}]\n"
        "from workshop.__main__ import main\nmain()"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert shown.stdout.splitlines()[-1] == "[]", shown.stderr


@pytest.mark.parametrize("shell", sample(SHELLS, ("bash",)))
def test_completion_is_installed_for_the_shell_in_which_it_is_typed(shell, tmp_path):
    # What is asked is which program the shell is, so bash under the other's name serves where there is no such shell.
    program = shutil.which(shell) or shutil.copy(shutil.which("bash"), tmp_path / shell)
    home = tmp_path / "home"
    home.mkdir()
    script, words = SHELLS[shell]
    env = os.environ | {"HOME": str(home), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    # A shell becomes its last command, so this is not the last one. In bash, $status is empty.
    typed = [str(program), "-c", "workshop --install-completion; exit $status"]
    done = subprocess.run(typed, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "_WORKSHOP_COMPLETE" in (home / script).read_text(encoding="utf-8")
    completed = subprocess.run(
        ["workshop"],
        capture_output=True,
        text=True,
        check=True,
        env=env | words | {"_WORKSHOP_COMPLETE": f"complete_{shell}"},
    )
    assert "status" in completed.stdout
    assert "order" not in completed.stdout


@pytest.mark.slow
def test_bash_completes_a_command_and_its_options(tmp_path):
    env = os.environ | {"HOME": str(tmp_path), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    typed = (
        "workshop --install-completion >/dev/null; . ~/.bash_completions/workshop.sh\n"
        "complete -p workshop\n"
        "for words in 'workshop clean' 'workshop spike --conc' 'workshop local st'; do\n"
        "  COMP_WORDS=($words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=()\n"
        "  _workshop_completion workshop; echo ${COMPREPLY[@]}\n"
        "done\n"
    )
    done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.splitlines()[1:] == ["cleanup", "--concurrency", "start stop status"]
