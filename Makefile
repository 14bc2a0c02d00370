# make tour | make studio | make test | make check | make bench: each does all its own set-up on a machine with Python 3.11+, git and make.
PYTHON ?= python3
UV := $(shell command -v uv || echo .venv/bin/uv)
BIN := .venv/bin
# byte code once at set-up: without it every import takes several times as long
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup tour studio test check bench format clean

setup: .venv/.ready

.venv/.ready: pyproject.toml
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || test -x .venv/bin/uv || $(BIN)/python -m pip install --quiet "uv>=0.9"
	$(UV) sync --inexact --compile-bytecode --quiet
	@touch $@

tour: setup
	$(BIN)/twofold tour --out tour

studio: setup
	$(BIN)/twofold studio

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check
	$(BIN)/pytest -n 2 --dist worksteal

bench: setup
	$(UV) sync --inexact --quiet --group bench
	for name in latent_order anomaly_tables anomaly_explain fraud resume language text_compression novels \
		turing_statistics machine_judge transfer_hymenoptera transfer_few_shot selfsupervised_cifar masked_labels masked_inpaint \
		denoising planar_map anomaly_images image_feeding gan_pictures gan_texts gan_sounds gan_small_sets \
		clip_training captions nothing_fits search_folder gallery_kills studio_load studio_schema record; do \
		$(BIN)/python benchmarks/$$name.py || exit 1; done

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache tour
