from __future__ import annotations

import doctest

import pytest
from conftest import ROOT, Folder

import framewise

RAW = "Measurement_000/Channel_000/Raw_Data"


def test_the_readme_does_what_it_says(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = ROOT / "python" / "README.md"
    said = readme.read_text().split("```\nframewise run ")[1].split("```")[0]
    folder.bring("argon.xyz")
    folder.bring("scan.h5")
    folder("import argon.xyz -o argon.h5")
    folder("run " + said.replace("\\\n", " "))
    folder(f"map scan.h5 --dataset {RAW} --kernel sho-fit -o fit.h5")
    monkeypatch.chdir(folder.path)
    failures, tried = doctest.testfile(str(readme), module_relative=False)
    assert tried > 20 and failures == 0


def test_program_and_package_have_the_same_version(folder: Folder) -> None:
    assert folder("--version").split()[-1] == framewise.__version__ == metadata()


def metadata() -> str:
    """Return the version of ``pyproject.toml``."""
    lines = (ROOT / "python" / "pyproject.toml").read_text().splitlines()
    (version,) = [line.split('"')[1] for line in lines if line.startswith("version =")]
    return version
