"""Runs inside llama.cpp's interpreter: times one op of ggml through its public functions. Argument: a request as JSON; answer: JSON on stdout.

An instance is the op once, with weights (or state, or keys and values) of its own; a graph holds so many instances that what they read
passes the last-level cache several times over. A sample is one run of the graph, divided by its instances: nothing an instance reads is in
a cache from before, and the threads are awake, as they are in a model.
"""
import ctypes
import json
import os
import random
import statistics
import sys
import time
from ctypes import c_bool, c_char_p, c_float, c_int, c_int64, c_size_t, c_void_p

TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8, "q4_k": 12, "q5_k": 13, "q6_k": 14, "i32": 26, "bf16": 30}
COLD = 256 << 20  # bytes that a graph reads at least, as far as time allows
CPU, USE_WEIGHTS = 0, 1  # GGML_BACKEND_DEVICE_TYPE_CPU, GGML_BACKEND_BUFFER_USAGE_WEIGHTS


class InitParams(ctypes.Structure):
    _fields_ = [("mem_size", c_size_t), ("mem_buffer", c_void_p), ("no_alloc", c_bool)]


SIGNATURES = {  # name: (answer, arguments); every handle is a void pointer
    "ggml_init": (c_void_p, [InitParams]), "ggml_free": (None, [c_void_p]),
    "ggml_new_tensor": (c_void_p, [c_void_p, c_int, c_int, ctypes.POINTER(c_int64)]),
    "ggml_nbytes": (c_size_t, [c_void_p]), "ggml_row_size": (c_size_t, [c_int, c_int64]), "ggml_blck_size": (c_int64, [c_int]),
    "ggml_quantize_chunk": (c_size_t, [c_int, c_void_p, c_void_p, c_int64, c_int64, c_int64, c_void_p]),
    "ggml_mul_mat": (c_void_p, [c_void_p] * 3), "ggml_mul_mat_id": (c_void_p, [c_void_p] * 4),
    "ggml_swiglu_split": (c_void_p, [c_void_p] * 3),
    "ggml_ssm_conv": (c_void_p, [c_void_p] * 3), "ggml_ssm_scan": (c_void_p, [c_void_p] * 8 + [c_int64]),
    "ggml_flash_attn_ext": (c_void_p, [c_void_p] * 5 + [c_float] * 3),
    "ggml_new_graph_custom": (c_void_p, [c_void_p, c_size_t, c_bool]), "ggml_build_forward_expand": (None, [c_void_p] * 2),
    "ggml_log_set": (None, [c_void_p] * 2), "ggml_tensor_overhead": (c_size_t, []), "ggml_graph_overhead_custom": (c_size_t, [c_size_t, c_bool]),
    "ggml_backend_dev_by_type": (c_void_p, [c_int]), "ggml_backend_dev_init": (c_void_p, [c_void_p, c_char_p]),
    "ggml_backend_dev_buffer_type": (c_void_p, [c_void_p]), "ggml_backend_dev_backend_reg": (c_void_p, [c_void_p]),
    "ggml_backend_dev_supports_op": (c_bool, [c_void_p] * 2),
    "ggml_backend_reg_get_proc_address": (c_void_p, [c_void_p, c_char_p]),
    "ggml_backend_alloc_ctx_tensors_from_buft": (c_void_p, [c_void_p] * 2),
    "ggml_backend_buffer_set_usage": (None, [c_void_p, c_int]), "ggml_backend_buffer_free": (None, [c_void_p]),
    "ggml_backend_tensor_set": (None, [c_void_p, c_void_p, c_size_t, c_size_t]),
    "ggml_backend_tensor_get": (None, [c_void_p, c_void_p, c_size_t, c_size_t]),
    "ggml_backend_graph_compute": (c_int, [c_void_p] * 2),
}


def load():
    """An object with the functions above, out of the libraries beside the llama_cpp package."""
    import llama_cpp
    folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
    libraries = []
    for name in ("ggml-base", "ggml-cpu", "ggml"):
        path = os.path.join(folder, f"lib{name}.so")
        if os.path.exists(path):
            libraries.append(ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL))
    ggml = type("Ggml", (), {})()
    for name, (answer, arguments) in SIGNATURES.items():
        function = next((getattr(library, name) for library in libraries if hasattr(library, name)), None)
        if function is None:
            sys.exit(f"{folder}: no {name} in its libggml*.so; this script knows the ggml of llama-cpp-python 0.3.36")
        function.restype, function.argtypes = answer, arguments
        setattr(ggml, name, function)
    return ggml


class Bench:
    def __init__(self, threads, repack):
        self.g = g = load()
        self.silent = ctypes.CFUNCTYPE(None, c_int, c_char_p, c_void_p)(lambda level, text, data: None)
        g.ggml_log_set(ctypes.cast(self.silent, c_void_p), None)
        self.device = g.ggml_backend_dev_by_type(CPU)
        if not self.device:
            sys.exit("this ggml has no CPU device")
        self.backend = g.ggml_backend_dev_init(self.device, None)
        self.plain = g.ggml_backend_dev_buffer_type(self.device)
        reg = g.ggml_backend_dev_backend_reg(self.device)
        set_threads = g.ggml_backend_reg_get_proc_address(reg, b"ggml_backend_set_n_threads")
        ctypes.CFUNCTYPE(None, c_void_p, c_int)(set_threads)(self.backend, threads)
        self.extra = []
        find = g.ggml_backend_reg_get_proc_address(reg, b"ggml_backend_dev_get_extra_bufts")
        if repack and find:
            found = ctypes.CFUNCTYPE(ctypes.POINTER(c_void_p), c_void_p)(find)(self.device)
            while found and found[len(self.extra)]:
                self.extra.append(found[len(self.extra)])
        self.repack = repack
        self.random = random.Random(1)
        self.patterns = {}

    def context(self, graph=0):
        """For thousands of tensors, whose data lies elsewhere."""
        size = 4096 * self.g.ggml_tensor_overhead() + (self.g.ggml_graph_overhead_custom(graph, False) if graph else 0)
        return self.g.ggml_init(InitParams(size, None, True))

    def tensor(self, context, kind, *shape):
        return self.g.ggml_new_tensor(context, TYPES[kind], len(shape), (c_int64 * len(shape))(*shape))

    def bytes_of(self, kind, *shape):
        size = self.g.ggml_row_size(TYPES[kind], shape[0])
        for n in shape[1:]:
            size *= n
        return size

    def fill(self, tensor, kind, lo=-1.0, hi=1.0):
        """Random values of a prime number of blocks, over and over."""
        if (kind, lo, hi) not in self.patterns:
            block = self.g.ggml_blck_size(TYPES[kind])
            count = block * (65521 if block == 1 else 251 if block >= 256 else 2039)
            values = (c_float * count)(*(self.random.uniform(lo, hi) for _ in range(count)))
            if kind == "f32":
                pattern = bytes(values)
            else:
                packed = ctypes.create_string_buffer(self.g.ggml_row_size(TYPES[kind], count))
                self.g.ggml_quantize_chunk(TYPES[kind], values, packed, 0, 1, count, None)
                pattern = packed.raw
            self.patterns[kind, lo, hi] = pattern
        pattern, size = self.patterns[kind, lo, hi], self.g.ggml_nbytes(tensor)
        data = (pattern * (size // len(pattern) + 1))[:size]
        self.g.ggml_backend_tensor_set(tensor, data, 0, size)

    def set_i32(self, tensor, values):
        self.g.ggml_backend_tensor_set(tensor, (ctypes.c_int32 * len(values))(*values), 0, 4 * len(values))

    def place(self, context, buft):
        buffer = self.g.ggml_backend_alloc_ctx_tensors_from_buft(context, buft)
        if not buffer:
            sys.exit("ggml could not allocate this case's tensors: not enough memory")
        return buffer

    def weights(self, context, products):
        """Places a context of weights: repacked where asked for, if a buffer type of the CPU takes all `products`. False: none does."""
        for buft in self.extra if self.repack else [self.plain]:
            buffer = self.g.ggml_backend_alloc_ctx_tensors_from_buft(context, buft)
            if buffer and (not self.repack or all(self.g.ggml_backend_dev_supports_op(self.device, p) for p in products)):
                self.g.ggml_backend_buffer_set_usage(buffer, USE_WEIGHTS)
                return True
            if buffer:
                return False  # its tensors are bound to it now; one extra type of buffer is all that any CPU has had so far
        return False

    def time(self, context, outputs, samples, seconds):
        """Seconds of one instance, per sample."""
        graph = self.g.ggml_new_graph_custom(context, 4096, False)
        for out in outputs:
            self.g.ggml_build_forward_expand(graph, out)
        taken, began = [], time.perf_counter()
        for i in range(samples + 1):  # the first is the warm-up
            begin = time.perf_counter()
            if self.g.ggml_backend_graph_compute(self.backend, graph) != 0:
                sys.exit("ggml_backend_graph_compute failed")
            taken.append((time.perf_counter() - begin) / len(outputs))
            if i and time.perf_counter() - began > seconds:
                break
        some = (c_float * 8)()
        self.g.ggml_backend_tensor_get(outputs[-1], some, 0, 32)
        if not all(abs(v) < 1e30 for v in some):
            sys.exit("ggml's result is not finite: these inputs do not stand for a model's")
        return taken[1:]

    # One method per op: what is measured, as (compute context, outputs of the instances, bytes an instance reads), or None: not supported.

    def instances(self, each, heavy):
        """Enough to read COLD bytes; of heavy ones, which are bound by arithmetic, two."""
        return 2 if heavy else max(1, min(64, -(-COLD // each)))

    def mul_mat(self, kind, k, n, tokens):
        count = self.instances(self.bytes_of(kind, k, n), tokens >= 128)
        held, work = self.context(), self.context(4096)
        w = [self.tensor(held, kind, k, n) for _ in range(count)]
        x = self.tensor(work, "f32", k, tokens)
        outputs = [self.g.ggml_mul_mat(work, each, x) for each in w]
        if not self.weights(held, outputs):
            return None
        self.place(work, self.plain)
        for each in w:
            self.fill(each, kind)
        self.fill(x, "f32")
        return work, outputs, self.bytes_of(kind, k, n)

    def experts(self, kind, d, inner, experts, top, tokens):
        """Gate, up and down as three mul_mat_id with swiglu between them; every instance has a routing of its own."""
        whole = 3 * self.bytes_of(kind, d, inner, experts)
        touched = whole * (1 - (1 - top / experts) ** tokens)
        count = self.instances(int(touched), tokens >= 128)
        copies = 1 if whole >= COLD or tokens >= 128 else -(-COLD // whole)
        held, work = self.context(), self.context(4096)
        w = [[self.tensor(held, kind, *shape) for shape in ((d, inner, experts), (d, inner, experts), (inner, d, experts))] for _ in range(copies)]
        x = self.tensor(work, "f32", d, 1, tokens)
        routes, products, outputs = [], [], []
        for i in range(count):
            gate, up, down = w[i % copies]
            routes.append(self.tensor(work, "i32", top, tokens))
            a = self.g.ggml_mul_mat_id(work, gate, x, routes[-1])
            b = self.g.ggml_mul_mat_id(work, up, x, routes[-1])
            outputs.append(self.g.ggml_mul_mat_id(work, down, self.g.ggml_swiglu_split(work, a, b), routes[-1]))
            products += [a, b, outputs[-1]]
        if not self.weights(held, products):
            return None
        self.place(work, self.plain)
        for copy in w:
            for each in copy:
                self.fill(each, kind, -0.05, 0.05)
        self.fill(x, "f32")
        pools = [[] for _ in w]
        for i, route in enumerate(routes):
            chosen = []
            for _ in range(tokens):
                pool = pools[i % copies]
                if tokens > 1 or len(pool) < top:  # single tokens go through a copy's experts before one comes again
                    pool[:] = self.random.sample(range(experts), experts)
                chosen += pool[:top]
                del pool[:top]
            self.set_i32(route, chosen)
        return work, outputs, int(touched)

    def ssm_scan(self, heads, head_dim, state, tokens, sequences):
        each = 4 * heads * head_dim * state * sequences
        count = self.instances(each, tokens >= 128)
        work = self.context(4096)
        s = [self.tensor(work, "f32", state, head_dim, heads, sequences) for _ in range(count)]
        x = self.tensor(work, "f32", head_dim, heads, tokens, sequences)
        dt = self.tensor(work, "f32", heads, tokens, sequences)
        a = self.tensor(work, "f32", 1, heads)
        b, c = (self.tensor(work, "f32", state, 1, tokens, sequences) for _ in range(2))
        ids = self.tensor(work, "i32", sequences)
        outputs = [self.g.ggml_ssm_scan(work, one, x, dt, a, b, c, ids, 1) for one in s]
        self.place(work, self.plain)
        for one in s + [x, b, c]:
            self.fill(one, "f32")
        self.fill(dt, "f32", -4, 2)
        self.fill(a, "f32", -2, -0.1)
        self.set_i32(ids, list(range(sequences)))
        return work, outputs, each

    def ssm_conv(self, channels, taps, tokens):
        each = 4 * channels * (tokens + taps - 1)
        count = self.instances(each, False)
        work = self.context(4096)
        x = [self.tensor(work, "f32", tokens + taps - 1, channels, 1) for _ in range(count)]
        w = self.tensor(work, "f32", taps, channels)
        outputs = [self.g.ggml_ssm_conv(work, one, w) for one in x]
        self.place(work, self.plain)
        for one in x + [w]:
            self.fill(one, "f32")
        return work, outputs, each

    def attention(self, kind, heads, kv_heads, head_dim, tokens, context):
        """All positions of a head lie together. llama.cpp's own cache holds all heads of a position together, which its op reads more slowly."""
        each = 2 * self.bytes_of(kind, head_dim, kv_heads, context)
        count = self.instances(each, tokens >= 128)
        work = self.context(4096)
        q = self.tensor(work, "f32", head_dim, tokens, heads)
        mask = self.tensor(work, "f16", context, tokens)
        kv = [[self.tensor(work, kind, head_dim, context, kv_heads) for _ in range(2)] for _ in range(count)]
        outputs = [self.g.ggml_flash_attn_ext(work, q, k, v, mask, head_dim ** -0.5, 0.0, 0.0) for k, v in kv]
        self.place(work, self.plain)
        for pair in kv:
            for t in pair:
                self.fill(t, kind)
        self.fill(q, "f32")
        past = context - tokens  # a position sees what is before it: 0 where seen, else minus infinity, as f16
        rows = b"".join(b"\0\0" * (past + t + 1) + b"\0\xfc" * (tokens - t - 1) for t in range(tokens))
        self.g.ggml_backend_tensor_set(mask, rows, 0, len(rows))
        return work, outputs, each


def main():
    request = json.loads(sys.argv[1])
    bench = Bench(request["threads"], request["repack"])
    made = getattr(bench, request["op"])(**request["arguments"])
    if made is None:
        return print(json.dumps({"unsupported": True}))
    work, outputs, each = made
    taken = bench.time(work, outputs, request["samples"], request["seconds"])
    print(json.dumps({"seconds": {"median": statistics.median(taken), "min": min(taken), "max": max(taken), "samples": len(taken)},
                      "instances": len(outputs), "bytes_per_instance": each}))


if __name__ == "__main__":
    main()
