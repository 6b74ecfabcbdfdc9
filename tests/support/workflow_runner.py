"""Run a job of a GitHub Actions workflow from its YAML, as a new runner does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import yaml

from .command import ROOT
from .project_files import project_files

EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")


@dataclass
class Runner:
    """A machine that is new for every job, and a cache that is kept.

    Differences from a real one: the checkout is a copy of the files that git knows, with their
    compiled bytecode, to save time. `setup-python` and `pip install` use this environment, which
    must have all packages; each `pip install` runs once. The cache is a folder. Expressions have
    the values in `expressions`. dlt's folder is set to one below HOME, because dlt uses another
    one for root.

    Attributes:
        workflow: The file.
        folder: An empty folder.
        expressions: The values of expressions between `${{` and `}}`.
        programs: A folder that is first on the PATH.
        output: The output of the steps of the last job.
        summary: The summary of the last job.
    """

    workflow: Path
    folder: Path
    expressions: dict[str, Any]
    programs: Path | None = None
    output: str = ""
    summary: str = ""
    _jobs: int = 0
    _installed: ClassVar[set[tuple[str, ...]]] = set()
    _installing: ClassVar[Lock] = Lock()

    def run(self, name: str) -> int:
        """Run a job.

        Returns:
            The exit code of the step that failed, or 0.
        """
        job = yaml.safe_load(self.workflow.read_text())["jobs"][name]
        self._jobs += 1
        machine = self.folder / f"machine_{self._jobs}"
        (machine / "home").mkdir(parents=True)
        self.output, self.summary = "", ""
        if not self._value(job.get("if", "true")):
            return 0
        for step in job["steps"]:
            if not self._value(step.get("if", "true")):
                continue
            if "uses" in step:
                code = self._use(step, machine)
            elif step["run"].startswith("pip install "):
                code = self._install(job, step, machine)
            else:
                code = self._do(job, step, machine)
            if code:
                break
        summary = machine / "summary.md"
        self.summary = summary.read_text() if summary.exists() else ""
        return code

    def _install(self, job: dict[str, Any], step: dict[str, Any], machine: Path) -> int:
        with self._installing:
            key = (step["run"], *(self._text(value) for value in job.get("env", {}).values()))
            code = 0 if key in self._installed else self._do(job, step, machine)
            if not code:
                self._installed.add(key)
            return code

    def _do(self, job: dict[str, Any], step: dict[str, Any], machine: Path) -> int:
        script = machine / "step.sh"
        script.write_text(self._text(step["run"]))
        variables = {**job.get("env", {}), **step.get("env", {})}
        result = subprocess.run(
            ["bash", "-e", str(script)],
            cwd=machine / "checkout",
            env={name: self._text(value) for name, value in variables.items()}
            | {
                "PATH": f"{self.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(machine / "home"),
                "DLT_DATA_DIR": str(machine / "home" / ".dlt"),
                "PIP_NO_INDEX": "1",
                "GITHUB_STEP_SUMMARY": str(machine / "summary.md"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        self.output += result.stdout
        return result.returncode

    def _use(self, step: dict[str, Any], machine: Path) -> int:
        checkout, cache = machine / "checkout", self.folder / "cache"
        paths = self._text(step.get("with", {}).get("path", "")).split()
        action = step["uses"].split("@")[0]
        if action == "actions/checkout":
            self._check_out(checkout)
        elif action == "actions/cache/restore":
            entries = sorted(cache.glob("*"), key=lambda entry: entry.stat().st_mtime_ns)
            if entries:
                shutil.copytree(entries[-1], checkout, dirs_exist_ok=True)
        elif action == "actions/cache/save":
            (cache / str(self._jobs)).mkdir(parents=True)
            for path in paths:
                shutil.copy(checkout / path, cache / str(self._jobs) / path)
        else:
            assert action == "actions/setup-python", f"{action} is not supported"
        return 0

    @staticmethod
    def _check_out(folder: Path) -> None:
        for name in project_files():
            _copy(name, folder)
            compiled = cache_from_source(name) if name.endswith(".py") else ""
            if compiled and (ROOT / compiled).is_file():
                _copy(compiled, folder)

    def _value(self, text: str) -> Any:
        found = EXPRESSION.fullmatch(text)
        return self.expressions[found[1]] if found else text

    def _text(self, text: Any) -> str:
        return EXPRESSION.sub(lambda found: str(self.expressions[found[1]]), str(text))


def _copy(name: str, folder: Path) -> None:
    """Copy a file of the project with its time, so that its bytecode stays valid."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(ROOT / name, folder / name)
