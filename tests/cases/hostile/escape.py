# raised: reading a file of the host
print(open("/etc/passwd").read())
# ---
# raised: reading a file relative to nowhere
open("Cargo.toml")
# ---
# raised: reading through a descriptor
import os
print(os.read(3, 100))
# ---
# raised: opening by number
print(open(3).read())
# ---
# raised: writing a file
open("/tmp/rerank-was-here", "w").write("x")
# ---
# raised: writing a file in the working directory
open("rerank-was-here", "w").write("x")
# ---
# raised: os.open
import os
os.open("/tmp/rerank-was-here", os.O_CREAT | os.O_WRONLY)
# ---
# raised: removing a file
import os
os.remove("/etc/hostname")
# ---
# raised: listing a directory
import os
os.listdir("/")
# ---
# raised: making a directory
import os
os.mkdir("/tmp/rerank-was-here")
# ---
# raised: renaming
import os
os.rename("/etc/hostname", "/etc/hostname2")
# ---
# raised: pathlib
from pathlib import Path
print(Path("/etc/passwd").read_text())
# ---
# raised: pathlib writing
from pathlib import Path
Path("/tmp/rerank-was-here").write_text("x")
# ---
# raised: following a symbolic link
import os
os.readlink("/proc/self/exe")
# ---
# raised: the memory of this process
open("/proc/self/mem", "rb").read(10)
# ---
# raised: climbing out of the packages
open("/packages/../../../etc/passwd")
# ---
# raised: a temporary file
import tempfile
tempfile.NamedTemporaryFile()
# ---
# raised: shutil
import shutil
shutil.copy("/etc/hostname", "/tmp/rerank-was-here")
# ---
# raised: a shell
import os
os.system("touch /tmp/rerank-was-here")
# ---
# raised: popen
import os
os.popen("id").read()
# ---
# raised: subprocess
import subprocess
subprocess.run(["id"])
# ---
# raised: subprocess with a shell
import subprocess
subprocess.check_output("id", shell=True)
# ---
# raised: fork
import os
os.fork()
# ---
# raised: exec
import os
os.execv("/bin/sh", ["/bin/sh"])
# ---
# raised: spawn
import os
os.spawnv(os.P_WAIT, "/bin/sh", ["/bin/sh"])
# ---
# raised: kill
import os, signal
os.kill(1, signal.SIGKILL)
# ---
# raised: multiprocessing
import multiprocessing
multiprocessing.Process(target=print).start()
# ---
# finished: a thread runs at once
import threading
threading.Thread(target=print).start()
# ---
# finished: a raw thread runs at once
import _thread
_thread.start_new_thread(print, ())
# ---
# raised: a process pool
from concurrent.futures import ProcessPoolExecutor
print(list(ProcessPoolExecutor().map(abs, [-1])))
# ---
# finished: a thread pool runs at once
from concurrent.futures import ThreadPoolExecutor
print(list(ThreadPoolExecutor().map(abs, [-1])))
# ---
# raised: a socket
import socket
socket.socket().connect(("127.0.0.1", 80))
# ---
# raised: a server
import socket
socket.create_server(("127.0.0.1", 8080))
# ---
# raised: a name look-up
import socket
socket.gethostbyname("localhost")
# ---
# raised: the web
import urllib.request
urllib.request.urlopen("http://127.0.0.1/")
# ---
# raised: HTTP
import http.client
http.client.HTTPConnection("127.0.0.1").request("GET", "/")
# ---
# raised: ctypes
import ctypes
ctypes.string_at(0)
# ---
# raised: ctypes by another name
import _ctypes
# ---
# raised: a C library
from ctypes import CDLL
CDLL(None)
# ---
# raised: cffi
import cffi
# ---
# raised: mmap
import mmap
mmap.mmap(-1, 10)
# ---
# raised: a package that is not there
import numpy as np
print(np.zeros(3))
# ---
# raised: installing packages
import pip
# ---
# raised: installing packages by running pip
import runpy
runpy.run_module("pip")
# ---
# raised: an extension module from a file
import importlib.machinery
importlib.machinery.ExtensionFileLoader("evil", "/tmp/evil.so").load_module()
# ---
# raised: a module from a path that was added
import sys
sys.path.insert(0, "/usr/lib/python3/dist-packages")
import apt
# ---
# raised: standard input
input()
# ---
# raised: a database
import sqlite3
sqlite3.connect("/tmp/rerank-was-here")
# ---
# raised: raising a resource limit
import resource
# ---
# raised: a debugger waits for input
breakpoint()
# ---
# finished: standard input is empty
import sys
print(repr(sys.stdin.read()))
# ---
# finished: there is no environment
import os
print(len(os.environ))
# ---
# finished: setting an environment variable changes nothing outside
import os
os.environ["PATH"] = "/evil"
print(os.environ["PATH"])
# ---
# finished: there are no arguments to read
import sys
print(len(sys.argv) <= 1)
# ---
# finished: a missing file is only missing
import os
print(os.path.exists("/etc/passwd"))
# ---
# finished: the user has no name here
import os
try:
    print(os.getlogin())
except (AttributeError, OSError):
    print("nobody")
# ---
# finished: random bytes are the same in every run
import os
print(len(os.urandom(16)))
