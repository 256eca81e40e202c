#!/usr/bin/env python3
"""Writes cc100.xz (two streams with padding between, liblzma), c4.json.gz (two
members) and, with pyarrow 22 installed, wikipedia.parquet (three row groups).

The text was written for this purpose. Run it here.
"""
import gzip
import json
import lzma

a = "最初の文書の一行目。\n最初の文書の二行目。\n\n二つ目の文書。\n\n"
b = "三つ目の文書は\r\n改行が違う。\r\n\r\n\n\n四つ目の文書で、最後の改行がない。"
with open("cc100.xz", "wb") as f:
    f.write(lzma.compress(a.encode(), preset=9, check=lzma.CHECK_CRC64))
    f.write(b"\0" * 8)
    f.write(lzma.compress(b.encode(), preset=0, check=lzma.CHECK_SHA256))
rows = [
    {"text": "甲の文書。\n二行ある。", "timestamp": "2019-04-25T00:00:00Z", "url": "http://example.com/a"},
    {"text": "乙の文書。", "timestamp": "2019-04-26T00:00:00Z", "url": "http://example.com/b"},
    {"text": "丙の文書 \u2028 \U00020BB7。", "url": "http://example.com/c"},
]
with open("c4.json.gz", "wb") as f:
    for part in (rows[:2], rows[2:]):
        text = "".join(json.dumps(r, ensure_ascii=len(part) > 1) + "\n" for r in part)
        f.write(gzip.compress(text.encode(), mtime=0))

import pyarrow as pa
import pyarrow.parquet as pq

articles = [
    {"id": str(i), "url": f"https://ja.wikipedia.org/wiki/{i}", "title": f"記事{i}", "text": "" if i == 3 else f"記事{i}の本文。\n二行目である。" * (i + 1)}
    for i in range(7)
]
pq.write_table(pa.Table.from_pylist(articles), "wikipedia.parquet", row_group_size=3, compression="snappy")
