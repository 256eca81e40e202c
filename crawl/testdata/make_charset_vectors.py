#!/usr/bin/env python3
"""Writes charset_vectors.json: Japanese text encoded by Python's own codecs.

Text: sentences written for this purpose. Python 3.11 or later, nothing else.
Run it in this folder.
"""
import base64
import json

TEXTS = {
    "prose": "吾が国の港では、朝早くから船の出入りが続いている。荷物を積んだトラックが列をつくり、係の人が一台ずつ書類を確かめていた。",
    "short": "お知らせ",
    "katakana": "コンピューターとインターネットのセキュリティについて",
    "kanji": "国土交通省航空局安全政策課",
    "mixed": "JAXAは2003年10月に3つの機関が統合して発足した（本社: 調布市）。",
    "half": "ﾊﾝｶｸｶﾅを少しだけ含む文章である。残りは普通の仮名と漢字で書いてある。",
    "marks": "「〜」や“引用”、①②③、㈱と㎡、髙島と﨑を含む文。",
    "markup": "<html><head><title>道路と橋の点検</title></head><body><p class=\"x\">五年に一度、近くから目で見て点検する。</p></body></html>",
}
CODECS = {"utf-8": "utf-8", "shift_jis": "cp932", "euc-jp": "euc_jp", "iso-2022-jp": "iso2022_jp"}

out = []
for name, text in TEXTS.items():
    for label, codec in CODECS.items():
        try:
            raw = text.encode(codec)
        except UnicodeEncodeError:
            continue
        out.append({"name": name, "charset": label, "text": raw.decode(codec), "bytes": base64.b64encode(raw).decode()})
with open("charset_vectors.json", "w", encoding="utf-8") as f:
    json.dump(out, f, ensure_ascii=False, indent=0)
    f.write("\n")
