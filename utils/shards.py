"""Data that is larger than the memory: read in parts, split, made free of duplicates, tokenised once, kept in shards.

    report = prepare_shards(DataSettings("ten_million.jsonl"), tokenizer, Path("runs/big/shards"))
    train = load_shards(Path("runs/big/shards"))  # mapped into memory, not read into it

Two passes. The first reads block by block and throws every example into one of some hundred buckets on disk, by a hash
of its group: what says the same falls into the same bucket, and the same hash says whether the group is held out. The
second takes one bucket at a time, drops what occurs twice, shuffles, tokenises, and writes it as one Parquet file. So
memory holds a block or a bucket, however many there are.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from utils.conversations import Turns, choose_turns
from utils.data import Reject, as_rows
from utils.data_settings import DataSettings
from utils.errors import CourseError
from utils.formats import Example, Format, PromptRecipe, detect_format, make_examples, make_recipe, read_conversations
from utils.preparation import RECIPE, REJECTED, as_row
from utils.prompts import IGNORED
from utils.splitting import MAX_HELD_OUT, drop_duplicates
from utils.stages import read_lines, replace_folder, shown, write_json, write_lines
from utils.streams import Block, read_blocks, readable_files
from utils.validation import leave_out_marks

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

HELD_OUT = ("test", "validation")
BYTES_OF_A_BUCKET = 2_000_000  # as JSON; some ten times as much while it is worked on
TOKENISED_TOGETHER = 2_000  # examples: the tokenizer's own notes on each token take a hundred bytes
FEWEST_BUCKETS, MOST_BUCKETS = 4, 512  # every bucket is an open file in the first pass
KEPT_REJECTS = 10_000
SAMPLED = 2_000  # training examples that are kept as text, for reading and for choosing settings
MANIFEST, SAMPLE, PATTERN = "shards.json", "train.jsonl", "train-*.parquet"
LARGE_BYTES = 300_000_000  # of files: in memory, rows take some ten times as much
HASH_SIZE = 2**64


@dataclass
class ShardReport:
    """What became of the rows. `key` stands for the data, the settings and the tokenizer."""

    key: str
    rows: int = 0
    train: int = 0
    validation: int = 0
    test: int = 0
    duplicates: int = 0
    too_long: int = 0
    rejected: int = 0
    tokens: int = 0
    shards: int = 0
    format: str = ""
    is_reused: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        made = "used as they were prepared before" if self.is_reused else f"read as {self.format}"
        return (
            f"{self.rows:,} rows, {made}\n"
            f"  examples: {self.train:,} train, {self.validation:,} validation, {self.test:,} test\n"
            f"  left out: {self.duplicates:,} that say the same as another, {self.too_long:,} too long, "
            f"{self.rejected:,} that cannot be used\n"
            f"  {self.tokens:,} training tokens in {self.shards} shards"
        )


def prepare_shards(
    settings: DataSettings,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    on_progress: Callable[[str, int], None] | None = None,
) -> ShardReport:
    """Write `train-00000.parquet` … with `input_ids` and `labels`; test.jsonl, validation.jsonl, a sample of the
    training examples as train.jsonl, and rejected.jsonl, which are read as those of `utils.preparation` are.

    What is there already, made from the same data with the same settings, is used again. About as much disk as the
    data itself is needed for the time of the work. Near-duplicates, which `utils.preparation` looks for, are not.

    Raises:
        CourseError: the data cannot be read in parts or recognised, or too little of it is usable.
    """
    if settings.test or settings.validation or settings.database:
        raise CourseError("Data in shards holds out its own test and validation sets, and has no database.")
    key = key_of(settings, tokenizer)
    before = read_report(folder)
    if before is not None and before.key == key:
        before.is_reused = True
        return before
    working = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(working, ignore_errors=True)
    (working / "buckets").mkdir(parents=True)
    report = ShardReport(key)
    maker = _Shards(settings, tokenizer, working, report, on_progress or (lambda what, count: None))
    maker.scatter()
    maker.gather()
    shutil.rmtree(working / "buckets")
    write_json(working / MANIFEST, {name: value for name, value in asdict(report).items() if name != "is_reused"})
    replace_folder(working, folder)
    return report


def is_large(settings: DataSettings) -> bool:
    """True for files that are better prepared in parts."""
    if not isinstance(settings.data, str | Path):
        return False
    return sum(file.stat().st_size for file in _files(settings)) > LARGE_BYTES


def load_shards(folder: Path) -> Dataset:
    """The training examples, with `input_ids` and `labels`, mapped into memory.

    Raises:
        CourseError: the folder holds no shards.
    """
    from datasets import Dataset

    files = sorted(str(path) for path in folder.glob(PATTERN))
    if read_report(folder) is None or not files:
        raise CourseError(f"{shown(folder)} holds no shards; prepare_shards makes them.")
    return Dataset.from_parquet(files, cache_dir=str(folder / "mapped"))


def read_report(folder: Path) -> ShardReport | None:
    """What `prepare_shards` said when it wrote a folder; None if it did not, or not to its end."""
    try:
        return ShardReport(**json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def key_of(settings: DataSettings, tokenizer: PreTrainedTokenizerBase) -> str:
    """A hash of the settings, the tokenizer, and the names, sizes and times of the files: not of their content,
    which would take as long to read as the work itself."""
    facts = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in _files(settings)]
    known = {name: str(value) for name, value in vars(settings).items()}
    text = json.dumps([facts, known, tokenizer.name_or_path, tokenizer.chat_template, len(tokenizer)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Shards:
    """The work on a folder; counts go into `report`."""

    def __init__(
        self,
        settings: DataSettings,
        tokenizer: PreTrainedTokenizerBase,
        folder: Path,
        report: ShardReport,
        on_progress: Callable[[str, int], None],
    ) -> None:
        self.settings, self.tokenizer, self.folder, self.report = settings, tokenizer, folder, report
        self.on_progress = on_progress
        self.rejects: list[Reject] = []
        self.held_out: dict[str, list[Example]] = {split: [] for split in HELD_OUT}

    # --- First pass ------------------------------------------------------------------------------------------------

    def scatter(self) -> None:
        """Every example into the bucket of its group, or to those that are held out."""
        blocks = read_blocks(self.settings.data, encoding=self.settings.encoding, hub_config=self.settings.hub_config)
        first = next((block for block in blocks if block[0]), None)
        if first is None:
            raise CourseError(f"{self.settings.data} holds no row that can be used.")
        form, recipe, turns = self._recognise(first)
        total, buckets = self._sizes(first)
        shares = [
            min(share, MAX_HELD_OUT / total) for share in (self.settings.test_share, self.settings.validation_share)
        ]
        with contextlib.ExitStack() as stack:
            paths = [self.folder / "buckets" / f"{number:03}.jsonl" for number in range(buckets)]
            files = [stack.enter_context(path.open("w", encoding="utf-8")) for path in paths]
            for rows, rejects in itertools.chain([first], blocks):
                self.report.rows += len(rows) + len(rejects)
                self._reject(rejects)
                conversations, unusable = read_conversations(rows, form, recipe)
                examples, marked = leave_out_marks(
                    make_examples(conversations, form, recipe, every=turns.every), self.tokenizer
                )
                self._reject([*unusable, *marked])
                for example in examples:
                    self._throw(example, shares, files)
                self.on_progress("rows read", self.report.rows)
        write_lines(self.folder / REJECTED, as_rows(self.rejects))
        write_json(self.folder / RECIPE, recipe.as_dict())

    def _recognise(self, block: Block) -> tuple[Format, PromptRecipe, Turns]:
        """How rows become examples, told from the first block."""
        rows = block[0]
        columns = list(dict.fromkeys(name for row in rows for name in row.values))
        form = detect_format(str(self.settings.data), columns, rows, self.settings)
        recipe = make_recipe(form, rows, self.settings)
        turns = Turns(every=True)
        if form.messages:
            conversations, _ = read_conversations(rows, form, recipe)
            turns = choose_turns([messages for _, messages in conversations], self.settings.trained_turns)
        self.report.format = form.reason
        return form, recipe, turns

    def _sizes(self, block: Block) -> tuple[int, int]:
        """About how many rows there are, and how many buckets they need, told from the first block."""
        written = sum(len(json.dumps(row.values, default=str)) for row in block[0]) / len(block[0])
        files = _files(self.settings)
        if not files:  # of the Hub: nobody says beforehand how much it is
            return MAX_HELD_OUT * 20, MOST_BUCKETS
        if all(file.suffix == ".parquet" for file in files):
            from pyarrow.parquet import ParquetFile

            rows = sum(ParquetFile(file).metadata.num_rows for file in files)
        else:
            rows = int(sum(file.stat().st_size for file in files) / written)
        buckets = round(rows * written / BYTES_OF_A_BUCKET)
        return max(rows, len(block[0])), max(FEWEST_BUCKETS, min(buckets, MOST_BUCKETS))

    def _throw(self, example: Example, shares: Sequence[float], buckets: Sequence[IO[str]]) -> None:
        place = _hash(f"{self.settings.seed}\n{example.group}") / HASH_SIZE
        for split, share in zip(HELD_OUT, shares, strict=True):
            if place < share:
                self.held_out[split].append(example)
                return
            place -= share
        bucket = buckets[_hash(example.group) % len(buckets)]
        # Not `asdict`, which copies every message and takes longer than all the rest here.
        bucket.write(json.dumps(vars(example), ensure_ascii=False) + "\n")

    def _reject(self, rejects: Sequence[Reject]) -> None:
        self.report.rejected += len(rejects)
        self.rejects += rejects[: KEPT_REJECTS - len(self.rejects)]

    # --- Second pass -----------------------------------------------------------------------------------------------

    def gather(self) -> None:
        """Every bucket becomes a shard, and what is held out two files of its own.

        Raises:
            CourseError: nothing is left to train on, or to test on.
        """
        for split in HELD_OUT:
            kept, repeated = drop_duplicates(self.held_out[split])
            kept, _ = self._fitting(kept)
            self.report.duplicates += len(repeated)
            setattr(self.report, split, len(kept))
            write_lines(self.folder / f"{split}.jsonl", [as_row(example, split) for example in kept])
        for path in sorted((self.folder / "buckets").iterdir()):
            self._gather_bucket(path)
            path.unlink()
            self.on_progress("examples tokenised", self.report.train)
        if not (self.report.train and self.report.test and self.report.validation):
            raise CourseError(
                f"{self.settings.data}: {self.report.train} examples are left to train on, {self.report.validation} to "
                f"validate, {self.report.test} to test. Data of this size needs no shards: use `prepare`."
            )

    def _gather_bucket(self, path: Path) -> None:
        examples, repeated = drop_duplicates([Example(**row) for row in read_lines(path)])
        self.report.duplicates += len(repeated)
        random.Random(f"{self.settings.seed} {path.stem}").shuffle(examples)
        shard = self.folder / f"train-{self.report.shards:05}.parquet"
        with contextlib.closing(_Writer(shard)) as writer:
            for start in range(0, len(examples), TOKENISED_TOGETHER):
                fitting, tokenised = self._fitting(examples[start : start + TOKENISED_TOGETHER])
                writer.write(tokenised)
                self.report.train += len(tokenised)
                self.report.tokens += sum(len(ids) for ids, _ in tokenised)
                if not (self.folder / SAMPLE).exists():
                    write_lines(self.folder / SAMPLE, [as_row(example, "train") for example in fitting[:SAMPLED]])
        self.report.shards += shard.exists()

    def _fitting(self, examples: list[Example]) -> tuple[list[Example], list[tuple[list[int], int]]]:
        """The examples that are short enough, and what `tokenise` gives for them."""
        pairs = list(zip(examples, tokenise(examples, self.tokenizer), strict=True))
        fitting = [(example, found) for example, found in pairs if len(found[0]) <= self.settings.max_length]
        self.report.too_long += len(pairs) - len(fitting)
        return [example for example, _ in fitting], [found for _, found in fitting]


class _Writer:
    """A Parquet file that is written in parts, and not at all if no part holds anything."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, None

    def write(self, tokenised: Sequence[tuple[list[int], int]]) -> None:
        from pyarrow import parquet

        if not tokenised:
            return
        table = _as_table(tokenised)
        if self.file is None:
            self.file = parquet.ParquetWriter(self.path, table.schema)
        self.file.write_table(table)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def _as_table(tokenised: Sequence[tuple[list[int], int]]) -> pyarrow.Table:
    """The columns `input_ids` and `labels`, made of one flat array each: a list for every row would take far longer."""
    import numpy
    import pyarrow

    lengths = numpy.array([len(ids) for ids, _ in tokenised])
    ends = lengths.cumsum()
    starts = ends - lengths
    ids = numpy.fromiter(itertools.chain.from_iterable(ids for ids, _ in tokenised), numpy.int32, count=ends[-1])
    place_in_row = numpy.arange(len(ids)) - starts.repeat(lengths)
    is_read = place_in_row < numpy.array([read for _, read in tokenised]).repeat(lengths)
    labels = ids.copy()
    labels[is_read] = IGNORED
    offsets = numpy.concatenate([[0], ends]).astype(numpy.int32)
    lists = pyarrow.ListArray.from_arrays
    return pyarrow.table({"input_ids": lists(offsets, ids), "labels": lists(offsets, labels)})


def tokenise(examples: Sequence[Example], tokenizer: PreTrainedTokenizerBase) -> list[tuple[list[int], int]]:
    """Token ids of each example and how many of them are only read, as `utils.prompts.tokenize_row` gives them.

    All at once, so that the tokenizer can use every core.
    """
    if not examples:
        return []
    if examples[0].is_text:
        texts = [example.completion + tokenizer.eos_token for example in examples]
        return [(ids, 0) for ids in tokenizer(texts)["input_ids"]]
    prompts = [example.prompt for example in examples]
    whole = [[*e.prompt, {"role": "assistant", "content": e.completion}] for e in examples]
    read = tokenizer.apply_chat_template(prompts, add_generation_prompt=True, return_dict=True)["input_ids"]
    ids = tokenizer.apply_chat_template(whole, return_dict=True)["input_ids"]
    return [(one, len(other)) for one, other in zip(ids, read, strict=True)]


def _files(settings: DataSettings) -> list[Path]:
    """The files of the data; none for a dataset of the Hub."""
    return readable_files(Path(str(settings.data)).expanduser())


def _hash(text: str) -> int:
    """A number from 0 to 2^64 that is the same on every machine and in every process, as `hash` is not."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
