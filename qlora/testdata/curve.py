"""Makes lora200.ids.gz and lora200.json: PEFT's loss over 200 steps.

    python3 -m venv V && V/bin/pip install torch==2.9.1 transformers==5.23.0 peft==0.21.2 safetensors==0.8.0
    V/bin/python qlora/testdata/curve.py [--texts documents.jsonl]

Rank 8 on the four fused linears of the bundled model, from the start weights in
phi3-aozora-10m.safetensors, AdamW at 1e-3, four rows of 128 tokens a step. The
base is held in float32 and in bfloat16; PEFT keeps adapters in float32 over
both. The float32 curve's first 30 steps must repeat the reference's. Rows are cut
from JSONL documents with a "text": block after block of each document in turn.
Without --texts the rows that the repository holds are used again."""
import argparse
import array
import gzip
import json
import pathlib

import torch
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = pathlib.Path(__file__).parent
MODEL = HERE.parents[1] / "examples/fullpipeline/model"
FUSED = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
STEPS, BATCH, ROW = 200, 4, 128


def cut(texts):
    """Cuts rows: the first 128 tokens of every document, then the second, ..."""
    tok = AutoTokenizer.from_pretrained(MODEL)
    docs = [tok(json.loads(line)["text"][:4000], add_special_tokens=False).input_ids for line in open(texts, encoding="utf-8")]
    rows, block = [], 0
    while len(rows) < STEPS * BATCH:
        rows += [[1] + d[block * ROW: (block + 1) * ROW - 1] for d in docs if len(d) >= (block + 1) * ROW]
        block += 1
    return rows[: STEPS * BATCH]


def kept():
    a = array.array("i", gzip.decompress((HERE / "lora200.ids.gz").read_bytes()))
    return [a[i: i + ROW].tolist() for i in range(0, len(a), ROW)]


def curve(dtype, rows, device):
    m = AutoModelForCausalLM.from_pretrained(MODEL, dtype=dtype, attn_implementation="sdpa").to(device)
    m = get_peft_model(m, LoraConfig(r=8, lora_alpha=16, target_modules=FUSED)).train()
    with safe_open(HERE / "phi3-aozora-10m.safetensors", "pt") as g, torch.no_grad():
        for name, p in m.named_parameters():
            if p.requires_grad:
                p.copy_(g.get_tensor("lora." + name.removeprefix("base_model.model.").replace(".default", "")))
    params = [p for p in m.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses = []
    for step in range(STEPS):
        ids = torch.tensor(rows[BATCH * step: BATCH * (step + 1)], device=device)
        loss = m(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        opt.zero_grad()
        losses.append(round(loss.item(), 6))
    return losses


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--texts", help="JSONL documents to cut rows from")
    a.add_argument("--device", default="cpu")
    o = a.parse_args()
    rows = cut(o.texts) if o.texts else kept()
    out = {"rows": "lora200.ids.gz", "torch": torch.__version__, "f32": curve(torch.float32, rows, o.device)}
    want = json.loads((HERE / "phi3-aozora-10m.json").read_text())["lora_curve"]
    off = max(abs(got / w[0] - 1) for got, w in zip(out["f32"], want))
    if off > 1e-4:
        raise SystemExit(f"the first {len(want)} steps are off the reference's by {off:.1e}")
    out["bf16"] = curve(torch.bfloat16, rows, o.device)
    flat = array.array("i", [i for r in rows for i in r])
    (HERE / "lora200.ids.gz").write_bytes(gzip.compress(flat.tobytes(), 9, mtime=0))
    (HERE / "lora200.json").write_text(json.dumps(out) + "\n")
    worst = max(abs(b / f - 1) for f, b in zip(out["f32"], out["bf16"]))
    mean = sum(out["bf16"]) / sum(out["f32"]) - 1
    print(f"bf16 beside f32: worst step {worst:.2%}, whole curve {mean:+.3%}; last {out['f32'][-1]}")


main()
