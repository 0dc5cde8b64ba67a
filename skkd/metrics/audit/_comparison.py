"""Scores of some images held against those of others."""

import numpy as np

from skkd.metrics.audit._samples import permuted

# Numbers in memory at a time.
_MOST_NUMBERS = 4_000_000
# Permutations a comparison, so that the least p-value is 0.01 after a correction.
_DRAWS_PER_TEST = 100
# Fewer differences as far as the one found leave its p-value too coarse to correct.
_FEW = 10


class Comparison:
    """How parts of images compare with others, as rows of a report.

    Parameters
    ----------
    scores : dict
        What is measured, by name.
    min_count : int
        Least number of patients that are scored.
    confidence : float
        Confidence of intervals.
    n_resamples : int
        Number of resamples and of permutations.
    seed : int
        Seed of both. Each comparison begins with it anew, so that equal ones come out equal.
    """

    def __init__(self, scores, min_count, confidence, n_resamples, seed):
        self._scores = scores
        self._min_count = min_count
        self._confidence = confidence
        self._n_resamples = n_resamples
        self._seed = seed
        self._tests = []

    def whole(self, sample, other, name):
        """Return the rows of all images of a set, held against another set if there is one."""
        if other is None:
            everything = np.ones((1, len(sample.y)), dtype=bool)
            return self._rows(sample, everything, [(name, name, 0, None)])
        joined = other.joined(sample)
        inside = np.arange(len(joined.y)) >= len(other.y)
        return self._rows(joined, np.stack([inside, ~inside]), [(name, name, 0, 1)])

    def column(self, sample, column, codes, values):
        """Return the rows of a column, each value held against the others."""
        inside = [codes == code for code in range(len(values))]
        if len(values) < 2:
            return self._rows(sample, np.stack(inside), [(column, values[0], 0, None)])
        if len(values) == 2:
            parts = [(column, values[0], 0, 1), (column, values[1], 1, 0)]
            return self._rows(sample, np.stack(inside), parts)
        parts = [(column, value, i, len(values) + i) for i, value in enumerate(values)]
        return self._rows(sample, np.stack([*inside, *np.invert(inside)]), parts)

    def _rows(self, sample, masks, parts):
        """Return a row for each part and score: masks of which images are in and which not."""
        scores = sample.scores(self._scores)
        counted = [sample.n_units(mask) for mask in masks]
        resampling = sample.resampling(self._n_resamples, np.random.RandomState(self._seed))
        keys = [(name, i) for name in scores for i in range(len(masks))]
        of_part = {
            (name, i): _of_part(scores[name], masks[i])
            for name, i in keys
            if counted[i] >= self._min_count
        }
        drawn = {}
        if of_part:
            values = resampling.distribution(list(of_part.values()))
            drawn = dict(zip(of_part, values, strict=True))
        nothing = np.full(self._n_resamples, np.nan)
        rows, tests = [], {}
        for column, value, i, rest in parts:
            for name in scores:
                estimates = [
                    float(of_part[name, k](resampling.whole())[0])
                    if (name, k) in of_part
                    else np.nan
                    for k in (i, rest)
                ]
                ours = drawn.get((name, i), nothing)
                theirs = drawn.get((name, rest), nothing)
                low, high = self._interval(estimates[0], ours)
                difference = estimates[0] - estimates[1]
                ends = self._interval(difference, ours - theirs)
                key = name, *sorted([i, -1 if rest is None else rest])
                if key not in tests:
                    tests[key] = len(self._tests)
                    self._tests.append((sample.units, scores[name], masks[i], difference))
                rows.append(
                    {
                        "column": column,
                        "value": value,
                        "score": name,
                        "n": int(masks[i].sum()),
                        "n_patients": counted[i],
                        "estimate": estimates[0],
                        "low": low,
                        "high": high,
                        "difference": difference,
                        "difference_low": ends[0],
                        "difference_high": ends[1],
                        "_test": tests[key],
                    }
                )
        return rows

    def _interval(self, estimate, drawn):
        drawn = drawn[np.isfinite(drawn)]
        if not np.isfinite(estimate) or not len(drawn):
            return np.nan, np.nan
        tail = (1 - self._confidence) / 2
        return tuple(np.quantile(drawn, [tail, 1 - tail]))

    def p_values(self, *, corrected):
        """Return the p-value of each comparison made, by the number that its rows have.

        One that is to be corrected for many others must be able to become small enough for it: so
        more permutations are drawn until enough of them are as far, or they are many. It remains a
        p-value, as what is drawn before is kept.
        """
        n_tests = sum(np.isfinite(difference) for *_, difference in self._tests)
        most = max(self._n_resamples, _DRAWS_PER_TEST * n_tests if corrected else 0)
        return np.array([self._test(*test, most) for test in self._tests])

    def _test(self, units, score, inside, difference, most):
        if not np.isfinite(difference):
            return np.nan
        random_state = np.random.RandomState(self._seed)
        as_far = n_defined = 0
        size = max(1, _MOST_NUMBERS // len(inside))
        n_drawn, end = 0, self._n_resamples
        while n_drawn < end:
            n = min(size, end - n_drawn)
            drawn = permuted(inside, units, n, random_state)
            found = score(drawn.astype(float)) - score((~drawn).astype(float))
            found = np.abs(found[np.isfinite(found)])
            n_defined += len(found)
            # Sums of other rows, equal but for rounding, are as far.
            as_far += int((found >= abs(difference) - 1e-9).sum())
            n_drawn += n
            if n_drawn == end and as_far < _FEW:
                end = min(2 * end, most)
        return (as_far + 1) / (n_defined + 1)


def _of_part(score, mask):
    return lambda counts: score(counts * mask)
