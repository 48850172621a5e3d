#!/bin/sh
# Configures where needed and builds a preset:   build.sh PRESET
set -eu
cd "$(dirname "$0")/../.."
# build.ninja reruns CMake by itself when a CMake file changes.
[ -f "build/$1/build.ninja" ] || cmake --preset "$1"
cmake --build --preset "$1"
