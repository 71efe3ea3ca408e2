"""Accuracy: both sides' logits on small GGUF files against known answers, as each computes by default (8-bit or bf16 activations, f16 KV cache)."""
import json
import pathlib
import statistics
import sys

from common import HERE, run, say, table


def measure(tool, python, folder, threads):
    files = sorted(pathlib.Path(folder, "gguf").glob("*.gguf"))
    pairs = [(f, pathlib.Path(folder, "goldens", f"gguf-{f.stem}.safetensors")) for f in files]
    # llama.cpp refuses models without attention, and f32 and f16 files are computed on as they are.
    pairs = [(f, g) for f, g in pairs if g.exists() and "mamba" not in f.stem and not f.stem.endswith(("-f32", "-f16"))]
    if not pairs:
        sys.exit(f"{folder}: no gguf/NAME.gguf with goldens/gguf-NAME.safetensors of rounded types beside it")
    result = []
    for model, golden in pairs:
        say(f"accuracy: {model.stem}")
        request = {"tool": str(pathlib.Path(tool).resolve()), "model": str(model), "golden": str(golden), "threads": threads}
        result.append({"model": model.stem, **run([python, HERE / "llama_logits.py", json.dumps(request)])})
    return result


def show(result):
    print("\nerror of a row of logits (largest difference over largest reference): median (largest)")

    def text(errors):
        return f"{statistics.median(errors):.4f} ({max(errors):.3f})"
    table(["model", "rows", "switchyard", "llama.cpp"], [[r["model"], str(len(r["ours"])), text(r["ours"]), text(r["llama.cpp"])] for r in result])
    better = sum(statistics.median(r["ours"]) <= statistics.median(r["llama.cpp"]) for r in result)
    everything = {who: statistics.median([statistics.median(r[who]) for r in result]) for who in ("ours", "llama.cpp")}
    print(f"switchyard's median is no larger in {better} of {len(result)}; median of the medians {everything['ours']:.4f} against {everything['llama.cpp']:.4f}")
