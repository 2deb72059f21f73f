"""BitMEX's sample market maker, unmodified: runs its loop, quotes six pairs, and takes them back."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

SETTINGS = """
import logging
BASE_URL = "{url}/api/v1/"
API_KEY = "{key}"
API_SECRET = "{secret}"
SYMBOL = "XBTUSD"
ORDER_PAIRS = 6
ORDER_START_SIZE = 100
ORDER_STEP_SIZE = 100
INTERVAL = 0.005
MIN_SPREAD = 0.01
MAINTAIN_SPREADS = True
RELIST_INTERVAL = 0.01
CHECK_POSITION_LIMITS = False
MIN_POSITION = -10000
MAX_POSITION = 10000
POST_ONLY = False
DRY_RUN = False
LOOP_INTERVAL = 2
API_REST_INTERVAL = 0.1
API_ERROR_INTERVAL = 1
TIMEOUT = 7
LOG_LEVEL = logging.INFO
ORDERID_PREFIX = "mm_bitmex_"
WATCHED_FILES = []
CONTRACTS = ["XBTUSD"]
"""
with tempfile.TemporaryDirectory() as folder:
    settings = pathlib.Path(folder, "settings.py")
    settings.write_text(
        SETTINGS.format(url=os.environ["URL"], key=os.environ["KEY"], secret=os.environ["SECRET"])
    )
    output = pathlib.Path(folder, "output.txt")
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-u", "-c", "from market_maker.market_maker import run; run()"], cwd=folder, stdout=file,
            stderr=subprocess.STDOUT,
            # A job in the background of a shell has SIGINT ignored, and its children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        time.sleep(15)
        alive = process.poll() is None
        process.send_signal(signal.SIGINT)
        process.wait(20)
    text = output.read_text()
assert alive, text[-4000:]
assert "Creating 12 orders" in text, text[-4000:]
# Its own exit handler ends in a traceback, after it has taken its orders back.
assert "Traceback" not in text.partition("Shutting down")[0], text[-4000:]
print(f"{text.count('Creating')} times orders were created, {text.count('Canceling')} cancelled")
