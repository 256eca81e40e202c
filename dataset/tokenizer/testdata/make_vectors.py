#!/usr/bin/env python3
"""Expectations for the tokenizer package, made by the Rust library "tokenizers".

    python3 -m venv venv && venv/bin/pip install tokenizers==0.23.3 jinja2==3.1.6 gguf==0.19.0
    venv/bin/python make_vectors.py small --model DIR [--vocab-gguf FILE] [--aozora FILE.jsonl]
    venv/bin/python make_vectors.py large --model DIR --aozora FILE.jsonl --out FILE [--strings 1000000]

small writes the committed files beside this script:
  vectors.json.gz   texts, chats and small tokenizers with their ids
  aozora-dev.sums   with --aozora: SHA-256 of each document's ids (little-endian int32)
  pieces.sum        with --vocab-gguf: SHA-256 over the pieces of that vocabulary
large writes one file for BOREA_TOKENIZER_ORACLE (format: see put). The documents of
aozora-dev are public-domain prose, one JSON object with id and text a line.
"""
import argparse, gzip, hashlib, json, os, random, struct

import tokenizers
from tokenizers import Tokenizer
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = os.path.dirname(os.path.abspath(__file__))


def load(model):
    t = Tokenizer.from_file(os.path.join(model, "tokenizer.json"))
    t.no_truncation()
    t.no_padding()
    return t


def plain(model):
    """The same tokenizer with no added token, so that nothing in a text is recognised."""
    with open(os.path.join(model, "tokenizer.json"), encoding="utf-8") as f:
        j = json.load(f)
    j["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(j))


def template(model):
    with open(os.path.join(model, "chat_template.jinja"), encoding="utf-8") as f:
        env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        t = env.from_string(f.read())
    return lambda msgs, gen: t.render(messages=msgs, add_generation_prompt=gen, eos_token="<|endoftext|>")


def documents(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            d = json.loads(line)
            yield d["id"], d["text"]


SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\u3000", "\u00a0", "\u2003", "\u0085", "\u2028", "\u200b", "\ufeff", "\u2581", "\u1680"]


def random_text(rng, pieces, specials):
    out = []
    for _ in range(rng.randint(1, 12)):
        k = rng.randrange(10)
        if k == 0:
            out.append(rng.choice(SPACES) * rng.randint(1, 20))
        elif k == 1:
            out.append(rng.choice(specials))
        elif k <= 4:
            out.append(rng.choice(pieces).replace("\u2581", " "))
        elif k == 5:
            out.append("".join(chr(rng.randint(0x20, 0x7e)) for _ in range(rng.randint(1, 12))))
        elif k == 6:
            out.append("".join(chr(rng.randint(0x3041, 0x30ff)) for _ in range(rng.randint(1, 8))))
        elif k == 7:
            out.append("".join(chr(rng.randint(0x4e00, 0x9fff)) for _ in range(rng.randint(1, 6))))
        else:
            c = rng.randrange(0x110000) if k == 8 else rng.randrange(0x3000)
            out.append("\ufffd" if 0xD800 <= c < 0xE000 else chr(c))
    return "".join(out)


def chats(docs, n, rng):
    """Two-turn chats of neighbouring lines, some with a system message."""
    lines = [l for _, text in docs for l in text.split("\n") if l.strip("\u3000 ")]
    for i in range(n):
        at = rng.randrange(len(lines) - 5)
        msgs = [] if i % 3 else [{"role": "system", "content": lines[at]}]
        for k in range(2):
            msgs.append({"role": "user", "content": lines[at + 1 + 2 * k][:400]})
            msgs.append({"role": "assistant", "content": lines[at + 2 + 2 * k][:400]})
        gen = i % 2 == 0
        yield (msgs[:-1] if gen else msgs), gen


FIXED = ["", " ", "  ", "a", " a", "a ", "Hello world", "<|user|>\nhi<|end|>\n<|assistant|>\n", "<s>a</s> b", "</s>  x",
         "<|end|>", " <|end|> ", "<|end|>\u3000\n x", "<|end|>\u200b x", "<|end", "<<|end|>>", "<unk><unk>", "<0x0A>", "\n\n",
         "評価と統計", "日本国憲法 施行規則", "Don't you love \U0001f917 Transformers?", "\u2581\u2581a", "x" * 300, " " * 300,
         "ab" * 400, "=" * 777, "のでので" * 100, "\U0010ffff\x00\x01", "\ud7ff\ue000", "e\u0301\u0301", "<|endoftext|> a<|placeholder1|>  b"]


def tiny(added, norm=None, pre=None, **model):
    vocab = ["<unk>", "a", "b", "c", "\u2581", "ab", "abc", "bc", "\u2581a", "\u2581ab", "\u2581\u2581", "<", ">", "m", "<m", "<m>", "A", "é", "aé"]
    m = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
         "fuse_unk": True, "byte_fallback": False, "ignore_merges": False}
    m["vocab"] = {v: i for i, v in enumerate(vocab + model.pop("more", []))}
    m["merges"] = [["a", "b"], ["\u2581", "a"], ["b", "c"], ["ab", "c"], ["a", "bc"], ["\u2581a", "b"], ["\u2581", "ab"], ["\u2581", "\u2581"],
                   ["<", "m"], ["<m", ">"], ["a", "é"]] + model.pop("merge", [])
    m.update(model)
    ids, toks = dict(m["vocab"]), []
    for content, flags in added:
        t = {"id": ids.setdefault(content, len(ids)), "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": False}
        t.update({f: True for f in flags.split()})
        toks.append(t)
    strip = [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
             {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": toks, "normalizer": norm, "pre_tokenizer": pre,
            "post_processor": None, "decoder": {"type": "Sequence", "decoders": strip}, "model": m}


def variants():
    phi = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"},
                                               {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}
    meta = lambda scheme, split: {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": split}
    marks = [("<m>", "lstrip rstrip special"), ("[w]", "single_word"), ("[n]", "normalized"), ("[l]", "lstrip special"), ("[ll]", "")]
    some = [("<m>", "special rstrip"), ("[w]", "single_word special")]
    byte = ["<0x%02X>" % b for b in range(256)]
    yield "added token rules", tiny(marks, norm=phi)
    yield "no normalized token", tiny(some, norm=phi)
    yield "prefixes", tiny([("[l", "special"), ("[l]", ""), ("[", "lstrip"), ("[ll]", "rstrip")], norm=phi)
    yield "normalized, lstrip", tiny([("ab", "normalized lstrip rstrip"), ("<m>", "normalized single_word")], norm=phi)
    yield "replace first", tiny(some, norm={"type": "Sequence", "normalizers": phi["normalizers"][::-1]})
    yield "no normalizer", tiny(some)
    yield "long replacement", tiny(some, norm={"type": "Replace", "pattern": {"String": "ab"}, "content": "cab "})
    yield "unknowns not fused", tiny(some, norm=phi, fuse_unk=False)
    yield "no unknown", tiny(some, norm=phi, unk_token=None)
    yield "bytes", tiny(some, norm=phi, byte_fallback=True, more=byte)
    yield "half of the bytes", tiny(some, norm=phi, byte_fallback=True, more=byte[:0xA0])
    yield "merges of bytes", tiny(some, norm=phi, byte_fallback=True, more=byte + ["<0xC3><0xA0>", "a<0x64>"],
                                  merge=[["<0xC3>", "<0xA0>"], ["a", "<0x64>"]])
    yield "merges of unknowns", tiny(some, norm=phi, more=["a<unk>", "<unk>b"], merge=[["a", "<unk>"], ["<unk>", "b"]])
    for scheme in ("always", "first", "never"):
        for split in (False, True):
            yield "metaspace %s %s" % (scheme, split), tiny(some, pre=meta(scheme, split))
    yield "metaspace and normalized tokens", tiny(marks, pre=meta("first", False))


def variant_cases(rng):
    parts = ["a", "b", "c", "ab", "abc", " ", "  ", "<m>", "[w]", "[n]", "[l]", "[ll]", "[", "d", "é", "à", "à", "\n", "\u3000", "_", "\u2581", "<unk>", "<", "m>", "日"]
    out = []
    for name, spec in variants():
        t = Tokenizer.from_str(json.dumps(spec))
        cases = []
        for _ in range(120):
            s = "".join(rng.choice(parts) for _ in range(rng.randint(0, 9)))
            ids = t.encode(s).ids
            cases.append({"text": s, "ids": ids, "decoded": t.decode(ids), "kept": t.decode(ids, skip_special_tokens=False)})
        out.append({"name": name, "tokenizer": spec, "cases": cases})
    return out


def text_case(t, p, s):
    ids = t.encode(s).ids
    return {"text": s, "ids": ids, "plain": p.encode(s).ids, "decoded": t.decode(ids), "kept": t.decode(ids, skip_special_tokens=False)}


def small(a):
    rng = random.Random(20261125)
    t, p, render = load(a.model), plain(a.model), template(a.model)
    pieces = sorted(t.get_vocab(with_added_tokens=False))
    specials = [x.content for x in t.get_added_tokens_decoder().values()]
    texts = FIXED + [random_text(rng, pieces, specials) for _ in range(900)]
    docs = list(documents(a.aozora)) if a.aozora else []
    for _, text in docs[:40]:
        texts += text.split("\n")[3:6]
    talk = list(chats(docs, 60, rng)) if docs else []
    talk += [([{"role": "user", "content": c}], g) for c in ("", " ", "\n\n a \n", "\u3000字下げ\u3000", "a  b") for g in (True, False)]
    talk += [([{"role": "system", "content": ""}, {"role": "user", "content": "x"}], True), ([], True), ([], False)]
    v = {"made_by": "make_vectors.py small, tokenizers %s" % tokenizers.__version__, "texts": [text_case(t, p, s) for s in texts],
         "chats": [{"messages": m, "generate": g, "text": render(m, g), "ids": t.encode(render(m, g)).ids} for m, g in talk],
         "decode": decode_cases(t, rng), "variants": variant_cases(rng)}
    with gzip.GzipFile(os.path.join(HERE, "vectors.json.gz"), "wb", 9, mtime=0) as f:
        f.write(json.dumps(v, ensure_ascii=False, separators=(",", ":")).encode("utf-8"))
    if docs:
        write_sums(t, docs)
    if a.vocab_gguf:
        write_pieces(a.vocab_gguf)


def decode_cases(t, rng):
    """Ids in any order: broken runs of bytes, ids that do not exist."""
    out = []
    for _ in range(300):
        ids = [rng.choice((rng.randrange(3, 259), rng.randrange(32011), rng.randrange(0xC0, 0x100) + 3, rng.randrange(40000), 29871))
               for _ in range(rng.randint(1, 10))]
        out.append({"ids": ids, "decoded": t.decode(ids), "kept": t.decode(ids, skip_special_tokens=False)})
    return out


def write_sums(t, docs):
    with open(os.path.join(HERE, "aozora-dev.sums"), "w") as f:
        for i, (_, text) in enumerate(docs):
            ids = t.encode(text).ids
            h = hashlib.sha256(struct.pack("<%di" % len(ids), *ids)).hexdigest()[:32]
            f.write("%d %d %s\n" % (i, len(ids), h))


def write_pieces(path):
    """The pieces, scores and types that llama.cpp is given for this vocabulary."""
    from gguf import GGUFReader
    f = GGUFReader(path).fields
    get = lambda k: f["tokenizer.ggml." + k].contents()
    h, n = hashlib.sha256(), 0
    for text, score, typ in zip(get("tokens"), get("scores"), get("token_type")):
        if typ == 5:
            break
        h.update(("%s\t%.0f\t%d\n" % (text, score, typ)).encode("utf-8"))
        n += 1
    with open(os.path.join(HERE, "pieces.sum"), "w") as out:
        out.write("%d %s\n" % (n, h.hexdigest()))


def put(f, kind, text, ids):
    """Little-endian: kind (1 byte: t text, c chat as JSON messages), text length and number of ids (4 each), text, ids (4 each)."""
    b = text.encode("utf-8")
    f.write(struct.pack("<cII", kind, len(b), len(ids)) + b + struct.pack("<%di" % len(ids), *ids))


def large(a):
    rng = random.Random(a.seed)
    t, render = load(a.model), template(a.model)
    pieces = sorted(t.get_vocab(with_added_tokens=False))
    specials = [x.content for x in t.get_added_tokens_decoder().values()]
    docs = list(documents(a.aozora))
    with open(a.out, "wb") as f:
        for _, text in docs:
            put(f, b"t", text, t.encode(text).ids)
        for msgs, gen in chats(docs, a.chats, rng):
            body = json.dumps({"messages": msgs, "generate": gen}, ensure_ascii=False)
            put(f, b"c", body, t.encode(render(msgs, gen)).ids)
        for done in range(0, a.strings, 5000):
            batch = [random_text(rng, pieces, specials) for _ in range(min(5000, a.strings - done))]
            for s, e in zip(batch, t.encode_batch_fast(batch)):
                put(f, b"t", s, e.ids)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=("small", "large"))
    p.add_argument("--model", required=True)
    p.add_argument("--aozora")
    p.add_argument("--vocab-gguf")
    p.add_argument("--out")
    p.add_argument("--strings", type=int, default=1000000)
    p.add_argument("--chats", type=int, default=6000)
    p.add_argument("--seed", type=int, default=1)
    a = p.parse_args()
    {"small": small, "large": large}[a.what](a)


if __name__ == "__main__":
    main()
