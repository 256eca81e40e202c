"""Prefill and decoding beside llama.cpp (Q8_0) and transformers, in alternation.

    python -m venv V && V/bin/pip install torch==2.9.1 transformers==5.23.0
    npm install --ignore-scripts --prefix N @node-llama-cpp/linux-x64@3.22.1
    go run ./examples/hftogguf ... (a Q8_0 file of the same model)
    V/bin/python qlora/testdata/peers/generate.py --llama N/node_modules/@node-llama-cpp/linux-x64/bins/linux-x64 \\
        --model DIR --gguf FILE [--threads 1] [--prefill 512] [--decode 64]

llama.cpp is driven through its C functions: llama_decode and an argmax a token.
Printed: tokens a second (medians) and ratios of neighbouring runs. With
--threads 1 the processor's time is compared instead of the clock's."""
import argparse
import ctypes
import glob
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from peer import Child, alternate, clock, median, ratio

ROOT = pathlib.Path(__file__).resolve().parents[3]


def prompt(n):
    return [300 + i * 37 % 30000 for i in range(n)]


def serve(feed, reset):
    """feed(ids) returns the next id; both are a peer's own."""
    print("ready", flush=True)
    for line in sys.stdin:
        what, n = line.split()
        reset()
        if what == "decode":
            last = feed(prompt(8))
        t, c = time.perf_counter(), time.process_time()
        if what == "prefill":
            feed(prompt(int(n)))
        else:
            for _ in range(int(n)):
                last = feed([last])
        print(time.perf_counter() - t, time.process_time() - c, flush=True)


class Opaque(ctypes.Structure):
    """Parameters passed by value; more room than they need is harmless, for
    they come last."""
    _fields_ = [("words", ctypes.c_int32 * 128)]


class Batch(ctypes.Structure):
    _fields_ = [("n_tokens", ctypes.c_int32)] + [(f, ctypes.c_void_p) for f in ("token", "embd", "pos", "n_seq_id", "seq_id", "logits")]


def llama(folder, gguf, threads, context):
    import numpy
    load = lambda name: ctypes.CDLL(glob.glob(f"{folder}/{name}*.so")[0], mode=ctypes.RTLD_GLOBAL)
    load("libggml-base")
    ggml, lib = load("libggml.v"), load("libllama.v")
    ggml.ggml_backend_load_all_from_path(folder.encode())
    lib.llama_model_default_params.restype = lib.llama_context_default_params.restype = Opaque
    lib.llama_model_load_from_file.restype = lib.llama_init_from_model.restype = lib.llama_get_memory.restype = ctypes.c_void_p
    lib.llama_get_logits.restype = ctypes.POINTER(ctypes.c_float)
    lib.llama_batch_get_one.restype = Batch
    quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
    lib.llama_log_set(quiet, None)
    lib.llama_backend_init()
    model = lib.llama_model_load_from_file(gguf.encode(), lib.llama_model_default_params())
    if not model:
        raise SystemExit("llama.cpp cannot load " + gguf)
    params = lib.llama_context_default_params()
    if tuple(params.words[:2]) != (512, 2048):
        raise SystemExit(f"unknown layout of llama_context_params: {params.words[:8]}")
    params.words[0] = context
    at = next(i for i in range(3, 8) if params.words[i] == params.words[i + 1] == 4)
    params.words[at] = params.words[at + 1] = threads
    ctx = ctypes.c_void_p(lib.llama_init_from_model(ctypes.c_void_p(model), params))
    memory = ctypes.c_void_p(lib.llama_get_memory(ctx))

    def feed(ids):
        a = (ctypes.c_int32 * len(ids))(*ids)
        if lib.llama_decode(ctx, lib.llama_batch_get_one(a, len(ids))):
            raise SystemExit("llama_decode failed")
        return int(numpy.ctypeslib.as_array(lib.llama_get_logits(ctx), (32064,)).argmax())

    serve(feed, lambda: lib.llama_memory_clear(memory, ctypes.c_bool(True)))


def transformers(model, dtype, threads):
    import torch
    import transformers as tf
    torch.set_num_threads(threads)
    m = tf.AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype), attn_implementation="sdpa").eval()
    state = {}

    def feed(ids):
        with torch.inference_mode():
            out = m(input_ids=torch.tensor([ids]), past_key_values=state.get("kv"), use_cache=True, logits_to_keep=1)
        state["kv"] = out.past_key_values
        return int(out.logits[0, -1].argmax())

    serve(feed, state.clear)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--model", default=str(ROOT / "examples/fullpipeline/model"))
    a.add_argument("--gguf")
    a.add_argument("--llama", help="folder of llama.cpp's libraries")
    a.add_argument("--transformers", default="float32", help="data types, or empty for none")
    a.add_argument("--weights", default="int8")
    a.add_argument("--embeddings", default="bf16")
    a.add_argument("--threads", type=int, default=os.cpu_count())
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--prefill", type=int, default=512)
    a.add_argument("--decode", type=int, default=64)
    a.add_argument("--peer")
    o = a.parse_args()
    if o.peer == "llama":
        return llama(o.llama, o.gguf, o.threads, max(o.prefill, o.decode + 16))
    if o.peer:
        return transformers(o.model, o.peer, o.threads)
    exe = tempfile.mkdtemp() + "/generatestep"
    subprocess.run(["go", "build", "-o", exe, "./qlora/testdata/peers/generatestep"], cwd=ROOT, check=True)
    env = dict(os.environ, GOMAXPROCS=str(o.threads), OMP_NUM_THREADS=str(o.threads))
    children = {"ours": Child(exe, "-model", o.model, "-weights", o.weights, "-embeddings", o.embeddings, env=env)}
    print(children["ours"].ready, "model", o.model, "threads", o.threads)
    for p in (["llama"] if o.llama else []) + [d for d in o.transformers.split(",") if d]:
        children[p] = Child(sys.executable, __file__, "--peer", p, "--threads", o.threads, "--model", o.model, "--gguf", o.gguf, "--llama", o.llama,
                            "--prefill", o.prefill, "--decode", o.decode, env=env)
    for what, n in (("prefill", o.prefill), ("decode", o.decode)):
        times = alternate(o.rounds, **{k: (lambda c=c: [float(v) for v in c.ask(f"{what} {n}")]) for k, c in children.items()})
        times = clock(times, o.threads)
        for k in children:
            line = f"{what} {n}: {k:9s} {n / median(times[k]):8.1f} tokens/s (best {n / min(times[k]):.1f})"
            if k != "ours":
                line += "; ours is %.2f x as fast (best to best %.2f)" % ratio(times[k], times["ours"])
            print(line)
    for k, c in children.items():
        print(f"{k}: peak RSS {c.peak():.0f} MiB")
        c.close()


if __name__ == "__main__":
    main()
