"""Writes sklearn_counts.json: counts per class of scikit-learn's stratified splits.

pip install scikit-learn==1.6.1 && python make_vectors.py > sklearn_counts.json

Cases in which several random states give different counts hold a tie, which
scikit-learn draws at random; they are left out. Errors are kept as "error".
"""
import json
import random

from sklearn.model_selection import train_test_split

LATER = [[0.2], [0.25], [0.1], [0.07], [0.5], [0.1, 0.1], [0.15, 0.15], [0.05, 0.2]]


def nested(labels, later, state):
    """Parts by nested calls: the first part against the rest, and so on."""
    fractions = [1 - sum(later)] + later
    rest, out = labels, []
    for i in range(len(fractions) - 1):
        tail = 0.0
        for f in fractions[i + 1:]:
            tail += f
        test_size = tail / (tail + fractions[i])
        train, rest = train_test_split(rest, test_size=test_size, stratify=rest, random_state=state)
        out.append(train)
    out.append(rest)
    return [[part.count(c) for c in sorted(set(labels))] for part in out]


def attempt(labels, later, state):
    try:
        return nested(labels, later, state)
    except ValueError:
        return None


def main():
    rng = random.Random(7)
    cases = []
    while len(cases) < 400:
        counts = [rng.randint(1, rng.choice([3, 20, 300])) for _ in range(rng.randint(1, 6))]
        later = rng.choice(LATER)
        labels = [chr(97 + c) for c, n in enumerate(counts) for _ in range(n)]
        case = {"counts": counts, "fractions": [1 - sum(later)] + later}
        results = [attempt(labels, later, s) for s in range(8)]
        if any(r != results[0] for r in results):
            continue
        if results[0] is None:
            if rng.random() < 0.8:
                continue
            case["error"] = True
        else:
            case["parts"] = results[0]
        cases.append(case)
    print("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]")


if __name__ == "__main__":
    main()
