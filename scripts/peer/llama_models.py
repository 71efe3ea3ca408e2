"""Runs inside llama.cpp's interpreter: prefill, decode and several sessions of one model. Argument: a request as JSON; answer: JSON on stdout."""
import ctypes
import json
import resource
import sys
import time

import llama_cpp as l


def main():
    request = json.loads(sys.argv[1])
    prompt, generate, sessions, threads = (request[k] for k in ("prompt", "generate", "parallel", "threads"))
    silent = l.llama_log_callback(lambda level, text, data: None)
    l.llama_log_set(silent, ctypes.c_void_p(0))
    l.llama_backend_init()
    begin = time.perf_counter()
    mp = l.llama_model_default_params()
    mp.n_gpu_layers = 0
    mp.use_extra_bufts = request["repack"]
    model = l.llama_model_load_from_file(request["model"].encode(), mp)
    if not model:
        sys.exit("llama.cpp did not load " + request["model"])
    load = time.perf_counter() - begin
    vocab = l.llama_vocab_n_tokens(l.llama_model_get_vocab(model))
    cp = l.llama_context_default_params()
    cp.n_ctx = (max(prompt, 16 + generate) + 64) * sessions
    cp.n_batch = cp.n_ubatch = 512
    cp.n_seq_max = sessions
    cp.n_threads = cp.n_threads_batch = threads
    ctx = l.llama_init_from_model(model, cp)
    if not ctx:
        sys.exit("llama.cpp made no context for " + request["model"])
    batch = l.llama_batch_init(max(512, sessions), 0, 1)

    def decode(items):  # (token, position, sequence, wants logits)
        batch.n_tokens = len(items)
        for i, (token, position, sequence, wants) in enumerate(items):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position, 1
            batch.seq_id[i][0], batch.logits[i] = sequence, wants
        if l.llama_decode(ctx, batch) != 0:
            sys.exit("llama_decode failed")
        l.llama_synchronize(ctx)

    def fill(n, sequence=0):
        tokens = [(i * 7919 + 13) % vocab for i in range(n)]
        for at in range(0, n, 512):
            part = tokens[at:at + 512]
            decode([(t, at + i, sequence, at + i == n - 1) for i, t in enumerate(part)])

    def fresh(work):
        l.llama_memory_clear(l.llama_get_memory(ctx), True)
        return work()

    def prefill():
        begin = time.perf_counter()
        fill(prompt)
        return prompt / (time.perf_counter() - begin)

    def steps(count):
        for s in range(count):
            fill(8 + s, s)
        begin = time.perf_counter()
        for i in range(generate):
            decode([((i * 31 + s) % vocab, 8 + s + i, s, True) for s in range(count)])
        return generate * count / (time.perf_counter() - begin)

    out = {"load_seconds": load}
    for _ in range(2):  # the first is the warm-up
        out[f"pp{prompt}"] = fresh(prefill)
        out[f"tg{generate}"] = fresh(lambda: steps(1))
        if sessions > 1:
            out[f"tg{generate}x{sessions}"] = fresh(lambda: steps(sessions))
    out["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps(out))


if __name__ == "__main__":
    main()
