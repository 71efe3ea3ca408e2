"""Whole models: prefill, decode and several sessions, ours and llama.cpp's in turn."""
import json
import os
import statistics

import steps
from common import EACH, HERE, SETTINGS, cell, competitors, count, run, say, table

BUSY_TOKENS = 8  # of decode beside competing processes, where a side may be many times slower
SMALL = {"prompt": 16, "generate": 1, "parallel": 1}  # for the time of loading and the memory of one session


def tests(work):
    """The names of a work's tests, prefill first."""
    names = [f"pp{work['prompt']}", f"tg{work['generate']}"]
    return names + [f"{names[1]}x{work['parallel']}"] if work["parallel"] > 1 else names


def ours(tool, model, work, threads):
    got = run([tool, "bench", model, "-p", work["prompt"], "-n", work["generate"], "--parallel", work["parallel"], "-t", threads, "-r", 1,
               "--device", "cpu:0", "--json"])
    figures = {t["test"]: t["tokens_per_second"]["median"] for t in got["results"]}
    figures["percent_of_limit"] = {t["test"]: [t["percent_of_limit"], t["limit"]] for t in got["results"]}
    return {**figures, **{k: got[k] for k in ("load_seconds", "peak_rss_bytes")}}


def theirs(python, model, work, threads, repack):
    return run([python, HERE / "llama_models.py", json.dumps({"model": model, **work, "threads": threads, "repack": repack})])


def all_sides(tool, python, model, work, threads):
    return {"ours": ours(tool, model, work, threads),
            **{name: theirs(python, model, work, threads, name == "repacked") for name in SETTINGS}}


def measure(tool, python, model, work, threads, rounds, busy):
    """Per round: every side once idle, once small for load and memory and, where asked for, once beside competing processes."""
    result = {"model": os.path.basename(model), "file_bytes": os.path.getsize(model), "threads": threads, "work": work, "rounds": []}
    busy_work = {**work, "generate": min(work["generate"], BUSY_TOKENS)}
    if busy:
        result["busy_work"] = busy_work
    for r in range(rounds):
        say(f"{result['model']}: round {r + 1} of {rounds}")
        figures = {"idle": all_sides(tool, python, model, work, threads), "small": all_sides(tool, python, model, SMALL, threads)}
        if busy:
            say("  beside one competing process per core")
            with competitors():
                figures["busy"] = all_sides(tool, python, model, busy_work, threads)
        result["rounds"].append(figures)
    result["steps"] = steps.measure(tool, model, work, tests(work), threads)
    return result


def best(figures, test):
    return max(figures[s][test] for s in SETTINGS)


def rows(result):
    """What the plot takes: (name, our percent of the limit, llama.cpp's, ratio) of every test."""
    for test in tests(result["work"]):
        idle = [r["idle"] for r in result["rounds"]]
        ratio = statistics.median(f["ours"][test] / best(f, test) for f in idle)
        percent = statistics.median(f["ours"]["percent_of_limit"][test][0] for f in idle)
        yield f"{result['model'].removesuffix('.gguf')}, {test}", percent, percent / ratio, ratio


def show(result):
    idle, small = ([r[k] for r in result["rounds"]] for k in ("idle", "small"))
    print(f"\n{result['model']}, {count(result['threads'], 'thread')}, {count(len(idle), 'round')} in turn: median (least to largest), tokens/s")
    lines = []
    for test in tests(result["work"]):
        ratio = [f["ours"][test] / best(f, test) for f in idle]
        percent = [f["ours"]["percent_of_limit"][test][0] for f in idle]
        lines.append([test, *(cell([f[s][test] for f in idle]) for s in EACH), cell(ratio, 2), cell(percent, 0)])
    for key, name, scale in (("load_seconds", "load, s", 1), ("peak_rss_bytes", "peak of one session, GB", 1e9),
                             ("peak_rss_bytes", "the same, times the file", result["file_bytes"])):
        lines.append([name, *(cell([f[s][key] / scale for f in small], 2) for s in EACH), "", ""])
    table(["", "switchyard", "llama.cpp repacked", "llama.cpp plain", "ratio to the better", "% of the limit"], lines)
    if "steps" in result:
        steps.show(result["steps"])
    if "busy_work" not in result:
        return
    print("beside one competing process per core: tokens/s, and the fraction of its idle speed that each keeps")
    lines = []
    for test, quiet in zip(tests(result["busy_work"]), tests(result["work"])):
        busy = [r["busy"] for r in result["rounds"]]
        line = [test]
        for side in EACH:
            kept = statistics.median(b[side][test] / i[side][quiet] for b, i in zip(busy, idle))
            line.append(f"{cell([b[side][test] for b in busy])}  {kept:.2f}")
        lines.append(line + [cell([b["ours"][test] / best(b, test) for b in busy], 2)])
    table(["", "switchyard, kept", "llama.cpp repacked, kept", "llama.cpp plain, kept", "ratio to the better"], lines)
