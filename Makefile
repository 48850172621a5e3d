.DEFAULT_GOAL := help
.PHONY: help setup build demo test verify parity bench ablation format
# One line a target; the work is in cmake/scripts and launcher/demo.sh.
help: ; @cmake/scripts/help.sh
setup: ; @cmake/scripts/setup.sh
build: setup ; @cmake/scripts/build.sh release limewash
demo: build ; @launcher/demo.sh
test: setup ; @cmake/scripts/build.sh release && cmake/scripts/test.sh release
verify: setup ; @cmake/scripts/verify.sh
parity: setup ; @cmake/scripts/build.sh release limewash adamw_steps && cmake/scripts/parity.sh
bench: build ; @cmake/scripts/bench.sh
ablation: build ; @.venv/bin/python eval/ablation/ablation.py $(ABLATION)
format: setup ; @git ls-files '*.cpp' '*.h' '*.cu' '*.cuh' | xargs -r clang-format-14 -i
