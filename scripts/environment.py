"""Interpreters with packages from PyPI, below build/, for the scripts that measure beside others."""
import os
import pathlib
import subprocess
import sys

BUILD = pathlib.Path(__file__).resolve().parent.parent / "build"


def interpreter(given, folder, module, package):
    """One that has `module`: the given one, or a virtual environment in build/`folder` that is made on the first run."""
    python = given or str(BUILD / folder / "bin/python")
    if not given and not os.path.exists(python):
        print(f"installing {package} into build/{folder} (it may take minutes)", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", BUILD / folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", package], check=True)
    try:
        has = subprocess.run([python, "-c", f"import {module}"], stderr=subprocess.DEVNULL).returncode == 0
    except OSError as e:
        sys.exit(f"{python}: {e.strerror}")
    if not has:
        sys.exit(f"{python} has no {module}: pip install {package} there, or leave --python out")
    return python
