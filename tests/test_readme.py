"""The README's Python runs as it stands, one block after the other."""

import re
from pathlib import Path

import jax

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_every_block_of_the_readme_runs(capsys):
    names: dict = {}
    with jax.enable_x64(False):
        for block in BLOCKS:
            exec(compile(block, "README.md", "exec"), names)
    out = capsys.readouterr().out
    assert len(BLOCKS) == 5
    assert "Array(0.21355" in out
    assert "layer_norm: 108 of 125 mistakes caught" in out
    assert "RIGHT" in out and "WRONG" in out
    assert names["history"][-1].validation_accuracy > 0.8
