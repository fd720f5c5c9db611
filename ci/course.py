"""The command line of the course. Needs nothing but Python 3.11 or newer; installs the rest into `.venv` by itself.

python3 ci/course.py run      run the course; ends with a results page
python3 ci/course.py test     check everything: style, unit tests, and every notebook
python3 ci/course.py list     the notebooks and their parameters
python3 ci/course.py sweep    search for hyperparameters
python3 ci/course.py refresh  execute the notebooks and write them back with their outputs
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older Python is told
        sys.exit(f"This is Python {sys.version_info[0]}.{sys.version_info[1]}; the course needs Python 3.11 or newer.")
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from ci.command_line import main

    sys.exit(main(sys.argv[1:]))
