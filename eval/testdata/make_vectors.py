"""Writes vectors.json: figures of scikit-learn, SciPy and statsmodels on random samples.

python -m venv v && v/bin/pip install scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.15.0 numpy==2.4.6
v/bin/python make_vectors.py > vectors.json
"""
import json
import sys
import warnings

import numpy as np
from scipy import optimize, stats
from sklearn import metrics as m
from statsmodels.stats.multitest import multipletests

warnings.filterwarnings("ignore")
rng = np.random.default_rng(5)
L = [0, 1, 2, 3]


def prf(t, p, labels, zero):
    kw = dict(labels=labels, zero_division=zero)
    out = {}
    for avg in ("macro", "weighted", "micro"):
        r = m.precision_recall_fscore_support(t, p, average=avg, **kw)
        out[avg] = [None if np.isnan(v) else float(v) for v in r[:3]]
    return out


def case(n, classes, skew, quantised):
    w = np.array([skew ** k for k in range(4)], float)
    w[[k for k in L if k not in classes]] = 0
    t = rng.choice(4, n, p=w / w.sum())
    z = rng.normal(size=(n, 4)) + 1.5 * np.eye(4)[t]
    if quantised:
        z = np.round(z)  # ties in the scores
    q = np.exp(z - z.max(1, keepdims=True))
    q /= q.sum(1, keepdims=True)
    p = q.argmax(1)
    if not quantised:
        p = np.where(rng.random(n) < .1, rng.choice(classes, n), p)
    present = sorted(set(t.tolist()))
    auroc, ap = [], []
    for k in L:
        y = (t == k).astype(int)
        auroc.append(float(m.roc_auc_score(y, q[:, k])) if 0 < y.sum() < n else None)
        ap.append(float(m.average_precision_score(y, q[:, k])) if y.sum() else None)
    per = m.precision_recall_fscore_support(t, p, labels=L, zero_division=np.nan)
    nll = lambda b: float(np.mean(np.log(np.exp(b * (z - z.max(1, keepdims=True))).sum(1)) - b * (z[np.arange(n), t] - z.max(1))))
    best = optimize.minimize_scalar(nll, bounds=(.01, 100), method="bounded", options=dict(xatol=1e-12))
    return dict(
        truth=t.tolist(), pred=p.tolist(), prob=q.ravel().tolist(), logits=z.ravel().tolist(),
        confusion=m.confusion_matrix(t, p, labels=L).tolist(),
        accuracy=float(m.accuracy_score(t, p)), mcc=float(m.matthews_corrcoef(t, p)),
        per_class=[[None if np.isnan(v) else float(v) for v in row] for row in per[:3]],
        union=prf(t, p, None, 0), fixed=prf(t, p, L, 0), fixed1=prf(t, p, L, 1), omit=prf(t, p, L, np.nan),
        supported=prf(t, p, present, 0),
        brier=float(m.brier_score_loss(t, q, labels=L, scale_by_half=False)),
        nll=float(m.log_loss(t, q, labels=L)), auroc=auroc, ap=ap,
        temperature_nll=float(best.fun), temperature=1 / float(best.x),
    )


def bootstrap():
    x = rng.gamma(2, size=40)
    r = stats.bootstrap((x,), np.mean, n_resamples=399, method="BCa", random_state=1)
    # percentile over the same replicates
    s = stats.bootstrap((x,), np.mean, n_resamples=0, method="percentile", bootstrap_result=r)
    return dict(x=x.tolist(), dist=np.sort(r.bootstrap_distribution).tolist(),
                bca=list(map(float, r.confidence_interval)), percentile=list(map(float, s.confidence_interval)))


bounds = []
for n in (1, 2, 5, 17, 100, 299, 2995, 100000):
    for k in sorted({0, 1, n // 3, n // 2, n - 1, n}):
        ci = stats.binomtest(k, n).proportion_ci(.95, "exact")
        one = stats.binomtest(k, n, alternative="less").proportion_ci(.95, "exact")
        bounds.append([k, n, float(ci.low), float(ci.high), float(one.high)])
mcnemar = [[b, c, float(stats.binomtest(b, b + c).pvalue) if b + c else 1.0]
           for b, c in [(0, 0), (0, 1), (1, 0), (3, 3), (5, 12), (40, 12), (0, 30), (200, 260), (1000, 1100)]]
pv = [.01, .04, .03, .005, .5, .04]
json.dump(dict(
    cases=[case(200, L, 1, False), case(157, L, .3, False), case(90, [0, 1, 3], .6, True), case(60, [0, 2], 1, True),
           case(12, L, 1, False), case(1000, L, .2, True)],
    bounds=bounds, mcnemar=mcnemar, bootstrap=bootstrap(),
    holm=dict(p=pv, adjusted=multipletests(pv, method="holm")[1].tolist()),
), sys.stdout)
