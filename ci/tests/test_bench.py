"""The comparisons measure the same thing for every method, and say what they measured."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaForCausalLM

from ci.bench import (
    bare_loop,
    ceiling,
    children,
    examples,
    generate,
    growth,
    load,
    memory,
    peer,
    report,
    train,
    trl_trainers,
)
from ci.bench.children import ChildFailed, run_child, run_command
from ci.bench.command import PARTS, run_bench
from ci.bench.generate_child import one_by_one
from ci.bench.growth import Point, estimated_seconds, measure_growth, measure_step
from ci.bench.setting import Setting, warn_if_busy
from ci.bench.spread import Spread, ratios
from ci.bench.training_run import TrainingRun, by_step
from ci.bench.validation import clean_copy, mean_loss
from ci.checks.tiny_model import make_tiny_model
from ci.command_line import BENCH_PARTS, main
from ci.environment import python_of
from ci.project import Project
from ci.publish import between
from utils.environments import EnvironmentFailed
from utils.generation import generate_answers
from utils.hardware import Choice
from utils.models import load_model, load_tokenizer
from utils.settings import ROOT
from utils.stages import MissingStage, write_json, write_lines, write_stage

torch.set_num_threads(1)
PLAIN_CPU = Choice("cpu", "float32", "sdpa", {})
STEPS, BATCH, ACCUMULATION = 3, 4, 2


# --- Training, with a tiny model in this process ------------------------------------------------------------------


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of random weights that reads bytes."""
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny", hidden_size=32)


@pytest.fixture(scope="module")
def request_file(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the children are asked to do; the examples are written already."""
    folder = tmp_path_factory.mktemp("bench")
    for split, count in (("train", 20), ("validation", 6)):
        write_lines(folder / f"{split}.jsonl", [row(number) for number in range(count)])
    notebook = Setting(Project(ROOT)).defaults("03")
    values = notebook | {"model": str(model_folder), "method": "full", "frozen_layers": 1, "learning_rate": 5e-3}
    values |= {"max_steps": STEPS, "warmup_steps": 1}
    values |= {"per_device_train_batch_size": BATCH, "gradient_accumulation_steps": ACCUMULATION}
    request = {
        "model": str(model_folder),
        "dataset": str(folder),
        "examples": str(folder / "examples.json"),
        "steps": STEPS,
        "validation": 3,
        "values": values,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ci.bench.trl_trainers.choose_here", lambda: PLAIN_CPU)
        patch.setattr("utils.hardware.choose_here", lambda: PLAIN_CPU)
        examples.write_examples(request)
    return request


@pytest.fixture(scope="module")
def runs(request_file: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The run of every method that this environment can run."""
    data = examples.read_examples(request_file["examples"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ci.bench.trl_trainers.choose_here", lambda: PLAIN_CPU)
        measured = {method: trl_trainers.train(method, request_file, data) for method in ("ours", "plain")}
    return measured | {"bare": bare_loop.train(request_file, data)}


def row(number: int) -> dict[str, Any]:
    """An example; those about one schema share their start."""
    schema = f"Tables of the {'shop' if number % 2 else 'zoo'}: " + "item " * 8
    question = [{"role": "system", "content": schema}, {"role": "user", "content": f"{number}{'?' * (number % 5)}"}]
    return {"prompt": question, "completion": [{"role": "assistant", "content": f"SELECT {number * number}"}]}


def test_examples_are_in_the_order_of_the_course(request_file: dict[str, Any]) -> None:
    data = examples.read_examples(request_file["examples"])
    assert len(data["train"]) == STEPS * BATCH * ACCUMULATION
    assert len(data["validation"]) == 3
    batches = [data["train"][start : start + BATCH] for start in range(0, 20, BATCH)]
    schemas = [{tuple(example["input_ids"][:60]) for example in batch} for batch in batches]
    # Ten examples of each of two schemas: what is left of both after whole batches makes one mixed batch.
    assert sorted(map(len, schemas)) == [1, 1, 1, 1, 2]
    example = data["train"][0]
    trained = [token for token, label in zip(example["input_ids"], example["labels"], strict=True) if label >= 0]
    assert "SELECT" in load_tokenizer(request_file["model"]).decode(trained)
    assert example["labels"][-len(trained) :] == trained


def test_all_methods_read_the_same_tokens(runs: dict[str, dict[str, Any]]) -> None:
    assert runs["ours"]["tokens"] == runs["plain"]["tokens"] == runs["bare"]["tokens"]
    for measured in runs.values():
        assert len(measured["seconds"]) == len(measured["losses"]) == len(measured["flops"]) == STEPS
        assert all(seconds > 0 for seconds in measured["seconds"])
        assert measured["examples"] == STEPS * BATCH * ACCUMULATION


def test_the_course_learns_what_trl_learns(runs: dict[str, dict[str, Any]], request_file: dict[str, Any]) -> None:
    ours, plain = runs["ours"], runs["plain"]
    assert ours["losses"] == pytest.approx(plain["losses"], rel=1e-3)
    assert ours["validation_loss"] == pytest.approx(plain["validation_loss"], rel=1e-3)
    untrained = clean_copy(load_model(request_file["model"]))
    data = examples.read_examples(request_file["examples"])
    assert ours["validation_loss"] < mean_loss(untrained, data["validation"])


def test_the_course_computes_less(runs: dict[str, dict[str, Any]]) -> None:
    ours, plain, bare = (sum(runs[method]["flops"]) for method in ("ours", "plain", "bare"))
    assert ours < 0.8 * plain < bare
    assert runs["ours"]["trainable"] == runs["plain"]["trainable"] < runs["bare"]["trainable"]


def test_order_goes_on_in_the_next_epoch() -> None:
    class Sampler:
        epoch = 0

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __iter__(self) -> Any:
            return iter(range(10 * self.epoch, 10 * self.epoch + 5))

    class Trainer:
        def _get_train_sampler(self) -> Sampler:
            return Sampler()

    # The fifth example of an epoch makes no batch of two.
    assert examples.in_training_order(Trainer(), 6, 2) == [0, 1, 2, 3, 10, 11]


def test_validation_loss_is_that_of_the_model(model_folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    ids, labels = [5, 6, 7, 8, 9], [-100, -100, 7, 8, 9]
    wanted = model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels])).loss.item()
    assert mean_loss(clean_copy(model), [{"input_ids": ids, "labels": labels}]) == pytest.approx(wanted, rel=1e-4)


def test_padding_is_not_trained() -> None:
    batch = bare_loop.pad([torch.tensor([4, 2]), torch.tensor([3, 4, 2])], padding=2)
    assert batch["input_ids"].tolist() == [[4, 2, 2], [3, 4, 2]]
    assert batch["labels"].tolist() == [[4, 2, -100], [3, 4, 2]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]


# --- Figures ------------------------------------------------------------------------------------------------------


def make_run(method: str, seconds: float, **values: Any) -> TrainingRun:
    """A run of ten steps, the first of which was slow."""
    defaults = {"dtype": "bfloat16", "trainable": 106, "losses": [1.0] * 10, "examples": 160}
    defaults |= {"validation_loss": 0.5, "peak_memory_bytes": 3 * 10**9}
    steps = {"seconds": [50.0, seconds, seconds, *[seconds] * 7], "tokens": [100] * 10, "flops": [1e12] * 10}
    return TrainingRun(method, **(defaults | steps | values))


def test_slow_first_steps_do_not_count() -> None:
    run = make_run("ours", 2.0)
    assert run.tokens_per_second == 50
    assert run.examples_per_second == 8
    assert run.flops_per_second == 5e11


def test_a_run_too_short_to_warm_up_counts_its_second_half() -> None:
    run = replace(make_run("ours", 2.0), seconds=[50.0, 2.0], tokens=[100, 100])
    assert run.tokens_per_second == 50


def test_sums_of_batches() -> None:
    assert by_step([1, 2, 3, 4, 5], 2) == [3, 7, 5]


def test_spread_and_ratios() -> None:
    assert Spread.of([3, 1, 2]) == Spread(2, 1, 3)
    assert Spread.of([3, 1, 2]).text(".1f") == "2.0 (1.0 to 3.0)"
    assert Spread.of([1234]).text(",.0f") == "1,234"
    # Round by round: a disturbed round slows both.
    assert ratios([10, 1], [5, 0.5]) == Spread(2, 2, 2)


def test_ceiling_measures_the_shapes_of_the_model() -> None:
    config = {"hidden_size": 576, "intermediate_size": 1536, "vocab_size": 49152}
    assert ceiling.shapes_of(config) == [ceiling.CUBE, "512×576×576", "512×576×1536", "512×576×49152"]
    assert ceiling.product_rate("float32", "64×64×64", seconds=0.0001) > 1e6


# --- Children -----------------------------------------------------------------------------------------------------


def child(code: str, **options: Any) -> dict[str, Any]:
    """Run a line of Python as a child."""
    return run_command([sys.executable, "-c", code], **options)


def test_child_gives_its_last_line_and_its_own_memory() -> None:
    code = "print('noise'); block = bytearray({}); from ci.bench.children import report; report(value=7)"
    small, large = child(code.format(1)), child(code.format("10**8"))
    assert small["value"] == 7
    assert large["peak_memory_bytes"] - small["peak_memory_bytes"] > 0.8e8


def test_gpus_are_hidden_from_children() -> None:
    assert child("import json, os; print(json.dumps([os.environ['CUDA_VISIBLE_DEVICES']]))") == [""]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit('The disk is full.')", "exit status 1[^~]*The disk is full"),
        ("print('no figures')", "no figures[^~]*no JSON"),
        ("pass", "no JSON"),
    ],
)
def test_child_without_a_result_says_why(code: str, message: str) -> None:
    with pytest.raises(ChildFailed, match=message):
        child(code)


def test_child_is_stopped_in_time() -> None:
    with pytest.raises(ChildFailed, match="more than 0 minutes"):
        child("import time; time.sleep(60)", limit=0.2)


def test_importing_is_measured_with_and_without_torch() -> None:
    assert run_child("ci.bench.load_child", "import", "errors")["brings_torch"] is False
    assert run_child("ci.bench.load_child", "import_without_torch", "errors")["fault"] is None
    assert "torch" in run_child("ci.bench.load_child", "import_without_torch", "attention")["fault"]


# --- The parts, with children that only pretend -------------------------------------------------------------------


class Pretended:
    """Stands for `run_child`, remembers what was run and prints plausible figures."""

    def __init__(self) -> None:
        self.seconds = {"ours": 1.0, "plain": 4.0, "bare": 8.0, "litgpt": 5.0}
        self.ran: list[str] = []
        self.failing: str | None = None

    def __call__(self, module: str, *arguments: str, **options: Any) -> dict[str, Any]:
        name = module.removeprefix("ci.bench.")
        method = {"litgpt_child": "litgpt", "train_child": arguments[0], "generate_child": arguments[0]}.get(name, name)
        self.ran.append(method)
        if method == self.failing:
            raise ChildFailed("`it` failed.")
        if name in {"litgpt_child", "train_child"}:
            memory = [(step, 2 * 10**9, 3 * 10**9 + step * 10**5) for step in range(10, 301, 10)]
            return vars(make_run(method, self.seconds[method], memory=memory))
        if name == "generate_child":
            count = len(json.loads(Path(arguments[1]).read_text(encoding="utf-8"))["prompts"])
            answers = ["SELECT name FROM club"] * (count - 1) + [f"SELECT '{method}'"]
            return {"seconds": 10 if method == "ours" else 60, "dtype": "float32", "answers": answers} | {
                "peak_memory_bytes": 10**9
            }
        fault = "torch" if arguments == ("import_without_torch", "attention") else None
        rates = {dtype: {ceiling.CUBE: 2e12 if dtype == "bfloat16" else 3e11} for dtype in ceiling.FORMATS}
        return (
            rates
            | {"dtype": "bfloat16", "libraries": 2.0, "first": 2.5, "seconds": 1.5, "fault": fault}
            | {"brings_torch": arguments == ("import", "attention")}
        )


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> Pretended:
    """Children that only pretend, and a peer that is installed."""
    instead = Pretended()
    for module in (train, generate, load):
        monkeypatch.setattr(module, "run_child", instead)
    monkeypatch.setattr(peer, "make_environment", lambda project: Path("python-of-litgpt"))
    monkeypatch.setattr(train, "find_model", lambda name: type("Found", (), {"location": "folder"}))
    monkeypatch.setattr("ci.bench.setting.load_average", lambda: 0.0)
    return instead


@pytest.fixture
def setting(project: Project, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """A project with the course's notebooks 03 and 05, and a run with a dataset and a model."""
    for path in ROOT.glob("notebooks/0[35]_*.ipynb"):
        (project.notebooks / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (project.root / "utils" / "attention.py").touch()
    for stage in ("dataset", "model"):
        with write_stage("mine", stage, parameters={}) as entry:
            (entry.folder / "databases").mkdir()
            write_lines(entry.folder / "test.jsonl", [question(number) for number in range(6)])
    from utils.sql import build_database

    build_database(
        "CREATE TABLE club (name TEXT); INSERT INTO club VALUES ('chess');",
        project.runs / "mine" / "dataset" / "databases" / "clubs.sqlite",
    )
    return Setting(project, "mine", rounds=2)


def question(number: int) -> dict[str, Any]:
    """A line of the dataset."""
    fields = {"id": str(number), "split": "test", "database": "clubs", "question": "Which?", "origin": "written"}
    return fields | {"sql": "SELECT name FROM club", "difficulty": "easy", "prompt": [], "completion": []}


def test_methods_take_turns(setting: Setting, pretended: Pretended) -> None:
    result = train.bench_training(setting)
    assert pretended.ran == ["examples", *["ceiling", "ours", "plain", "bare", "litgpt"] * 2]
    table = {line[""]: line for line in report.REPORTS["train"].table(result)}
    assert list(table) == list(train.METHODS.values())
    assert table["this course"]["tokens/s"] == "100"
    assert table["TRL's SFTTrainer"]["the course is faster by"] == "4.0 ×"
    assert table["this course"]["share of the ceiling"] == "50%"
    assert table["a bare PyTorch loop"]["peak memory"] == "3.0 GB"
    assert "0.000 after the same steps" in report.text("train", result)


def test_a_peer_that_fails_is_left_out_with_its_reason(setting: Setting, pretended: Pretended) -> None:
    pretended.failing = "litgpt"
    result = train.bench_training(setting)
    assert pretended.ran.count("litgpt") == 1
    assert "LitGPT is missing: it failed: `it` failed." in report.text("train", result)
    assert len(report.REPORTS["train"].table(result)) == 3


def test_a_peer_that_cannot_be_installed_is_left_out(
    setting: Setting, pretended: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(project: Project) -> Path:
        raise ChildFailed("it could not be installed: no network")

    monkeypatch.setattr(peer, "make_environment", refuse)
    result = train.bench_training(setting)
    assert "litgpt" not in pretended.ran
    assert "LitGPT is missing: it could not be installed: no network." in report.text("train", result)


def test_a_failure_of_the_course_itself_is_told(setting: Setting, pretended: Pretended) -> None:
    pretended.failing = "plain"
    with pytest.raises(ChildFailed):
        train.bench_training(setting)


def test_request_follows_the_notebook(setting: Setting, pretended: Pretended) -> None:
    train.bench_training(setting)
    request = json.loads((setting.folder / "work" / "request.json").read_text(encoding="utf-8"))
    values = setting.defaults("03")
    for name in ("per_device_train_batch_size", "gradient_accumulation_steps", "learning_rate", "max_length"):
        assert request["values"][name] == values[name]
    assert request["values"]["max_steps"] == request["steps"] == train.STEPS
    assert request["dtype"] == "bfloat16"
    assert request["dataset"].endswith("mine/dataset")


def test_memory_growth_is_read_between_steps_50_and_300(setting: Setting, pretended: Pretended) -> None:
    text = report.text("memory", memory.bench_memory(setting))
    assert "3.00 GB by step 50 and 3.03 GB by step 300, 0.8% more" in text
    short = memory.bench_memory(Setting(setting.project, "mine", steps=20))
    short["memory"] = short["memory"][:2]
    assert "Too short" in report.text("memory", short)


def test_memory_can_be_read_from_the_training_of_the_course(setting: Setting, pretended: Pretended) -> None:
    asked = replace(setting, from_log=True)
    with write_stage("mine", "model", parameters={"model": "tiny"}) as entry:
        rows = [{"loss": 1.0, "step": step, "memory_gb": 3.0 + (step == 60)} for step in range(10, 301, 10)]
        (entry.folder / "training_log.json").write_text(json.dumps([{"eval_loss": 1.0, "step": 0}, *rows]))
    result = memory.bench_memory(asked)
    assert pretended.ran == []
    assert result["memory"][0] == [10, 3 * 10**9, 3 * 10**9]
    assert result["memory"][-1] == [300, 3 * 10**9, 4 * 10**9]
    text = report.text("memory", result)
    assert "3.00 GB by step 50 and 4.00 GB by step 300, 33.3% more" in text
    assert "3.00 GB in the first 50 steps and 3.00 GB in the last 50 (+0.0%)" in text
    with write_stage("mine", "model", parameters={"model": "tiny"}) as entry:
        (entry.folder / "training_log.json").write_text("[]")
    with pytest.raises(memory.NoMemoryLog, match="says nothing of memory"):
        memory.bench_memory(asked)


def test_generation_is_compared_answer_by_answer(setting: Setting, pretended: Pretended) -> None:
    result = generate.bench_generation(setting)
    assert pretended.ran == ["ours", "one_by_one"] * 2
    assert [measured["ours"]["identical"] for measured in result["rounds"]] == [5, 5]
    ours, other = report.REPORTS["generate"].table(result)
    assert other["the course is faster by"] == "6.0 ×"
    assert ours["execution accuracy"] == other["execution accuracy"] == "83.3%"
    assert "83.3% of them are identical" in report.text("generate", result)
    assert "answers" not in result["rounds"][0]["ours"]


def test_fewer_questions_are_spread_over_all(setting: Setting, pretended: Pretended) -> None:
    assert generate.bench_generation(Setting(setting.project, "mine", questions=3, rounds=1))["questions"] == 3


def test_generation_needs_a_tuned_model(setting: Setting, pretended: Pretended) -> None:
    with pytest.raises(MissingStage, match=r"other/model is not there.*03_fine_tune"):
        generate.bench_generation(Setting(setting.project, "other"))


def test_loading_counts_what_needs_torch(setting: Setting, pretended: Pretended) -> None:
    text = report.text("load", load.bench_loading(setting))
    assert "; the 1 others import it." in text
    assert "`module` takes longest" in text
    assert "| `import utils.attention` | 1.50 | cannot |" in text


@pytest.mark.parametrize("part", PARTS)
def test_every_part_leaves_figures_table_and_plot(part: str, setting: Setting, pretended: Pretended) -> None:
    run_bench(setting, part)
    assert {path.name for path in setting.folder.glob("*.*")} == {f"{part}.{end}" for end in ("json", "md", "png")}
    assert report.read_result(setting.folder, part)["machine"]
    assert (setting.folder / f"{part}.md").read_text(encoding="utf-8").count("\n| ") >= 2


def test_readme_quotes_what_there_is(setting: Setting, pretended: Pretended) -> None:
    assert report.for_readme(setting.folder) is None
    run_bench(setting, "train")
    alone = report.for_readme(setting.folder)
    run_bench(setting, "generate")
    both = report.for_readme(setting.folder)
    assert "| TRL's SFTTrainer |" in alone
    assert both.startswith(alone)
    assert "one by one" in both.removeprefix(alone)
    readme = between("a\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nz", "bench", both)
    assert "old" not in readme


def test_busy_machine_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.2, 9.0, 9.0))
    warn_if_busy()
    assert capsys.readouterr().out == ""
    monkeypatch.setattr("os.getloadavg", lambda: (1.7, 0.0, 0.0))
    warn_if_busy()
    assert "load average is 1.7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench", "speed"], "invalid choice"),
        (["bench", "train", "--steps", "0"], "invalid positive value"),
        (["bench", "--name", "../x"], "cannot be a folder name"),
    ],
)
def test_faulty_request_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_command_line_knows_the_parts() -> None:
    assert tuple(PARTS) == BENCH_PARTS[1:]


# --- The peer -----------------------------------------------------------------------------------------------------


def test_peer_is_installed_once(project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (project.root / "requirements.txt").write_text("torch==2.0.0\n", encoding="utf-8")
    commands: list[list[str]] = []

    def run(command: list[str], deadline: float) -> None:
        commands.append(command)
        if "venv" in command:
            python = python_of(Path(command[-1]))
            python.parent.mkdir(parents=True)
            python.touch()
        elif command[-1] == "torch==2.0.0+cpu":
            raise EnvironmentFailed("pip knows no CPU build")

    monkeypatch.setattr("utils.environments.CACHE", tmp_path / ".cache")
    monkeypatch.setattr("utils.environments._run", run)
    python = peer.make_environment(project)
    assert python.is_file()
    assert commands[2][-3:] == ["--torch-backend", "cpu", "torch==2.0.0"]
    assert commands[3][-2:] == list(peer.REQUIREMENTS)
    assert peer.make_environment(project) == python
    assert len(commands) == 4
    (project.root / "requirements.txt").write_text("torch==2.1.0\n", encoding="utf-8")
    peer.make_environment(project)
    assert len(commands) > 4


# --- Generation and growth ----------------------------------------------------------------------------------------


def test_one_by_one_writes_what_the_course_writes(model_folder: Path) -> None:
    model, tokenizer = load_model(str(model_folder)), load_tokenizer(str(model_folder))
    prompts = [row(number)["prompt"] for number in range(4)]
    answers = one_by_one(model, tokenizer, prompts, 6)
    assert len(set(answers)) > 1
    assert answers == generate_answers(model, tokenizer, prompts, max_new_tokens=6)


@pytest.fixture
def tiny_llama(model_folder: Path) -> LlamaForCausalLM:
    return load_model(str(model_folder))


def test_cost_of_a_step(tiny_llama: LlamaForCausalLM) -> None:
    short = measure_step(tiny_llama, Point(length=16, batch=1), before=0, mixed=False)
    long = measure_step(tiny_llama, Point(length=64, batch=2), before=0, mixed=False)
    assert long["flops"] == 8 * short["flops"]
    assert long["estimated_memory"] > short["estimated_memory"]
    assert short["seconds"] > 0


def test_what_is_trained(model_folder: Path) -> None:
    trainable = []
    for trained in growth.TRAINED:
        measured = measure_step(load_model(str(model_folder)), Point(16, 1, trained), before=0, mixed=False)
        trainable.append(measured["trainable"])
        if trained == "upper half":
            half = measured["flops"]
        if trained == "layers":
            assert half < 0.75 * measured["flops"]
    assert trainable == sorted(trainable)
    assert len(set(trainable)) == len(growth.TRAINED)


def test_every_point_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Point] = []

    def pretend(module: str, model: str, point: str) -> dict[str, Any]:
        ran.append(Point(**json.loads(point)))
        tokens = ran[-1].length * ran[-1].batch
        return {"trainable": 1, "flops": tokens, "seconds": 1, "memory": 1, "estimated_memory": 1, "other": 0}

    monkeypatch.setattr(growth, "run_child", pretend)
    costs = measure_growth("tiny")
    assert len(ran) == len(set(ran)) == 10
    assert {name: [cost.point for cost in line] for name, line in costs.items()} == growth.SERIES
    lengths = costs["tokens of an example"]
    assert estimated_seconds(lengths, lengths[1]) == [0.5, 1, 2, 4]


def test_report_is_one_line_of_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    children.report(value=1)
    printed = json.loads(capsys.readouterr().out)
    assert printed["value"] == 1
    assert printed["peak_memory_bytes"] > 0
    write_json(tmp_path / "request.json", {"a": 1})
    assert children.input_of(str(tmp_path / "request.json")) == {"a": 1}
