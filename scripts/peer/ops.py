"""Ops: our timed cases beside the same work of ggml's public functions, in turn."""
import json
import statistics

from common import HERE, cell, count, run, say, table

SCHEMA = "switchyard.bench_peer_ops/2"
QUANTISED = ("q4_k", "q8_0", "q4_0", "bf16")
NOTES = """Every time is of cold data. switchyard: 64 MB are copied to another 64 MB before each sample, a sample is one run of the op. llama.cpp: a sample is a
graph of up to 64 such ops, each with weights, state or cache of its own, that together read 256 MB or more (ops of 128 tokens and more: two of
each), divided by their number. What ours writes may stay in the cache at a sample's end.
expert_gemm is the whole of ours (gate, up, SwiGLU, down, weighted sum, residual) against ggml_mul_mat_id three times and ggml_swiglu_split: there is
no fused one.
Limits of arithmetic are what registers alone reach (kernels/multiply_add), of f32, bytes or bf16 as the op computes.
causal_conv1d is ours with bias, SiLU and its window against ggml_ssm_conv alone; ssm_scan is ours with D and the state in place against ggml_ssm_scan alone.
attention is ours over pages, the step's keys and values stored too, against ggml_flash_attn_ext over keys and values of a head that lie together: its op
is several times slower at one token over the layout its own models keep."""


def groups():
    """(our op, ggml's, [(our case, ggml's arguments, how it is shown)]), measured one after another with little time between the sides."""
    for kind in QUANTISED:
        yield "gemm", "mul_mat", [
            (f"{kind}_t{t}_k2048_n8512_rounded", {"kind": kind, "k": 2048, "n": 8512, "tokens": t}, f"8512x2048 {kind}, {count(t, 'token')}")
            for t in (1, 8, 512)]
    for name, d, inner, experts, top in (("tiny", 1536, 512, 64, 6), ("small", 4096, 768, 72, 10)):
        for kind in QUANTISED:
            yield "expert_gemm", "experts", [
                (f"granite_4_{name}_{kind}_t{t}_e{experts}_k{top}_fused_residual_rounded",
                 {"kind": kind, "d": d, "inner": inner, "experts": experts, "top": top, "tokens": t},
                 f"{experts}x{inner}x{d} top {top} {kind}, {count(t, 'token')}")
                for t in (1, 32, 512)]
    for model, heads in (("tiny", 48), ("micro", 64)):
        yield "ssm_scan", "ssm_scan", [
            (f"granite_h_{model}_{t}", {"heads": heads, "head_dim": 64, "state": 128, "tokens": t, "sequences": 1},
             f"{heads} heads of 64, state 128, {count(t, 'token')}")
            for t in (1, 512)]
    yield "ssm_scan", "ssm_scan", [("granite_h_tiny_8x1", {"heads": 48, "head_dim": 64, "state": 128, "tokens": 1, "sequences": 8},
                                    "48 heads of 64, state 128, 8 sequences")]
    yield "causal_conv1d", "ssm_conv", [(f"granite_h_{model}_512", {"channels": channels, "taps": 4, "tokens": 512}, f"512x{channels}")
                                        for model, channels in (("tiny", 3328), ("micro", 4352))]
    yield "attention", "attention", [
        (f"granite_h_{model}_{case}", {"kind": "f16", "heads": heads, "kv_heads": kv, "head_dim": dim, "tokens": tokens, "context": context}, shown)
        for model, case, heads, kv, dim, tokens, context, shown in (
            ("tiny", "decode_8k", 12, 4, 128, 1, 8192, "12/4 heads of 128, f16, one token at 8K"),
            ("micro", "decode_8k", 32, 8, 64, 1, 8192, "32/8 heads of 64, f16, one token at 8K"),
            ("tiny", "prefill_512", 12, 4, 128, 512, 512, "12/4 heads of 128, f16, prefill of 512"))]


def chosen(only):
    """The groups' cases whose 'op case' or shown name has one of the texts; all without any."""
    for op, theirs, cases in groups():
        cases = [c for c in cases if not only or any(text in f"{op} {c[0]}" or text in f"{op} {c[2]}" for text in only)]
        if cases:
            yield op, theirs, cases


def ours(tool, op, cases, threads, quick):
    got = run([tool, "bench", "--op", op, "--case", ",".join(c[0] for c in cases), "--device", "cpu:0", "-t", threads, "--json"] + ["--quick"] * quick)
    return {r["case"]: r for r in got["results"]}, got["limits"][0]


def theirs(python, op, arguments, threads, repack, quick):
    effort = {"samples": 5, "seconds": 0.25} if quick else {"samples": 15, "seconds": 1.0}
    return run([python, HERE / "llama_ops.py", json.dumps({"op": op, "arguments": arguments, "threads": threads, "repack": repack, **effort})])


def measure(tool, python, threads, rounds, quick, only):
    result = {"schema": SCHEMA, "threads": threads, "quick": quick, "limits": [], "cases": []}
    known = {}
    for r in range(rounds):
        for op, function, cases in chosen(only):
            say(f"ops: round {r + 1} of {rounds}: {op} {cases[0][2]}" + (f" and {len(cases) - 1} more" if len(cases) > 1 else ""))
            mine, limits = ours(tool, op, cases, threads, quick)
            result["limits"].append(limits)
            for name, arguments, shown in cases:
                if name not in mine:
                    say(f"  {op} {name}: not measured by switchyard on this CPU")
                    continue
                if (op, name) not in known:
                    known[op, name] = {"op": op, "case": name, "shown": shown, "peer": function, "arguments": arguments, "limit": mine[name]["limit"],
                                       "ours": [], "percent_of_limit": [], "plain": [], "repacked": []}
                    result["cases"].append(known[op, name])
                entry = known[op, name]
                entry["ours"].append(mine[name]["seconds"]["median"])
                entry["percent_of_limit"].append(mine[name]["percent_of_limit"])
                for setting in ("plain", "repacked") if "kind" in arguments and op != "attention" else ("plain",):
                    got = theirs(python, function, arguments, threads, setting == "repacked", quick)
                    if "seconds" in got:
                        entry[setting].append(got["seconds"]["median"])
                        entry["instances"] = got["instances"]
    return result


def better(entry):
    """llama.cpp's better setting, and its times."""
    setting = min((s for s in ("plain", "repacked") if entry[s]), key=lambda s: statistics.median(entry[s]))
    return setting, entry[setting]


def ratios(entry):
    """Of each round, to the better setting of that round."""
    pairs = zip(entry["plain"], entry["repacked"] or entry["plain"])
    return [min(pair) / mine for mine, pair in zip(entry["ours"], pairs)]


def rows(result):
    for entry in result["cases"]:
        ratio, percent = statistics.median(ratios(entry)), statistics.median(entry["percent_of_limit"])
        yield f"{entry['op']} {entry['shown']}", percent, percent / ratio, ratio


def show(result):
    rounds = max((len(e["ours"]) for e in result["cases"]), default=0)
    print(f"\nops, {count(result['threads'], 'thread')}, {count(rounds, 'round')} in turn: median (least to largest) of the rounds' medians, ms")
    lines = []
    for entry, (_, mine, peer, _) in zip(result["cases"], rows(result)):
        setting, seconds = better(entry)
        digits = 3 if statistics.median(entry["ours"]) < 0.02 else 1
        lines.append([f"{entry['op']:14}{entry['shown']}", cell([1e3 * s for s in entry["ours"]], digits), cell([1e3 * s for s in seconds], digits),
                      setting if entry["repacked"] else "-", cell(ratios(entry), 2), f"{mine:.0f} {entry['limit']}", f"{peer:.0f}"])
    table(["op            case", "switchyard", "llama.cpp", "better", "ratio", "% of limit", "llama.cpp's"], lines)
    if result["limits"]:
        seen = {}
        for one in result["limits"]:
            seen.setdefault("read GB/s", []).append(one["read_bytes_per_second"] / 1e9)
            seen.setdefault("stream GB/s", []).append(one["stream_bytes_per_second"] / 1e9)
            for kind, rate in one["peak_operations_per_second"].items():
                seen.setdefault(f"{kind} G operations/s", []).append(rate / 1e9)
        print("limits seen: " + "; ".join(f"{name} {cell(rates, 0)}" for name, rates in seen.items()))
    print(NOTES)
