#!/bin/sh
# Configures where needed and builds a preset, tests included, or only the targets named:
#   build.sh PRESET [TARGET...]
set -eu
cd "$(dirname "$0")/../.."
preset=$1
shift
# build.ninja reruns CMake by itself when a CMake file changes.
[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset"
cmake --build --preset "$preset" ${1:+--target "$@"}
