"""A LoRA training step and a cold start on a GPU beside transformers + PEFT in bf16.

    go test -c -tags cuda -o qlora.test ./qlora
    go build -tags cuda -o trainlora ./examples/trainlora
    go build -o randommodel ./qlora/testdata/peers/randommodel
    python qlora/testdata/peers/cuda.py --bench qlora.test --trainlora trainlora --randommodel randommodel

Phi-3.5-mini's shape with random weights, rank 64 on the four fused linears,
documents of 2,048 tokens. Each side is a process of its own, in turn, --rounds
times: ours holds the base in 8 bits, the peer in bf16 (and in 8 bits by
bitsandbytes, where that is installed). Printed: tokens a second (medians over
rounds), what the GPU has in use, and for the cold start the seconds from the
start of the process to the end of the first step, with the shards read before
so that they are in the page cache. A part whose program is not named is left
out."""
import argparse
import importlib.util
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUNDLED = ROOT / "examples/fullpipeline/model"
FUSED = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
LENGTH, RANK = 2048, 64


def peer(o):
    """One process of the peer: loads or makes the model and times steps."""
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model
    torch.manual_seed(1)
    kind, batch, recompute, model = o.peer, o.batch, o.recompute, o.model
    if model:
        extra = {}
        if kind == "bnb8":
            extra["quantization_config"] = transformers.BitsAndBytesConfig(load_in_8bit=True)
        m = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16, attn_implementation="sdpa", device_map={"": 0}, **extra)
    else:
        c = transformers.AutoConfig.from_pretrained(BUNDLED)
        c.hidden_size, c.intermediate_size, c.num_hidden_layers = 3072, 8192, 32
        c.num_attention_heads = c.num_key_value_heads = 32
        c.tie_word_embeddings = False
        with torch.device("cuda"):
            m = transformers.AutoModelForCausalLM.from_config(c, dtype=torch.bfloat16, attn_implementation="sdpa")
    m = get_peft_model(m, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=FUSED))
    if recompute == "full":
        m.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        m.enable_input_require_grads()
    m.train()
    params = [p for p in m.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=2e-4, weight_decay=0.01, fused=True)
    ids = torch.randint(0, 32000, (batch, LENGTH), device="cuda")

    def step():
        m(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        opt.zero_grad()
        torch.cuda.synchronize()

    step()
    print(json.dumps({"first": time.time()}), flush=True)
    if o.steps == 0:
        return
    for _ in range(2):
        step()
    times = []
    for _ in range(o.steps):
        t = time.perf_counter()
        step()
        times.append(time.perf_counter() - t)
    free, total = torch.cuda.mem_get_info()
    print(json.dumps({"tokens": batch * LENGTH / statistics.median(times), "gib": (total - free) / 2**30}), flush=True)


def theirs(o, kind, batch, recompute, steps, model=""):
    """Runs one peer; None with a word where it fails, as for want of memory."""
    argv = [sys.executable, __file__, "--peer", kind, "--batch", batch, "--recompute", recompute, "--steps", steps, "--model", model]
    start = time.time()
    r = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    lines = [json.loads(line) for line in r.stdout.splitlines() if line.startswith("{")]
    if r.returncode or not lines:
        print(f"  {kind} batch {batch} recompute {recompute}: {r.stderr.strip().splitlines()[-1][:200] if r.stderr else 'no output'}")
        return None
    return {**lines[-1], "cold": lines[0]["first"] - start}


def ours(o, batch, recompute):
    name = f"^BenchmarkPhi35Mini$/^int8-auto-batch{batch}-recompute-{recompute}$"
    r = subprocess.run([o.bench, "-test.run", "^$", "-test.bench", name, "-test.benchtime", f"{o.steps}x"], cwd=ROOT / "qlora", capture_output=True, text=True)
    m = re.search(r"([\d.]+) GiB-process.*\s([\d.]+) tok/s", r.stdout)
    if not m:
        raise SystemExit(f"{name}: {r.stdout}{r.stderr}")
    return {"tokens": float(m[2]), "gib": float(m[1])}


def steps(o):
    kinds = ["bf16"] + (["bnb8"] if importlib.util.find_spec("bitsandbytes") else [])
    for recompute in ("full", "none"):
        got = {}
        for _ in range(o.rounds):
            got.setdefault("ours int8", []).append(ours(o, o.batch, recompute))
            for k in kinds:
                got.setdefault(k, []).append(theirs(o, k, o.batch, recompute, o.steps, o.model if k != "bf16" else ""))
        base = statistics.median(r["tokens"] for r in got["ours int8"])
        for k, runs in got.items():
            if None in runs:
                continue
            t = statistics.median(r["tokens"] for r in runs)
            print(f"batch {o.batch} recompute {recompute:4s} {k:9s} {t:8.0f} tokens/s, {max(r['gib'] for r in runs):5.2f} GiB; ours is {base / t:.2f} x as fast", flush=True)


CONFIG = """
load: {{device: cuda, weights: int8}}
encode: {{max_length: {length}}}
training: {{rank: {rank}, alpha: {alpha}, dropout: 0, batch_size: {batch}, accumulation: 1, max_length: {length}, max_steps: 1, packing: false, recompute: full}}
"""


def cold(o):
    """Seconds from the start of a process to the end of its first step."""
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        model = o.model or str(d / "model")
        if not o.model:
            subprocess.run([o.randommodel, "-shape", "3.8b", "-base", BUNDLED, "-out", model], check=True)
        for f in pathlib.Path(model).glob("*.safetensors"):
            f.read_bytes()
        (d / "train.yaml").write_text(CONFIG.format(length=LENGTH, rank=RANK, alpha=2 * RANK, batch=o.batch))
        text = "航空機の整備記録を確認し、次の点検の日程を決める。" * 400
        (d / "train.jsonl").write_text("".join(json.dumps({"id": str(i), "text": text}, ensure_ascii=False) + "\n" for i in range(o.batch)))
        for i in range(o.rounds):
            start = time.time()
            p = subprocess.Popen([o.trainlora, "-model", model, "-config", d / "train.yaml", "-data", d / "train.jsonl", "-out", d / f"out{i}"], stderr=subprocess.PIPE, text=True)
            for line in p.stderr:
                if line.startswith("step 1 "):
                    print(f"cold start, ours int8: {time.time() - start:.1f} s", flush=True)
                    break
                print(" ", line.strip())
            p.communicate()
            r = theirs(o, "bf16", o.batch, "full", 0, model)
            if r:
                print(f"cold start, bf16: {r['cold']:.1f} s", flush=True)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--bench", help="this package's test program, built with the tag cuda")
    a.add_argument("--trainlora", help="examples/trainlora, built with the tag cuda")
    a.add_argument("--randommodel", help="peers/randommodel, built")
    a.add_argument("--model", default="", help="directory of Phi-3.5-mini's shape; made when absent")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--steps", type=int, default=10)
    a.add_argument("--batch", type=int, default=4)
    a.add_argument("--recompute", default="full")
    a.add_argument("--peer")
    o = a.parse_args()
    for k in ("bench", "trainlora", "randommodel"):
        if getattr(o, k):
            setattr(o, k, os.path.abspath(getattr(o, k)))
    if o.peer:
        return peer(o)
    subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"])
    if o.bench:
        steps(o)
    if o.trainlora:
        cold(o)


if __name__ == "__main__":
    main()
