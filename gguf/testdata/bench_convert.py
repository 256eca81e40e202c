"""Compares the cost of making a Q5_K_M file of a model of Phi-3.5-mini's true shape
(3.8 billion weights, generated while they are read): in one pass by this package,
and by a conversion to F16 followed by llama.cpp's llama_model_quantize. Core
seconds are user and system time of the process; peak memory is its resident set.

Usage: python bench_convert.py NPM_DIRECTORY WORK_DIRECTORY [LAYERS]
WORK_DIRECTORY needs 13 GB, which are freed at the end. Needs what whole_file.py
needs. Exit code 1 if the one pass takes more than a tenth of the core seconds or
more than 512 MiB."""
import json
import pathlib
import resource
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import whole_file  # noqa: E402

ROOT = pathlib.Path(__file__).parents[2]


def reference(npm, src, dst):
    """Runs in a process of its own, for its own resource usage."""
    lib = whole_file.load(npm)
    start = time.monotonic()
    whole_file.quantize(lib, src, dst, whole_file.FTYPES["Q5_K_M"], None)
    use = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"wall_seconds": time.monotonic() - start, "user_seconds": use.ru_utime, "system_seconds": use.ru_stime,
                      "peak_rss_kib": use.ru_maxrss}))


def line(name, r):
    cores = r["user_seconds"] + r["system_seconds"]
    print(f"{name:34} {r['wall_seconds']:8.1f} s wall {cores:8.1f} core seconds {r['peak_rss_kib'] / 1024:8.0f} MiB peak", flush=True)
    return cores


def main():
    npm, work = sys.argv[1], pathlib.Path(sys.argv[2])
    layers = sys.argv[3] if len(sys.argv) > 3 else "32"
    work.mkdir(parents=True, exist_ok=True)
    tool, f16, ours, theirs = work / "bench", work / "f16.gguf", work / "ours.gguf", work / "theirs.gguf"
    subprocess.run(["go", "build", "-o", tool, "./gguf/testdata/bench"], cwd=ROOT, check=True)

    def convert(recipe, out):
        cmd = [tool, "-type", recipe, "-out", out, "-layers", layers]
        return json.loads(subprocess.run(cmd, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)

    try:
        r = convert("Q5_K_M", ours)
        one = line(f"one pass, {r['weights']} weights", r)
        peak = r["peak_rss_kib"]
        two = line("conversion to F16", convert("F16", f16))
        said = subprocess.run([sys.executable, __file__, "--reference", npm, f16, theirs], check=True, stdout=subprocess.PIPE).stdout
        r = json.loads(next(s for s in said.splitlines() if s.startswith(b"{")))  # the library prints there too
        two += line("llama_model_quantize", r)
        a, b = whole_file.tensors(ours), whole_file.tensors(theirs)
        same = sum(x == y for x, y in zip(a, b))
        types = sum(x[:2] == y[:2] for x, y in zip(a, b))
        print(f"{two / one:.1f} times fewer core seconds; {types} of {len(b)} tensors of the same type, {same} with the same bytes")
    finally:
        for f in (tool, f16, ours, theirs):
            f.unlink(missing_ok=True)
    sys.exit(int(two < 10 * one or peak > 512 * 1024))


if __name__ == "__main__":
    if sys.argv[1] == "--reference":
        reference(*sys.argv[2:])
    else:
        main()
