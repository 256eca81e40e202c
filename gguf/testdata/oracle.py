"""The reference quantizers: llama.cpp's libraries from the npm package
@node-llama-cpp/linux-x64 (MIT), called through ctypes.

find(directory) installs the package there when it is missing (needs npm) and
returns the folder that holds libggml-base.so and libllama."""
import ctypes as C
import pathlib
import subprocess

PACKAGE = "@node-llama-cpp/linux-x64"
VERSION = "3.22.1"
TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8,
         "Q2_K": 10, "Q3_K": 11, "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "BF16": 30}


def find(directory, version=VERSION):
    if version != VERSION:
        directory = pathlib.Path(directory) / version
    bins = pathlib.Path(directory) / "node_modules/@node-llama-cpp/linux-x64/bins/linux-x64"
    if not bins.is_dir():
        pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--ignore-scripts", "--no-save", "--prefix", str(directory), f"{PACKAGE}@{version}"], check=True)
    return bins


class Ggml:
    def __init__(self, directory):
        self.lib = C.CDLL(str(find(directory) / "libggml-base.so"))
        self.lib.ggml_quantize_chunk.restype = C.c_size_t
        self.lib.ggml_quantize_chunk.argtypes = [C.c_int, C.c_void_p, C.c_void_p] + [C.c_int64] * 3 + [C.c_void_p]
        self.lib.ggml_row_size.restype = C.c_size_t
        self.lib.ggml_row_size.argtypes = [C.c_int, C.c_int64]

    def quantize(self, name, x, row, imatrix=None):
        """x, imatrix: contiguous float32 arrays. Returns bytes as a numpy array."""
        import numpy as np
        t = TYPES[name]
        rows = x.size // row
        out = np.zeros(rows * self.lib.ggml_row_size(t, row), np.uint8)
        if name == "F32":
            return x.view(np.uint8).copy()
        n = self.lib.ggml_quantize_chunk(t, x.ctypes.data, out.ctypes.data, 0, rows, row,
                                         imatrix.ctypes.data if imatrix is not None else None)
        assert n == out.size, (name, n, out.size)
        return out

    def dequantize(self, name, b, n):
        import numpy as np
        y = np.zeros(n, np.float32)
        if name == "F32":
            return b.view(np.float32).copy()
        f = {"F16": "ggml_fp16_to_fp32_row", "BF16": "ggml_bf16_to_fp32_row"}.get(name, "dequantize_row_" + name.lower().replace("_k", "_K"))
        getattr(self.lib, f)(C.c_void_p(b.ctypes.data), C.c_void_p(y.ctypes.data), C.c_int64(n))
        return y


def families(rng, n):
    """Weights of many kinds, n of each: name, float32 array."""
    import numpy as np
    f = np.float32
    yield "gaussian", (rng.standard_normal(n) * 0.02).astype(f)
    yield "heavy", (rng.standard_t(2, n) * 0.01).astype(f)
    yield "constant", np.repeat(rng.standard_normal(n // 256) * 0.1, 256).astype(f)
    yield "zero", np.where(rng.random(n) < 0.5, f(0), f(-0.0)).astype(f)
    yield "sparse", (rng.standard_normal(n) * (rng.random(n) < 0.02)).astype(f)
    yield "positive", (np.abs(rng.standard_normal(n)) + 1).astype(f)
    yield "negative", (-np.abs(rng.standard_normal(n)) * 3).astype(f)
    yield "scaled", (rng.standard_normal(n) * np.repeat(10.0 ** rng.uniform(-6, 3, n // 16), 16)).astype(f)
    yield "tiny", (rng.standard_normal(n) * np.repeat(10.0 ** rng.uniform(-44, -12, n // 256), 256)).astype(f)
    yield "grid", (rng.integers(-4, 5, n) * 0.25).astype(f)
    yield "bf16", ((rng.standard_normal(n) * 0.02).astype(f).view(np.uint32) & 0xFFFF0000).astype(np.uint32).view(f)
