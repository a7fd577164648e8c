# SPDX-License-Identifier: Apache-2.0
"""The three distributions as strangers get them: built, looked into, and used where the sources are not."""

from __future__ import annotations

import email.message
import email.parser
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.workspace import PACKAGES, ROOT, dev_script, modules_of

COMMANDS = ("scenario_execution_server", "se-server", "se-remote")
TIMEOUT_S = 120  # building and installing take 5 to 20 s here; a busy machine may need several times that

SCENARIO = """\
import osc.helpers
import osc.remote

scenario packaged:
    do serial:
        log("never sent: a dry run stays away from the network") with:
            remote("127.0.0.1", setup_timeout: 2s)
"""


class Installed:
    """An environment that holds the wheels and what they depend on, and nothing of this work tree."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home

    def variables(self) -> dict[str, str]:
        ours = ("PYTHON", "SCENARIO_", "VIRTUAL_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {**kept, "HOME": str(self.home), "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.defpath}"}

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        program, *arguments = command
        return subprocess.run(
            [self.folder / "bin" / program, *arguments],
            cwd=self.home,
            env=self.variables(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive and the wheel of each member; each wheel is made from its source archive."""
    folder = tmp_path_factory.mktemp("dist")
    for member in PACKAGES.values():
        build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, member]
        done = subprocess.run(build, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    home = tmp_path_factory.mktemp("home")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=TIMEOUT_S)
    dev = dev_script()
    ours = dev.Environment(dev.Interpreter(sys.executable, sys.version.split()[0]), Path(sys.prefix))
    ours.install(["-c", ROOT / "constraints.txt", *sorted(dist.glob("*.whl"))], into=folder / "bin" / "python")
    return Installed(folder, home)


def wheel_of(dist: Path, package: str) -> zipfile.ZipFile:
    (path,) = dist.glob(f"{package}-*.whl")
    return zipfile.ZipFile(path)


def metadata_of(wheel: zipfile.ZipFile) -> email.message.Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.parser.Parser().parsestr(wheel.read(name).decode("utf-8"))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_holds_its_modules_its_types_mark_and_its_licence(dist: Path, package: str) -> None:
    with wheel_of(dist, package) as wheel:
        names = set(wheel.namelist())
        (licence,) = (name for name in names if name.endswith(".dist-info/licenses/LICENSE"))
        assert wheel.read(licence) == (ROOT / "LICENSE").read_bytes()
    modules = {str(path.relative_to(PACKAGES[package])) for path in modules_of(package).values()}
    assert modules <= names
    assert f"{package}/py.typed" in names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {package}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_names_the_licence_and_its_siblings_but_no_place(dist: Path, package: str) -> None:
    with wheel_of(dist, package) as wheel:
        metadata = metadata_of(wheel)
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.10"
    assert [line for line in metadata.get_all("Requires-Dist", []) if "@" in line] == []


def test_the_wheel_of_the_remote_package_holds_the_osc_library(dist: Path) -> None:
    with wheel_of(dist, "scenario_execution_remote") as wheel:
        assert b"modifier remote" in wheel.read("scenario_execution_remote/lib_osc/remote.osc")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_source_archive_holds_the_licence_as_text_and_nothing_made(dist: Path, package: str) -> None:
    (path,) = dist.glob(f"{package}-*.tar.gz")
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    assert [member.name for member in members if not member.isfile()] == []
    names = {member.name.partition("/")[2] for member in members}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names
    assert [name for name in names if "__pycache__" in name] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_an_installed_package_comes_from_its_wheel(installed: Installed, package: str) -> None:
    done = installed.run("python", "-c", f"import {package}; print({package}.__file__)")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed.folder)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_installed_module_can_be_imported_by_itself(installed: Installed, package: str) -> None:
    imports = "\n".join(f"import {module}" for module in modules_of(package) if not module.endswith("__main__"))
    done = installed.run("python", "-W", "error", "-c", imports)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_an_installed_command_tells_its_usage(installed: Installed, command: str) -> None:
    done = installed.run(command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


def test_the_installed_engine_understands_a_scenario_with_remote(installed: Installed, tmp_path: Path) -> None:
    scenario = tmp_path / "packaged.osc"
    scenario.write_text(SCENARIO, encoding="utf-8")
    done = installed.run("scenario_execution", "-n", scenario)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_installed_engine_names_a_wrong_argument_of_remote(installed: Installed, tmp_path: Path) -> None:
    scenario = tmp_path / "packaged.osc"
    scenario.write_text(SCENARIO.replace("setup_timeout", "setup_timeuot"), encoding="utf-8")
    done = installed.run("scenario_execution", "-n", scenario)
    assert done.returncode != 0
    assert "setup_timeuot" in done.stdout + done.stderr


def test_the_demo_passes_with_the_wheels_and_leaves_nothing_at_home(installed: Installed, tmp_path: Path) -> None:
    examples = shutil.copytree(ROOT / "examples", tmp_path / "examples")
    before = sorted(installed.home.rglob("*"))
    done = installed.run("python", examples / "demo.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All of this happened." in done.stdout
    assert sorted(installed.home.rglob("*")) == before
