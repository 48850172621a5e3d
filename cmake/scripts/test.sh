#!/bin/sh
# Runs every test of a built preset, and says at the end what was left out and why:   test.sh PRESET
set -eu
cd "$(dirname "$0")/../.."
log="build/$1/tests.txt"
status=0
ctest --test-dir "build/$1" --parallel 2 --output-on-failure --no-tests=error \
  --output-log "$log" || status=$?
echo
left_out=$(sed -n -e 's/^ *[0-9]*\/[0-9]* Test *#[0-9]*: \(.*[^.]\) \.\.*\*\*\*\(Skipped\|Not Run\).*/  \1/p' "$log" | sort -u)
# Each executable holds many tests; what they say of themselves stands in CTest's own log.
all_output="build/$1/Testing/Temporary/LastTest.log"
skipped=$(sed -n -e 's/^\[  SKIPPED \] \(.*[.].*\)/  \1/p' \
  -e "s/^\(test_[a-z0-9_]*\) .*skipped [\"']\(.*\)[\"']$/  \1: \2/p" "$all_output" | sort -u)
if [ -n "$skipped" ]; then
  left_out="$left_out
$skipped"
fi
if [ ! -d ../shared/rooms ]; then
  left_out="$left_out
  the real photos: there is no ../shared/rooms"
fi
if [ -n "$left_out" ]; then
  printf 'Left out:\n%s\n' "$left_out"
else
  echo "Nothing was left out."
fi
awk '/^\[  PASSED  \]/ { passed += $4 } END { print passed " tests passed inside of the C++ executables" }' "$all_output"
grep -E '^[0-9]+% tests passed' "$log" || echo "the tests did not run"
exit "$status"
