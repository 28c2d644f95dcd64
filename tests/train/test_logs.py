"""What is written down: an epoch a line, once, whoever was killed in between."""

import csv
import json

import jax
import pytest

from purefw.data import toy
from purefw.layers.tanh import tanh
from purefw.losses.softmax_cross_entropy import softmax_cross_entropy
from purefw.models import perceptron
from purefw.train import fit, train
from purefw.train.logs import FileLog, TensorBoardLog

TASK = perceptron((2, 5, 2), tanh()), softmax_cross_entropy(), toy()


def _settings(**settings):
    settings = {"epochs": 3, "key": jax.random.key(0)} | settings
    return {"optimiser": "sgd", "batch_size": 16} | settings


def _rows(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return [
            {name: json.loads(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_every_epoch_is_a_line_with_all_digits(suffix, tmp_path):
    path = tmp_path / f"log.{suffix}"
    path.write_text("of an earlier training")
    _, history = fit(*TASK, callbacks=[FileLog(path)], **_settings())
    expected = [
        {"step": 5 * e.number, "epoch": e.number} | dict(list(e._asdict().items())[1:])
        for e in history
    ]
    assert _rows(path) == expected


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_resumed_training_leaves_the_file_of_one_that_was_not(suffix, tmp_path):
    """Killed after epoch 2 was logged, resumed from within epoch 2."""
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"log.{suffix}"
    fit(*TASK, callbacks=[FileLog(whole)], **_settings())
    fit(*TASK, callbacks=[FileLog(path)], **_settings(epochs=2))
    middle = next(m for m in train(*TASK, rests=(7,), **_settings()) if m.step == 7)
    fit(*TASK, callbacks=[FileLog(path)], **_settings(resume=middle.snapshot))
    assert path.read_text() == whole.read_text()


def test_another_suffix_and_a_folder_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must end with .csv or .jsonl, got log.txt"):
        FileLog(tmp_path / "log.txt")
    log = FileLog(tmp_path / "nowhere" / "log.csv")
    with pytest.raises(ValueError, match="file to write to, got No such file"):
        fit(*TASK, callbacks=[log], **_settings())


def test_tensorboard_gets_every_epoch_against_its_step(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    _, history = fit(*TASK, callbacks=[TensorBoardLog(tmp_path)], **_settings())
    (file,) = tmp_path.iterdir()
    found = {}
    for record in _records(file.read_bytes()):
        event = Event.FromString(record)
        for value in event.summary.value:
            found[value.tag, event.step] = value.simple_value
    assert len(found) == 4 * len(history)
    for epoch in history:
        assert found["loss/train", 5 * epoch.number] == pytest.approx(epoch.train_loss)
        accuracy = found["accuracy/validation", 5 * epoch.number]
        assert accuracy == pytest.approx(epoch.validation_accuracy)


def _records(content):
    """TFRecord: a length of 8 bytes, its checksum of 4, the record, its checksum."""
    while content:
        length = int.from_bytes(content[:8], "little")
        yield content[12 : 12 + length]
        content = content[16 + length :]
