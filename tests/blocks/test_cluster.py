"""Twenty thousand files on two workers, one of which is killed in the middle."""

import os
import signal

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skkd import FiveBlockCNN, NetworkClassifier
from skkd.blocks import predict_block, write_block

N_IMAGES, N_PATHS, N_BLOCKS = 200, 20_000, 80


@pytest.mark.slow
def test_no_row_of_20000_is_lost_or_doubled_by_a_killed_worker_and_a_run_cut_off(tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs the extra 'distributed'")
    import dask.bag as db

    X = np.random.default_rng(0).integers(0, 256, (N_IMAGES, 8, 8, 1), dtype=np.uint8)
    for number, image in enumerate(X):
        Image.fromarray(image[..., 0]).save(tmp_path / f"image{number}.png")
    paths = [str(tmp_path / f"{number}.png") for number in range(N_PATHS)]
    for number, path in enumerate(paths):
        os.link(tmp_path / f"image{number % N_IMAGES}.png", path)
    student = NetworkClassifier(FiveBlockCNN(filters=(4,)), epochs=1, random_state=0)
    student.fit(X, np.arange(N_IMAGES) % 3).save(tmp_path / "student.skkd")
    blocks = [block.tolist() for block in np.array_split(paths, N_BLOCKS)]
    what = {"folder": tmp_path / "out", "block": predict_block, "model": tmp_path / "student.skkd"}

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as two,
        distributed.Client(two) as client,
    ):
        victim = next(iter(client.run(os.getpid).values()))
        futures = client.map(write_block, blocks, **what)
        for n_done, _ in enumerate(distributed.as_completed(futures), start=1):
            if n_done == 10:
                os.kill(victim, signal.SIGKILL)
            if n_done == 40:
                break
        # The run is cut off with whatever is under way in both workers.
        client.cancel(futures)
        client.restart()
        assert victim not in client.run(os.getpid).values()
        before = {part: part.stat().st_mtime_ns for part in (tmp_path / "out").glob("*.parquet")}
        assert 40 <= len(before) < N_BLOCKS
        parts = db.from_sequence(blocks, npartitions=N_BLOCKS).map(write_block, **what).compute()

    assert len(set(parts)) == N_BLOCKS
    assert all(part.stat().st_mtime_ns == when for part, when in before.items())
    rows = pd.read_parquet(tmp_path / "out").set_index("path")
    assert len(rows) == N_PATHS
    assert rows.index.is_unique
    expected = np.tile(student.predict_proba(X), (N_PATHS // N_IMAGES, 1))
    np.testing.assert_allclose(rows.loc[paths], expected, rtol=0, atol=1e-6)
