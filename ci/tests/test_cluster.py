"""The files for clusters: what their tools would read is what they accept, and asks for steps that can be shared."""

from __future__ import annotations

import copy
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError

from utils.distributed import shared_step
from utils.finetune import parse
from utils.settings import ROOT

CLUSTER = ROOT / "cluster"
CHECKED = {
    "kubernetes/pytorchjob.yaml": "pytorchjob",
    "kubernetes/trainjob.yaml": "trainjob",
    "skypilot.yaml": "skypilot",
}


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((CLUSTER / "schemas" / f"{name}.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def documents(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((CLUSTER / file).read_text(encoding="utf-8")))


def sbatch_options(text: str) -> dict[str, str]:
    lines = re.findall(r"^#SBATCH\s+--([a-z-]+)(?:=(\S+))?\s*$", text, re.MULTILINE)
    assert len(lines) == text.count("\n#SBATCH"), "an #SBATCH line that sbatch would not read as one long option"
    return dict(lines)


def misspellings(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every key of a mapping that has a fixed set of keys."""
    free = ("labels", "limits", "requests", "envs", "volumes", "accelerators")
    if isinstance(value, dict):
        for key, part in value.items():
            if not (path and path[-1] in free):
                yield (*path, key)
            yield from misspellings(part, (*path, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from misspellings(part, (*path, number))


@pytest.mark.parametrize("file", CHECKED)
def test_launch_file_fits_its_schema_and_no_misspelt_field_does(file: str) -> None:
    check = validator(CHECKED[file])
    for document in documents(file):
        check.validate(document)
        for path in misspellings(document):
            wrong = copy.deepcopy(document)
            place = wrong
            for key in path[:-1]:
                place = place[key]
            place[f"{path[-1]}x"] = place.pop(path[-1])
            with pytest.raises(ValidationError):
                check.validate(wrong)


def test_slurm_script(tmp_path: Path) -> None:
    script = CLUSTER / "slurm.sbatch"
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/bin/bash\n")
    subprocess.run(["bash", "-n", str(script)], check=True)
    options = sbatch_options(text)
    validator("sbatch").validate(options)
    with pytest.raises(ValidationError):
        validator("sbatch").validate(options | {"gpu-per-node": "8"})
    assert text.rindex("#SBATCH") < text.index("set -euo"), "sbatch stops reading options at the first command"
    # The script run with stand-ins for Slurm's commands: what reaches torchrun. More names than a pipe holds.
    for name, body in {"srun": 'shift; printf "%s\\n" "$@"', "scontrol": "seq -f node%g 7 20000"}.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    variables = {"SLURM_JOB_NODELIST": "node[7-8]", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_ID": "5"}
    variables |= {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_GPUS_ON_NODE": "8"}
    command = ["bash", str(script), "--data", "my data.csv", "--out", "runs/mine"]
    said = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {"--nnodes=2", "--nproc_per_node=8", "--rdzv_id=5-0", "--rdzv_endpoint=node7:29500", "my data.csv"} <= {
        *said
    }


def test_torchrun_knows_its_options() -> None:
    from torch.distributed.run import get_args_parser

    sky = documents("skypilot.yaml")[0]["run"].replace("\\\n", " ")
    job = documents("kubernetes/trainjob.yaml")[1]["spec"]["trainer"]
    replica = documents("kubernetes/pytorchjob.yaml")[0]["spec"]["pytorchReplicaSpecs"]["Worker"]
    container = replica["template"]["spec"]["containers"][0]
    slurm = (CLUSTER / "slurm.sbatch").read_text(encoding="utf-8").replace("\\\n", " ")
    for command in (
        shlex.split(sky.splitlines()[-1], comments=True),
        shlex.split(slurm.splitlines()[-1])[2:],
        [*job["command"], *job["args"]],
        [*container["command"], *container["args"]],
    ):
        program, *rest = command
        assert program == ".venv/bin/torchrun"
        options = get_args_parser().parse_args(rest)
        assert options.module
        assert options.training_script == "utils.finetune"
        given = [text for text in options.training_script_args if "$@" not in text]
        if given:
            assert parse(given)["data"]


def test_processes_of_every_size_of_the_job_can_share_a_step() -> None:
    spec = documents("kubernetes/pytorchjob.yaml")[0]["spec"]
    arguments = spec["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]["args"]
    elastic = spec["elasticPolicy"]
    for machines in range(elastic["minReplicas"], elastic["maxReplicas"] + 1):
        shared_step(parse(arguments), machines * int(spec["nprocPerNode"]))
    trainer = documents("kubernetes/trainjob.yaml")[1]["spec"]["trainer"]
    shared_step(parse(trainer["args"]), trainer["numNodes"] * trainer["numProcPerNode"])


# --- accelerate --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ddp", "fsdp2", "zero3"])
def test_accelerate_reads_its_configuration(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.commands.config.config_args import ClusterConfig
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    file = str(CLUSTER / "accelerate" / f"{name}.yaml")
    config = ClusterConfig.from_yaml_file(file)
    assert config.distributed_type.value == {"ddp": "MULTI_GPU", "fsdp2": "FSDP", "zero3": "DEEPSPEED"}[name]
    monkeypatch.setattr("accelerate.commands.launch.is_deepspeed_available", lambda: True, raising=False)
    command = ["--config_file", file, "-m", "utils.finetune", "--data", "my.csv", "--out", "runs/mine"]
    arguments, defaults, _ = _validate_launch_command(launch_command_parser().parse_args(command))
    assert arguments.num_processes == 8
    assert (arguments.multi_gpu, arguments.use_fsdp, arguments.use_deepspeed) == (
        name == "ddp",
        name == "fsdp2",
        name == "zero3",
    )
    assert defaults is not None


def test_plan_of_fsdp2() -> None:
    from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

    from utils.sharding import read_plan

    plan = read_plan()
    assert plan.fsdp_version == 2
    assert plan.reshard_after_forward is True
    assert plan.state_dict_type.name == "FULL_STATE_DICT"
    assert getattr(plan.auto_wrap_policy, "func", plan.auto_wrap_policy) is transformer_auto_wrap_policy


def test_deepspeed_configuration_is_zero_3() -> None:
    from accelerate.utils.deepspeed import HfDeepSpeedConfig

    config = HfDeepSpeedConfig(str(CLUSTER / "accelerate" / "zero3.json"))
    assert config.is_zero3()
    assert not config.is_offload()
    assert config.get_value("bf16.enabled") is True
