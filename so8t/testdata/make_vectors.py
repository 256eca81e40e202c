#!/usr/bin/env python3
"""Makes exp.json: angles, exp(A) and the adjoint of its derivative from scipy.

    pip install scipy==1.16.3 numpy==2.4.6
    python make_vectors.py

A = theta - theta^T, theta the strict upper triangle row by row; dtheta is the
gradient of sum(dr * exp(A)), from scipy's expm_frechet in each of the 28
directions (no adjoint formula involved).
"""
import json
import os

import numpy as np
import scipy
from scipy.linalg import expm, expm_frechet

UPPER = np.triu_indices(8, 1)


def skew(theta):
    t = np.zeros((8, 8))
    t[UPPER] = theta
    return t - t.T


def case(rng, scale):
    theta, dr = rng.standard_normal(28) * scale, rng.standard_normal((8, 8))
    a = skew(theta)
    grad = [np.sum(dr * expm_frechet(a, skew(e), compute_expm=False)) for e in np.eye(28)]
    return {"scale": scale, "theta": theta.tolist(), "r": expm(a).ravel().tolist(), "dr": dr.ravel().tolist(), "dtheta": grad}


rng = np.random.default_rng(8)
cases = [case(rng, s) for s in (0, 1e-9, 0.01, 0.1, 0.3, 1, 3, 10)]
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "exp.json")
with open(path, "w") as f:
    json.dump({"maker": f"make_vectors.py, scipy {scipy.__version__}", "cases": cases}, f)
    f.write("\n")
