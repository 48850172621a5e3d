# Library code draws random numbers through runtime/random.h alone: a pure function of seed, purpose, epoch
# and id. Finds any other source, in the folders of the libraries; and finds one that is planted.
#   random_check.sh ROOT WORK
set -eu
patterns='std::rand\b|\bs?rand\(|drand48|random_device|mt19937|default_random_engine|_distribution<|(torch|at)::(rand|randn|randint|randperm|bernoulli|normal|dropout|multinomial)[a-z_]*\(|[.](normal|uniform|bernoulli|random|exponential)_\(|manual_seed'

found_in() {
  grep -rnE --include='*.cpp' --include='*.h' -e "$patterns" \
    "$1/runtime" "$1/tracking" "$1/models" "$1/data" "$1/inference" "$1/eval" "$1/trainer" "$1/launcher" |
    grep -v -e '/runtime/random[.]' -e '^[^:]*:[0-9]*: *//' \
      -e '/data/latent_piece.cpp:[0-9]*:  std::random_device device;' # a file name that nobody else has
}

root=$1
if found_in "$root"; then
  echo "these lines draw otherwise than by runtime/random.h"
  exit 1
fi

work=$2
rm -rf "$work"
for folder in runtime tracking models data inference eval trainer launcher; do mkdir -p "$work/$folder"; done
for line in 'auto noise = torch::randn_like(z);' 'std::mt19937 engine;' 'values.uniform_(0, 1);' 'int x = rand();'; do
  echo "$line" >"$work/trainer/planted.cpp"
  found_in "$work" >/dev/null || { echo "did not find: $line"; exit 1; }
done
