#!/bin/sh
# What takes hours: every test under the sanitizers, and a million damaged files for each parser.
# Prints the text for docs/verification.md; nothing is left out silently.
#   verify.sh [INPUTS]     inputs a parser, 1000000 unless told otherwise
set -eu
cd "$(dirname "$0")/../.."
inputs=${1:-1000000}
status=0
results=build/verify.txt
mkdir -p build
printf '%s, commit %s\n\n' "$(date -u +%Y-%m-%d)" "$(git rev-parse --short HEAD)" >"$results"

cmake/scripts/build.sh release fuzz
build/release/tests/fuzz/fuzz all "$inputs" "$(date +%s)" >>"$results" || status=1

cmake/scripts/build.sh sanitize
# Python's own tests run the sanitized program; LibTorch keeps memory until the end by design.
ASAN_OPTIONS=detect_leaks=0 cmake/scripts/test.sh sanitize || status=1
grep -E '^[0-9]+% tests passed' build/sanitize/tests.txt |
  sed 's/^/AddressSanitizer and UndefinedBehaviorSanitizer: /' >>"$results"

echo
cat "$results"
exit "$status"
