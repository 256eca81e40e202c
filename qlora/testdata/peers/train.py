"""A LoRA training step beside transformers + PEFT, in alternation.

    python -m venv V && V/bin/pip install torch==2.9.1 transformers==5.23.0 peft==0.21.2
    V/bin/python qlora/testdata/peers/train.py [--model DIR] [--rounds 7]

Rank 16 on the four fused linears, AdamW, batch 4 x 512, one step a line. The
peer runs in float32 and in bf16, eager PyTorch with SDPA attention, no
recompute; so do we. Printed: tokens a second (medians), ratios of neighbouring
steps, peak resident memory of each process. With --threads 1 the processor's
time is compared instead of the clock's."""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

from peer import Child, alternate, clock, median, ratio

ROOT = pathlib.Path(__file__).resolve().parents[3]


def peer(model, dtype, batch, length, threads):
    import time
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    m = transformers.AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, dtype), attn_implementation="sdpa")
    m = get_peft_model(m, LoraConfig(r=16, lora_alpha=32, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]))
    m.train()
    opt = torch.optim.AdamW([p for p in m.parameters() if p.requires_grad], lr=2e-4, weight_decay=0.01)
    ids = torch.randint(0, 32000, (batch, length))
    print("ready", flush=True)
    for _ in sys.stdin:
        t, c = time.perf_counter(), time.process_time()
        loss = m(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in m.parameters() if p.requires_grad], 1.0)
        opt.step()
        opt.zero_grad()
        print(time.perf_counter() - t, time.process_time() - c, loss.item(), flush=True)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--model", default=str(ROOT / "examples/fullpipeline/model"))
    a.add_argument("--rounds", type=int, default=7)
    a.add_argument("--batch", type=int, default=4)
    a.add_argument("--length", type=int, default=512)
    a.add_argument("--threads", type=int, default=os.cpu_count())
    a.add_argument("--weights", default="int8")
    a.add_argument("--recompute", default="none")
    a.add_argument("--dtypes", default="float32,bfloat16")
    a.add_argument("--peer")
    o = a.parse_args()
    if o.peer:
        return peer(o.model, o.peer, o.batch, o.length, o.threads)
    exe = tempfile.mkdtemp() + "/trainstep"
    subprocess.run(["go", "build", "-o", exe, "./qlora/testdata/peers/trainstep"], cwd=ROOT, check=True)
    shape = ["-batch", o.batch, "-length", o.length]
    env = dict(os.environ, GOMAXPROCS=str(o.threads))
    children = {"ours": Child(exe, "-model", o.model, "-weights", o.weights, "-recompute", o.recompute, *shape, env=env)}
    print(children["ours"].ready, "model", o.model, "threads", o.threads)
    for d in o.dtypes.split(","):
        children[d] = Child(sys.executable, __file__, "--peer", d, "--model", o.model, "--batch", o.batch, "--length", o.length, "--threads", o.threads)
    times = alternate(o.rounds, **{k: (lambda c=c: [float(v) for v in c.ask()[:2]]) for k, c in children.items()})
    times = clock(times, o.threads)
    tokens = o.batch * o.length
    for k, c in children.items():
        line = f"{k:9s} {tokens / median(times[k]):8.0f} tokens/s (best {tokens / min(times[k]):.0f}), peak RSS {c.peak():6.0f} MiB"
        if k != "ours":
            mid, best = ratio(times[k], times["ours"])
            line += f"; ours is {mid:.2f} x as fast (best to best {best:.2f}), with {children['ours'].peak() / c.peak():.2f} of the memory"
        print(line)
    for c in children.values():
        c.close()


if __name__ == "__main__":
    main()
