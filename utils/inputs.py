"""Give a notebook its inputs: the folder of an earlier stage, made on the spot if it is missing."""

from __future__ import annotations

import os
from pathlib import Path

from utils.settings import NOTEBOOKS, run_folder
from utils.stages import MAKERS, MissingStage, require_stage, shown

TYPICAL_TIMES = {
    "dataset": "a minute",
    "model": "20 minutes",
    "adapter": "10 minutes",
    "evaluation": "10 minutes",
    "export": "10 minutes",
    "preferences": "10 minutes",
    "reinforced": "15 minutes",
    "encoder": "10 minutes",
    "encoder_decoder": "9 minutes",
}


def find_stage(run_name: str, stage: str, *, profile: str) -> Path:
    """The folder of a finished stage. If it is missing, run the notebook that makes it, with the profile's parameters.

    Raises:
        MissingStage: it is missing and the variable COURSE_MAKE_MISSING is "0".
    """
    try:
        return require_stage(run_name, stage)
    except MissingStage as missing:
        if os.environ.get("COURSE_MAKE_MISSING") == "0":
            raise
        maker = MAKERS[stage]
        print(f"{str(missing).split(':')[0]}.")
        print(
            f"Running {maker} now with the profile {profile} (with cpu about {TYPICAL_TIMES[stage]} on two cores). "
            "Interrupt the kernel to stop.",
            flush=True,
        )
    _run_notebook(maker, run_name, profile)
    return require_stage(run_name, stage)


def _run_notebook(name: str, run_name: str, profile: str) -> None:
    import papermill

    from ci.parameters import notebook_parameters, profile_parameters
    from ci.runner import KERNEL_LOG, kernel_options

    source = NOTEBOOKS / f"{name}.ipynb"
    accepted = notebook_parameters(source)
    values = profile_parameters(profile, source) | {"run_name": run_name, "profile": profile}
    target = run_folder(run_name) / "notebooks" / f"{name}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    papermill.execute_notebook(
        str(source),
        str(target),
        parameters={key: value for key, value in values.items() if key in accepted},
        cwd=str(NOTEBOOKS),
        progress_bar=False,
        **kernel_options(target.with_name(KERNEL_LOG)),
    )
    print(f"Done: {shown(target)}", flush=True)
