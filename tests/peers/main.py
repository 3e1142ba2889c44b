"""Shows all promises of all peers. Usage: main.py DIRECTORY-OF-A-RUNNING-LOA-SIM"""

import asyncio
import logging
import sys

from stage import Simulator, keep_all

import by_firebase_admin  # noqa: F401  (each registers its promises)
import by_aioapns  # noqa: F401
import by_pywebpush  # noqa: F401
import by_holidays  # noqa: F401
import by_jsonschema  # noqa: F401

logging.disable(logging.CRITICAL)
passed, failed = asyncio.run(keep_all(Simulator(sys.argv[1])))
print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed or not passed else 0)
