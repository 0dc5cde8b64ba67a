import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skkd import MLP, FeatureMapExplainer, FiveBlockCNN, KDClassifier, NetworkClassifier
from skkd.blocks import explain_block, predict_block, teacher_block, write_block
from skkd.models import _read_once


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("blocks")


@pytest.fixture(scope="module")
def paths(folder):
    """Thirty gray files of 8x8 pixels."""
    X = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    paths = [str(folder / f"{number}.png") for number in range(30)]
    for path, image in zip(paths, X, strict=True):
        Image.fromarray(image).save(path)
    return np.array(paths, dtype=object)


@pytest.fixture(scope="module")
def student(paths):
    y = np.array(["benign", "malignant", "none"])[np.arange(30) % 3]
    return NetworkClassifier(FiveBlockCNN(filters=(4,)), epochs=1, random_state=0).fit(paths, y)


@pytest.fixture(scope="module")
def saved(student, folder):
    student.save(folder / "student.skkd")
    return folder / "student.skkd"


@pytest.fixture(scope="module")
def model(student, folder):
    student.model_.save(folder / "student.keras")
    return folder / "student.keras"


def test_blocks_together_are_the_predictions_of_one_machine(paths, student, saved):
    blocks = [predict_block(paths[start : start + 7], saved) for start in range(0, 30, 7)]
    together = pd.concat(blocks)
    assert together.columns.tolist() == ["path", "benign", "malignant", "none"]
    assert together["path"].tolist() == paths.tolist()
    expected = student.predict_proba(paths)
    np.testing.assert_allclose(together.iloc[:, 1:], expected, rtol=0, atol=1e-6)


def test_a_keras_model_predicts_under_the_numbers_of_its_outputs(paths, student, model):
    predictions = predict_block(pd.Series(paths[:5], index=list("abcde")), model)
    assert predictions.columns.tolist() == ["path", "0", "1", "2"]
    assert predictions.index.tolist() == list("abcde")
    expected = student.predict_proba(paths[:5])
    np.testing.assert_allclose(predictions[["0", "1", "2"]], expected, rtol=0, atol=1e-6)


def test_no_paths_give_the_columns_alone(paths, saved, model):
    for empty in (predict_block([], saved), teacher_block([], model, color_mode="rgb")):
        assert empty.shape == (0, 4)
        assert (empty.dtypes.iloc[1:].map(lambda dtype: dtype.kind) == "f").all()


def test_answers_of_a_teacher_train_the_student_that_the_teacher_itself_trains(paths, model):
    y = np.arange(30) % 3
    small = NetworkClassifier(MLP(hidden=(2,)), epochs=1, image_size=(4, 4), random_state=0)
    options = {"image_size": (4, 4), "color_mode": "grayscale"}
    answers = [teacher_block(block, model, **options) for block in np.split(paths, 3)]
    logits = pd.concat(answers)[["0", "1", "2"]].to_numpy()
    given = KDClassifier(None, small).fit(paths, y, teacher_logits=logits)
    asked = KDClassifier(model, small).fit(paths, y)
    np.testing.assert_allclose(
        given.predict_proba(paths), asked.predict_proba(paths), rtol=0, atol=1e-6
    )


def test_an_explainer_explains_blocks_as_it_explains_all(paths, student, folder):
    explainer = FeatureMapExplainer(student).fit()
    explainer.save(folder / "explainer.skkd")
    blocks = [explain_block(block, folder / "explainer.skkd") for block in np.split(paths, 3)]
    np.testing.assert_allclose(np.concatenate(blocks), explainer.transform(paths), atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f, p: predict_block(p, f / "explainer.skkd"), "model: .* holds a FeatureMap"),
        (lambda f, p: explain_block(p, f / "student.skkd"), "explainer: .* holds a NetworkC"),
        (lambda f, p: teacher_block(p, f / "student.skkd", color_mode=None), "color_mode must be"),
        (lambda f, p: write_block([], f / "out", predict_block, f / "student.skkd"), "at least"),
        (lambda f, p: write_block(p, f / "out", lambda *_: p, f / "student.skkd"), "block must"),
    ],
)
def test_what_does_not_fit_is_named(student, saved, paths, folder, call, message):
    if not (folder / "explainer.skkd").exists():
        FeatureMapExplainer(student).fit().save(folder / "explainer.skkd")
    with pytest.raises(ValueError, match=message):
        call(folder, paths[:2])


def test_a_model_is_no_argument_but_its_file_is(paths, student):
    with pytest.raises(TypeError, match=r"model must be the path of a file.*NetworkClassifier"):
        predict_block(paths, student)


def test_a_process_reads_a_model_once_until_its_file_changes(tmp_path):
    reads = []

    def read(path):
        reads.append(Path(path).read_text())
        return reads[-1]

    file = tmp_path / "model"
    file.write_text("one")
    threads = [threading.Thread(target=_read_once.read_once, args=(file, read)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reads == ["one"]
    (tmp_path / "new").write_text("two")
    os.replace(tmp_path / "new", file)
    assert _read_once.read_once(file, read) == "two"
    with pytest.raises(FileNotFoundError):
        _read_once.read_once(tmp_path / "none", read)


def test_dask_takes_the_functions_as_they_are(paths, student, model, tmp_path):
    pytest.importorskip("dask.dataframe", reason="needs the extra 'distributed'")
    import dask
    import dask.array as da
    import dask.bag as db
    import dask.dataframe as dd

    FeatureMapExplainer(student).fit().save(tmp_path / "explainer.skkd")
    whole = predict_block(paths, model)
    with dask.config.set(scheduler="synchronous"):
        column = dd.from_pandas(pd.DataFrame({"path": paths.astype(str)}), npartitions=3)["path"]
        meta = predict_block([], model)
        frame = column.map_partitions(predict_block, str(model), meta=meta).compute()
        blocks = db.from_sequence(np.split(paths, 3), npartitions=3)
        bag = pd.concat(blocks.map(predict_block, model).compute(), ignore_index=True)
        maps = da.from_array(paths, chunks=10).map_blocks(
            explain_block,
            tmp_path / "explainer.skkd",
            new_axis=[1, 2, 3],
            chunks=((10, 10, 10), (1,), (8,), (8,)),
            dtype="float32",
            meta=np.empty((0, 0, 0, 0), "float32"),
        )
        assert maps.shape == (30, 1, 8, 8)
        maps = maps.compute()
    for answer in (frame, bag):
        assert answer["path"].tolist() == paths.tolist()
        np.testing.assert_allclose(answer.iloc[:, 1:], whole.iloc[:, 1:], atol=1e-6)
    np.testing.assert_allclose(
        maps, explain_block(paths, tmp_path / "explainer.skkd"), rtol=0, atol=1e-5
    )


def test_a_function_for_spark_takes_an_array_of_texts_and_returns_an_array(paths, model):
    # What predict_batch_udf does with make_predict_fn, and with what it returns.
    def make_predict_fn():
        return lambda paths: predict_block(paths, str(model)).iloc[:, 1:].to_numpy()

    batches = np.split(paths, 3)
    rows = [row for batch in batches for row in make_predict_fn()(batch)]
    np.testing.assert_allclose(rows, predict_block(paths, model).iloc[:, 1:], atol=1e-6)


def write_all(paths, folder, model, block=predict_block, **options):
    return [write_block(part, folder, block, model, **options) for part in np.split(paths, 3)]


@pytest.fixture
def parquet():
    return pytest.importorskip("pyarrow.parquet", reason="needs the extra 'distributed'")


def test_parts_that_are_there_are_not_made_again(parquet, paths, model, tmp_path):
    parts = write_all(paths, tmp_path / "out", model)
    before = [Path(part).stat().st_mtime_ns for part in parts]
    (tmp_path / "out" / ".part-cut-off.1").write_bytes(b"PAR1")
    Path(parts[1]).unlink()
    assert write_all(paths, tmp_path / "out", model) == parts
    after = [Path(part).stat().st_mtime_ns for part in parts]
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]
    rows = pd.read_parquet(tmp_path / "out")
    assert sorted(rows["path"]) == sorted(paths)
    whole = predict_block(paths, model).set_index("path")
    np.testing.assert_allclose(rows.set_index("path").loc[whole.index], whole, atol=1e-6)


def test_parts_of_another_model_option_or_image_are_made_again_in_their_place(
    parquet, paths, model, tmp_path
):
    copies = [shutil.copy(path, tmp_path) for path in paths]
    teacher = shutil.copy(model, tmp_path / "teacher.keras")
    write = {"folder": tmp_path / "out", "block": teacher_block, "color_mode": "grayscale"}

    def written():
        (part,) = {write_block(copies, model=teacher, **write)}
        return Path(part).stat().st_ino

    first = written()
    assert written() == first
    write["batch_size"] = 16
    second = written()
    FiveBlockCNN(filters=(2,)).build((8, 8, 1), n_classes=3).save(teacher)
    third = written()
    Image.new("L", (8, 8)).save(copies[3])
    fourth = written()
    assert first != second != third != fourth
    assert len(pd.read_parquet(tmp_path / "out")) == 30
    (part,) = (tmp_path / "out").iterdir()
    part.write_bytes(part.read_bytes()[:-20])
    written()
    assert len(pd.read_parquet(tmp_path / "out")) == 30


def broken(paths, model):
    raise KeyboardInterrupt


def short(paths, model):
    return np.zeros((len(paths) - 1, 2))


def test_a_block_that_fails_leaves_no_part(parquet, paths, model, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_block(paths, tmp_path / "out", broken, model)
    with pytest.raises(ValueError, match="a row for each of 30 paths; got 29"):
        write_block(paths, tmp_path / "out", short, model)
    assert not (tmp_path / "out").exists()


def test_maps_are_written_as_tensors_beside_their_files(parquet, paths, student, tmp_path):
    FeatureMapExplainer(student).fit().save(tmp_path / "explainer.skkd")
    part = write_block(paths[:4], tmp_path / "out", explain_block, tmp_path / "explainer.skkd")
    table = parquet.read_table(part)
    assert table["path"].to_pylist() == paths[:4].tolist()
    np.testing.assert_array_equal(
        table["values"].combine_chunks().to_numpy_ndarray(),
        explain_block(paths[:4], tmp_path / "explainer.skkd"),
    )
