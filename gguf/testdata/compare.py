"""Compares this package's quantizers with llama.cpp's (ggml_quantize_chunk and the
dequantizers of libggml-base) on one core: block by block over many weights of eleven
kinds, and in speed; every type, with and without an importance matrix, on every route
that this processor can take (portable Go, AVX2, AVX-512).

Usage: python compare.py NPM_DIRECTORY [MILLION_WEIGHTS] [TYPE,...]   (default 16, all;
needs numpy, npm, go, Linux on x86-64; about 1 GiB). Exit code 1 if anything differs.

Speeds are weights per second of processor time; the two libraries take turns on the
same core, five times, and the ratio is the median of the five turns' ratios."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.dont_write_bytecode = True
import oracle  # noqa: E402

ROW, TURNS = 4096, 5
BLOCK = {"F32": 4, "F16": 2, "BF16": 2, "Q4_0": 18, "Q4_1": 20, "Q5_0": 22, "Q5_1": 24, "Q8_0": 34,
         "Q2_K": 84, "Q3_K": 110, "Q4_K": 144, "Q5_K": 176, "Q6_K": 210}
PLAIN = ("F32", "F16", "BF16")


class Ours:
    """Runs jobs (TestJob) in this package's test binary."""

    def __init__(self, folder):
        self.binary = folder / "gguf.test"
        subprocess.run(["go", "test", "-c", "-o", self.binary, "."], cwd=pathlib.Path(__file__).parents[1], check=True)

    def run(self, **job):
        env = dict(os.environ, BOREA_QUANTIZE=json.dumps({k: str(v) if isinstance(v, pathlib.Path) else v for k, v in job.items()}), GOMAXPROCS="1")
        done = subprocess.run([self.binary, "-test.run", "^TestJob$"], env=env, stdout=subprocess.PIPE, text=True)
        for line in done.stdout.splitlines():
            if line.startswith("job: "):
                return line[5:]
        raise SystemExit(done.stdout)


def peer_speed(g, name, x, v):
    start = time.thread_time()
    g.quantize(name, x, ROW, v)
    return x.size / (time.thread_time() - start)


def ratio(g, ours, folder, name, route, x, v):
    """The median over turns of our speed by the peer's, and both speeds' best."""
    job = dict(Type=name, Route=route, In=folder / "speed.f32", Row=ROW, Seconds=0.2, Imatrix=folder / "v.f32" if v is not None else "")
    turns = [(float(ours.run(**job)), max(peer_speed(g, name, x, v) for _ in range(3))) for _ in range(TURNS)]
    return statistics.median(a / b for a, b in turns), max(a for a, _ in turns), max(b for _, b in turns)


def differing(got, want, size):
    return np.count_nonzero(np.any((got != want).reshape(-1, size), axis=1))


def main():
    g = oracle.Ggml(sys.argv[1])
    total = int(float(sys.argv[2]) * (1 << 20)) if len(sys.argv) > 2 else 16 << 20
    names = sys.argv[3].split(",") if len(sys.argv) > 3 else list(BLOCK)
    kept = tempfile.TemporaryDirectory()  # removed with this object
    folder = pathlib.Path(kept.name)
    ours = Ours(folder)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rng = np.random.default_rng(7)
    each = -(-total // 11 // ROW) * ROW
    x = np.concatenate([w for _, w in oracle.families(rng, each)])
    v = rng.gamma(0.5, 1.0, ROW).astype(np.float32) + np.float32(1e-4)
    speed = (rng.standard_normal(1 << 20) * 0.02).astype(np.float32)
    for a, file in ((x, "x"), (v, "v"), (speed, "speed")):
        a.tofile(folder / (file + ".f32"))
    routes = ours.run(Route="?").split()
    bad, out = 0, folder / "out"
    for name in names:
        for weights in (None, v):
            if weights is not None and name in PLAIN:
                continue
            want = g.quantize(name, x, ROW, weights)
            (folder / "blocks").write_bytes(want.tobytes())
            how = "imatrix" if weights is not None else "plain"
            for route in routes:
                job = dict(Type=name, Route=route, Out=out)
                ours.run(In=folder / "x.f32", Row=ROW, Imatrix=folder / "v.f32" if weights is not None else "", **job)
                n = differing(np.fromfile(out, np.uint8), want, BLOCK[name])
                bad += n
                line = f"{name:5} {how:8} {route:9} {n} of {want.size // BLOCK[name]} blocks differ, {x.size} weights"
                if weights is None:
                    ours.run(In=folder / "blocks", Decode=True, **job)
                    n = np.count_nonzero(np.fromfile(out, np.uint32) != g.dequantize(name, want, x.size).view(np.uint32))
                    bad += n
                    line += f", {n} decoded differ"
                if name != "F32":
                    r, a, b = ratio(g, ours, folder, name, route, speed, weights)
                    line += f"; {r:.2f} times the speed ({a / 1e6:.0f} and {b / 1e6:.0f} M/s)"
                print(line, flush=True)
    sys.exit(int(bad > 0))


main()
