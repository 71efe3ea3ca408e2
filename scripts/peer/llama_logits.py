"""Runs inside llama.cpp's interpreter: errors of both sides' logits on one GGUF file with known answers. Argument: a request as JSON; answer: JSON
on stdout. An error is a row's largest difference over its largest reference."""
import ctypes
import json
import pathlib
import subprocess
import sys
import tempfile

import llama_cpp as l
import numpy as np


def tensors(path):
    """A safetensors file of f32 and i32."""
    data = pathlib.Path(path).read_bytes()
    size = int.from_bytes(data[:8], "little")
    kinds = {"F32": np.float32, "I32": np.int32}
    return {name: np.frombuffer(data, kinds[t["dtype"]], offset=8 + size + t["data_offsets"][0],
                                count=(t["data_offsets"][1] - t["data_offsets"][0]) // 4).reshape(t["shape"])
            for name, t in json.loads(data[8:8 + size]).items() if name != "__metadata__" and t["dtype"] in kinds}


def theirs(path, tokens, vocab, threads):
    mp = l.llama_model_default_params()
    mp.n_gpu_layers = 0
    model = l.llama_model_load_from_file(path.encode(), mp)
    if not model:
        sys.exit("llama.cpp did not load " + path)
    cp = l.llama_context_default_params()
    cp.n_ctx = cp.n_batch = cp.n_ubatch = 512
    cp.n_threads = cp.n_threads_batch = threads
    ctx = l.llama_init_from_model(model, cp)
    batch = l.llama_batch_init(512, 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = int(token), i, 1, 1
        batch.seq_id[i][0] = 0
    if l.llama_decode(ctx, batch) != 0:
        sys.exit("llama_decode failed on " + path)
    logits = np.ctypeslib.as_array(l.llama_get_logits(ctx), shape=(len(tokens) * vocab,)).reshape(-1, vocab).copy()
    l.llama_batch_free(batch)
    l.llama_free(ctx)
    l.llama_model_free(model)
    return logits


def ours(tool, path, tokens):
    with tempfile.TemporaryDirectory() as folder:
        out = folder + "/logits.safetensors"
        done = subprocess.run([tool, "logits", path, "--tokens", ",".join(map(str, tokens)), "--out", out, "--device", "cpu:0"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return tensors(out)["logits"]


def main():
    request = json.loads(sys.argv[1])
    silent = l.llama_log_callback(lambda level, text, data: None)
    l.llama_log_set(silent, ctypes.c_void_p(0))
    l.llama_backend_init()
    known = tensors(request["golden"])
    errors = {"ours": [], "llama.cpp": []}
    for name in (k for k in known if k.endswith(".tokens")):
        tokens, rows = known[name], known[name.replace(".tokens", ".positions")]
        want = known[name.replace(".tokens", ".logits")].astype(np.float64)
        for who, got in (("ours", ours(request["tool"], request["model"], tokens)),
                         ("llama.cpp", theirs(request["model"], tokens, want.shape[1], request["threads"]))):
            got = got.reshape(-1, want.shape[1]).astype(np.float64)[rows]
            errors[who] += (np.abs(got - want).max(-1) / np.abs(want).max(-1)).tolist()
    print(json.dumps(errors))


if __name__ == "__main__":
    main()
