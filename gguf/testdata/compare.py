"""Compares this package's quantizers with llama.cpp's over many weights, block by
block: all types, with and without an importance matrix, and the way back.

Usage: python compare.py NPM_DIRECTORY [MILLION_WEIGHTS]   (default 16; needs numpy,
npm, go, Linux on x86-64). Exit code 1 if anything differs."""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.dont_write_bytecode = True
import oracle  # noqa: E402

ROW = 4096
BLOCK = {"F32": 4, "F16": 2, "BF16": 2, "Q4_0": 18, "Q4_1": 20, "Q5_0": 22, "Q5_1": 24, "Q8_0": 34,
         "Q2_K": 84, "Q3_K": 110, "Q4_K": 144, "Q5_K": 176, "Q6_K": 210}


def main():
    g = oracle.Ggml(sys.argv[1])
    total = int(float(sys.argv[2]) * (1 << 20)) if len(sys.argv) > 2 else 16 << 20
    folder = pathlib.Path(tempfile.mkdtemp())
    tool = folder / "quantize"
    subprocess.run(["go", "build", "-o", tool, "./quantize"], cwd=pathlib.Path(__file__).parent, check=True)
    rng = np.random.default_rng(7)
    each = -(-total // 11 // ROW) * ROW
    x = np.concatenate([w for _, w in oracle.families(rng, each)])
    v = rng.gamma(0.5, 1.0, ROW).astype(np.float32) + np.float32(1e-4)
    v.tofile(folder / "v.f32")
    bad = 0
    for name in BLOCK:
        for weights in (None, v):
            if weights is not None and name in ("F32", "F16", "BF16"):
                continue
            want = g.quantize(name, x, ROW, weights)
            cmd = [tool, "-type", name, "-row", str(ROW)] + (["-imatrix", folder / "v.f32"] if weights is not None else [])
            got = np.frombuffer(subprocess.run(cmd, input=x.tobytes(), stdout=subprocess.PIPE, check=True).stdout, np.uint8)
            differ = np.any((want != got).reshape(-1, BLOCK[name]), axis=1)
            line = f"{name:5} {'imatrix' if weights is not None else 'plain':8} {differ.sum()} of {differ.size} blocks differ, {x.size} weights"
            bad += differ.sum()
            if weights is None:
                y = g.dequantize(name, want, x.size)
                back = np.frombuffer(subprocess.run([tool, "-type", name, "-decode"], input=want.tobytes(), stdout=subprocess.PIPE, check=True).stdout, np.float32)
                n = np.count_nonzero(y.view(np.uint32) != back.view(np.uint32))
                line += f"; {n} decoded weights differ"
                bad += n
            print(line, flush=True)
    sys.exit(int(bad > 0))


main()
