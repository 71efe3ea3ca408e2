"""Where a step's time goes: our trace of a prefill step, of a decode step and of one of several sessions, summed by op."""
import json
import os
import statistics
import tempfile

from common import run, say, table

PARTS = ("embed ", "layer ", "head ")  # of a model; all else in a trace measures limits


def by_op(trace):
    """The time of each op in the trace's last steps that are alike: {op: seconds}, median over the steps."""
    events = sorted((e for e in trace["traceEvents"] if e.get("cat") == "node" and e["name"].startswith(PARTS)), key=lambda e: e["ts"])
    found = []
    for e in events:
        if e["name"].startswith("embed "):
            found.append({})
        if found:
            op = e["name"].split(" ")[-1].split("@")[0]
            op = "head " + op if e["name"].startswith("head ") else op
            found[-1][op] = found[-1].get(op, 0) + e["dur"] / 1e6
    last = found[-4:]
    return {op: statistics.median(s.get(op, 0) for s in last) for op in found[-1]} if found else {}


def measure(tool, model, work, names, threads):
    """{test: {op: seconds}} of the tests `names`, prefill first. Steps of a prefill have at most 256 rows."""
    say("  where a step's time goes")
    arguments = [["-p", work["prompt"], "-n", 0], ["-p", 0, "-n", work["generate"]],
                 ["-p", 0, "-n", work["generate"], "--parallel", work["parallel"]]]
    result = {}
    for test, chosen in zip(names, arguments):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "trace.json")
            run([tool, "bench", model, *chosen, "-t", threads, "-r", 2, "--device", "cpu:0", "--trace", path, "--json"])
            with open(path) as f:
                result[test] = by_op(json.load(f))
    return result


def show(steps):
    ops = sorted({op for ops in steps.values() for op in ops}, key=lambda op: -sum(s.get(op, 0) / sum(s.values()) for s in steps.values()))
    print("where a step's time goes, ms and percent of the step")
    lines = []
    for op in ops:
        cells = [f"{1e3 * s.get(op, 0):.2f}  {100 * s.get(op, 0) / sum(s.values()):4.1f}" for s in steps.values()]
        lines.append([op, *cells])
    lines.append(["all", *(f"{1e3 * sum(s.values()):.2f}  100.0" for s in steps.values())])
    table(["op", *steps], lines)
