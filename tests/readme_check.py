"""README.md's file map and its commands, against the tree:   readme_check.py ROOT

The map is the section whose heading says "file map". In it, each `path` in backticks (or first word of a
line in a code block) that has a slash or a file ending must exist, and each folder of the root must be
named. Each `make X` anywhere in the page must be a target of the Makefile.
"""

import pathlib
import re
import subprocess
import sys


def section(text: str, words: str) -> str:
    """The lines under the first heading that holds `words`, down to the next heading of its level."""
    lines = text.split("\n")
    for start, line in enumerate(lines):
        heading = re.match(r"(#+)\s", line)
        if heading and words in line.lower():
            break
    else:
        return ""
    body, fenced = [], False
    for line in lines[start + 1 :]:
        fenced ^= line.startswith("```")
        other = re.match(r"(#+)\s", line)
        if other and not fenced and len(other[1]) <= len(heading[1]):
            break
        body.append(line)
    return "\n".join(body)


def named_paths(text: str) -> set[str]:
    words = set(re.findall(r"`([^`\s]+)`", re.sub(r"```.*?```", "", text, flags=re.S)))
    for block in re.findall(r"```[^\n]*\n(.*?)```", text, flags=re.S):
        words |= {line.split()[0] for line in block.split("\n") if line.split()}
    return {word for word in words if re.fullmatch(r"[\w.][\w./-]*", word) and ("/" in word or "." in word)}


def root_folders(root: pathlib.Path) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout.split("\n")
    return {path.split("/")[0] for path in listed if "/" in path and not path.startswith(".")}


def main() -> int:
    root = pathlib.Path(sys.argv[1])
    readme = root / "README.md"
    if not readme.exists():
        print("there is no README.md")
        return 1
    text = readme.read_text(encoding="utf-8")
    problems = []

    file_map = section(text, "file map")
    paths = named_paths(file_map)
    if not paths:
        problems.append('README.md has no section "file map" that names a path')
    problems += [f"README.md's file map names {path}, which does not exist"
                 for path in sorted(paths) if not (root / path).exists()]
    problems += [f"README.md's file map does not name {folder}/"
                 for folder in sorted(root_folders(root)) if f"{folder}/" not in paths]

    makefile = (root / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, flags=re.M))
    code = re.findall(r"`([^`\n]+)`", text) + re.findall(r"```[^\n]*\n(.*?)```", text, flags=re.S)
    asked = {name for part in code for name in re.findall(r"\bmake ([a-z][\w-]*)", part)}
    problems += [f"README.md says make {name}, which is no target of the Makefile"
                 for name in sorted(asked - targets)]
    problems += [f"README.md does not give the command make {name}"
                 for name in ("demo", "test") if name not in asked]

    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
