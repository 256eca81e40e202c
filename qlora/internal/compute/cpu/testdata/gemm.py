"""Matrix products beside PyTorch, gonum and the register-loop ceiling, in
alternation.

    python -m venv V && V/bin/pip install torch==2.9.1
    V/bin/python qlora/internal/compute/cpu/testdata/gemm.py [--threads 1] [--rounds 9] [--work 2e9]

Each line is y [tokens, out] = x [tokens, in] W^T; "back" is dx = dy W. Medians
of alternating runs; with --threads 1 the processor's time is compared instead
of the clock's, which a busy machine stretches. PyTorch's int8 is _int_mm, which
gives bare int32 sums; ours scales them to float32 as well. Where there is AMX,
"tiles" is our bf16 with x rounded to bf16, as PyTorch's has it. The share of the
ceiling is best to best. On a busy machine take short turns and many (--work 1
--rounds 100): the fastest of them fit between two interruptions."""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[5]
sys.path.insert(0, str(ROOT / "qlora/testdata/peers"))
from peer import Child, alternate, clock, median, ratio  # noqa: E402

SHAPES = [(512, 192, 576), (512, 192, 1536), (512, 768, 192), (512, 288, 1536), (512, 768, 288), (512, 3072, 9216), (256, 8192, 3072), (2048, 3072, 3072)]


def peer(threads):
    import time
    import torch
    torch.set_num_threads(threads)
    print("ready", flush=True)
    made = {}
    for line in sys.stdin:
        what, n, i, o, repeat = line.split()
        n, i, o, repeat = int(n), int(i), int(o), int(repeat)
        key = what, n, i, o
        if key not in made:
            made.clear()
            if what == "int8":
                x, w = torch.randint(-127, 127, (n, i), dtype=torch.int8), torch.randint(-127, 127, (o, i), dtype=torch.int8)
                made[key] = lambda: torch._int_mm(x, w.t())
            else:
                dt = torch.bfloat16 if what == "bf16" else torch.float32
                x, w, y = torch.randn(n, i, dtype=dt), torch.randn(o, i, dtype=dt), torch.randn(n, o, dtype=dt)
                made[key] = (lambda: y @ w) if what == "back" else (lambda: torch.nn.functional.linear(x, w))
            made[key]()
        t, c = time.perf_counter(), time.process_time()
        for _ in range(repeat):
            made[key]()
        print(time.perf_counter() - t, time.process_time() - c, flush=True)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--rounds", type=int, default=9)
    a.add_argument("--work", type=float, default=2e9, help="operations of a turn, at least one product")
    a.add_argument("--peer", action="store_true")
    o = a.parse_args()
    if o.peer:
        return peer(o.threads)
    exe = tempfile.mkdtemp() + "/cpu.test"
    subprocess.run(["go", "test", "-c", "-o", exe, "./qlora/internal/compute/cpu"], cwd=ROOT, check=True)

    def serve(path):
        return Child(exe, "-test.run", "^TestServe$", "-test.timeout", "0", env=dict(os.environ, GOMAXPROCS=str(o.threads), BOREA_GEMM=path))
    ours = serve("auto")
    tiles = serve("amx-bf16") if "(amx" in ours.ready else None
    torch = Child(sys.executable, __file__, "--peer", "--threads", o.threads)
    print(ours.ready, "threads", o.threads)
    for n, i, out in SHAPES:
        flop = 2 * n * i * out
        repeat = max(1, int(o.work / flop))

        def run(child, what, r=repeat):
            def one():
                *times, top[what] = [float(v) for v in (child.ask(f"{what} {n} {i} {out} {r}") + [0])[:3]]
                return times
            return one
        top = {}  # operations of one call, where the child says them
        work = {w: run(ours, w) for w in ("f32", "back", "bf16", "int8", "int8back")}
        work |= {"torch-" + w: run(torch, w) for w in ("f32", "back", "bf16", "int8")}
        work["gonum"] = run(ours, "gonum", max(1, repeat // 16))
        for c in ("ceiling-f32", "ceiling-int8"):
            work[c] = run(ours, c, 1)
        kinds = {"f32": "f32", "back": "f32", "bf16": "f32", "int8": "int8", "int8back": "int8"}  # and their ceilings
        if tiles:
            work |= {"tiles": run(tiles, "bf16"), "ceiling-bf16": run(tiles, "ceiling-bf16", 1)}
            kinds["tiles"] = "bf16"
        t = clock(alternate(o.rounds, **work), o.threads)
        rate = {k: median([flop * repeat / s / o.threads / 1e9 for s in v]) for k, v in t.items() if "ceiling" not in k}
        rate["gonum"] = median([flop * max(1, repeat // 16) / s / o.threads / 1e9 for s in t["gonum"]])
        limit = {k: top["ceiling-" + k] / min(t["ceiling-" + k]) / 1e9 for k in set(kinds.values())}  # of one core
        print(f"{n} x {i} -> {out}: ceilings " + ", ".join(f"{k} {v:.0f}" for k, v in sorted(limit.items())) + " Gop/s a core")
        for w, c in kinds.items():
            best = flop * repeat / min(t[w]) / o.threads / 1e9
            line = f"  {w:8s} {rate[w]:6.0f} Gop/s a core (best {best:.0f}, {100 * best / limit[c]:.0f} % of the ceiling), {rate[w] / rate['gonum']:5.1f} x gonum"
            p = "torch-" + ("bf16" if w == "tiles" else w)
            if p in t:
                line += ", %.2f x PyTorch's (best to best %.2f)" % ratio(t[p], t[w])
            if c == "int8":
                line += ", %.2f x PyTorch's f32 (best to best %.2f)" % ratio(t["torch-f32" if w == "int8" else "torch-back"], t[w])
            print(line, flush=True)


if __name__ == "__main__":
    main()
