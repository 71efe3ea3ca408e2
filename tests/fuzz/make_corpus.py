#!/usr/bin/env python3
"""Writes seeds for a fuzzer: small valid files and damaged copies of them. Standard library only, the same in every run.

usage: make_corpus.py {gguf,safetensors,config} FOLDER        another name writes nothing
"""
import json
import os
import random
import struct
import sys

HIDDEN, VOCAB, INNER, HEADS, GROUPS, STATE, KERNEL, SHARED, WIDTH = 32, 16, 64, 4, 2, 4, 4, 32, 32
CHANNELS = INNER + 2 * GROUPS * STATE
F32, F16, Q8_0, Q4_0 = 0, 1, 8, 2
BLOCK = {F32: (1, 4), F16: (1, 2), Q8_0: (32, 34), Q4_0: (32, 18)}


def tensors(experts):
    """(GGUF name, checkpoint name, shape, is a matrix); the halves of fused checkpoint tensors have None and come as extra."""
    yield "token_embd.weight", "model.embed_tokens.weight", [VOCAB, HIDDEN], True
    yield "output_norm.weight", "model.norm.weight", [HIDDEN], False
    for i, attention in enumerate((False, True)):
        b, l = f"blk.{i}.", f"model.layers.{i}."
        yield b + "attn_norm.weight", l + "input_layernorm.weight", [HIDDEN], False
        yield b + "ffn_norm.weight", l + "post_attention_layernorm.weight", [HIDDEN], False
        if attention:
            for g, c, rows in (("attn_q", "q_proj", 32), ("attn_k", "k_proj", 16), ("attn_v", "v_proj", 16), ("attn_output", "o_proj", 32)):
                yield b + g + ".weight", l + f"self_attn.{c}.weight", [rows, HIDDEN], True
        else:
            m = l + "mamba."
            yield b + "ssm_in.weight", m + "in_proj.weight", [INNER + CHANNELS + HEADS, HIDDEN], True
            yield b + "ssm_conv1d.weight", m + "conv1d.weight", [CHANNELS, 1, KERNEL], False
            yield b + "ssm_conv1d.bias", m + "conv1d.bias", [CHANNELS], False
            yield b + "ssm_dt.bias", m + "dt_bias", [HEADS], False
            yield b + "ssm_a", m + "A_log", [HEADS, 1], False
            yield b + "ssm_d", m + "D", [HEADS, 1], False
            yield b + "ssm_norm.weight", m + "norm.weight", [GROUPS, INNER // GROUPS], False
            yield b + "ssm_out.weight", m + "out_proj.weight", [HIDDEN, INNER], True
        if experts:
            moe = l + "block_sparse_moe."
            yield b + "ffn_gate_inp.weight", moe + "router.layer.weight", [2, HIDDEN], False
            yield b + "ffn_gate_exps.weight", None, [2, WIDTH, HIDDEN], True
            yield b + "ffn_up_exps.weight", None, [2, WIDTH, HIDDEN], True
            yield None, moe + "input_linear.weight", [2, 2 * WIDTH, HIDDEN], True
            yield b + "ffn_down_exps.weight", moe + "output_linear.weight", [2, HIDDEN, WIDTH], True
        tail = "_shexp" if experts else ""
        yield b + f"ffn_gate{tail}.weight", None, [SHARED, HIDDEN], True
        yield b + f"ffn_up{tail}.weight", None, [SHARED, HIDDEN], True
        yield None, l + "shared_mlp.input_linear.weight", [2 * SHARED, HIDDEN], True
        yield b + f"ffn_down{tail}.weight", l + "shared_mlp.output_linear.weight", [HIDDEN, SHARED], True


def product(shape):
    n = 1
    for s in shape:
        n *= s
    return n


def data(kind, n):
    per, size = BLOCK[kind]
    return struct.pack("<f", -0.5) * n if kind == F32 else bytes(n // per * size)


def gguf(experts, kind, version=3):
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()

    keys = []

    def add(name, code, value):
        keys.append(text(name) + struct.pack("<I", code) + value)

    def u32(name, v):
        add("granitehybrid." + name, 4, struct.pack("<I", v))

    def f32(name, v):
        add("granitehybrid." + name, 6, struct.pack("<f", v))

    add("general.architecture", 8, text("granitehybrid"))
    for name, v in (("block_count", 2), ("embedding_length", HIDDEN), ("vocab_size", VOCAB), ("context_length", 4096),
                    ("feed_forward_length", WIDTH), ("attention.head_count", 2), ("ssm.conv_kernel", KERNEL), ("ssm.state_size", STATE),
                    ("ssm.group_count", GROUPS), ("ssm.inner_size", INNER), ("ssm.time_step_rank", HEADS)):
        u32(name, v)
    if experts:
        for name, v in (("expert_count", 2), ("expert_used_count", 1), ("expert_shared_feed_forward_length", SHARED)):
            u32(name, v)
    add("granitehybrid.attention.head_count_kv", 9, struct.pack("<IQII", 4, 2, 0, 1))
    for name, v in (("attention.layer_norm_rms_epsilon", 1e-5), ("attention.scale", 0.0625), ("embedding_scale", 12.0),
                    ("residual_scale", 0.22), ("logit_scale", 8.0)):
        f32(name, v)
    add("granitehybrid.rope.scaling.finetuned", 7, b"\1")
    add("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 3) + text("a") + text("") + text("bc"))
    add("general.alignment", 4, struct.pack("<I", 32))
    infos, blob = [], b""
    for name, _, shape, matrix in tensors(experts):
        if name is None:
            continue
        code = kind if matrix else F32
        if name.endswith("conv1d.weight"):
            shape = [CHANNELS, KERNEL]
        info = text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", s) for s in reversed(shape))
        infos.append(info + struct.pack("<IQ", code, len(blob)))
        blob += data(code, product(shape))
        blob += bytes(-len(blob) % 32)
    out = b"GGUF" + struct.pack("<IQQ", version, len(infos), len(keys)) + b"".join(keys) + b"".join(infos)
    return out + bytes(-len(out) % 32) + blob


def config(experts, **change):
    c = dict(model_type="granitemoehybrid", vocab_size=VOCAB, hidden_size=HIDDEN, num_hidden_layers=2,
             layer_types=["mamba", "attention"], num_attention_heads=2, num_key_value_heads=1, mamba_n_heads=HEADS,
             mamba_d_head="auto", mamba_n_groups=GROUPS, mamba_d_state=STATE, mamba_d_conv=KERNEL, mamba_expand=2,
             mamba_conv_bias=True, num_local_experts=2 if experts else 0, num_experts_per_tok=1, intermediate_size=WIDTH,
             shared_intermediate_size=SHARED, residual_multiplier=0.22, rms_norm_eps=1e-5, tie_word_embeddings=True,
             time_step_limit=[0.0, float("inf")], eos_token_id=[0, 1], hidden_act="silu", position_embedding_type="rope",
             rope_parameters=dict(rope_theta=1e4, rope_type="default"))
    c.update(change)
    return json.dumps(c).encode()


def safetensors(experts, dtype):
    header, blob = {"__metadata__": {"format": "pt"}}, b""
    for _, name, shape, matrix in tensors(experts):
        if name is None:
            continue
        if name.endswith(("A_log", ".D", "mamba.norm.weight")):
            shape = [product(shape)]
        size = 4 if dtype == "F32" else 2
        end = len(blob) + size * product(shape)
        header[name] = dict(dtype=dtype, shape=shape, data_offsets=[len(blob), end])
        blob += bytes(end - len(blob))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + blob


NUMBERS = [struct.pack("<Q", v & (1 << 64) - 1) for v in (0, 1, -1, 1 << 31, 1 << 32, 1 << 62, 1 << 63, (1 << 63) - 1)]
WORDS = [b"Infinity", b"NaN", b"-1", b"0", b"1e999", b"18446744073709551615", b"null", b"[]", b"{}", b'""', b"true", b"[" * 200]


def damaged(seed, rng, text_until):
    out, head = bytearray(seed), min(len(seed), text_until)
    for _ in range(rng.randint(1, 3)):
        at, how = rng.randrange(head), rng.randrange(5)
        if how == 0:
            del out[at:]
        elif how == 1:
            out[at:at + 8] = rng.choice(NUMBERS)
        elif how == 2:
            out[at:at + rng.randint(1, 6)] = rng.choice(WORDS)
        elif how == 3:
            del out[at:at + rng.randint(1, 40)]
        else:
            out[at:at] = out[at:at + rng.randint(1, 60)]
        head = min(head, len(out)) or 1
    return bytes(out)


def main():
    name, folder = sys.argv[1:3]
    if name == "gguf":
        seeds = [gguf(e, k, v) for e in (False, True) for k, v in ((F32, 3), (F16, 2), (Q8_0, 3), (Q4_0, 3))]
    elif name == "safetensors":
        seeds = [config(e) + b"\0" + safetensors(e, d) for e in (False, True) for d in ("F32", "BF16")]
    elif name == "config":
        seeds = [config(False), config(True), config(True, layer_types=None, position_embedding_type="nope"),
                 config(False, layer_types=["full_attention"] * 2, head_dim=24), config(False, eos_token_id=3, mamba_d_head=16)]
    else:
        return
    os.makedirs(folder, exist_ok=True)
    rng = random.Random(5)
    files = list(seeds)
    for seed in seeds:
        files += [damaged(seed, rng, 4000) for _ in range(24)]
    for i, content in enumerate(files):
        with open(os.path.join(folder, f"seed-{i:03}"), "wb") as f:
            f.write(content)


main()
