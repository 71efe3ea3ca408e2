#!/usr/bin/env python3
"""status.py RESULTS: docs/STATUS.md as Markdown on stdout, from what the last scripts/test left in RESULTS (build/test-results)."""
import datetime
import pathlib
import platform
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from summary import count  # noqa: E402

ROW = re.compile(r"^(\S.*?)  +((?:-|\d+/\d+/\d+)(?: +(?:-|\d+/\d+/\d+))*) *$")


def matrix(log):
    """{op: 'passed/failed/declined'} of the driver's column in the table that the op tests print."""
    found, columns = {}, []
    for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
        row = ROW.match(line)
        if row and columns:
            for column, cell in zip(columns, row.group(2).split()):
                if cell != "-" and not column.startswith(("cpu", "sim")):
                    found[row.group(1)] = cell
        elif re.match(r"^ +\w+:\w+( +\w+:\w+)* *$", line):
            columns = line.split()
    return found


def main():
    results = pathlib.Path(sys.argv[1])
    git = lambda *a: subprocess.run(["git", *a], capture_output=True, text=True, check=True).stdout.strip()
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    system = dict(line.rstrip().split("=", 1) for line in open("/etc/os-release") if "=" in line).get("PRETTY_NAME", "").strip('"')
    rows = [line.split("\t") for line in (results / "stages.tsv").read_text().splitlines()]
    print("# Status")
    print(f"Written by `scripts/status.py` from one run of `scripts/test` on {datetime.date.today()}, commit {git('rev-parse', '--short', 'HEAD')},")
    print(f"{cpu}, {__import__('os').cpu_count()} cores, {system}. No GPU or NPU was in that machine: every device below is a CPU behind a real driver.\n")
    print("## Stages\n| stage | result | passed | failed | skipped | seconds | device |\n|---|---|---|---|---|---|---|")
    for name, verdict, seconds in rows:
        device = results / name / "device"
        words = " ".join(device.read_text(errors="replace").split()) if device.exists() else ""
        words = re.sub(r"(apiVersion|deviceName|driverInfo) *= *", "", words).replace("`-- ", "").replace("|", "/")
        print("|", " | ".join([name, verdict, *map(str, count(results / name)), seconds, words]), "|")
    drivers = [name for name, verdict, _ in rows if name.startswith("driver-") and verdict != "skipped"]
    tables = {name: matrix(results / name / "programs.log") for name in drivers}
    ops = sorted({op for table in tables.values() for op in table})
    if ops:
        print("\n## Ops compared with the references, per driver (passed/failed/declined)")
        print("| op | " + " | ".join(n.removeprefix("driver-") for n in drivers) + " |\n|---|" + "---|" * len(drivers))
        for op in ops:
            print(f"| {op} | " + " | ".join(tables[n].get(op, "") for n in drivers) + " |")


if __name__ == "__main__":
    main()
