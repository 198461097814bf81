from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from results.errors import SelectionError
from results.events import Told
from results.plot import _figure, front_plot
from results.trial import TrialOutcome


def texts(run) -> str:
    axes = _figure(run.view, "lfw").axes[0]
    labels = [text.get_text() for text in axes.texts]
    return " | ".join([axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel(), *labels])


def test_a_plot_is_written_as_a_png(run, tmp_path: Path) -> None:
    run.trial(1, 0.2, 5.0)
    run.trial(2, 0.4, 2.0)
    run.trial(3, 0.5, 6.0)
    front_plot(run.view, tmp_path / "front.png", run="lfw")

    with Image.open(tmp_path / "front.png") as image:
        assert image.format == "PNG"
        assert image.size == (1200, 825)
    assert [path.name for path in tmp_path.iterdir()] == ["front.png"]


def test_the_plot_names_axes_with_units_the_volume_and_the_points(run) -> None:
    run.trial(1, 0.2, 5.0)
    run.trial(2, 0.4, 2.0)
    run.trial(3, 0.5, 6.0)
    shown = texts(run)

    assert "lfw: 3 trials finished, 0 failed, hypervolume 5.8" in shown
    assert "error (fraction, less is better)" in shown
    assert "rank disparity (ranks, less is better)" in shown
    assert "c0001 | c0002" in shown
    assert "c0003" not in shown


def test_a_run_without_any_point_says_so(run, tmp_path: Path) -> None:
    front_plot(run.view, tmp_path / "front.png", run="lfw")

    assert "no trial has finished at the highest rung yet" in texts(run)


def test_many_points_are_not_all_labelled(run) -> None:
    for number in range(40):
        run.trial(number, 0.1 + number / 100, 9.0 - number / 10)

    axes = _figure(run.view, "lfw").axes[0]
    assert len(axes.texts) == 14


def test_an_interval_that_misses_its_estimate_does_not_break_the_plot(run, tmp_path: Path) -> None:
    run.ask(1)
    outcome = TrialOutcome(
        trial_id="t0001",
        attempt=1,
        costs={"error": 0.5, "rank_disparity": 5.0},
        interval95={"error": (0.6, 0.7), "rank_disparity": (1.0, 2.0)},
    )
    run.log(Told(outcome=outcome))

    front_plot(run.view, tmp_path / "front.png", run="lfw")


def has_step_line(run) -> bool:
    return any(
        line.get_drawstyle() == "steps-post" for line in _figure(run.view, "").axes[0].lines
    )


def test_two_objectives_have_a_step_line_and_three_have_none(run, new_run) -> None:
    three = new_run().open(objectives=("error", "rank_disparity", "disparity"))
    for each in (run, three):
        each.trial(1, 0.2, 5.0, 0.3)
        each.trial(2, 0.3, 4.0, 0.1)

    assert has_step_line(run)
    assert not has_step_line(three)


def test_one_objective_has_no_front_to_draw(new_run, tmp_path: Path) -> None:
    run = new_run().open(objectives=("error",))

    with pytest.raises(SelectionError, match="one objective"):
        front_plot(run.view, tmp_path / "front.png", run="lfw")


def test_matplotlib_is_loaded_only_when_something_is_drawn() -> None:
    script = "import sys, results.plot; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_run_whose_points_are_all_above_a_largest_cost_says_so(new_run) -> None:
    run = new_run().open(max_costs={"error": 0.1})
    run.trial(1, 0.2, 5.0)
    assert "no trial at the highest rung keeps within max_cost (error 0.1)" in texts(run)
    axes = _figure(run.view, "lfw").axes[0]
    assert axes.get_legend_handles_labels()[1] == ["not on the front (1)"]
