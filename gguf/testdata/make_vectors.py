"""Writes vectors.safetensors: weights, importance, and what llama.cpp's
libggml-base (npm @node-llama-cpp/linux-x64 3.22.1) makes of them.

Usage: python make_vectors.py NPM_DIRECTORY   (needs numpy, npm, Linux on x86-64)"""
import hashlib
import json
import pathlib
import struct
import sys

import numpy as np

sys.dont_write_bytecode = True
import oracle  # noqa: E402

ROW = 512
here = pathlib.Path(__file__).parent
g = oracle.Ggml(sys.argv[1])
rng = np.random.default_rng(20260801)
x = np.concatenate([w for _, w in oracle.families(rng, 2 * ROW)])
v = rng.gamma(0.5, 1.0, ROW).astype(np.float32) + np.float32(1e-3)
tensors = {"x": x, "imatrix": v}
meta = {"origin": "ggml_quantize_chunk of npm @node-llama-cpp/linux-x64 3.22.1, by make_vectors.py", "row": str(ROW)}
for name in oracle.TYPES:
    b = g.quantize(name, x, ROW)
    if name not in ("F32", "F16", "BF16"):
        w = g.quantize(name, x, ROW, v)
        tensors[name + ".imatrix"] = w
    if name != "F32":
        tensors[name] = b
    meta["sha256 of dequantized " + name] = hashlib.sha256(g.dequantize(name, b, x.size).tobytes()).hexdigest()

header, data = {"__metadata__": meta}, b""
for k, a in tensors.items():
    kind = "F32" if a.dtype == np.float32 else "U8"
    header[k] = {"dtype": kind, "shape": list(a.shape), "data_offsets": [len(data), len(data) + a.nbytes]}
    data += a.tobytes()
h = json.dumps(header).encode()
h += b" " * (-len(h) % 8)
(here / "vectors.safetensors").write_bytes(struct.pack("<Q", len(h)) + h + data)
print(len(data), "bytes,", x.size, "weights")
