#!/usr/bin/env python3
"""Makes reference.safetensors and attacks.json with the reference implementation.

    pip install safetensors==0.8.0 ml_dtypes==0.5.4 numpy==2.4.6
    python make_vectors.py            # writes the two files
    python make_vectors.py check FILE # reads FILE, written by this package

attacks.json lists hostile files (base64) with what safetensors 0.8.0 says to
each: "ok", or the kind of its error. The package must refuse at least those.
"""
import base64
import json
import os
import sys

import numpy as np
import safetensors
from safetensors import TensorSpec, deserialize, serialize

HERE = os.path.dirname(os.path.abspath(__file__))


def file(header, data=b"", length=None):
    if isinstance(header, (dict, list)):
        header = json.dumps(header)
    if isinstance(header, str):
        header = header.encode()
    n = len(header) if length is None else length
    return n.to_bytes(8, "little") + header + data


def t(dtype="U8", shape=(4,), begin=0, end=4, **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end], **more}


def attacks():
    d = b"\1\2\3\4"
    one = json.dumps({"a": t()})
    entry = json.dumps(t())
    yield "empty file", b""
    yield "seven bytes", b"\0" * 7
    yield "header length zero", file("")
    yield "header longer than the file", file(one, d, 1 << 20)
    yield "header length over 100 MB", file(one, d, 100_000_001)
    yield "header length 2^63", file(one, d, 1 << 63)
    yield "header length 2^64-1", file(one, d, (1 << 64) - 1)
    yield "header cut short", file(one, d, len(one) - 3)
    yield "header not JSON", file("{nonsense", d)
    yield "header an array", file("[1,2]")
    yield "header a number", file("7")
    yield "header starts with a space", file(" " + one, d)
    yield "header starts with a byte order mark", file(b"\xef\xbb\xbf" + one.encode(), d)
    yield "text after the header object", file(one + "x", d)
    yield "second object after the header", file(one + "{}", d)
    yield "NUL after the header", file(one + "\0", d)
    yield "invalid UTF-8 in a name", file(b'{"\xff":' + entry.encode() + b"}", d)
    yield "invalid UTF-8 in a metadata value", file(b'{"__metadata__":{"k":"\xff"},"a":' + entry.encode() + b"}", d)
    yield "lone surrogate in a name", file('{"\\ud800":' + entry + "}", d)
    yield "deep nesting in an entry", file('{"a":' + "[" * 5000 + "]" * 5000 + "}")
    yield "deep nesting under an unknown key", file('{"a":{"x":' + "[" * 20000 + "]" * 20000 + "}}")
    yield "entry null", file({"a": None})
    yield "entry a list", file({"a": [1]})
    yield "name twice", file('{"a":' + entry + ',"a":' + entry + "}", d)
    yield "name twice through an escape", file('{"a":' + entry + ',"\\u0061":' + entry + "}", d)
    yield "metadata twice", file('{"__metadata__":{},"__metadata__":{},"a":' + entry + "}", d)
    yield "metadata a number", file({"__metadata__": 3, "a": t()}, d)
    yield "metadata value a number", file({"__metadata__": {"k": 3}, "a": t()}, d)
    yield "metadata value an object", file({"__metadata__": {"k": {}}, "a": t()}, d)
    yield "dtype unknown", file({"a": t("F9")}, d)
    yield "dtype in lower case", file({"a": t("u8")}, d)
    yield "dtype a number", file({"a": t(8)}, d)
    yield "dtype missing", file({"a": {"shape": [4], "data_offsets": [0, 4]}}, d)
    yield "dtype key in the wrong case", file({"a": {"DType": "U8", "shape": [4], "data_offsets": [0, 4]}}, d)
    yield "dtype twice", file('{"a":{"dtype":"U8","dtype":"I8","shape":[4],"data_offsets":[0,4]}}', d)
    yield "shape missing", file({"a": {"dtype": "U8", "data_offsets": [0, 4]}}, d)
    yield "shape null", file({"a": {"dtype": "U8", "shape": None, "data_offsets": [0, 4]}}, d)
    yield "shape negative", file({"a": t(shape=(-4,))}, d)
    yield "shape twice negative", file({"a": t(shape=(-2, -2))}, d)
    yield "shape a fraction", file({"a": t(shape=(4.5,))}, d)
    yield "shape a float", file('{"a":{"dtype":"U8","shape":[4.0],"data_offsets":[0,4]}}', d)
    yield "shape with exponent", file('{"a":{"dtype":"U8","shape":[4e0],"data_offsets":[0,4]}}', d)
    yield "shape minus zero", file('{"a":{"dtype":"U8","shape":[-0],"data_offsets":[0,0]}}')
    yield "shape a string", file({"a": {"dtype": "U8", "shape": "4", "data_offsets": [0, 4]}}, d)
    yield "shape over 64 bits", file('{"a":{"dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,4]}}', d)
    yield "shape product wraps to the right size", file({"a": t(shape=(1 << 32, 1 << 32, 4))}, d)
    yield "shape product wraps to zero", file({"a": t(shape=(1 << 32, 1 << 32), end=0)})
    yield "shape times size wraps", file({"a": t("F64", ((1 << 61),), 0, 0)})
    yield "zero after an overflow", file({"a": t(shape=(1 << 62, 1 << 62, 0), end=0)})
    yield "shape smaller than the data", file({"a": t(shape=(3,))}, d)
    yield "shape larger than the data", file({"a": t(shape=(5,))}, d)
    yield "offsets missing", file({"a": {"dtype": "U8", "shape": [4]}}, d)
    yield "offsets one number", file({"a": {"dtype": "U8", "shape": [4], "data_offsets": [4]}}, d)
    yield "offsets three numbers", file({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4, 4]}}, d)
    yield "offsets reversed", file({"a": t(begin=4, end=0)}, d)
    yield "offsets negative", file({"a": t(begin=-4, end=0)}, d)
    yield "offsets beyond the file", file({"a": t(begin=0, end=8, shape=(8,))}, d)
    yield "offsets near 2^63", file({"a": t(begin=(1 << 63) - 4, end=(1 << 63))}, d)
    yield "offsets near 2^64", file({"a": t(begin=(1 << 64) - 4, end=(1 << 64) - 0)}, d)
    yield "offset start not zero", file({"a": t(begin=1, end=5)}, d + b"\5")
    yield "overlap of two tensors", file({"a": t(), "b": t(begin=2, end=6)}, d + b"\5\6")
    yield "two tensors on the same bytes", file({"a": t(), "b": t()}, d)
    yield "hole between tensors", file({"a": t(shape=(2,), end=2), "b": t(shape=(1,), begin=3, end=4)}, d)
    yield "trailing byte", file({"a": t()}, d + b"\5")
    yield "data of no tensor", file("{}", d)
    yield "data cut short", file({"a": t()}, d[:3])
    yield "unknown key in an entry", file({"a": t(evil=1)}, d)
    yield "nine dimensions", file({"a": t(shape=(1,) * 8 + (4,))}, d)
    yield "sub-byte type", file({"a": t("F4", (8,))}, d)


def good():
    d = b"\1\2\3\4"
    yield "plain", file({"a": t()}, d)
    yield "no tensors", file("{}")
    yield "padded with spaces", file(json.dumps({"a": t()}) + "   ", d)
    yield "padded with line breaks", file(json.dumps({"a": t()}) + "\r\n\t ", d)
    yield "scalar", file({"a": t(shape=(), end=1)}, d[:1])
    yield "empty tensor", file({"a": t(shape=(0, 5), end=0)})
    yield "empty tensors between", file({"a": t(shape=(2,), end=2), "e": t(shape=(0,), begin=2, end=2), "b": t(shape=(2,), begin=2, end=4)}, d)
    yield "tensors out of order", file({"b": t(shape=(2,), begin=2, end=4), "a": t(shape=(2,), end=2)}, d)
    yield "metadata", file({"__metadata__": {"format": "pt", "é": "\u65e5\u672c"}, "a": t()}, d)
    yield "empty metadata", file({"__metadata__": {}, "a": t()}, d)
    yield "misaligned float", file({"a": t(shape=(1,), end=1), "b": t("F32", (1,), 1, 5)}, d + b"\5")
    yield "name of any Unicode", file({"\u65e5\u672c/../\u0000": t()}, d)
    yield "empty name", file({"": t()}, d)


def verdict(data):
    try:
        deserialize(data)
        return "ok"
    except safetensors.SafetensorError as e:
        return str(e).removeprefix("Error while deserializing: ")[:60]
    except Exception as e:  # how the binding reports what it cannot build
        return type(e).__name__


def reference():
    import ml_dtypes

    rng = np.random.default_rng(7)
    edge = np.array([0.0, -0.0, 1.0, 65504.0, 65519.99, 65520.0, 6e-8, 2.98e-8, 2.99e-8, 6.1e-5, np.inf, -np.inf, 3.4e38, 1e-45, 3.39e38], np.float32)
    f32 = np.concatenate([edge, rng.standard_normal(241).astype(np.float32) * 10 ** rng.uniform(-8, 5, 241).astype(np.float32)])
    with np.errstate(over="ignore"):
        arrays = {
            "f32": ("float32", f32),
            "f16": ("float16", f32.astype(np.float16)),
            "bf16": ("bfloat16", f32.astype(ml_dtypes.bfloat16)),
            "f64": ("float64", f32.astype(np.float64)),
            "i32": ("int32", np.arange(-6, 6, dtype=np.int32).reshape(3, 4)),
            "u8": ("uint8", np.arange(5, dtype=np.uint8)),
            "bool": ("bool", np.array([True, False])),
            "scalar": ("float32", np.array(2.5, np.float32)),
        }
    tensors = {k: TensorSpec(dtype=d, shape=a.shape, data_ptr=a.ctypes.data, data_len=a.nbytes) for k, (d, a) in arrays.items()}
    return serialize(tensors, {"format": "pt"})  # one key: their order is random


def check(path):
    with open(path, "rb") as f:
        out = deserialize(f.read())
    with safetensors.safe_open(path, "np") as f:
        print(json.dumps({"metadata": f.metadata(), "tensors": {k: [v["dtype"], v["shape"], len(v["data"])] for k, v in out}}, sort_keys=True))


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "check":
        return check(sys.argv[2])
    with open(os.path.join(HERE, "reference.safetensors"), "wb") as f:
        f.write(reference())
    cases = [{"name": n, "hostile": h, "reference": verdict(b), "file": base64.b64encode(b).decode()}
             for h, g in ((True, attacks()), (False, good())) for n, b in g]
    with open(os.path.join(HERE, "attacks.json"), "w") as f:
        json.dump({"maker": "make_vectors.py, safetensors 0.8.0", "cases": cases}, f, indent=0)
        f.write("\n")


main()
