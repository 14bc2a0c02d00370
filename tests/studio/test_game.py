"""The game, seen: the real one, in two dimensions, on the wire and in the browser."""

import numpy as np
import pytest

from twofold.errors import RunError
from twofold.methods.gan import GAN, Game
from twofold.studio.game import SHAPES, Bench, Games, Setting, points_of, words_for

GAMES = "/api/v1/games"


def begin(client, **asked):
    answer = client.post(GAMES, json={"n_steps": 60, **asked})
    assert answer.status_code == 201, answer.text
    return answer.json()


def play(client, game, n, side=0):
    return client.post(f"{GAMES}/{game['id']}/steps", json={"n": n, "side": side})


# ---- the game ------------------------------------------------------------------------------------


def test_it_is_the_game_that_a_gan_plays():
    """The same learner, networks and turns: played by GAN.fit on the same rows, the losses are the same numbers."""
    points = points_of("ring", [], 3)
    bench = Bench(points, Setting(n_steps=6, seed=3))
    assert type(bench.game) is Game
    gan = GAN(loss="relativistic", gamma=1.0, noise_dim=8, n_steps=6, seed=3, dim=96, batch_size=128, n_threads=1)
    turns = gan.begin(points, form=bench.form, is_blank=True).turns
    expected = [[progress.losses["discriminator"], progress.losses["generator"]] for progress in turns]
    np.testing.assert_allclose(bench.play(6, 0)["losses"], expected, atol=1e-5)


def test_one_turn_at_a_time_leads_where_six_at_once_do():
    slowly, quickly = (Bench(points_of("moons", [], 0), Setting(n_steps=6)) for _ in range(2))
    for _ in range(6):
        frame = slowly.play(1, 8)
    at_once = quickly.play(6, 8)
    assert frame["made"] == at_once["made"] and frame["surface"] == at_once["surface"] and frame["is_over"]
    assert slowly.losses == quickly.losses


def test_the_arrows_point_where_the_detective_finds_it_more_real():
    bench = Bench(points_of("line", [], 0), Setting(n_steps=400))
    frame = bench.play(50, 0)
    made, arrow = np.array(frame["made"]), np.array(frame["arrows"])
    long = np.linalg.norm(arrow, axis=1) > 0.2
    score = [bench.game.network.discriminator(_coded(bench, made[long] + by * arrow[long]), _zeros(long.sum()))
             for by in (0, 0.03)]  # fmt: skip
    assert long.sum() > 10 and float((score[1] > score[0]).float().mean()) > 0.95


def _coded(bench, point_N2):
    import torch

    return bench.form.real(*map(torch.from_numpy, bench.form.arrays(point_N2)))


def _zeros(n):
    import torch

    return torch.zeros(int(n), dtype=torch.int64)


def test_the_forger_learns_a_line_and_begins_far_from_it():
    bench = Bench(points_of("line", [], 0), Setting(n_steps=300))
    before, after = bench.look(0)["measures"], bench.play(300, 0)["measures"]
    assert before["fit"] < 0.5 and after["fit"] > 0.8 and after["coverage"] > 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_lies_in_sight_and_is_no_cloud(shape):
    points = points_of(shape, [], 0)
    assert points.shape == (800, 2) and np.abs(points).max() <= 1 and points.std(0).min() > 0.1
    assert np.array_equal(points, points_of(shape, [], 0)) and not np.array_equal(points, points_of(shape, [], 1))


def test_drawn_points_lie_around_what_was_drawn():
    points = points_of("ring", [(0.5, -0.5), (-0.5, 0.5)], 0)
    nearest = np.minimum(*(np.linalg.norm(points - np.array(dab), axis=1) for dab in ((0.5, -0.5), (-0.5, 0.5))))
    assert nearest.max() < 0.2


def test_the_words_name_what_happens():
    told = {"balance": 0.6, "gamma": 1.0}
    assert "Mode collapse" in words_for(9, told | {"fit": 0.9, "coverage": 0.2})
    assert "too strong" in words_for(9, told | {"fit": 0.1, "coverage": 0.2, "balance": 0.1})
    assert "Well forged" in words_for(9, told | {"fit": 0.9, "coverage": 0.95})
    assert "guesses" in words_for(9, told | {"fit": 0.1, "coverage": 0.5, "balance": 0.69})
    assert "even match" in words_for(9, told | {"fit": 0.3, "coverage": 0.5})


def test_sixteen_games_are_kept_and_the_longest_unused_makes_room():
    games, bench = Games(), Bench(points_of("line", [], 0), Setting(n_steps=2))
    names = [games.add(bench) for _ in range(16)]
    games.game(names[0])
    games.add(bench)
    assert games.game(names[0]) is bench
    with pytest.raises(RunError, match="there is no game"):
        games.game(names[1])


# ---- on the wire ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["relativistic", "nonsaturating", "dcgan"])
def test_a_game_is_begun_played_to_its_end_and_let_go(client, loss):
    game = begin(client, shape="spiral", loss=loss)
    assert len(game["points"]) == 400 and game["frame"]["step"] == 0 and len(game["frame"]["surface"]) == 36 * 36
    frame = play(client, game, 50, side=10).json()
    assert (frame["step"], len(frame["losses"]), len(frame["surface"]), frame["is_over"]) == (50, 50, 100, False)
    assert all(0 <= share <= 1 for share in frame["surface"])
    assert len(frame["made"]) == len(frame["arrows"]) == 240
    frame = play(client, game, 50).json()
    assert (frame["step"], len(frame["losses"]), frame["is_over"]) == (60, 10, True)
    assert play(client, game, 5).json()["step"] == 60
    assert client.delete(f"{GAMES}/{game['id']}").status_code == 204
    assert play(client, game, 1).status_code == 404


def test_all_points_in_one_place_and_wild_settings_are_played(client):
    game = begin(client, dabs=[[1.0, 1.0]], learning_rate=0.1, gamma=1000.0, noise_dim=1)
    frame = play(client, game, 30, side=4).json()
    assert frame["step"] <= 30 and all(np.isfinite(frame["made"]).ravel())


@pytest.mark.parametrize(
    "asked",
    [{"shape": "star"}, {"dabs": [[0.0, 2.0]]}, {"dabs": [[0.0]]}, {"loss": "none"}, {"n_steps": 10**6}, {"gamma": 0}],
)
def test_what_cannot_be_played_is_refused(client, asked):
    assert client.post(GAMES, json=asked).status_code == 422


def test_at_most_fifty_turns_are_played_at_once(client):
    game = begin(client)
    assert play(client, game, 51).status_code == 422 and play(client, {"id": "0" * 16}, 1).status_code == 404


# ---- in the browser ------------------------------------------------------------------------------


@pytest.fixture
def opened(let_in):
    """Open the page in a state."""

    def page_of(state: str = "", scheme: str = "light"):
        page = let_in(f"game{state}", scheme)
        page.locator("#measures dl").wait_for(timeout=60_000)
        return page

    return page_of


def test_a_game_is_drawn_played_and_sent_on_by_keyboard(opened):
    page = opened("#n_steps=100&seed=5")
    assert page.get_by_label("Turns in all").input_value() == "100"
    page.get_by_role("button", name="One turn").focus()
    page.keyboard.press("Enter")
    page.get_by_text("1 of 100").wait_for()
    page.get_by_label("Speed").focus()
    page.keyboard.type("as fast")
    page.get_by_role("button", name="Play", exact=True).focus()
    page.keyboard.press("Enter")
    page.get_by_text("100 of 100").wait_for()
    page.get_by_role("button", name="Play again").wait_for()
    page.get_by_role("button", name="Draw your own").focus()
    page.keyboard.press("Enter")
    for key in ("Space", *["ArrowLeft"] * 9, "Space", *["ArrowUp"] * 5, "Space", "Enter"):
        page.keyboard.press(key)
    page.get_by_text("0 of 100").wait_for()
    assert "shape=drawn" in page.url and "dabs=" in page.url
    # who opens the address gets the same drawing
    other = opened(page.url.partition("/game")[2])
    assert other.get_by_label("What is forged").input_value() == "drawn"
    assert other.locator("#measures").inner_text() == page.locator("#measures").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(opened, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = opened("", scheme)
    page.get_by_role("button", name="One turn").click()
    page.locator("#losses .main-svg").first.wait_for()
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found
               if one["impact"] in ("serious", "critical")]  # fmt: skip
    assert not serious
