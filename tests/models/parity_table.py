#!/usr/bin/env python3
"""Measures how far limewash is from diffusers, transformers, peft and torch.optim, network by network, at tiny odd
sizes and at the size of Stable Diffusion, and writes the table of docs/parity.md.

Each case runs the reference library in a process of its own, which makes random weights and inputs and writes them
down with what it computed in fp32 and in bf16; that process ends before limewash runs on the same files."""

import argparse
import datetime
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from parity_cases import GIB, LEARNING_RATE, ROOT, compute_reference, full_cases, tiny_cases  # noqa: E402


class Table:
    """Runs cases and keeps the worst figures of each row, in a file that a later run goes on with."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.path = arguments.results
        self.rows = json.loads(self.path.read_text()) if self.path.exists() else {}

    def measure(self, tier, row, case, seed, options):
        print(f"{tier}: {row}", flush=True)
        with tempfile.TemporaryDirectory(dir=self.arguments.work) as name:
            folder = pathlib.Path(name)
            context = multiprocessing.get_context("spawn")
            process = context.Process(target=compute_reference, args=(case, seed, options, folder))
            process.start()
            process.join()
            if process.exitcode != 0:
                raise SystemExit(f"the reference of '{row}' failed")
            figures = self.compare(folder)
        key = f"{tier}: {row}"
        before = self.rows.get(key, {}) if tier == "tiny" and self.rows.get(key, {}).get("run") == RUN else {}
        worst = {name: max(value, before.get(name, value)) for name, value in figures.items()}
        self.rows[key] = worst | {"run": RUN}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.rows, indent=2) + "\n")
        print("  " + ", ".join(f"{name} {value:.2g}" for name, value in figures.items()), flush=True)

    def compare(self, folder):
        about = json.loads((folder / "about.json").read_text())
        expected = load(folder / "fp32.safetensors")
        figures = {"reference_gib": about["peak_gib"]}
        for precision in ("fp32", "bf16"):
            figures[f"{precision}_gib"] = self.run_limewash(about, folder, precision)
            outputs = load(folder / "outputs.safetensors")
            figures |= {f"{precision}_{name}": value for name, value in differences(outputs, expected).items()}
        if (folder / "bf16.safetensors").exists():
            theirs = differences(load(folder / "bf16.safetensors"), expected)
            figures |= {f"reference_bf16_{name}": value for name, value in theirs.items()}
        return figures

    def run_limewash(self, about, folder, precision):
        part = about["part"]
        inputs, outputs = folder / "inputs.safetensors", folder / "outputs.safetensors"
        adapter = folder / "adapter"
        if part == "adamw-steps":
            command = [self.arguments.adamw_steps, folder / "model", adapter, inputs, outputs, LEARNING_RATE, precision]
        else:
            command = [self.arguments.limewash, "model", "run", part, "--model", folder / "model"]
            command += ["--inputs", inputs, "--outputs", outputs, "--precision", precision]
            command += ["--adapter", adapter] if adapter.exists() else []
            command += ["--gradients"] if about["gradients"] else []
        process = subprocess.Popen([str(word) for word in command])
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{command[0]} failed")
        return usage.ru_maxrss * 1024 / GIB


def load(path):
    from safetensors.torch import load_file

    return load_file(path)


def differences(outputs, expected):
    """The largest difference; and the largest in units of the largest expected value of its own tensor, or of a
    thousandth of the largest of all tensors."""
    if set(outputs) != set(expected):
        raise SystemExit(f"outputs differ by name: {sorted(set(outputs) ^ set(expected))[:5]}")
    found = {"absolute": 0.0, "relative": 0.0}
    if "losses" in expected:
        found["loss"] = ((outputs["losses"] - expected["losses"]) / expected["losses"]).abs().max().item()
    floor = max(wanted.abs().max().item() for wanted in expected.values()) / 1000
    for name, wanted in expected.items():
        if outputs[name].shape != wanted.shape:
            raise SystemExit(f"{name}: {tuple(outputs[name].shape)}, expected {tuple(wanted.shape)}")
        difference = (outputs[name] - wanted).abs().max().item()
        if difference != difference:
            raise SystemExit(f"{name} is not finite")
        found["absolute"] = max(found["absolute"], difference)
        found["relative"] = max(found["relative"], difference / max(wanted.abs().max().item(), floor))
    return found


# The page.

PAGE = """# Parity with the reference libraries

How far limewash is from what diffusers, transformers, peft and torch.optim compute with the same random weights on
the same random inputs. `make parity` measures it and writes this page. Each line compares all outputs of
`limewash model run`; the optimizer steps go through the trainer's own parameter buffer and AdamW.

*Absolute* is the largest difference of any number; *relative* is that difference divided by the largest number that
was expected in the same tensor (or by a thousandth of the largest of all, where a tensor is zero but for rounding),
tensor by tensor, the worst of them all. bf16 is compared with the reference's **fp32**; beside it stands what the
reference's own bf16 differs by, so that both can be judged alike. In bf16 limewash holds frozen weights and
activations in bf16 and the trained tensors in fp32; the reference holds everything in bf16, and has no optimizer steps
for that reason.

{setting}

## Tiny odd sizes

Sizes drawn from seeds: head counts, widths, depths and picture sizes that no public model has. The worst of {rounds}
draws.

{tiny}

## Full size

{full}

{memory}
"""


def number(value):
    return "-" if value is None else f"{value:.1e}"


def rows_of(rows, tier, names):
    lines = [
        "| | fp32 absolute | fp32 relative | bf16 relative | the reference's own bf16 |",
        "|---|---|---|---|---|",
    ]
    for name in names:
        row = rows.get(f"{tier}: {name}")
        if row is None:
            lines.append(f"| {name} | not run | | | |")
            continue
        keys = ("fp32_absolute", "fp32_relative", "bf16_relative", "reference_bf16_relative")
        columns = [row.get(key) for key in keys]
        lines.append("| " + " | ".join([name, *map(number, columns)]) + " |")
        if "fp32_loss" in row:
            losses = [None, row["fp32_loss"], row["bf16_loss"], None]
            lines.append("| " + " | ".join(["... the loss of each step", *map(number, losses)]) + " |")
    return "\n".join(lines)


def memory_of(rows, names):
    lines = [
        "Peak memory of the whole process, which reads the weights, computes once and writes the result; the reference's",
        "is its peak in making the weights and computing in fp32. The program alone, with LibTorch, takes 0.7 GiB.",
        "",
        "| | limewash, fp32, GiB | limewash, bf16, GiB | reference, fp32, GiB |",
        "|---|---|---|---|",
    ]
    for name in names:
        row = rows.get(f"full: {name}")
        if row is not None:
            figures = (row[key] for key in ("fp32_gib", "bf16_gib", "reference_gib"))
            lines.append(f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |")
    return "\n".join(lines)


def setting(rows):
    import diffusers
    import peft
    import torch
    import transformers

    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    packages = (torch, diffusers, transformers, peft)
    versions = ", ".join(f"{package.__name__} {package.__version__}" for package in packages)
    days = sorted({row["run"][:10] for row in rows.values()})
    when = " to ".join(dict.fromkeys([days[0], days[-1]])) if days else "never"
    return f"Measured {when} with {versions}, on the CPU ({model}, {os.cpu_count()} cores). Nothing here was run on a GPU."


def write_page(table, out, rounds, tiny, full):
    tiny_names = list(dict.fromkeys(row for row, *_ in tiny))
    full_names = [row for row, *_ in full]
    page = PAGE.format(
        setting=setting(table.rows),
        rounds=rounds,
        tiny=rows_of(table.rows, "tiny", tiny_names),
        full=rows_of(table.rows, "full", full_names),
        memory=memory_of(table.rows, full_names),
    )
    out.write_text(page)
    print(f"wrote {out}")


def failures(rows):
    """What must hold in fp32: 1e-5 forward and 1e-4 for gradients at tiny sizes, 1e-4 at full size; within 16 GiB."""
    for key, row in rows.items():
        allowed = 1e-5 if key.startswith("tiny") and "gradients" not in key and "steps" not in key else 1e-4
        compared = row["fp32_loss"] if "fp32_loss" in row else min(row["fp32_absolute"], row["fp32_relative"])
        if compared > allowed:
            yield f"{key}: {compared:.1e}, more than {allowed:.0e}"
        if row["fp32_gib"] > 16:
            yield f"{key}: {row['fp32_gib']:.1f} GiB, more than 16"


RUN = datetime.datetime.now().isoformat()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    build = ROOT / "build/release"
    parser.add_argument("--limewash", type=pathlib.Path, default=build / "launcher/limewash")
    parser.add_argument("--adamw-steps", type=pathlib.Path, default=build / "tests/trainer/adamw_steps")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "docs/parity.md")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "build/parity/results.json")
    parser.add_argument("--work", type=pathlib.Path, help="folder for the random weights, up to 4 GiB at a time")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--tier", choices=["tiny", "full", "both", "none"], default="both")
    parser.add_argument("--only", help="rows whose name contains this; the others keep what an earlier run found")
    arguments = parser.parse_args()
    table = Table(arguments)
    tiny, full = tiny_cases(arguments.rounds), full_cases()
    for tier, cases in (("tiny", tiny), ("full", full)):
        if arguments.tier not in (tier, "both"):
            continue
        for row, *case in cases:
            if not arguments.only or arguments.only in row:
                table.measure(tier, row, *case)
    write_page(table, arguments.out, arguments.rounds, tiny, full)
    broken = list(failures(table.rows))
    print("\n".join(broken) if broken else "within the tolerances")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
