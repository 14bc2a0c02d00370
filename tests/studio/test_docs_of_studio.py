"""What docs/studio.md shows to scripts is run as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "studio.md"


def test_the_script_of_the_page_learns_and_tells(served):
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.S)[1]
    told = {**os.environ, "TWOFOLD_URL": served["url"], "TWOFOLD_KEY": served["key"]}
    done = subprocess.run([sys.executable, "-c", code], env=told, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "autoencoder-wine" in done.stdout and "finished" in done.stdout
