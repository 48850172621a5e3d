#!/bin/sh
# Compares every network with the reference libraries, at tiny and at full size, and writes docs/parity.md.
# The full sizes take about half an hour on two cores, 14 GB of memory and 4 GB of disk at a time:
#   parity.sh [options of tests/models/parity_table.py]
set -eu
cd "$(dirname "$0")/../.."
exec .venv/bin/python tests/models/parity_table.py "$@"
