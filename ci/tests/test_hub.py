"""What may be uploaded, and where to; every obstacle is a sentence that does not tell the token. The Hub is a fake."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from ci.parameters import read_notebooks
from ci.plan import Request, make_steps
from ci.project import Project
from ci.tests.conftest import WriteNotebook
from utils import hub
from utils.hub import UploadRefused, check_upload, push_to_hub

TOKEN = "hf_thisIsNoRealTokenButLongEnough"


class FakeHub:
    """The part of `HfApi` that is used: notes what is asked of it, and raises `error` where it is set."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.private = True
        self.error: Exception | None = None

    def create_repo(self, repository: str, **options: object) -> str:
        self.asked.append(("create", {"repo_id": repository, **options}))
        if self.error:
            raise self.error
        return f"https://huggingface.co/{repository}"

    def repo_info(self, repository: str) -> SimpleNamespace:
        return SimpleNamespace(private=self.private)

    def upload_folder(self, **options: object) -> None:
        self.asked.append(("upload", options))

    @property
    def steps(self) -> list[str]:
        return [step for step, _ in self.asked]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """The fake, with a token in the environment."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return FakeHub()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder, as it is exported."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"\x80\x02weights")
    (tmp_path / "model" / "README.md").write_text("# Card\n", encoding="utf-8")
    return tmp_path / "model"


def refusal(folder: Path, api: FakeHub, repository: str = "me/mine", **options: bool) -> str:
    """Why an upload is refused; the token is nowhere in it."""
    with pytest.raises(UploadRefused) as failure:
        push_to_hub(folder, repository, api=api, **options)
    text = str(failure.value)
    assert TOKEN not in text
    assert TOKEN not in "".join(map(str, failure.value.__cause__.args if failure.value.__cause__ else ()))
    assert "\n" not in text
    assert "upload" not in api.steps
    return text


def error_of_the_hub(status: int, text: str = "no") -> HfHubHTTPError:
    """What the Hub's client raises for an answer with this status."""
    response = httpx2.Response(status, request=httpx2.Request("POST", "https://hub.invalid"))
    return HfHubHTTPError(text, response=response)


# --- What is uploaded --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("private", [True, False])
def test_folder_is_uploaded(folder: Path, api: FakeHub, private: bool) -> None:
    address = push_to_hub(folder, "me/my-model_1.0", private=private, api=api)
    assert address == "https://huggingface.co/me/my-model_1.0"
    created, uploaded = (options for _, options in api.asked)
    assert created == {"repo_id": "me/my-model_1.0", "private": private, "exist_ok": True}
    assert (uploaded["repo_id"], uploaded["folder_path"]) == ("me/my-model_1.0", str(folder))


def test_private_unless_told_otherwise(folder: Path, api: FakeHub) -> None:
    push_to_hub(folder, "me/mine", api=api)
    assert api.asked[0][1]["private"] is True


def test_public_repository_is_not_taken_for_a_private_one(folder: Path, api: FakeHub) -> None:
    api.private = False
    assert "me/mine exists and is public" in refusal(folder, api)
    push_to_hub(folder, "me/mine", private=False, api=api)
    assert api.steps[-1] == "upload"


def test_token_goes_to_the_client_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub._api(TOKEN).token == TOKEN


# --- What is refused before the Hub is asked ---------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, "", "  "])
def test_without_a_token(folder: Path, api: FakeHub, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    monkeypatch.delenv("HF_TOKEN")
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    assert "HF_TOKEN" in refusal(folder, api)
    assert not api.asked


@pytest.mark.parametrize(
    "name",
    ["mine", "", "me/", "/mine", "a/b/c", "me/mine.git", "me/a--b", "me/a..b", "me/ü", "me/a b", "me/-a", "m/" * 60],
)
def test_bad_name(folder: Path, api: FakeHub, name: str) -> None:
    assert "is no name of a repository" in refusal(folder, api, name)
    assert not api.asked
    with pytest.raises(UploadRefused, match="is no name of a repository"):
        check_upload(name)


def pickled_archive() -> bytes:
    """What `torch.save` writes: an archive with a pickle in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps([1]))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pytorch_model.bin", b"anything"),
        ("optimizer.PT", b"anything"),
        ("deep/in/here.ckpt", b"anything"),
        ("renamed.dat", pickle.dumps({"weights": 1})),
        ("renamed.weights", pickled_archive()),
    ],
)
def test_pickled_data(folder: Path, api: FakeHub, name: str, content: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    text = refusal(folder, api)
    assert path.name in text
    assert "pickled data" in text
    assert not api.asked


@pytest.mark.parametrize("offset", [0, hub.BLOCK - 5, hub.BLOCK, 2 * hub.BLOCK - len(TOKEN)])
def test_file_with_the_token(folder: Path, api: FakeHub, offset: int) -> None:
    (folder / "notes.txt").write_bytes(b" " * offset + TOKEN.encode() + b"\n")
    assert "notes.txt contains your token" in refusal(folder, api)
    assert not api.asked


def test_link(folder: Path, api: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (folder / "notes.txt").symlink_to(tmp_path / "secret.txt")
    assert "notes.txt is a link" in refusal(folder, api)


def test_nothing_to_upload(tmp_path: Path, api: FakeHub) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no file" in refusal(tmp_path / "empty", api)
    assert "holds no file" in refusal(tmp_path / "missing", api)


# --- What the Hub or the network refuses -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE: unset it"),
        (httpx2.ConnectError(f"no route for {TOKEN}"), "broke off: no route for …. Check the network"),
        (httpx2.ReadTimeout(""), "broke off: ReadTimeout. Check the network"),
        (OSError("disk"), "broke off: disk. Check the network"),
        (RuntimeError("Data processing error\nmore"), "broke off: Data processing error. Check"),
        (error_of_the_hub(401), "does not accept the token in HF_TOKEN"),
        (error_of_the_hub(403), "may not write to me/mine. Is me you"),
        (error_of_the_hub(500, f"broken {TOKEN}\nmore"), "The Hub refused me/mine: broken …."),
    ],
)
def test_obstacles_are_sentences(folder: Path, api: FakeHub, error: Exception, said: str) -> None:
    api.error = error
    assert said in refusal(folder, api)


# --- In a run ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("assignments", "offline"), [((), True), (("hub_repository=me/mine",), False)])
def test_runner_lets_a_notebook_reach_the_hub_that_uploads(
    project: Project, write_notebook: WriteNotebook, assignments: tuple[str, ...], offline: bool
) -> None:
    write_notebook("02_share", parameters='hub_repository: str = ""')
    step = make_steps(project, Request(assignments=assignments), read_notebooks(project.notebooks))[0]
    assert step.offline is offline
