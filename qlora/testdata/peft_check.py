"""Checks this package's adapters against PEFT over transformers, both ways.

Set up once, anywhere outside the repository (Python 3.11, about 7 GB):

    python3 -m venv VENV
    VENV/bin/pip install torch==2.9.1 transformers==5.23.0 peft==0.21.2 safetensors==0.8.0

Run, from the repository root, with an empty folder DIR:

    BOREA_PEFT_DIR=DIR go test -run TestPEFT ./qlora    # writes DIR/ours
    VENV/bin/python qlora/testdata/peft_check.py DIR    # checks it, writes DIR/peft
    BOREA_PEFT_DIR=DIR go test -run TestPEFT ./qlora    # checks DIR/peft

With a second argument the script writes the adapters that the repository
keeps: peft_check.py DIR qlora/testdata/peft-adapter.

Fused names are loaded over Phi3ForCausalLM. Split names (q_proj, ...) have no
place in that class, so they are loaded over a LlamaForCausalLM that holds the
same weights cut into the same rows, which computes the same function.
"""

import json
import os
import pathlib
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

MODEL = pathlib.Path(__file__).parent / "phi3-mini-gqa"
TOLERANCE = 1e-4
FUSED = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
SPLIT = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def phi3():
    return AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32, attn_implementation="eager").eval()


def llama():
    """The same model under split names."""
    source = phi3()
    c = source.config
    config = LlamaConfig(
        hidden_size=c.hidden_size, intermediate_size=c.intermediate_size, num_hidden_layers=c.num_hidden_layers,
        num_attention_heads=c.num_attention_heads, num_key_value_heads=c.num_key_value_heads,
        vocab_size=c.vocab_size, max_position_embeddings=c.max_position_embeddings,
        rms_norm_eps=c.rms_norm_eps, rope_parameters=c.rope_parameters, tie_word_embeddings=c.tie_word_embeddings,
        attn_implementation="eager",
    )
    config.original_max_position_embeddings = c.original_max_position_embeddings
    model = LlamaForCausalLM(config).to(torch.float32).eval()
    head = c.hidden_size // c.num_attention_heads
    rows = [c.num_attention_heads * head, c.num_key_value_heads * head, c.num_key_value_heads * head]
    state = {}
    for name, value in source.state_dict().items():
        if "qkv_proj" in name:
            for part, v in zip(SPLIT[:3], value.split(rows)):
                state[name.replace("qkv_proj", part)] = v.clone()
        elif "gate_up_proj" in name:
            for part, v in zip(SPLIT[4:6], value.chunk(2)):
                state[name.replace("gate_up_proj", part)] = v.clone()
        else:
            state[name] = value.clone()
    model.load_state_dict(state)
    return model


def input_ids():
    with safe_open(MODEL / "golden.safetensors", "pt") as f:
        return f.get_tensor("input_ids").long().reshape(1, -1)


def logits(model):
    with torch.no_grad():
        return model(input_ids()).logits[0].float().contiguous()


def base(split):
    return llama() if split else phi3()


def check_ours(folder):
    bad = 0
    plain = {split: logits(base(split)) for split in (False, True)}
    print(f"llama form against phi3: {(plain[True] - plain[False]).abs().max():.2e}")
    for adapter in sorted(p for p in folder.iterdir() if p.is_dir()):
        split = adapter.name.startswith("split")
        got = logits(PeftModel.from_pretrained(base(split), adapter).eval())
        with safe_open(adapter / "logits.safetensors", "pt") as f:
            want = f.get_tensor("logits")
        diff = (got - want).abs().max().item()
        effect = (got - plain[split]).abs().max().item()
        print(f"ours, {adapter.name}: largest difference {diff:.2e}, effect of the adapter {effect:.2e}")
        bad += not (diff < TOLERANCE and effect > 0.1)
    return bad


def make(folder, rank, last, variants):
    for seed, (name, (targets, extra)) in enumerate(variants.items()):
        torch.manual_seed(seed)
        config = LoraConfig(r=rank, lora_alpha=3 * rank, target_modules=targets, task_type="CAUSAL_LM", **extra)
        model = get_peft_model(base(targets is SPLIT), config).eval()
        for key, value in model.named_parameters():
            if "lora_" in key:
                torch.nn.init.normal_(value, std=0.05 if "lora_A" in key else 0.03)
        out = folder / name
        model.save_pretrained(out)
        (out / "README.md").unlink(missing_ok=True)
        edit = json.loads((out / "adapter_config.json").read_text())
        edit["base_model_name_or_path"] = MODEL.name
        (out / "adapter_config.json").write_text(json.dumps(edit, indent=1) + "\n")
        again = PeftModel.from_pretrained(base(targets is SPLIT), out).eval()
        save_file({"logits": logits(again)[-last:].contiguous()}, out / "logits.safetensors")
        print(f"peft, {name}: written")


PATTERNS = dict(
    rank_pattern={r"layers\.1\..*\.o_proj": 4, "o_proj": 1},
    # PEFT sorts these when it saves, and the first match counts.
    alpha_pattern={r"(x|down)_proj": 7, "down_proj": 1, r"layers\.1\.self_attn\.o_proj": 5, "o_proj": 9},
)


def main():
    folder = pathlib.Path(sys.argv[1])
    bad = check_ours(folder / "ours")
    make(folder / "peft", 4, 40, {
        "fused": (FUSED, {}),
        "fused-rslora": (FUSED, dict(use_rslora=True)),
        "fused-patterns": (FUSED, PATTERNS),
        "split": (SPLIT, {}),
        "split-rslora": (SPLIT, dict(use_rslora=True)),
    })
    if len(sys.argv) > 2:
        make(pathlib.Path(sys.argv[2]), 2, 8, {
            "fused-rslora": (FUSED, dict(use_rslora=True, **PATTERNS)),
            "split": (SPLIT, {}),
        })
    sys.exit(bad)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
