"""Compares whole files with llama-quantize: an F32 file made by this package goes
through llama_model_quantize, and every tensor of the result must have the type and
the bytes that this package's own conversion gives.

Usage: python whole_file.py NPM_DIRECTORY [MODEL_DIRECTORY ...]
Without model directories: the bundled model and generated ones (hidden 768 untied;
hidden 256, 32 layers, tied). Needs numpy, PyPI gguf, npm, go, Linux on x86-64; with
IMATRIX=1 in the environment, also with a random importance matrix; with
POLICY=llama.cpp-2025 against a library of that year, without importance matrices,
which it takes from C++ only."""
import ctypes as C
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from gguf import GGUFReader, GGUFWriter

sys.dont_write_bytecode = True
import oracle  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]
FTYPES = {"F16": 1, "BF16": 32, "Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9, "Q8_0": 7,
          "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18}


class Params(C.Structure):
    _fields_ = [("nthread", C.c_int32), ("ftype", C.c_int32), ("output_type", C.c_int32), ("embd_type", C.c_int32),
                ("flags", C.c_uint8 * 8), ("imatrix", C.c_void_p), ("kv", C.c_void_p), ("tt", C.c_void_p),
                ("prune", C.c_void_p), ("tail", C.c_int32 * 2)]


class ImatrixData(C.Structure):
    _fields_ = [("name", C.c_char_p), ("data", C.POINTER(C.c_float)), ("size", C.c_size_t)]


# The library that each policy is compared with; 3.12.0 has llama.cpp b6122, of
# August 2025.
LIBRARIES = {"llama.cpp-2026": oracle.VERSION, "llama.cpp-2025": "3.12.0"}


def load(directory, policy="llama.cpp-2026"):
    bins = oracle.find(directory, LIBRARIES[policy])

    def file(stem):
        return str(next(f for pattern in (stem + ".v*.so", stem + ".so") for f in bins.glob(pattern)))

    C.CDLL(str(bins / "libggml-base.so"), C.RTLD_GLOBAL)
    C.CDLL(file("libggml"), C.RTLD_GLOBAL).ggml_backend_load_all_from_path(str(bins).encode())
    lib = C.CDLL(file("libllama"))
    lib.llama_model_quantize_default_params.restype = Params
    lib.llama_model_quantize.restype = C.c_uint32
    lib.llama_model_quantize.argtypes = [C.c_char_p, C.c_char_p, C.POINTER(Params)]
    silent = C.CFUNCTYPE(None, C.c_int, C.c_char_p, C.c_void_p)(lambda level, text, data: None)
    lib.silent = silent
    lib.llama_log_set(silent, None)
    return lib


def quantize(lib, src, dst, ftype, importance):
    p = lib.llama_model_quantize_default_params()
    p.nthread, p.ftype = 2, ftype
    if importance:
        entries = (ImatrixData * (len(importance) + 1))()
        for i, (name, v) in enumerate(importance.items()):
            entries[i] = ImatrixData(name.encode(), v.ctypes.data_as(C.POINTER(C.c_float)), v.size)
        p.imatrix = C.cast(entries, C.c_void_p)
    if lib.llama_model_quantize(str(src).encode(), str(dst).encode(), C.byref(p)) != 0:
        raise SystemExit(f"llama_model_quantize failed on {src}")


def tensors(path):
    return [(t.name, t.tensor_type.name, t.data.tobytes()) for t in GGUFReader(path).tensors]


def random_importance(f32, rng):
    return {t.name: rng.gamma(0.5, 1.0, int(t.shape[0])).astype(np.float32) + np.float32(1e-4)
            for t in GGUFReader(f32).tensors if len(t.shape) == 2}


def write_imatrix(path, importance):
    w = GGUFWriter(path, "imatrix")
    for name, v in importance.items():
        w.add_tensor(name + ".in_sum2", v.reshape(1, -1))
        w.add_tensor(name + ".counts", np.ones((1, 1), np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def check(lib, tool, model, folder, policy, importance_too):
    f32 = folder / "f32.gguf"
    subprocess.run([tool, "-model", model, "-type", "F32", "-out", f32], check=True, stdout=subprocess.DEVNULL)
    bad = 0
    for recipe, ftype in FTYPES.items():
        for weighted in ([False, True] if importance_too else [False]):
            importance, extra = None, ["-policy", policy]
            if weighted:
                importance = random_importance(f32, np.random.default_rng(5))
                write_imatrix(folder / "imatrix.gguf", importance)
                extra += ["-imatrix", folder / "imatrix.gguf"]
            ours, theirs = folder / "ours.gguf", folder / "theirs.gguf"
            subprocess.run([tool, "-model", model, "-type", recipe, "-out", ours] + extra, check=True, stdout=subprocess.DEVNULL)
            quantize(lib, f32, theirs, ftype, importance)
            a, b = tensors(ours), tensors(theirs)
            differ = [x[:2] + y[:2] for x, y in zip(a, b) if x != y]
            bad += len(differ) + (len(a) != len(b))
            print(f"{model.name} {recipe:6} {'imatrix' if weighted else 'plain':8} {len(differ)} of {len(b)} tensors differ", *differ[:3], flush=True)
    return bad


def main():
    folder = pathlib.Path(tempfile.mkdtemp())
    tool, generate = folder / "hftogguf", folder / "generate"
    subprocess.run(["go", "build", "-o", tool, "./examples/hftogguf"], cwd=ROOT, check=True)
    models = [pathlib.Path(m) for m in sys.argv[2:]]
    if not models:
        subprocess.run(["go", "build", "-o", generate, "./gguf/testdata/generate"], cwd=ROOT, check=True)
        models = [ROOT / "examples/fullpipeline/model", folder / "untied", folder / "deep"]
        subprocess.run([generate, "-out", models[1]], cwd=ROOT, check=True)
        subprocess.run([generate, "-out", models[2], "-hidden", "256", "-heads", "8", "-kv-heads", "2", "-layers", "32", "-mlp", "512", "-tied"], cwd=ROOT, check=True)
    policy = os.environ.get("POLICY", "llama.cpp-2026")
    lib = load(sys.argv[1], policy)
    importance_too = bool(os.environ.get("IMATRIX")) and policy == "llama.cpp-2026"
    bad = sum(check(lib, tool, m, folder, policy, importance_too) for m in models)
    print(f"{policy}: {bad} tensors differ")
    sys.exit(min(1, bad))


if __name__ == "__main__":
    main()
