# clang-format's opinion of every C++ file under version control. Run in the project root.
set -eu
formatter=$(command -v clang-format-14) || { echo "clang-format-14 is not installed: run 'make setup'"; exit 1; }
files=$(git ls-files '*.cpp' '*.h' '*.cu' '*.cuh')
[ -n "$files" ] || { echo "git lists no C++ file here"; exit 1; }
echo "$files" | xargs "$formatter" --dry-run --Werror
echo "$(echo "$files" | wc -l) files are formatted"
