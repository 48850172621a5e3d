#!/bin/sh
# Installs what is missing of cmake/scripts/packages.txt and requirements.txt. Seconds when nothing is.
set -eu
cd "$(dirname "$0")/../.."

say() {
  printf 'setup: %s\n' "$*" >&2
}

missing_packages() {
  wanted=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' cmake/scripts/packages.txt)
  # A package that dpkg does not know is left out of its answer, so the answer is compared with the wish.
  # shellcheck disable=SC2086
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p')
  for package in $wanted; do
    printf '%s\n' "$installed" | grep -qxF "$package" || printf '%s ' "$package"
  done
}

install_packages() {
  if [ "$(id -u)" -eq 0 ]; then
    as_root=
  elif command -v sudo >/dev/null 2>&1 && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
    as_root='sudo'
  else
    say "these packages are missing, and installing them takes root or sudo. Ask for:"
    say "  apt-get update && apt-get install --no-install-recommends $1"
    exit 1
  fi
  say "installing $1"
  $as_root apt-get update -q -o Acquire::Retries=3 >&2
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
    -o Acquire::Retries=3 $1 >&2
}

if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
  say "limewash is built on Debian 12 or Ubuntu 24.04; there is no dpkg and apt-get here"
  exit 1
fi
missing=$(missing_packages)
if [ -n "$missing" ]; then
  install_packages "$missing"
  missing=$(missing_packages)
  [ -z "$missing" ] || { say "still missing: $missing"; exit 1; }
fi

# The stamp is written last, so a .venv that was interrupted is made again.
stamp=.venv/.limewash-requirements
wanted=$(sha256sum <requirements.txt)
if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
  say "installing requirements.txt into .venv (LibTorch is about 3 GB)"
  # Debian's own Python, whatever stands first in PATH: python3-venv belongs to it.
  [ -x .venv/bin/python ] || /usr/bin/python3 -m venv .venv
  .venv/bin/python -m pip install -q --disable-pip-version-check --no-input -r requirements.txt >&2
  printf '%s\n' "$wanted" >"$stamp"
fi
