# No file under version control may hold a path of the machine that it was written on.
set -eu
[ -n "$(git ls-files)" ] || { echo "git lists no file here"; exit 1; }
# The brackets keep this line from finding itself.
if git grep -nIE -e '/wor[k]/' -e '/tmp/bash[_]jobs' -- .; then
  echo "these lines name paths of one machine"
  exit 1
fi
