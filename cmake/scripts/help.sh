#!/bin/sh
# What `make` alone prints.
cat <<'TEXT'
make setup    install what limewash needs: Debian packages, and .venv with LibTorch and MLflow
make build    build/release/launcher/limewash
make demo     render rooms, train on two ranks, measure, and show it on an MLflow server
make test     build and run every test, and say what was left out
make verify   hours: every test under the sanitizers, a million damaged files for each parser
make parity   every network against diffusers, transformers and peft, full size too; writes docs/parity.md
make bench    training speed on this machine
make ablation hours: trains every arm of eval/ablation/arms.yaml on three seeds; writes the tables of docs/ablation.md
make format   clang-format over every C++ file
Each calls what it needs first; `make demo` and `make test` are all that a new machine needs.
TEXT
