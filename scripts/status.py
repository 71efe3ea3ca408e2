#!/usr/bin/env python3
"""Keeps the newest result of every stage and driver in docs/status/STAGE.json and makes docs/STATUS.md of all of them.

  scripts/status.py [RESULTS]...     RESULTS: folders that scripts/test left (build/test-results); none: only STATUS.md is made again

A result is taken only if its stage was not skipped. A file says its schema, date, commit, machine, counts, seconds, and for a driver its
device and the ops compared with their references.
"""
import datetime
import json
import os
import pathlib
import platform
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from summary import count  # noqa: E402

SCHEMA = "switchyard.status/1"
ROW = re.compile(r"^(\S.*?)  +((?:-|\d+/\d+/\d+)(?: +(?:-|\d+/\d+/\d+))*) *$")


def matrix(log, left_out):
    """{op: 'passed/failed/declined'} of the column in the table that the op tests print whose device does not begin with one of left_out."""
    found, columns = {}, []
    for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
        row = ROW.match(line)
        if row and columns:
            for column, cell in zip(columns, row.group(2).split()):
                if cell != "-" and not column.startswith(left_out):
                    found[row.group(1)] = cell
        elif re.match(r"^ +\w+:\w+( +\w+:\w+)* *$", line):
            columns = line.split()
    return found


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    system = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release") if "=" in line).get("PRETTY_NAME", "").strip('"')
    return f"{cpu}, {os.cpu_count()} cores, {system}"


def take(results, folder):
    commit = (results / "commit").read_text().strip()
    for line in (results / "stages.tsv").read_text().splitlines():
        name, verdict, seconds = line.split("\t")
        if verdict == "skipped":
            continue
        device = results / name / "device"
        words = " ".join(device.read_text(errors="replace").split()) if device.exists() else ""
        words = re.sub(r"(apiVersion|deviceName|driverInfo) *= *", "", words).replace("`-- ", "").replace("|", "/")
        passed, failed, skipped = count(results / name)
        date = datetime.date.fromtimestamp((results / "stages.tsv").stat().st_mtime)
        record = {"schema": SCHEMA, "stage": name, "result": verdict, "date": str(date), "commit": commit, "machine": machine(),
                  "passed": passed, "failed": failed, "skipped": skipped, "seconds": int(seconds)}
        if words:
            record["device"] = words
        if ops := matrix(results / name / "programs.log", ("cpu", "sim") if name.startswith("driver-") else ("sim",)):
            record["ops"] = ops
        (folder / f"{name}.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


def title(record):
    return record["stage"].removeprefix("driver-") + (" (emulated)" if record.get("device", "").startswith("emulated") else "")


def page(records):
    yield "# Status\n"
    yield "The newest result of every stage and driver, made by `scripts/status.py` from `docs/status/`. No GPU or NPU was in these machines: every"
    yield "device below is a CPU behind a real driver, or emulated where it says so. What needs other hardware is **not run on hardware**.\n"
    yield "| stage | result | passed | failed | skipped | seconds | date | commit | device |\n|---|---|---|---|---|---|---|---|---|"
    for r in records:
        yield "| " + " | ".join(str(r.get(k, "")) for k in ("stage", "result", "passed", "failed", "skipped", "seconds", "date", "commit", "device")) + " |"
    yield "\nMachines: " + "; ".join(sorted({r["machine"] for r in records})) + "."
    drivers = [r for r in records if "ops" in r]
    ops = sorted({op for r in drivers for op in r["ops"]})
    if ops:
        yield "\n## Ops compared with the references, per driver (passed/failed/declined)"
        yield "| op | " + " | ".join(title(r) for r in drivers) + " |\n|---|" + "---|" * len(drivers)
        for op in ops:
            yield f"| {op} | " + " | ".join(r["ops"].get(op, "") for r in drivers) + " |"


def main():
    folder = ROOT / "docs" / "status"
    folder.mkdir(exist_ok=True)
    for results in sys.argv[1:]:
        take(pathlib.Path(results), folder)
    records = [json.loads(f.read_text()) for f in sorted(folder.glob("*.json"))]
    if not records:
        sys.exit("no result in docs/status; give the folder that scripts/test left, build/test-results")
    (ROOT / "docs" / "STATUS.md").write_text("\n".join(page(records)) + "\n")


if __name__ == "__main__":
    main()
