"""Writes naivebayes.json: scikit-learn's multinomial naive Bayes on random texts.

python -m venv v && v/bin/pip install scikit-learn==1.9.1
v/bin/python make_naivebayes.py > naivebayes.json
"""
import json
import random

from sklearn.feature_extraction.text import CountVectorizer
from sklearn.naive_bayes import MultinomialNB

rng = random.Random(3)
cases = []
for low, high, alpha, classes in [(1, 1, 1.0, 4), (1, 3, 1.0, 4), (2, 3, 0.25, 4), (1, 2, 0.5, 3)]:
    text = lambda k: "".join(rng.choice("あいうえおかきくけこ資料許可" + "abcd"[k] * 3) for _ in range(rng.randint(1, 25)))
    y = [rng.randrange(classes) for _ in range(40)] + list(range(classes))
    train = [text(k) for k in y]
    test = [text(rng.randrange(4)) for _ in range(15)] + ["未", "あ"]
    v = CountVectorizer(analyzer="char", ngram_range=(low, high), lowercase=False)
    m = MultinomialNB(alpha=alpha).fit(v.fit_transform(train), y)
    cases.append(dict(low=low, high=high, alpha=alpha, train=train, y=y, test=test,
                      p=m.predict_proba(v.transform(test)).tolist()))
print(json.dumps(cases, ensure_ascii=False))
