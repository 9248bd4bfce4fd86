"""Interactions from every kind of file, their splits, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from nearfar.recommend.data import FeaturedPairs, Interactions, Pairs, load, read_users
from nearfar.recommend.data.split import held_out
from nearfar.reproductions.arms import build, shared
from nearfar.sources.skipped import BadDataError


def test_the_latest_of_every_user_are_held_out_and_everybody_keeps_one() -> None:
    users = np.array([0, 0, 0, 0, 0, 1, 2, 2])
    times = np.array([5, 1, 4, 2, 3, 9, 2, 1])
    assert held_out(users, times, "time", 0.4).tolist() == [True, False, True, False, False, False, False, False]
    drawn = held_out(users, None, "random", 0.99, seed=1)
    assert [(~drawn[users == u]).sum() for u in range(3)] == [1, 1, 1]
    assert np.array_equal(drawn, held_out(users, None, "random", 0.99, seed=1))
    with pytest.raises(ValueError, match="give --split random"):
        held_out(users, None, "time", 0.2)
    with pytest.raises(ValueError, match=r"in \[0, 1\); got 1"):
        held_out(users, times, "time", 1)


def test_tables_and_atomic_files_hold_the_same(tmp_path: Path) -> None:
    users, items, times = ["b", "a", "a", "b", "a"], ["x", "x", "y", "z", "x"], [3, 1, 2, 4, 9]
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\n" + "".join(
        f"{u},{i},{t}\n" for u, i, t in zip(users, items, times, strict=True)))  # fmt: skip
    pq.write_table(pa.table({"user": users, "item": items, "time": times}), tmp_path / "log.parquet")
    folder = tmp_path / "atomic"
    folder.mkdir()
    (folder / "log.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + "".join(
        f"{u}\t{i}\t{t}\n" for u, i, t in zip(users, items, times, strict=True)))  # fmt: skip
    for place in (tmp_path / "log.csv", tmp_path / "log.parquet", folder, folder / "log.inter"):
        with pytest.warns(UserWarning, match="1 of 5 interactions repeat another"):
            found = load(place, split="time", holdout=0.5)
        assert found.user_ids.tolist() == ["a", "b"]
        assert found.item_ids.tolist() == ["x", "y", "z"]
        assert found.learn.toarray().tolist() == [[1, 0, 0], [1, 0, 0]]
        assert found.test.toarray().tolist() == [[0, 1, 0], [0, 0, 1]]


def test_files_that_are_split_already_stay_so(tmp_path: Path) -> None:
    head = "user_id:token\titem_id:token\n"
    (tmp_path / "a.train.inter").write_text(head + "u\tx\nv\ty\n")
    (tmp_path / "a.valid.inter").write_text(head + "u\ty\n")
    (tmp_path / "a.test.inter").write_text(head + "v\tz\n")
    found = load(tmp_path)
    assert found.learn.toarray().tolist() == [[1, 1, 0], [0, 1, 0]]
    assert found.test.toarray().tolist() == [[0, 0, 0], [0, 0, 1]]


def test_ratings_below_the_least_are_no_interactions(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("user,item,rating\na,x,5\na,y,2\nb,y,4\n")
    assert load(tmp_path / "r.csv", min_rating=4, holdout=0).learn.nnz == 2
    with pytest.raises(ValueError, match="no interactions with a rating of 6 or more"):
        load(tmp_path / "r.csv", min_rating=6)


def test_item_features_are_matched_by_name(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("user,item\na,x\na,y\nb,y\n")
    np.savez(tmp_path / "f.npz", id=np.array(["y", "z", "x"]), image=np.arange(6.0).reshape(3, 2))
    found = load(tmp_path / "r.csv", holdout=0, features=str(tmp_path / "f.npz"))
    assert found.item_features["image"].tolist() == [[4, 5], [0, 1]]
    assert found.gives is FeaturedPairs
    assert found.facts["item_features"] == {"image": 2}
    np.savez(tmp_path / "g.npz", id=np.array(["y"]), image=np.ones((1, 2)))
    with pytest.raises(ValueError, match="no features of 1 of 2 items, the first is x"):
        load(tmp_path / "r.csv", features=str(tmp_path / "g.npz"))


ITEMS = "item_id:token\tmovie_title:token_seq\tyear:float\tclass:token\n" + "".join(
    f"{i}\tfilm number {i} of {'cats' if i % 2 else 'dogs'}\t{'' if i == 3 else 1990 + i}\t{'ab'[i % 2]}\n"
    for i in range(12)
)
USERS = "user_id:token\tage:token\n" + "".join(f"{u}\t{20 + u}\n" for u in range(9))


def _recbole(folder: Path) -> Path:
    folder.mkdir()
    chosen = "".join(f"{u}\t{(u + i) % 12}\t{i}\n" for u in range(10) for i in range(5))
    (folder / "films.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n" + chosen)
    (folder / "films.item").write_text(ITEMS)
    (folder / "films.user").write_text(USERS)
    return folder


def test_recboles_folder_says_what_items_and_users_are(tmp_path: Path) -> None:
    folder = _recbole(tmp_path / "films")
    with pytest.warns(UserWarning, match=r"films\.user does not describe 1 of 10, the first is 9"):
        found = load(folder, split="time")
    assert set(found.item_features) == {"columns", "texts"}
    columns, row = found.item_features["columns"], [*found.item_ids].index("3")
    assert columns.shape == (12, 3)  # the year, and two classes
    assert columns[row].tolist() == [0, 0, 1]  # a gap is the mean
    texts = found.item_features["texts"]
    near = texts @ texts[row]
    odd = np.array([int(name) % 2 == 1 for name in found.item_ids])
    assert near[odd].mean() > near[~odd].mean()
    assert found.user_features["columns"][[*found.user_ids].index("9")] == 0
    alone = load(folder / "films.inter", split="time")
    assert not alone.item_features
    named = load(folder / "films.inter", features=str(folder / "films.item"))
    assert np.array_equal(named.item_features["columns"], columns)
    assert build("rearm", found, 0).takes is FeaturedPairs


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("thing,year\n1,2\n", "has no column item: it has thing, year"),
        ("item,year\nz,2\n", "describes none of the 2 that are named"),
        ("item,year\nx,\ny,\n", "says nothing but names: its columns are year"),
    ],
)
def test_tables_that_say_nothing_of_the_items_are_refused(table: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("user,item\na,x\na,y\nb,y\n")
    (tmp_path / "items.csv").write_text(table)
    with pytest.raises(ValueError, match=expected):
        load(tmp_path / "r.csv", features=str(tmp_path / "items.csv"))
    with pytest.raises(FileNotFoundError, match="no file"):
        load(tmp_path / "r.csv", people=str(tmp_path / "nobody.csv"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("person,item\na,x\n", "no column user: it has person, item"),
        ("user,thing\na,x\n", "no column item"),
        ("user,item\n", "holds no rows"),
        ("user,item,time\na,x,soon\nb,y,1\n", "'soon' is no number and no date"),
        ("user,item,rating\na,x,good\n", "'good' is no number"),
    ],
)
def test_wrong_tables_get_one_sentence(content: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(content)
    with pytest.raises((ValueError, BadDataError), match=expected):
        load(tmp_path / "log.csv")


def test_wrong_sources_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="embedded are shoppers, adverts"):
        load("no/such/place")
    with pytest.raises(ValueError, match=r"no file \*.inter"):
        load(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ValueError, match=r"accepted are \.csv"):
        load(tmp_path / "a.txt")
    np.savez(tmp_path / "a.npz", train_indptr=[0, 1], train_indices=[7], shape=[1, 2])
    with pytest.raises(ValueError, match="do not fit a matrix of shape"):
        load(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="no interactions to learn from"):
        Interactions(sparse.csr_matrix((3, 3)))
    with pytest.raises(ValueError, match="NaN or infinite, first in row 1"):
        Interactions(np.eye(2), item_features={"a": np.array([[1.0], [np.nan]])})
    with pytest.warns(UserWarning, match="1 test interactions are also learned from"):
        assert Interactions(np.eye(2), np.array([[1, 1], [0, 0]])).test.toarray().tolist() == [[0, 1], [0, 0]]


def test_users_are_read_from_tables_and_lines(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,user\nx,1\ny,2\n")
    (tmp_path / "b.txt").write_text("1\n\n2\n")
    assert read_users(tmp_path / "a.csv") == read_users(tmp_path / "b.txt") == ["1", "2"]
    (tmp_path / "c.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no column of users"):
        read_users(tmp_path / "c.csv")


def test_the_generated_shoppers_repeat_and_show_their_tastes() -> None:
    first, again = load(shoppers=50), load(shoppers=50)
    assert (first.learn != again.learn).nnz == 0
    assert isinstance(first.batch(np.arange(3)), Pairs)
    popular = np.sort(np.asarray(first.learn.sum(0)).ravel())[::-1]
    assert popular[:40].sum() > 0.25 * popular.sum()  # a tenth of 400 items
    assert np.diff((first.learn + first.test).indptr).min() >= 3


@pytest.mark.skipif(not shared("gowalla/gowalla.npz"), reason="NEARFAR_DATA names no folder with gowalla")
def test_gowalla_has_its_published_size() -> None:
    found = load(shared("gowalla/gowalla.npz"))
    assert (found.learn.shape, found.learn.nnz, found.test.nnz) == ((29858, 40981), 810128, 217242)
