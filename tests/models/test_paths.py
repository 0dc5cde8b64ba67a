import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GridSearchCV

from skkd import FiveBlockCNN, KDClassifier, NetworkClassifier
from skkd.datasets import load_image_folder
from skkd.images import _paths

TINY = FiveBlockCNN(filters=(4,))


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def paths(tmp_path, pixels):
    (tmp_path / "images").mkdir()
    paths = [tmp_path / "images" / f"{number}.png" for number in range(12)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    return np.array(paths)


@pytest.fixture
def labels():
    return np.arange(12) % 2


def brightness(images):
    """A teacher who tells bright images from dark ones."""
    mean = images.reshape(len(images), -1).mean(axis=1) / 255
    return np.stack([4 * mean - 2, 2 - 4 * mean], axis=1).astype(np.float32)


def assert_same_weights(first, second):
    for a, b in zip(first.model_.get_weights(), second.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def fit(labels):
    def fit(X, estimator=NetworkClassifier, fit_params=None, teacher=None, **params):
        params = {"epochs": 3, "batch_size": 5, "random_state": 0} | params
        classifier = NetworkClassifier(TINY, **params)
        if estimator is KDClassifier:
            classifier = KDClassifier(teacher, classifier)
        return classifier.fit(X, labels, **(fit_params or {}))

    return fit


@pytest.mark.parametrize("cache", [None, "memory", "folder"])
def test_paths_train_to_the_weights_of_the_array_however_they_are_kept(
    cache, fit, paths, pixels, tmp_path
):
    cache = tmp_path / "kept" if cache == "folder" else cache
    from_paths = fit(paths, image_cache=cache)
    assert_same_weights(from_paths, fit(pixels))
    np.testing.assert_array_equal(from_paths.predict_proba(paths), from_paths.predict_proba(pixels))


@pytest.mark.parametrize("cache", [None, "memory"])
def test_a_student_learns_the_same_from_labeled_and_unlabeled_paths(cache, fit, paths, pixels):
    fits = [
        fit(
            images,
            KDClassifier,
            teacher=brightness,
            image_cache=cache,
            fit_params={"X_unlabeled": images[3:]},
        )
        for images in (paths, pixels)
    ]
    assert_same_weights(*fits)


def test_augmented_paths_give_the_views_of_the_augmented_array(fit, paths, pixels):
    flip = keras.layers.RandomFlip()
    fits = [fit(images, augmentation=flip, batch_size=2) for images in (paths, pixels)]
    assert_same_weights(*fits)
    assert (fits[0].model_.get_weights()[-1] != fit(pixels).model_.get_weights()[-1]).any()


@pytest.mark.parametrize(("cache", "n_reads"), [(None, 3), ("memory", 1), ("folder", 1)])
def test_a_cache_has_each_file_decoded_once(cache, n_reads, fit, paths, tmp_path, monkeypatch):
    decoded = []
    read_frames = _paths.read_frames

    def count(path, *options):
        decoded.append(path)
        return read_frames(path, *options)

    monkeypatch.setattr(_paths, "read_frames", count)
    fit(paths, image_cache=tmp_path / "kept" if cache == "folder" else cache)
    times = [decoded.count(str(path)) for path in paths]
    assert min(times) >= n_reads
    assert n_reads > 1 or max(times) == 1


def test_memory_maps_and_hdf5_train_to_the_weights_of_the_array(fit, pixels, tmp_path):
    h5py = pytest.importorskip("h5py")
    mapped = np.lib.format.open_memmap(
        tmp_path / "x.npy", mode="w+", dtype=np.uint8, shape=pixels.shape
    )
    mapped[:] = pixels
    for estimator in (NetworkClassifier, KDClassifier):
        from_array = fit(pixels, estimator)
        assert_same_weights(fit(mapped, estimator), from_array)
        with h5py.File(tmp_path / "x.h5", "w") as file:
            stored = file.create_dataset("images", data=pixels, chunks=(5, 8, 8, 3))
            assert_same_weights(fit(stored, estimator), from_array)


def test_the_default_student_learns_from_paths(tmp_path, rng):
    paths = [str(tmp_path / f"{number}.png") for number in range(8)]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(path)
    classifier = KDClassifier(student=NetworkClassifier(epochs=1, random_state=0)).fit(
        paths, ["a", "b"] * 4
    )
    assert classifier.model_.input_shape == (None, 32, 32, 1)
    assert set(classifier.predict(paths)) <= {"a", "b"}


@pytest.mark.slow
def test_a_grid_search_over_paths_scores_as_over_the_array(paths, pixels, labels, tmp_path):
    searches = []
    for images in (list(map(str, paths)), pixels):
        classifier = KDClassifier(
            brightness,
            NetworkClassifier(
                TINY, epochs=2, batch_size=4, image_cache=tmp_path / "kept", random_state=0
            ),
        )
        search = GridSearchCV(classifier, {"alpha": [0.2, 0.8]}, scoring="neg_log_loss", cv=2)
        searches.append(search.fit(images, labels))
    np.testing.assert_array_equal(
        *[search.cv_results_["mean_test_score"] for search in searches], strict=True
    )
    # Two folds and the final fit on all images, whatever the number of candidates.
    assert len(list((tmp_path / "kept").iterdir())) == 3


def test_a_file_that_vanishes_while_training_is_named(fit, paths):
    class Vanish(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                paths[7].unlink()

    with pytest.raises(FileNotFoundError, match=r"7\.png"):
        fit(paths, callbacks=[Vanish()])


@pytest.mark.parametrize("batch_size", [3, 100])
def test_a_file_that_vanished_or_broke_before_prediction_is_named(fit, paths, batch_size):
    classifier = fit(paths, epochs=1).set_params(batch_size=batch_size)
    paths[7].write_text("no image")
    with pytest.raises(ValueError, match=r"7\.png is not a readable image"):
        classifier.predict(paths)
    paths[7].unlink()
    with pytest.raises(FileNotFoundError, match=r"7\.png"):
        classifier.predict(paths)


@pytest.mark.slow
def test_a_grid_search_learns_from_paths_of_real_images(real_images):
    eyes = load_image_folder(
        real_images / "eye_disease" / "dataset", as_paths=True, limit=40, random_state=0
    )
    classifier = KDClassifier(
        student=NetworkClassifier(
            FiveBlockCNN(filters=(4, 8)),
            image_size=(32, 32),
            image_cache="memory",
            epochs=1,
            random_state=0,
        )
    )
    search = GridSearchCV(classifier, {"student__learning_rate": [1e-3, 1e-2]}, cv=2)
    search.fit(eyes.data, eyes.target)
    assert search.best_estimator_.model_.input_shape == (None, 32, 32, 3)
    assert set(search.predict(eyes.data)) <= set(eyes.target)
