#!/bin/sh
# What takes hours: every test under the sanitizers, a million damaged files for each parser,
# datasets whose prepare and trainings that were killed at random moments, 10,000 photos of which 5 % are damaged,
# runs whose tracker fails at random, and the dashboard and the reports in a real browser.
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

cmake/scripts/build.sh release limewash
.venv/bin/python tests/data/kill_prepare_test.py build/release/launcher/limewash . 20 >>"$results" || status=1
.venv/bin/python tests/data/damaged_photos_test.py build/release/launcher/limewash . --count 10000 >>"$results" || status=1
PYTHONPATH=tests/launcher .venv/bin/python tests/launcher/kill_training_test.py --kills 30 | tail -1 >>"$results" || status=1
PYTHONPATH=tests/launcher .venv/bin/python tests/launcher/kill_training_test.py --kills 30 --one-rank | tail -1 >>"$results" || status=1
echo "Ranks, and every way to stop them, 4 times each:" >>"$results"
PYTHONPATH=tests/launcher .venv/bin/python tests/launcher/ranks_test.py --stops 4 >>"$results" 2>&1 || status=1
PYTHONPATH=tests/launcher .venv/bin/python tests/launcher/step_times_test.py >>"$results" || status=1

# 77: no browser here. That is said, and is no failure: a browser is no dependency of the project.
pages=0
{ echo "Pages in a headless browser:"; .venv/bin/python tests/launcher/screenshots.py 2>&1; } >>"$results" || pages=$?
[ "$pages" -eq 0 ] || [ "$pages" -eq 77 ] || status=1

# Tracking, by a real MLflow server: random faults, a million points, and what it costs a training.
cmake/scripts/build.sh release tracking_recorder_driver
driver=build/release/tests/tracking/tracking_recorder_driver
for seed in $(seq 1 10); do
  .venv/bin/python tests/tracking/storm_test.py "$driver" --seed "$seed" --seconds 120 >>"$results" || status=1
done
.venv/bin/python tests/tracking/shipping_rate_test.py "$driver" >>"$results" || status=1
.venv/bin/python tests/tracking/tracker_cost_test.py build/release/launcher/limewash . >>"$results" || status=1

cmake/scripts/build.sh sanitize
# Python's own tests run the sanitized program; LibTorch keeps memory until the end by design.
ASAN_OPTIONS=detect_leaks=0 cmake/scripts/test.sh sanitize || status=1
grep -E '^[0-9]+% tests passed' build/sanitize/tests.txt |
  sed 's/^/AddressSanitizer and UndefinedBehaviorSanitizer: /' >>"$results"

# It sees limewash's own code; LibTorch and the other libraries are not built for it.
cmake/scripts/build.sh thread runtime_tests runtime_mpi_tests tracking_tests data_tests trainer_tests
TSAN_OPTIONS="ignore_noninstrumented_modules=1 allocator_may_return_null=1 die_after_fork=0 history_size=7" \
  ctest --test-dir build/thread --output-on-failure --no-tests=error --output-log build/thread/tests.txt \
  -R '^(runtime|runtime\.MpiSession\.(Two|Three|Four)Ranks|tracking|data|trainer)$' || status=1
grep -E '^[0-9]+% tests passed' build/thread/tests.txt | sed 's/^/ThreadSanitizer: /' >>"$results"

echo
cat "$results"
exit "$status"
