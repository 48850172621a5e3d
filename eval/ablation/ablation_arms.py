"""Arms and groups as arms.yaml names them, and the configuration of each run: one for every arm and seed."""

import copy
import dataclasses
import pathlib
import re

import yaml

ARMS = pathlib.Path(__file__).with_name("arms.yaml")
ARM_KEYS = {"title", "set", "data", "steps", "evaluate"}
GROUP_KEYS = {"name", "title", "question", "arms", "against", "by_lightness"}


class PlainDumper(yaml.emitter.Emitter, yaml.serializer.Serializer, yaml.representer.Representer, yaml.resolver.BaseResolver):
    """Writes every value as it was read, without guessing types: 1e-4 stays 1e-4."""

    def __init__(self, stream, **options):
        yaml.emitter.Emitter.__init__(self, stream, width=1000)
        yaml.serializer.Serializer.__init__(self)
        yaml.representer.Representer.__init__(self, default_flow_style=False, sort_keys=False)
        yaml.resolver.BaseResolver.__init__(self)

    def represent_text(self, text):
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=None if text else '"')


PlainDumper.add_representer(str, PlainDumper.represent_text)


def read_yaml(path):
    """All values as texts."""
    return yaml.load(pathlib.Path(path).read_text(), Loader=yaml.BaseLoader) or {}


def write_yaml(document):
    return yaml.dump(document, Dumper=PlainDumper)


@dataclasses.dataclass
class Arm:
    name: str
    title: str
    set: dict = dataclasses.field(default_factory=dict)
    data: str = "clean"
    steps: float = 1.0
    evaluate: dict = dataclasses.field(default_factory=dict)

    def needs(self):
        """The arms that have to be trained before."""
        named = [name for value in self.set.values() for name in re.findall(r"\{(\w+)\}", str(value))]
        return list(dict.fromkeys([*named, *self.evaluate.values()]))


@dataclasses.dataclass
class Group:
    name: str
    title: str
    question: str
    arms: list
    against: str
    by_lightness: bool = False


class Plan:
    """Every arm and group of a file; ValueError names what is wrong with it."""

    def __init__(self, path=ARMS):
        document = read_yaml(path)
        self.baseline = document["baseline"]
        self.common = document.get("common") or {}
        self.arms = {name: self._arm(name, body) for name, body in document["arms"].items()}
        self.groups = [self._group(body) for body in document["groups"]]
        for arm in self.arms.values():
            self._check_known(f"arm {arm.name}", arm.needs())
        for group in self.groups:
            self._check_known(f"group {group.name}", [*group.arms, group.against])

    def _check_known(self, where, names):
        unknown = [name for name in names if name not in self.arms]
        if unknown:
            raise ValueError(f"{where}: unknown arms {', '.join(unknown)}")

    def _arm(self, name, body):
        if set(body) - ARM_KEYS:
            raise ValueError(f"arm {name}: unknown keys {', '.join(sorted(set(body) - ARM_KEYS))}")
        return Arm(name, body["title"], {**self.common, **(body.get("set") or {})}, body.get("data", "clean"), float(body.get("steps", 1)),
                   body.get("evaluate") or {})

    def _group(self, body):
        if set(body) - GROUP_KEYS:
            raise ValueError(f"group {body.get('name')}: unknown keys {', '.join(sorted(set(body) - GROUP_KEYS))}")
        return Group(body["name"], body["title"], body["question"], body["arms"], body.get("against", self.baseline),
                     body.get("by_lightness") == "true")

    def choose(self, names):
        """The arms of these names of arms or groups (all that a group shows where there are none), each after what it
        needs."""
        groups = {group.name: group.arms for group in self.groups}
        wanted = [arm for name in names or groups for arm in groups.get(name, [name])]
        self._check_known("--arms", wanted)
        ordered = []

        def add(name):
            for needed in self.arms[name].needs():
                add(needed)
            if name not in ordered:
                ordered.append(name)

        for name in wanted:
            add(name)
        return [self.arms[name] for name in ordered]


def set_key(document, key, value):
    """document["a"]["b"] = value for "a.b"; texts like "[1, 2]" are read as YAML."""
    *sections, last = key.split(".")
    for section in sections:
        if not isinstance(document.get(section), dict):
            document[section] = {}
        document = document[section]
    document[last] = yaml.load(value, Loader=yaml.BaseLoader) if isinstance(value, str) and value else value


def get_key(document, key, default):
    for section in key.split("."):
        if not isinstance(document, dict) or section not in document:
            return default
        document = document[section]
    return document


# Steps at which something begins or ends: they keep their share when a run has other steps than the base configuration.
STEP_KEYS = ("optimizer.warmup_steps", "loss.color.start_step")


def configuration(base, arm, seed, steps, everywhere, folders):
    """The document of one run. `everywhere`: keys that all arms share; `folders`: arm -> run folder with this seed."""
    document = copy.deepcopy(base)
    share = steps * arm.steps
    for key in STEP_KEYS:
        if (value := get_key(base, key, None)) is not None:
            set_key(document, key, str(round(float(value) * share / float(get_key(base, "training.steps", steps)))))
    length = str(max(1, round(share)))
    settings = {
        "training.steps": length,
        "evaluation.every": length,
        "checkpoint.every": str(max(1, round(share / 4))),
        "checkpoint.keep_last": "1",
        "checkpoint.keep_best": "false",
        "launch.max_restarts": "0",
        "run.seed": str(seed),
        **everywhere,
        **{key: str(value).format(**folders) for key, value in arm.set.items()},
    }
    for key, value in settings.items():
        set_key(document, key, value)
    return document
