"""The same profiles from a cluster of two real worker processes, and its failures."""

import os
import signal
import time

import dask.array as da
import keras
import numpy as np
import pytest
from distributed import Client, LocalCluster

import actwidgets as aw
from actwidgets.errors import DataError, LayerError, ModelError, ShapeError
from actwidgets.probe import dask

pytestmark = pytest.mark.keras
BATCH = 64


def _cluster(n_workers):
    return LocalCluster(
        n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=None
    )


@pytest.fixture(scope="module")
def client():
    with _cluster(2) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture(scope="module")
def model():
    return aw.demo_model()


@pytest.fixture(scope="module")
def data():
    digits = aw.load_dataset("digits")
    return digits.x_train[:1000], digits.y_train[:1000]


@pytest.fixture(scope="module")
def wanted(model, data):
    return aw.class_profiles(model, *data, batch_size=BATCH)


def _assert_same(found, wanted):
    assert (found.layers, found.class_names) == (wanted.layers, wanted.class_names)
    np.testing.assert_array_equal(found.counts, wanted.counts)
    for layer in wanted.layers:
        for name in ("firing_rate", "min", "max", "n_nan"):
            np.testing.assert_array_equal(
                getattr(found, name)[layer], getattr(wanted, name)[layer], err_msg=name
            )
        for name in ("mean", "std"):
            np.testing.assert_allclose(
                getattr(found, name)[layer], getattr(wanted, name)[layer], rtol=1e-12, atol=1e-12
            )


def _loaders(data, rows=256):
    """Callables without arguments, one for each 256 samples."""
    return [
        lambda part=(data[0][start : start + rows], data[1][start : start + rows]): part
        for start in range(0, len(data[0]), rows)
    ]


def test_arrays_go_in_slices_and_progress_is_told(client, model, data, wanted):
    told = []
    found = aw.class_profiles(model, *data, batch_size=BATCH, client=client, progress=told.append)
    _assert_same(found, wanted)
    assert found.complete
    np.testing.assert_array_equal(
        *(each.similarity("dense", metric="jensen_shannon") for each in (found, wanted))
    )
    assert len(told) == 15
    assert told == sorted(told)
    assert told[-1] == 1000


def test_workers_name_the_calls_of_a_shared_layer_as_this_process_does(client):
    first, second = keras.Input((3,)), keras.Input((3,))
    shared = keras.layers.Dense(2, name="shared")
    outputs = [keras.layers.Dense(2, name=f"o{k}")(shared(x)) for k, x in ((1, first), (2, second))]
    model, rows = keras.Model([first, second], outputs), np.eye(3, dtype="float32")
    parts = aw.Partitions([lambda: ([rows, 2 * rows], np.array([0, 1, 1]))])
    found = aw.class_profiles(model, parts, client=client)
    assert found.layers == ("shared", "shared#1", "o1", "o2")
    for name, factor in (("shared", 1), ("shared#1", 2)):
        kernel = factor * np.asarray(shared.kernel)  # the rows are those of the identity
        np.testing.assert_allclose(
            found.mean[name], [kernel[0], kernel[1:].mean(axis=0)], rtol=1e-5, err_msg=name
        )


def test_partitions_of_callables(client, model, data, wanted):
    parts = aw.Partitions(_loaders(data))
    assert (len(parts), repr(parts)) == (4, "<Partitions: 4>")
    found = aw.class_profiles(model, parts, batch_size=BATCH, client=client)
    _assert_same(found, wanted)


def test_partitions_of_files(client, model, data, wanted, tmp_path):
    (x, y), loaders = data, []
    for index, rows in enumerate(np.split(np.arange(len(x))[: 3 * 320], 3)):
        path = tmp_path / f"{index}.npz"
        np.savez(path, x=x[rows], y=y[rows])
        loaders.append(str(path) if index else path)
    pair = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(pair[0], x[960:])
    np.save(pair[1], np.eye(10)[y[960:]])
    parts = aw.Partitions([*loaders, pair])
    _assert_same(aw.class_profiles(model, parts, batch_size=BATCH, client=client), wanted)


def test_dask_arrays(client, model, data, wanted):
    x, y = da.from_array(data[0], chunks=(320, 8, 8, 1)), data[1]
    for labels in (y, da.from_array(y, chunks=500), da.from_array(np.eye(10)[y], chunks=(200, 3))):
        found = aw.class_profiles(model, x, labels, batch_size=BATCH, client=client)
        _assert_same(found, wanted)


def test_a_memory_map_and_every_option(client, model, data, tmp_path):
    np.save(tmp_path / "x.npy", data[0])
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    options = {
        "layers": ["dense", "conv_1"],
        "threshold": 0.25,
        "reduce": "mean",
        "batch_size": 100,
        "class_names": [f"<{index}>" for index in range(10)],
        "head": "predictions",
        "statistics": ["mean", "std"],
    }
    found = aw.class_profiles(model, mapped, data[1], client=client, **options)
    single = aw.class_profiles(model, *data, **options)
    assert found.gathered("dense") == single.gathered("dense")
    np.testing.assert_array_equal(found.firing_rate["conv_1"], single.firing_rate["conv_1"])
    np.testing.assert_allclose(found.std["dense"], single.std["dense"], rtol=1e-12)
    assert (found.threshold, found.reduce) == (0.25, "mean")


def test_a_dict_of_arrays_plain_and_of_dask(client):
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    both = keras.layers.Concatenate(name="both")([left, right])
    model = keras.Model([left, right], keras.layers.Dense(2, name="classes")(both))
    rng = np.random.default_rng(0)
    x = {
        "right": rng.normal(size=(70, 2)).astype(np.float32),
        "left": rng.normal(size=(70, 3)).astype(np.float32),
    }
    y = np.arange(70) % 2
    wanted = aw.class_profiles(model, x, y, batch_size=16)
    chunked = {name: da.from_array(part, chunks=(32, -1)) for name, part in x.items()}
    for given in (x, chunked):
        _assert_same(aw.class_profiles(model, given, y, batch_size=16, client=client), wanted)


def test_a_worker_that_dies_changes_nothing(client, model, data, wanted, tmp_path):
    marker, told = tmp_path / "died", []

    def loader(start):
        if start == 512 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return data[0][start : start + 128], data[1][start : start + 128]

    parts = aw.Partitions([lambda start=start: loader(start) for start in range(0, 1000, 128)])
    found = aw.class_profiles(model, parts, batch_size=BATCH, client=client, progress=told.append)
    assert marker.exists()
    _assert_same(found, wanted)
    assert (len(told), told[-1]) == (8, 1000)


def test_the_same_partitions_give_the_same_bits(client, model, data, monkeypatch):
    monkeypatch.setattr("actwidgets.probe.dask.PER_BRANCH", 16)
    monkeypatch.setattr("actwidgets.probe.dask.FAN_IN", 3)
    parts = aw.Partitions(_loaders(data, 25))
    one, other = (aw.class_profiles(model, parts, layers="dense", client=client) for _ in range(2))
    for name in ("mean", "std"):
        assert getattr(one, name)["dense"].tobytes() == getattr(other, name)["dense"].tobytes()


def test_partitions_without_samples_are_passed_over(client, model, data, wanted):
    nothing = [lambda: (np.zeros((0, 8, 8, 1)), np.zeros(0, int)), list]
    parts = aw.Partitions([nothing[0], *_loaders(data), nothing[1]])
    _assert_same(aw.class_profiles(model, parts, batch_size=BATCH, client=client), wanted)
    with pytest.raises(DataError, match=r"^x holds no samples"):
        aw.class_profiles(model, aw.Partitions(nothing), client=client)


def test_batches_and_a_model_of_the_notebook(client):
    """Classes of `__main__`, names that Keras counts up, and axes of any length."""

    def halved(x):
        return x / 2

    class Own(keras.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.code = keras.layers.Dense(3, activation=halved)
            self.classes = keras.layers.Dense(2)

        def call(self, x):
            return self.classes(keras.ops.max(self.code(x), axis=1))

    keras.layers.Dense(1)  # so that the next is not called "dense"
    Own.__module__ = halved.__module__ = "__main__"
    rng = np.random.default_rng(0)
    batches = [(rng.random((16, 5, 4), np.float32), np.arange(16) % 2) for _ in range(4)]
    model = Own()
    model(batches[0][0])
    wanted = aw.class_profiles(model, batches)
    assert wanted.layers != ("dense", "dense_1")  # as they are called in a new process
    parts = aw.Partitions([lambda: batches[:1], lambda: batches[1:]])
    _assert_same(aw.class_profiles(model, parts, client=client), wanted)


def _tasks_of_ours(dask_scheduler):
    return sum("actwidgets-" in str(key) for key in dask_scheduler.tasks)


def test_an_interrupt_cancels_what_is_left(client, model, data):
    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        aw.class_profiles(
            model, aw.Partitions(_loaders(data, 10)), client=client, progress=interrupt
        )
    deadline = time.monotonic() + 60
    while left := client.run_on_scheduler(_tasks_of_ours):
        assert time.monotonic() < deadline, f"{left} tasks are left"
        time.sleep(0.05)


def _one_shot():
    return (batch for batch in [(np.zeros((1, 8, 8, 1)), [0])])


@pytest.mark.parametrize(
    ("loader", "error", "words"),
    [
        (lambda: (np.zeros((3, 6, 6, 1)), [0, 1, 2]), ShapeError, r"x must hold .*\(8, 8, 1\)"),
        (lambda: (np.zeros((3, 8, 8, 1)), [0, 1, 11]), DataError, "y holds 11"),
        (lambda: (np.zeros((3, 8, 8, 1)), [0]), ShapeError, "3 samples and y has 1 labels"),
        (lambda: np.zeros((3, 8, 8, 1)), DataError, "needs labels"),
        (_one_shot, DataError, "x is a one-shot iterator"),
        (lambda: (1, 2, 3), DataError, "got a tuple of 3"),
        (lambda: 1 / 0, DataError, "ZeroDivisionError: division by zero"),
        (lambda: __import__("absent"), ModelError, "a worker cannot import absent: .*install"),
        ("/no/where.npz", DataError, r"\(/no/where.npz\): FileNotFoundError"),
    ],
)
def test_a_bad_partition_is_named(client, model, data, loader, error, words):
    parts = aw.Partitions([*_loaders(data, 500), loader])
    with pytest.raises(error, match=f"^partition 2.*{words}") as raised:
        aw.class_profiles(model, parts, layers="dense", client=client)
    assert "\n" not in str(raised.value)


def test_what_was_merged_before_a_failure_is_kept(client, model, data, monkeypatch, tmp_path):
    monkeypatch.setattr("actwidgets.probe.dask.PER_BRANCH", 2)
    batches = [(data[0][:20], data[1][:20]), (np.zeros((3, 8, 8, 1)), [0, 1, 11])]
    is_merged, merged = tmp_path / "merged", dask.merged

    def told(*states):
        found = merged(*states)
        is_merged.touch()
        return found

    def late():
        for _ in range(100):  # until what comes before it is merged
            if is_merged.exists():
                break
            time.sleep(0.1)
        return batches

    monkeypatch.setattr(dask, "merged", told)

    parts = aw.Partitions([*_loaders(data, 500), late])
    with pytest.raises(DataError, match=r"^partition 2, after 20 samples: y holds 11") as raised:
        aw.class_profiles(model, parts, layers="dense", batch_size=BATCH, client=client)
    partial = raised.value.partial
    assert (raised.value.n_partitions, partial.n_samples, partial.complete) == (2, 1000, False)
    assert "partial" not in str(raised.value)


def test_a_file_that_lacks_its_labels(client, model, tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 8, 8, 1)))
    with pytest.raises(DataError, match=r"^partition 0 \(.*a.npz\): the file lacks y; it holds x"):
        aw.class_profiles(model, aw.Partitions([tmp_path / "a.npz"]), client=client)


def test_a_chunk_that_cannot_be_computed_is_named(client, model):
    def fail_at_the_end(x, block_info=None):
        if block_info[0]["chunk-location"][0] == 2:
            raise ValueError("no such\nimages")
        return x

    x = da.zeros((30, 8, 8, 1), chunks=(10, 8, 8, 1), dtype=np.float32)
    x = x.map_blocks(fail_at_the_end, dtype=x.dtype, meta=np.zeros((0,) * 4, np.float32))
    with pytest.raises(DataError, match=r"^partition 2 \(samples 20 to 29\): ValueError: no such$"):
        aw.class_profiles(model, x, np.zeros(30, int), client=client)


def test_maps_that_do_not_merge_name_their_partitions(client):
    inputs = keras.Input((None, 2))
    maps = keras.layers.Conv1D(3, 1, name="maps")(inputs)
    model = keras.Model(inputs, keras.layers.GlobalMaxPooling1D(name="classes")(maps))
    parts = aw.Partitions([lambda n=n: (np.ones((2, n, 2)), [0, 1]) for n in (4, 5)])
    assert aw.class_profiles(model, parts, client=client).counts.tolist() == [2, 2, 0]
    with pytest.raises(DataError, match=r"^partitions 0 to 1: .*different size do not merge"):
        aw.class_profiles(model, parts, reduce="mean", client=client)


class _Refuser:
    """Stands where a client sends things, and fails the test when it is asked to."""

    def __call__(self, *_, **__):
        pytest.fail("something was sent")


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"layers": ["conv9"]}, LayerError, "no layer 'conv9'"),
        ({"threshold": np.nan}, DataError, "NaN"),
        ({"reduce": "most"}, DataError, "reduce must be"),
        ({"class_names": ["a"]}, DataError, "10 class"),
        ({"head": "age"}, ModelError, "age"),
        ({"batch_size": 0}, DataError, "at least 1; got 0"),
        ({"model": "a.keras"}, ModelError, "load_model"),
        ({"x": np.zeros((1000, 6, 6, 1))}, ShapeError, r"\(8, 8, 1\)"),
        ({"x": da.zeros((1000, 6, 6, 1))}, ShapeError, r"\(8, 8, 1\)"),
        ({"x": da.zeros((1000, 8, 8, 1), chunks=(9, 4, 8, 1))}, ShapeError, "sample axis only"),
        ({"x": da.zeros((9, 8, 8, 1))}, ShapeError, "9 samples and y has 1000"),
        ({"x": np.zeros((9, 8, 8, 1))}, ShapeError, "9 samples and y has 1000"),
        ({"x": np.zeros((0, 8, 8, 1)), "y": []}, DataError, "no samples"),
        ({"x": [(np.zeros((1, 8, 8, 1)), 0)]}, DataError, r"Partitions\(\[loader.*got list"),
        ({"x": aw.Partitions([list])}, DataError, "leave y out"),
        ({"y": None}, DataError, "needs labels"),
        ({"y": np.full(1000, 10)}, DataError, "y holds 10"),
    ],
)
def test_what_is_known_to_be_wrong_is_told_first(
    client, model, data, monkeypatch, change, error, words
):
    monkeypatch.setattr(client, "_graph_to_futures", _Refuser())
    given = {"model": model, "x": data[0], "y": data[1]} | change
    with pytest.raises(error, match=words):
        aw.class_profiles(client=client, **given)


def test_what_cannot_be_pickled_is_told(client, data):
    class Locked(keras.layers.Layer):
        def call(self, x):
            return x

        def get_config(self):
            raise NotImplementedError("this layer\nkeeps to itself")

    model = keras.Sequential(
        [keras.Input((8, 8, 1)), Locked(name="locked"), keras.layers.Flatten(name="flat")]
    )
    with pytest.raises(ModelError, match=r"cannot be pickled.*NotImplementedError: this layer$"):
        aw.class_profiles(model, *data, client=client)
    generator = (each for each in "ab")
    with pytest.raises(DataError, match=r"loader of partition 0 cannot be pickled.*generator"):
        aw.class_profiles(aw.demo_model(), aw.Partitions([lambda: generator]), client=client)


@pytest.mark.parametrize(
    ("loaders", "words"),
    [
        ("a.npz", "takes a list of loaders; got str"),
        ([], "at least one"),
        ([print, "x.npy"], r"loader 1 .*labels of 'x.npy' with it: \(x_path, y_path\)"),
        ([3], "loader 0 .* got 3"),
        ([("x.npy",)], "got the tuple"),
    ],
)
def test_loaders_of_another_kind_are_refused(loaders, words):
    with pytest.raises(DataError, match=words):
        aw.Partitions(loaders)


def test_clients_that_cannot_work(client, model, data, monkeypatch):
    with pytest.raises(DataError, match="give client="):
        aw.class_profiles(model, aw.Partitions([list]))
    with pytest.raises(DataError, match=r"dask.distributed.Client; got str"):
        aw.class_profiles(model, *data, client="tcp://127.0.0.1:8786")
    with Client(client.scheduler.address, set_as_default=False) as closed:
        pass
    with pytest.raises(DataError, match="client is closed: make a new"):
        aw.class_profiles(model, *data, client=closed)
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(ModelError, match=r'pip install "actwidgets\[dask\]"'):
        aw.class_profiles(model, *data, client=client)


def test_workers_that_lack_something_are_told(model, data):
    def other_keras():
        import sys
        from types import SimpleNamespace

        sys.modules["keras"] = SimpleNamespace(__version__="3.0.1")

    def without(package):
        import sys

        class Refuser:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name.partition(".")[0] == package:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        for name in [*sys.modules]:
            if name.partition(".")[0] == package:
                del sys.modules[name]
        sys.meta_path.insert(0, Refuser)

    parts = aw.Partitions(_loaders(data, 500))
    told = []
    with _cluster(1) as cluster, Client(cluster, set_as_default=False) as client:
        for spoil in ((other_keras,), (without, "keras"), (without, "actwidgets")):
            client.run(*spoil)
            with pytest.raises(ModelError, match=r"^partition [01]: a worker ") as raised:
                aw.class_profiles(model, parts, client=client)
            told.append(str(raised.value))
    assert f"has actwidgets {aw.__version__} ({aw.__version__}), keras 3.0.1 (" in told[0]
    assert "cannot import keras: No module named 'keras'; install actwidgets[dask]" in told[1]
    assert "cannot import actwidgets: No module named 'actwidgets';" in told[2]
    assert all("\n" not in each for each in told)
