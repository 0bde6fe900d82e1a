import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import actwidgets
from actwidgets.core.embedding import Layout
from actwidgets.errors import DataError
from actwidgets.session import embedding_process
from actwidgets.session.embedding_process import EmbeddingProcess
from actwidgets.session.embeddings import EmbeddingPass, GatheringPass

pytestmark = pytest.mark.slow  # t-SNE starts a process
LIMIT_S = 120


@pytest.fixture(scope="module")
def clusters():
    random = np.random.default_rng(0)
    centers = random.normal(size=(3, 8)) * 20
    values = centers[np.arange(90) % 3] + random.normal(size=(90, 8))
    return values.astype(np.float32)


def _pass(values, layout, arranged=None, read=None):
    return EmbeddingPass(
        "dense",
        np.arange(len(values)) * 2,
        read or (lambda rows: values[rows // 2]),
        layout,
        note="",
        arranged={} if arranged is None else arranged,
    )


def _made(one):
    deadline = time.monotonic() + LIMIT_S
    while not one.complete and time.monotonic() < deadline:
        one.step()
    return one.embedding()


def test_the_same_seed_gives_the_same_picture_and_clusters_stay_apart(clusters):
    found = [_made(_pass(clusters, Layout("tsne", perplexity=10))) for _ in range(2)]
    np.testing.assert_array_equal(found[0].points, found[1].points)
    points = found[0].points
    centers = np.array([points[kind::3].mean(axis=0) for kind in range(3)])
    nearest = np.linalg.norm(points[:, None] - centers, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, np.arange(90) % 3)
    assert "KL divergence" in found[0].note
    assert "perplexity 10" in found[0].note
    np.testing.assert_array_equal(found[0].rows, np.arange(90) * 2)


def test_the_same_features_are_laid_out_once(clusters):
    arranged = {}
    first = _made(_pass(clusters, Layout("tsne"), arranged))
    again = _pass(clusters, Layout("tsne"), arranged)
    while not again.complete:
        assert again._process is None
        again.step()
    np.testing.assert_array_equal(again.embedding().points, first.points)
    assert len(arranged) == 1


def test_fewer_points_than_the_perplexity_allows_lower_it(clusters):
    found = _made(_pass(clusters[:10], Layout("tsne", perplexity=30)))
    assert "perplexity 3, lowered for 10 points" in found.note
    assert np.isfinite(found.points).all()


@pytest.mark.parametrize("n_points", [1, 2, 3])
def test_too_few_points_for_neighbors_show_their_components(clusters, n_points):
    found = _made(_pass(clusters[:n_points], Layout("tsne")))
    assert found.points.shape == (n_points, 2)
    wanted = "all samples are alike" if n_points == 1 else "too few for t-SNE"
    assert wanted in found.note


def test_samples_that_are_alike_lie_in_one_place():
    found = _made(_pass(np.ones((20, 5), np.float32), Layout("tsne")))
    np.testing.assert_array_equal(found.points, np.zeros((20, 2)))
    assert "all samples are alike" in found.note


def test_rows_with_nan_are_left_out_and_counted(clusters):
    values = clusters.copy()
    values[3, 1], values[8, 0] = np.nan, np.inf
    found = _made(_pass(values, Layout("pca")))
    assert len(found.points) == 88
    assert not {6, 16} & set(found.rows.tolist())
    assert "2 left out for NaN or infinity" in found.note
    nothing = _made(_pass(np.full((4, 3), np.nan, np.float32), Layout("tsne")))
    assert nothing.points.shape == (0, 2)
    assert "no sample is left" in nothing.note


def test_two_raw_features_are_drawn_as_they_are(clusters):
    found = _made(_pass(clusters, Layout("features", features=(5, 2), names="unit {}".format)))
    np.testing.assert_array_equal(found.points, clusters[:, [5, 2]])
    assert (found.features, found.note) == ((5, 2), "across: unit 5, up: unit 2")


def test_stopping_ends_the_process_at_once_and_going_on_begins_it_anew(clusters):
    one = _pass(np.tile(clusters, (20, 1)), Layout("tsne"))
    while one._process is None:
        one.step()
    process = one._process.pid
    assert psutil.pid_exists(process)
    one.stop()
    assert not psutil.pid_exists(process)
    one.step()
    assert not one.complete
    assert one._process.pid == process
    one.resume()
    one.step()
    assert one._process.pid != process
    assert psutil.pid_exists(one._process.pid)
    one.stop()


def test_steps_are_told_while_t_sne_goes_on(clusters):
    process = EmbeddingProcess("tsne", clusters, seed=0, perplexity=10.0)
    seen = []
    while not process.ended(0.01):
        seen.append(process.progress())
    assert process.progress()[0] >= 250, "the number of steps that t-SNE does at the least"
    assert seen == sorted(seen)
    assert {total for _, total in seen} <= {0, 1000}
    process.stop()
    process.stop()


def test_the_script_that_lays_points_out_is_not_run_again(tmp_path):
    """As `multiprocessing` would, where there is no `if __name__ == "__main__"`."""
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\n"
        "from actwidgets.session.embedding_process import EmbeddingProcess\n"
        "print('trained')\n"
        "x = np.random.default_rng(0).normal(size=(20, 4)).astype('f4')\n"
        "process = EmbeddingProcess('tsne', x, seed=0, perplexity=3.0)\n"
        f"assert process.ended({LIMIT_S})\n"
        "print(process.result()[0].shape)\n"
    )
    done = _run(script, tmp_path)
    assert done.stdout.split("\n") == ["trained", "(20, 2)", ""], done.stderr


def _run(script, folder):
    path = os.pathsep.join(
        [str(Path(actwidgets.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    )
    return subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        cwd=folder,
    )


def test_what_a_process_failed_with_comes_back(clusters):
    one = _pass(clusters, Layout("tsne", seed=-5))
    with pytest.raises(DataError, match=r"t-SNE failed: .*random_state"):
        _made(one)
    assert "random_state" in one.failure


def test_a_process_that_is_killed_is_a_failure(clusters):
    process = EmbeddingProcess("tsne", np.tile(clusters, (20, 1)), seed=0, perplexity=30.0)
    psutil.Process(process.pid).kill()
    assert process.ended(LIMIT_S)
    with pytest.raises(DataError, match="t-SNE failed"):
        process.result()
    process.stop()


def test_umap_that_is_missing_says_so(clusters, monkeypatch):
    if embedding_process.has_umap():
        pytest.skip("UMAP is installed here")
    process = EmbeddingProcess("umap", clusters, seed=0, perplexity=15.0)
    assert process.ended(LIMIT_S)
    with pytest.raises(DataError, match="UMAP failed: ModuleNotFoundError"):
        process.result()
    process.stop()


def _is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_process_ends_with_its_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os, signal, numpy as np\n"
        "from actwidgets.session.embedding_process import EmbeddingProcess\n"
        "x = np.random.default_rng(0).normal(size=(5000, 40)).astype('f4')\n"
        "process = EmbeddingProcess('tsne', x, seed=0, perplexity=30.0)\n"
        "print(process.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = _run(script, tmp_path)
    pid = int(done.stdout)
    deadline = time.monotonic() + LIMIT_S
    while _is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_outputs_whose_width_varies_are_refused():
    one = GatheringPass(
        "reading",
        "dense",
        np.arange(4),
        lambda rows: np.zeros((len(rows), rows[0] + 1)),
        batch_size=2,
    )
    one.step()
    with pytest.raises(DataError, match="shape differs from sample to sample"):
        one.step()
    assert "shape differs" in one.failure
