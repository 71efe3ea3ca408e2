"""Saved results as the tables of docs/PERFORMANCE.md."""
import statistics

import models
import ops
from common import SETTINGS

STEP_ROWS = (("expert_gemm", ["expert_gemm"]), ("gemm of layers", ["gemm"]), ("gemm of the head", ["head gemm"]), ("ssm_scan", ["ssm_scan"]),
             ("attention", ["attention"]))


def number(x):
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}" if x >= 1 else f"{x:.3f}"


def spread(values, digits=None):
    """median (least to largest), the brackets only where they differ."""
    show = number if digits is None else lambda x: f"{x:.{digits}f}"
    middle, low, high = (show(f(values)) for f in (statistics.median, min, max))
    return middle if low == high else f"{middle} ({low} to {high})"


def lines(head, rows):
    return ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"] + ["| " + " | ".join(row) + " |" for row in rows]


def called(model):
    name, _, kind = model.removesuffix(".gguf").rpartition("-")
    return f"{name} {kind.upper()}"


def test_name(test):
    tokens = test[2:].split("x")
    return f"prefill {tokens[0]}" if test.startswith("pp") else f"decode {tokens[0]}" if len(tokens) == 1 else f"{tokens[1]} sessions"


def whole_models(results):
    rows = []
    for m in results:
        idle = [r["idle"] for r in m["rounds"]]
        for i, test in enumerate(models.tests(m["work"])):
            limit = {"memory": "reads", "compute": "int8"}.get(idle[0]["ours"]["percent_of_limit"][test][1])
            rows.append(["" if i else f"{called(m['model'])}, {len(idle)}", test_name(test), spread([f["ours"][test] for f in idle]),
                         *(spread([f[s][test] for f in idle]) for s in SETTINGS),
                         spread([f["ours"][test] / models.best(f, test) for f in idle], 2),
                         spread([f["ours"]["percent_of_limit"][test][0] for f in idle], 0) + f" % of {limit}"])
    return lines(["model, rounds", "test", "switchyard", *(f"llama.cpp {s}" for s in SETTINGS), "ratio to the better", "of the limit"], rows)


def loads(results):
    rows = []
    for m in results:
        for side, name in (("ours", "switchyard"), *((s, f"llama.cpp {s}") for s in SETTINGS)):
            small = [r["small"][side] for r in m["rounds"]]
            kept = []
            for quiet, test in zip(models.tests(m["work"]), models.tests(m.get("busy_work", m["work"]))) if "busy_work" in m else ():
                kept.append(f"{100 * statistics.median(r['busy'][side][test] / r['idle'][side][quiet] for r in m['rounds']):.0f}")
            peak = statistics.median(f["peak_rss_bytes"] for f in small)
            rows.append([called(m["model"]) if side == "ours" else "", name, spread([f["load_seconds"] for f in small], 1),
                         f"{peak / 1e9:.2f} GB, {peak / m['file_bytes']:.2f} times the file", ", ".join(kept) + " %" if kept else ""])
    return lines(["model", "", "load, s, files in the page cache", "peak memory",
                  "beside one competing process per core, share of the idle speed kept: prefill, decode, 8 sessions"], rows)


def steps(results):
    head, columns = [""], []
    for m in results:
        for i, (test, ops_of) in enumerate(m["steps"].items()):
            head.append((f"{called(m['model'])}: " if i == 0 else "") + test_name(test))
            columns.append(ops_of)
    named = [op for _, parts in STEP_ROWS for op in parts]
    rows = []
    for name, parts in (*STEP_ROWS, ("norms, conv, router, embedding", None)):
        cells = []
        for column in columns:
            seconds = sum(v for op, v in column.items() if (op not in named if parts is None else op in parts))
            cells.append(f"{number(1e3 * seconds)}, {100 * seconds / sum(column.values()):.0f} %" if seconds else "")
        rows.append([name, *cells])
    rows.append(["all", *(number(1e3 * sum(c.values())) for c in columns)])
    return lines(head, rows)


def op_cases(result):
    rows = []
    for e in result["cases"]:
        _, peer = ops.better(e)
        rows.append([e["op"], e["shown"], spread([1e3 * s for s in e["ours"]]), spread([1e3 * s for s in peer]), spread(ops.ratios(e), 2),
                     spread(e["percent_of_limit"], 0) + f" % {e['limit']}"])
    return lines(["op", "case", "switchyard, ms", "llama.cpp, ms", "ratio", "of the limit"], rows)


def limits(result):
    def rates(of, unit):
        return spread([of(one) / 1e9 for one in result["limits"]], 0) + " " + unit
    return lines(["", "reads", "streams", "f32", "int8", "bf16"],
                 [["cpu:0", rates(lambda x: x["read_bytes_per_second"], "GB/s"), rates(lambda x: x["stream_bytes_per_second"], "GB/s"),
                   *(rates(lambda x, k=k: x["peak_operations_per_second"][k], u) for k, u in (("f32", "GFLOP/s"), ("int8", "GOP/s"), ("bf16", "GFLOP/s")))]])


def show(result):
    if result["ops"] and result["ops"]["limits"]:
        print("\n".join(["", *limits(result["ops"])]))
    if result["models"]:
        print("\n".join(["", *whole_models(result["models"]), "", *loads(result["models"]), "", *steps(result["models"])]))
    if result["ops"]:
        print("\n".join(["", *op_cases(result["ops"])]))
