import sys
from pathlib import Path

# the small learners that several test files and a script share
sys.path.insert(0, str(Path(__file__).parent))
