"""Open a notebook alone, as a visitor from Colab or Kaggle does, and run it: `python -m ci.checks.one_click 06`.

The machine is made for it. Its Python sees the packages of this environment, as those of a machine's image, but for a
few: some are missing, TRL is of another release, and NumPy is older, and loaded with torch before the first cell. The
notebook lies alone in an empty folder, and COURSE_REPO_URL names a copy of this checkout as it stands, changes and all.
The notebook must fetch the course, install what is missing and nothing else, and make the inputs that it lacks.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ci.display import clock
from ci.environment import python_of, without_misleading
from ci.parameters import notebook_parameters, profile_parameters, read_notebooks
from ci.plan import find
from ci.project import Project
from ci.runner import kernel_options, variables
from utils.errors import CourseError
from utils.settings import ROOT

PROJECT = Project(ROOT)
# Not on the machine, and small: two that stand in requirements.txt. TRL is there, in a release before the pinned one.
MISSING = ("datasketch", "sqlglot")
OUTDATED, OLD_RELEASE = "trl", "0.20.0"
OLD_NUMPY = "2.2.6"
LOADED = "import numpy, torch"
PROFILE = "smoke"
NO_GREETING = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}


class NotReachable(CourseError):
    """The older NumPy could not be fetched, so that the check cannot begin."""


@dataclass(frozen=True)
class Outcome:
    """What became of the notebook: `installed` is what it added to the machine, `fault` why it stopped, if it did."""

    installed: dict[str, str]
    cloned: bool
    seconds: float
    fault: str = ""

    def faults(self) -> list[str]:
        """What should have gone otherwise."""
        faults = [self.fault] if self.fault else []
        if not self.cloned:
            faults.append("It did not fetch the course.")
        wanted = {name: metadata.version(name) for name in (*MISSING, OUTDATED)}
        if self.installed != wanted:
            faults.append(
                f"It installed {_listed(self.installed)}; missing or of another release were {_listed(wanted)}."
            )
        return faults


def main(arguments: list[str]) -> int:
    """Run the check; returns 1 if something went otherwise than it should."""
    parser = argparse.ArgumentParser(prog="python -m ci.checks.one_click", description=__doc__.split("\n\n")[0])
    parser.add_argument("notebook", nargs="+", help="a number, such as 06")
    options = parser.parse_args(arguments)
    faulty = 0
    for name in options.notebook:
        with tempfile.TemporaryDirectory() as folder:
            outcome = run_alone(name, Path(folder))
        print(f"{name}: {clock(outcome.seconds)}, installed {_listed(outcome.installed)}")
        for fault in outcome.faults():
            faulty += 1
            print(f"    {fault}")
    print("Nothing went wrong." if not faulty else f"{faulty} faults.")
    return 1 if faulty else 0


def run_alone(name: str, folder: Path, changes: Mapping[str, object] | None = None) -> Outcome:
    """Run the notebook of a number alone in `folder`, under the profile smoke with these `changes` of its values.

    Raises:
        NotReachable: the machine could not be made.
    """
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError

    notebook = find(name, read_notebooks(PROJECT.notebooks)).path
    python = make_machine(folder / "machine")
    alone = folder / "alone"
    alone.mkdir()
    copied = shutil.copy(notebook, alone)
    settings = NO_GREETING | {
        "COURSE_REPO_URL": copy_of_course(folder / "course.git"),
        "JUPYTER_PATH": str(describe_kernel(folder / "jupyter", python)),
        "COURSE_MAKE_MISSING": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    began, fault = time.monotonic(), ""
    with variables(settings):
        try:
            execute_notebook(
                copied,
                str(folder / "executed.ipynb"),
                parameters=values_of(notebook) | dict(changes or {}),
                kernel_name="python3",
                cwd=str(alone),
                progress_bar=False,
                start_timeout=180,
                **kernel_options(folder / "kernel.log"),
            )
        except PapermillExecutionError as error:
            fault = f"Cell [{error.exec_count}] failed: {error.ename}: {error.evalue}"
    cloned = (alone / "course" / "utils" / "setup.py").is_file()
    return Outcome(packages_of(python), cloned, time.monotonic() - began, fault)


def values_of(notebook: Path) -> dict[str, object]:
    """The values of the profile smoke for a notebook."""
    accepted = notebook_parameters(notebook)
    values = profile_parameters(PROFILE, notebook) | {"profile": PROFILE}
    return {name: value for name, value in values.items() if name in accepted}


def make_machine(folder: Path) -> Path:
    """The Python of an environment that sees this one's packages, links to them rather, with the exceptions above.

    They lie outside the environment, so that pip never removes one; what it installs is found first.
    """
    # By this name dill, with which datasets hashes functions, knows the modules that need no copy.
    image, venv = folder / "image" / "site-packages", folder / "venv"
    image.mkdir(parents=True)
    own = Path(sysconfig.get_path("purelib"))
    hidden = {name for package in ("numpy", *MISSING) for name in top_level(package)}
    hidden |= {name for name in top_level(OUTDATED) if name.endswith(".dist-info")}
    for entry in own.iterdir():
        if entry.name not in hidden:
            (image / entry.name).symlink_to(entry)
    pretend(image, OUTDATED, OLD_RELEASE)
    options = "--quiet --no-deps --no-compile --only-binary=:all: --target".split()
    fetch = [sys.executable, "-m", "pip", "install", *options, str(image)]
    done = subprocess.run([*fetch, f"numpy=={OLD_NUMPY}"], env=os.environ | NO_GREETING, capture_output=True, text=True)
    if done.returncode:
        raise NotReachable(
            f"pip cannot fetch numpy {OLD_NUMPY}: {(done.stderr.strip().splitlines() or ['no reason'])[-1]}"
        )
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    (site_of(python_of(venv)) / "image.pth").write_text(f"{image}\n", encoding="utf-8")
    return python_of(venv)


def top_level(package: str) -> set[str]:
    """The files and folders of an installed package, as they lie beside those of others."""
    return {file.parts[0] for file in metadata.files(package) or () if file.parts[0] != ".."}


def pretend(folder: Path, package: str, version: str) -> None:
    """Let a package look as if it were of this version."""
    described = folder / f"{package}-{version}.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n", encoding="utf-8"
    )


def copy_of_course(folder: Path) -> str:
    """The address of a repository with the course as it stands, without what .gitignore names."""
    git = ["git", f"--git-dir={folder}", f"--work-tree={ROOT}"]
    git += ["-c", "user.name=course", "-c", "user.email=course@example.org", "-c", "commit.gpgsign=false"]
    for step in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "As it stands"]):
        subprocess.run([*git, *step], cwd=ROOT, check=True, capture_output=True)
    return folder.as_uri()


def describe_kernel(folder: Path, python: Path) -> Path:
    """A folder in which Jupyter finds `python3`: the machine's, with packages loaded as Colab does."""
    kernel = folder / "kernels" / "python3"
    kernel.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}", f"--IPKernelApp.exec_lines={LOADED}"]
    description = {"argv": command, "display_name": "Python 3", "language": "python", "env": {"PYTHONPATH": ""}}
    (kernel / "kernel.json").write_text(json.dumps(description), encoding="utf-8")
    return folder


def packages_of(python: Path) -> dict[str, str]:
    """The packages installed in the environment of `python` itself, with their versions."""
    found = metadata.distributions(path=[str(site_of(python))])
    return {package.metadata["Name"].lower(): package.version for package in found}


def site_of(python: Path) -> Path:
    """Where the packages of an environment lie."""
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    environment = without_misleading(os.environ)
    return Path(
        subprocess.run(
            [python, "-c", asked], env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()
    )


def _listed(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(packages.items())) or "nothing"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except CourseError as error:
        sys.exit(str(error))
