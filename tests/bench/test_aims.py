from __future__ import annotations

import pytest

from tests.bench.aims import ROWS, SCENES, Of, Result, Row, results


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> str:
    """A scene with a row of every kind."""
    rows = [
        Row("speed", "speed", "peer.speed", at_least=2),
        Row("memory", "memory", "peer.memory", at_most=80, of=Of.FIGURE),
        Row("more memory", "memory", "peer.memory", at_most=10, of=Of.EXCESS),
        Row("to be known", "speed", of=Of.FIGURE),
    ]
    monkeypatch.setitem(ROWS, "a scene", rows)
    return "a scene"


def by_name(found: list[Result]) -> dict[str, Result]:
    return {result.row.what: result for result in found}


def test_a_ratio_is_taken_within_a_round(scene: str) -> None:
    slow_machine = {"speed": 10.0, "peer.speed": 5.0, "memory": 70.0, "peer.memory": 60.0}
    fast_machine = {"speed": 90.0, "peer.speed": 30.0, "memory": 70.0, "peer.memory": 60.0}
    middling = {"speed": 50.0, "peer.speed": 50.0, "memory": 70.0, "peer.memory": 60.0}
    speed = by_name(results(scene, [slow_machine, fast_machine, middling]))["speed"]
    assert (speed.figure, speed.beside, speed.ratio) == (50, 30, 2)
    assert speed.met is True


def test_an_aim_bounds_the_figure_or_the_ratio_or_the_excess(scene: str) -> None:
    found = by_name(results(scene, [{"speed": 19.0, "peer.speed": 10.0, "memory": 75.0, "peer.memory": 64.0}]))
    assert {name: result.met for name, result in found.items()} == {
        "speed": False, "memory": True, "more memory": False, "to be known": None
    }  # fmt: skip


def test_without_a_peer_only_the_rows_that_need_it_are_left_out(scene: str) -> None:
    found = by_name(results(scene, [{"speed": 19.0, "memory": 75.0}]))
    assert found.keys() == {"memory", "to be known"}
    assert found["memory"].beside is None


def test_every_scene_has_rows() -> None:
    assert ROWS.keys() == SCENES.keys()
