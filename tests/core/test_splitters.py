"""Splitters purge and embargo as the definition says, row by row, and work inside scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skfolio.model_selection import CombinatorialPurgedCV
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import workbench as wb
from workbench.core.types import DAY_NS

PurgedKFold, Combinatorial, WalkForward = (
    wb.validation.PurgedKFold,
    wb.validation.CombinatorialPurgedKFold,
    wb.validation.WalkForward,
)


def slow_train(times, ends, test, embargo):
    """Rows whose label shares no time with a tested one, and that do not follow a block too closely."""
    test = sorted(test)
    blocks = [[test[0]]]
    for row in test[1:]:
        blocks[-1].append(row) if row == blocks[-1][-1] + 1 else blocks.append([row])
    distinct = sorted(set(times))
    kept = []
    for row in range(len(times)):
        if row in test:
            continue
        if any(times[row] <= ends[t] and times[t] <= ends[row] for t in test):
            continue
        dropped = False
        for block in blocks:
            last = max(ends[t] for t in block)
            after = [time for time in distinct if time > last][:embargo]
            dropped |= times[row] in after
        if not dropped:
            kept.append(row)
    return kept


def test_the_constructed_case():
    train, test = list(PurgedKFold(5, purge=2, embargo=1).split(np.zeros(20)))[1]
    assert test.tolist() == [4, 5, 6, 7]
    assert train.tolist() == [0, 1, *range(11, 20)]


ends_of_all_kinds = pytest.mark.parametrize(
    "ends",
    [
        np.arange(20) + 2,  # row positions, the last of them behind the end
        np.minimum(np.arange(20) + 2, 19),
        pd.Series(
            pd.date_range("2020-01-03", periods=20, tz="UTC"),
            pd.date_range("2020-01-01", periods=20, tz="UTC"),
        ),
    ],
    ids=["positions", "clipped positions", "times"],
)


@ends_of_all_kinds
def test_label_ends_purge_as_the_same_number_of_rows_does(ends):
    ours = [(a.tolist(), b.tolist()) for a, b in PurgedKFold(5, purge=ends, embargo=1).split(np.zeros(20))]
    rows = [(a.tolist(), b.tolist()) for a, b in PurgedKFold(5, purge=2, embargo=1).split(np.zeros(20))]
    assert ours == rows


@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
def test_times_may_stand_in_the_index_of_x_or_in_groups(zone):
    index = pd.date_range("2020-01-01", periods=20, tz=zone)
    frame = pd.DataFrame(np.zeros((20, 1)), index=index)
    ends = index + pd.Timedelta(days=2)
    expected = [a.tolist() for a, _ in PurgedKFold(5, purge=2, embargo=1).split(frame)]
    given_index = PurgedKFold(5, purge=ends, embargo=1).split(frame)
    given_groups = PurgedKFold(5, purge=ends.asi8, embargo=1).split(np.zeros(20), groups=index.asi8)
    nanoseconds = PurgedKFold(5, purge=ends.as_unit("ns").asi8, embargo=1).split(frame)
    assert [a.tolist() for a, _ in given_index] == expected
    assert [a.tolist() for a, _ in given_groups] == expected
    assert [a.tolist() for a, _ in nanoseconds] == expected


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(0, 4), st.booleans(), st.booleans())
def test_every_split_equals_the_slow_definition(seed, n_folds, embargo, together, wild):
    draw = np.random.default_rng(seed)
    rows = int(draw.integers(6 * n_folds, 60))
    times = np.sort(draw.integers(0, rows, rows)) if together else np.arange(rows)
    ends = times + draw.integers(0, 6 if wild else 1, rows) + (0 if wild else int(draw.integers(0, 4)))
    splitters = [PurgedKFold(n_folds, purge=ends, embargo=embargo)]
    if n_folds > 2:
        splitters.append(Combinatorial(n_folds, 2, purge=ends, embargo=embargo))
    for splitter in splitters:
        folds = [test for _, test in KFold(n_folds).split(np.unique(times))]
        chosen = itertools.combinations(folds, 1 if splitter is splitters[0] else 2)
        tested = [np.isin(times, np.unique(times)[np.concatenate(part)]).nonzero()[0] for part in chosen]
        if not all(slow_train(times, ends, test.tolist(), embargo) for test in tested):
            with pytest.raises(ValueError, match="no training rows are left"):
                list(splitter.split(np.zeros((rows, 2)), groups=times))
            continue
        splits = list(splitter.split(np.zeros((rows, 2)), groups=times))
        assert [test.tolist() for _, test in splits] == [test.tolist() for test in tested]
        for train, test in splits:
            assert train.tolist() == slow_train(times, ends, test.tolist(), embargo)
        ranges = splitter.ranges(np.zeros(rows), times)
        for (train, test), (train_ranges, test_ranges) in zip(splits, ranges, strict=True):
            assert train.tolist() == [r for a, b in train_ranges for r in range(a, b)]
            assert test.tolist() == [r for a, b in test_ranges for r in range(a, b)]


@given(st.integers(2, 8), st.integers(0, 6), st.integers(0, 6), st.integers(0, 30))
def test_every_row_is_tested_once_and_uneven_folds_are_those_of_scikit_learn(n_folds, purge, embargo, more):
    rows = n_folds * (purge + embargo + 2) + more
    splits = list(PurgedKFold(n_folds, purge=purge, embargo=embargo).split(np.zeros(rows)))
    theirs = [test.tolist() for _, test in KFold(n_folds).split(np.zeros(rows))]
    assert [test.tolist() for _, test in splits] == theirs


@pytest.mark.parametrize(("n_folds", "n_test"), [(6, 2), (10, 2), (5, 3)])
@pytest.mark.parametrize(("purge", "embargo"), [(0, 0), (3, 0), (2, 4)])
def test_combinations_are_those_of_skfolio_where_folds_are_even(n_folds, n_test, purge, embargo):
    X = np.zeros((n_folds * 12, 1))
    ours = Combinatorial(n_folds, n_test, purge=purge, embargo=embargo)
    theirs = CombinatorialPurgedCV(
        n_folds=n_folds, n_test_folds=n_test, purged_size=purge, embargo_size=embargo
    )
    assert ours.n_splits == theirs.n_splits == len(list(itertools.combinations(range(n_folds), n_test)))
    assert ours.n_paths == theirs.n_test_paths
    for (train, test), (their_train, their_tests) in zip(ours.split(X), theirs.split(X), strict=True):
        assert test.tolist() == np.concatenate(their_tests).tolist()
        assert train.tolist() == their_train.tolist()


@pytest.mark.parametrize(("n_folds", "n_test", "splits", "paths"), [(6, 2, 15, 5), (10, 2, 45, 9)])
def test_counts_of_splits_and_paths(n_folds, n_test, splits, paths):
    cv = Combinatorial(n_folds, n_test, purge=0, embargo=0)
    assert (cv.n_splits, cv.n_paths, cv.get_n_splits()) == (splits, paths, splits)
    table = cv.paths()
    assert table.shape == (paths, n_folds)
    for fold in range(n_folds):
        serving = [at for at, tested in enumerate(cv.test_folds) if fold in tested]
        assert table[:, fold].tolist() == serving  # each split that tests the fold, once


def test_paths_reassemble_what_each_split_forecast():
    rows = 37
    cv = Combinatorial(6, 2, purge=1, embargo=1)
    forecasts = [
        np.full(len(test), number) + test / 1000 for number, (_, test) in enumerate(cv.split(np.zeros(rows)))
    ]
    paths = cv.reassemble(np.zeros(rows), forecasts)
    assert paths.shape == (5, rows)
    assert np.allclose(np.round((paths % 1) * 1000), np.arange(rows))  # each row's own forecast
    folds = [test for _, test in PurgedKFold(6, purge=1, embargo=1).split(np.zeros(rows))]
    for path, table in zip(paths, cv.paths(), strict=True):
        for fold, split in zip(folds, table, strict=True):
            assert set(np.floor(path[fold])) == {split}
    with pytest.raises(ValueError, match="14 forecasts"):
        cv.reassemble(np.zeros(rows), forecasts[1:])
    with pytest.raises(ValueError, match="split 0 tests"):
        cv.reassemble(np.zeros(rows), [forecasts[0][1:], *forecasts[1:]])


# --- walk-forward -------------------------------------------------------------------------------------


@given(st.integers(0, 9_999))
def test_walk_forward_trains_on_the_last_settled_sessions_only(seed):
    draw = np.random.default_rng(seed)
    train, test, embargo = (int(draw.integers(a, b)) for a, b in ((1, 9), (1, 5), (0, 3)))
    rows = train + test + 12 + int(draw.integers(0, 20))
    purge = int(draw.integers(0, 5))
    splits = list(WalkForward(train, test, purge=purge, embargo=embargo).split(np.zeros(rows)))
    begin = train + purge + embargo
    for number, (trained, tested) in enumerate(splits):
        first = begin + number * test
        assert tested.tolist() == list(range(first, first + test))
        stop = first - purge - embargo
        assert trained.tolist() == list(range(stop - train, stop))
    assert len(splits) == (rows - begin) // test
    ends = np.arange(rows) + purge
    by_ends = list(WalkForward(train, test, purge=ends, embargo=embargo).split(np.zeros(rows)))
    assert [(a.tolist(), b.tolist()) for a, b in by_ends] == [(a.tolist(), b.tolist()) for a, b in splits]


def test_walk_forward_drops_late_labels_one_by_one():
    ends = np.arange(12) + 1
    ends[3] = 9  # settled long after its neighbours
    trained = [a.tolist() for a, _ in WalkForward(4, 2, purge=ends, embargo=0).split(np.zeros(12))]
    assert trained == [[1, 2, 4], [4, 5, 6], [5, 6, 7, 8]]


def test_sessions_with_several_rows_stay_together():
    sessions = np.repeat(["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08"], 3)
    splits = list(WalkForward(2, 1, purge=1, embargo=0).split(np.zeros(15), groups=sessions))
    assert [(a.tolist(), b.tolist()) for a, b in splits] == [
        (list(range(6)), [9, 10, 11]),
        (list(range(3, 9)), [12, 13, 14]),
    ]


def test_what_is_never_tested_is_reported():
    partition = WalkForward(4, 2, purge=1, embargo=0).partition(np.zeros(10))
    assert partition.n_untested == 5 + 1
    assert list(partition.frame["test_rows"]) == [2, 2]
    assert "rows never tested" in partition._repr_html_()
    assert PurgedKFold(3, purge=0, embargo=0).partition(np.zeros(10)).n_untested == 0


# --- partitions are a pure function with a hash -------------------------------------------------------


def test_equal_partitions_have_equal_hashes_and_others_do_not():
    X = np.zeros(50)
    base = PurgedKFold(5, purge=2, embargo=1).partition(X)
    same = PurgedKFold(5, purge=np.arange(50) + 2, embargo=1).partition(pd.DataFrame(X))
    assert base.sha256 == same.sha256
    others = [
        PurgedKFold(5, purge=3, embargo=1).partition(X),
        PurgedKFold(5, purge=2, embargo=2).partition(X),
        PurgedKFold(5, purge=2, embargo=1).partition(np.zeros(51)),
        WalkForward(10, 10, purge=2, embargo=1).partition(X),
        Combinatorial(5, 1, purge=2, embargo=2).partition(X),
    ]
    hashes = {base.sha256, *(one.sha256 for one in others)}
    assert len(hashes) == len(others)  # the last one is the second by another name
    assert others[1].sha256 == others[4].sha256


# --- inside scikit-learn ------------------------------------------------------------------------------


def data(rows=120):
    draw = np.random.default_rng(3)
    X = draw.normal(size=(rows, 4))
    return X, X @ [1.0, 0.5, 0.0, -1.0] + draw.normal(0.0, 0.1, rows)


@pytest.mark.parametrize(
    "cv",
    [
        PurgedKFold(5, purge=3, embargo=2),
        PurgedKFold(5, purge=np.arange(120) + 3, embargo=2),
        Combinatorial(6, 2, purge=3, embargo=2),
        WalkForward(40, 10, purge=3, embargo=2),
    ],
    ids=["kfold", "label ends", "combinatorial", "walk-forward"],
)
def test_splitters_work_in_scores_searches_and_pipelines(cv):
    X, y = data()
    pipeline = make_pipeline(StandardScaler(), Ridge())
    scores = cross_val_score(pipeline, X, y, cv=cv)
    assert len(scores) == cv.get_n_splits(X)
    assert scores.min() > 0.9
    search = GridSearchCV(pipeline, {"ridge__alpha": [0.1, 1e4]}, cv=cv).fit(X, y)
    assert search.best_params_ == {"ridge__alpha": 0.1}
    assert clone(search).fit(pd.DataFrame(X), y).best_params_ == {"ridge__alpha": 0.1}


def test_groups_reach_the_splitter_through_a_search():
    X, y = data()
    sessions = np.repeat(np.arange(60), 2)
    search = GridSearchCV(Ridge(), {"alpha": [1.0]}, cv=PurgedKFold(4, purge=1, embargo=0))
    search.fit(X, y, groups=sessions)
    assert search.n_splits_ == 4
    found = cross_val_predict(Ridge(), X, y, cv=PurgedKFold(4, purge=1, embargo=0), groups=sessions)
    assert found.shape == (120,)


def test_a_splitter_prints_as_it_was_made():
    assert repr(PurgedKFold(5, purge=2, embargo=1)) == "PurgedKFold(5, purge=2, embargo=1)"
    cv = Combinatorial(6, 2, purge=np.arange(9), embargo=0)
    assert repr(cv) == "CombinatorialPurgedKFold(6, 2, purge=<9 label ends>, embargo=0)"
    assert repr(WalkForward(9, 3, purge=1, embargo=0)) == "WalkForward(9, 3, purge=1, embargo=0)"


# --- bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda **k: PurgedKFold(5, **k), lambda **k: WalkForward(5, 2, **k),
                                  lambda **k: Combinatorial(5, 2, **k)])  # fmt: skip
def test_purge_and_embargo_have_no_default(make):
    with pytest.raises(TypeError, match="purge"):
        make(embargo=0)
    with pytest.raises(TypeError, match="embargo"):
        make(purge=0)
    for wrong in ({"purge": -1, "embargo": 0}, {"purge": None, "embargo": 0}, {"purge": 1.5, "embargo": 0},
                  {"purge": 1, "embargo": -1}, {"purge": np.zeros((3, 2)), "embargo": 0}):  # fmt: skip
        with pytest.raises(ValueError, match=r"purge|embargo"):
            make(**wrong)


@pytest.mark.parametrize(
    ("splitter", "X", "groups", "words"),
    [
        (PurgedKFold(5, purge=1, embargo=0), np.zeros(4), None, "too few for 5 folds"),
        (PurgedKFold(5, purge=20, embargo=0), np.zeros(20), None, "no training rows are left"),
        (PurgedKFold(5, purge=1, embargo=0), np.zeros(0), None, "no rows"),
        (PurgedKFold(5, purge=1, embargo=0), None, None, "X is needed"),
        (PurgedKFold(2, purge=1, embargo=0), np.zeros(4), [1, 2, 4, 3], "row 3 lies before"),
        (PurgedKFold(2, purge=1, embargo=0), np.zeros(4), [1, 2, 3], "3 times for 4 rows"),
        (PurgedKFold(2, purge=[1, 2, 3], embargo=0), np.zeros(4), None, "3 label ends for 4 rows"),
        (PurgedKFold(2, purge=[1, 0, 3, 4], embargo=0), np.zeros(4), None, "label of row 1 ends before"),
        (PurgedKFold(2, purge=[1, 2, np.nan, 4], embargo=0), np.zeros(4), None, "row 2 has no time"),
        (PurgedKFold(2, purge=pd.to_datetime(["2020-01-01", None]), embargo=0), np.zeros(2), [1, 2],
         "row 1 has no time"),
        (PurgedKFold(2, purge=np.arange(4) * DAY_NS + 10**18, embargo=0), np.zeros(4), None, "have no times"),
        (PurgedKFold(2, purge=np.arange(4), embargo=0),
         pd.DataFrame(np.zeros(4), index=pd.to_datetime(["2020-01-01"] * 2 + ["2020-01-02"] * 2)), None,
         "several rows share a time"),
        (PurgedKFold(2, purge=1, embargo=0),
         pd.Series(np.zeros(2), index=pd.to_datetime(["2020-01-02", "2020-01-01"])), None, "sort the rows"),
        (WalkForward(5, 2, purge=1, embargo=0), np.zeros(7), None, "7 sessions are too few"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_split_are_refused(splitter, X, groups, words):
    with pytest.raises(ValueError, match=words):
        list(splitter.split(X, groups=groups))


def test_the_number_of_walk_forward_splits_needs_the_rows():
    with pytest.raises(ValueError, match="X is needed"):
        WalkForward(5, 2, purge=1, embargo=0).get_n_splits()


@pytest.mark.parametrize("sizes", [(1,), (5, 5), (5, 0), (2.0, 1)])
def test_sizes_that_cannot_be_are_refused(sizes):
    kind = PurgedKFold if len(sizes) == 1 else Combinatorial
    with pytest.raises(ValueError, match=r"n_folds|n_test_folds"):
        kind(*sizes, purge=0, embargo=0)
