"""Files about the project agree with each other: versions, supported Pythons, pins."""

import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
SETUP = ConfigParser()
SETUP.read(ROOT / "setup.cfg")
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)


def document(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def requirements(*sections: tuple[str, str]) -> set[str]:
    lines = "\n".join(SETUP[section][key] for section, key in sections).splitlines()
    return {re.split(r"[ ;<>=\[]", line)[0] for line in lines if line and not line.startswith("#")}


def test_the_version_is_the_same_everywhere() -> None:
    version = SETUP["metadata"]["version"]
    assert document("CITATION.cff")["version"] == version
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_all_that_is_installed_is_pinned() -> None:
    extras = [("options.extras_require", name) for name in SETUP["options.extras_require"] if name != "fast"]
    wanted = requirements(("options", "install_requires"), *extras)
    assert {name.lower() for name in wanted} <= {name.lower() for name in PINS}


def test_conda_has_what_pip_has() -> None:
    (*packages, pip) = document("environment.yml")["dependencies"]
    assert pip == {"pip": ["--editable ."]}
    found = {package.split()[0] for package in packages}
    names = {"torch": "pytorch", "torch-geometric": "pytorch_geometric"}
    for name in requirements(("options", "install_requires")):
        assert names.get(name, name) in found


def test_pre_commit_has_the_pinned_version() -> None:
    (ruff, _) = document(".pre-commit-config.yaml")["repos"]
    assert ruff["rev"] == f"v{PINS['ruff']}"


def test_hosted_tests_run_on_all_supported_pythons() -> None:
    workflow = document(".github/workflows/tests.yml")
    classifiers = SETUP["metadata"]["classifiers"].split("\n")
    supported = [line.rpartition(" ")[2] for line in classifiers if re.search(r":: 3\.\d+$", line)]
    assert workflow["jobs"]["tests"]["strategy"]["matrix"]["python"] == supported
    assert SETUP["options"]["python_requires"] == f">={supported[0]}"
    assert workflow["permissions"] == {"contents": "read"}


def test_hosted_docs_are_built_as_by_make() -> None:
    steps = document(".github/workflows/tests.yml")["jobs"]["docs"]["steps"]
    (command,) = (step["run"] for step in steps if "sphinx-build" in step.get("run", ""))
    assert f"$(BIN)/{command}\n" in (ROOT / "Makefile").read_text()
