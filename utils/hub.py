"""Upload a folder to the Hugging Face Hub: only when asked to, and private unless told otherwise.

The token comes from the environment variable HF_TOKEN alone, so that it stands in no notebook and no output.
"""

from __future__ import annotations

import os
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from utils.errors import CourseError, first_line
from utils.stages import shown

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TOKEN = "HF_TOKEN"
NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib"}
BLOCK = 2**24


class UploadRefused(CourseError):
    """Nothing was uploaded; the message says why and what to do."""


def push_to_hub(folder: Path, repository: str, *, private: bool = True, api: HfApi | None = None) -> str:
    """Upload the files of a folder to the model repository OWNER/NAME, made if it is missing. Returns its address.

    Raises:
        UploadRefused: no token, a name that cannot be, a file that must not get out, a repository that is public though
            a private one is wanted, no network, or a Hub that says no.
    """
    check_upload(repository)
    token = _token()
    check_folder(folder, token)
    return _upload(api or _api(token), folder, repository, private, token)


def check_upload(repository: str) -> None:
    """What can be told before there is a folder. Raises UploadRefused without a token, or for a name that cannot be."""
    if not _token():
        raise UploadRefused(
            "Uploading needs a token with the right to write: make one at huggingface.co/settings/tokens and set it in "
            f"the environment variable {TOKEN} before you start Jupyter. Never write it into a notebook."
        )
    fits = NAME.fullmatch(repository) and len(repository) <= 96 and not repository.endswith((".", "-", ".git"))
    if not fits or "--" in repository or ".." in repository:
        raise UploadRefused(
            f"{repository!r} is no name of a repository: write OWNER/NAME, with your user name as OWNER, in letters, "
            "digits, dots, dashes and underscores."
        )


def check_folder(folder: Path, token: str) -> None:
    """Raises UploadRefused if a file of the folder must not get out: pickled weights, a link, or one with the token."""
    files = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    if not files:
        raise UploadRefused(f"{shown(folder)} holds no file to upload: make it first.")
    for path in files:
        if path.is_symlink():
            raise UploadRefused(f"{shown(path)} is a link: put the file itself in its place, or remove it.")
        if _is_pickled(path):
            raise UploadRefused(
                f"{shown(path)} holds pickled data, which can run code when it is loaded: save weights as safetensors."
            )
        if _contains(path, token.encode()):
            raise UploadRefused(f"{shown(path)} contains your token: remove it there, and make a new token.")


def _token() -> str:
    return os.environ.get(TOKEN, "").strip()


def _api(token: str) -> HfApi:
    from huggingface_hub import HfApi

    return HfApi(token=token)


def _upload(api: HfApi, folder: Path, repository: str, private: bool, token: str) -> str:
    from httpx2 import HTTPError  # what huggingface_hub sends its requests with
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        address = str(api.create_repo(repository, private=private, exist_ok=True))
        # A repository that was there before keeps its visibility.
        if private and not api.repo_info(repository).private:
            raise UploadRefused(
                f"{repository} exists and is public. Choose another name, make it private in its settings on the Hub, "
                "or allow it with hub_private = False."
            )
        api.upload_folder(repo_id=repository, folder_path=str(folder), commit_message="Upload from the course")
    except OfflineModeIsEnabled:
        raise UploadRefused(
            "The Hub is switched off by the environment variable HF_HUB_OFFLINE: unset it to upload."
        ) from None
    except HfHubHTTPError as error:
        raise UploadRefused(_explained(error, repository).replace(token, "…")) from None
    except (HTTPError, OSError, RuntimeError) as error:  # the last from the part that sends large files
        reason = first_line(error).replace(token, "…")
        raise UploadRefused(f"The upload broke off: {reason} Check the network; the same call continues.") from None
    return address


def _explained(error: Exception, repository: str) -> str:
    """What an answer of the Hub that is no success means, as a sentence."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return f"The Hub does not accept the token in {TOKEN}: it is wrong, or no longer valid."
    if status in {403, 404}:
        owner = repository.split("/")[0]
        return f"The token in {TOKEN} may not write to {repository}. Is {owner} you, and is the token one for writing?"
    return f"The Hub refused {repository}: {first_line(error)}"


def _is_pickled(path: Path) -> bool:
    if path.suffix.lower() in PICKLES:
        return True
    if path.suffix in {".safetensors", ".gguf"}:
        return False
    if zipfile.is_zipfile(path):  # what torch.save writes
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    with path.open("rb") as file:
        start = file.read(2)
    return start[:1] == b"\x80" and start[1:] in {b"\2", b"\3", b"\4", b"\5"}  # the mark of a pickle and its protocol


def _contains(path: Path, text: bytes) -> bool:
    """True if the bytes occur in the file, which is read in blocks: weights can be larger than the memory."""
    kept = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            if text in kept + block:
                return True
            kept = block[-len(text) :]  # it may stand across two blocks
    return False
