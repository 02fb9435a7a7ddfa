"""Types lines at the prompt on a terminal: type_ahead.py RUNNER SECONDS, lines as JSON on stdin. Between them numbers are pauses, and
{"until": TEXT} waits until the terminal shows the text. Prints what the terminal showed."""
import json
import os
import pty
import select
import sys
import time

items = json.load(sys.stdin)
pid, fd = pty.fork()
if pid == 0:
    os.environ['TERM'] = 'xterm'
    os.execv(sys.argv[1], [sys.argv[1]])
shown = b''


def read_for(seconds):
    """Reads until nothing has come for so long; false at the end."""
    global shown
    while select.select([fd], [], [], seconds)[0]:
        try:
            piece = os.read(fd, 65536)
        except OSError:
            return False
        if not piece:
            return False
        shown += piece
    return True


for item in items:
    if isinstance(item, str):
        os.write(fd, item.encode())
    elif isinstance(item, dict):
        patience = time.time() + 120
        while item['until'].encode() not in shown and time.time() < patience and read_for(0.2):
            pass
    else:
        read_for(item)
deadline = time.time() + float(sys.argv[2])
os.write(fd, b'os.exit(0)\n')
while time.time() < deadline and read_for(0.2):
    pass
os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
