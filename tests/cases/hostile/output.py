# output_too_long: printing for ever
while True:
    print("spam")
# ---
# output_too_long: one line without an end
print("x" * 10_000_000)
# ---
# output_too_long: writing bytes for ever
import sys
while True:
    sys.stdout.buffer.write(b"spam")
    sys.stdout.buffer.flush()
# ---
# output_too_long: writing below Python's buffers
import os
while True:
    os.write(1, b"spam" * 1000)
# ---
# output_too_long: newlines for ever
import sys
while True:
    sys.stdout.write("\n")
# ---
# output_too_long: an answer longer than the limit
answer = "x" * 10_000_000
# ---
# output_too_long: a solution() that prints for ever
def solution():
    while True:
        print(1)
# ---
# output_too_long: an exception with a long message
raise ValueError("x" * 10_000_000)
# ---
# output_too_long: printing in a generator
def spam():
    while True:
        print("spam")
        yield
list(spam())
# ---
# out_of_fuel: errors for ever are dropped, not kept
import sys
while True:
    print("spam", file=sys.stderr)
# ---
# finished: closing the output
import sys
print("last words")
sys.stdout.flush()
# ---
# finished: output that is replaced is kept apart
import io, sys
print("seen")
old, sys.stdout = sys.stdout, io.StringIO()
print("hidden" * 100_000)
sys.stdout = old
# ---
# finished: bytes that are no text
import sys
sys.stdout.buffer.write(b"\xff\xfe\x00\x80 text \xc3\x28\n")
# ---
# finished: half a character
import sys
sys.stdout.buffer.write("é".encode()[:1])
# ---
# finished: a lone surrogate
print("\udcff")
# ---
# finished: a null character
print("a\0b")
# ---
# finished: terminal control sequences are only bytes
print("\x1b[2J\x1b]0;title\x07")
# ---
# finished: a surrogate as an answer
answer = "\ud800"
# ---
# finished: an answer that is bytes
answer = b"\xff"
# ---
# raised: a str() that is no string
class Odd:
    def __str__(self):
        return 1
answer = Odd()
# ---
# raised: a str() that raises
class Odd:
    def __str__(self):
        raise ValueError("no")
answer = Odd()
# ---
# raised: an exception whose str() raises
class Odd(Exception):
    def __str__(self):
        raise ValueError("no")
raise Odd()
# ---
# raised: an exception whose message is no text
raise ValueError("\ud800")
