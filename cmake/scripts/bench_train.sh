#!/usr/bin/env bash
# Measures training steps at the size of Stable Diffusion 1.5 on random weights, beside another program if one is given:
#   cmake/scripts/bench_train.sh ['COMMAND of the peer'] [steps [rounds]]
# The peer gets --size, --batch, --precision, --rank, --steps and --threads (limewash bench train --help).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
limewash=build/release/launcher/limewash
peer=${1:-}
steps=${2:-6}
rounds=${3:-2}
for case in "256 bf16" "256 fp32" "512 bf16"; do
  read -r size precision <<<"$case"
  echo "== $size x $size, $precision"
  "$limewash" bench train --size "$size" --precision "$precision" --steps "$steps" --rounds "$rounds" \
    ${peer:+--peer "$peer"}
done
