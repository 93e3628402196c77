import re, json, string, datetime, calendar, time, io, sys, os, textwrap, collections, contextlib, types, hashlib, base64, struct, itertools, operator, pprint, uuid, difflib, csv, warnings, weakref, queue, unicodedata, cmath, numbers, secrets, locale, ast
print(re.findall(r"\d+\.?\d*", "3 apples at $2.50 and 10%"), re.sub(r"[^\w\s]", "", "a,b! c"), re.match(r"(\w+) (?P<last>\w+)", "Al Bo").groupdict(), re.split(r"[,;]\s*", "a, b;c"), bool(re.fullmatch(r"[a-z]+", "abc")))
print(re.search(r"(?<=\$)\d+", "cost $45").group(), re.sub(r"(\d+)", lambda m: str(int(m[1]) * 2), "a1b22"), re.compile(r"^(a|b)*$", re.I).match("AbA").span(), [m.start() for m in re.finditer("a", "banana")], re.sub(r"(\w)(\w)", r"\2\1", "abcd"))
print(json.dumps({"b": [1, 2.5, None, True], "a": "é"}), json.loads('{"x": [1, {"y": null}]}'), json.dumps([1], indent=1), json.dumps({"b": 1, "a": 2}, sort_keys=True), json.dumps(1e100))
print(string.ascii_lowercase, string.digits, string.punctuation, string.Template("$a!").substitute(a=1), string.capwords("the end"))
d = datetime.date(2024, 2, 28)
print(d + datetime.timedelta(days=2), d.weekday(), d.strftime("%A %d %B %Y"), (datetime.date(2024, 12, 25) - d).days, d.replace(year=2023), d.isoformat(), d.isocalendar()[1], datetime.datetime(2024, 1, 1, 13, 5).strftime("%I:%M %p"), datetime.datetime.strptime("2024-03-01 10:30", "%Y-%m-%d %H:%M"), datetime.timedelta(hours=25, minutes=3), datetime.timedelta(days=1).total_seconds(), datetime.datetime(2024, 1, 31) + datetime.timedelta(days=30))
print(calendar.isleap(2024), calendar.monthrange(2023, 2)[1], calendar.day_name[0], calendar.month_abbr[12], time.strftime("%Y", time.gmtime(0)))
out = io.StringIO()
with contextlib.redirect_stdout(out): print("inside")
print(repr(out.getvalue()), textwrap.fill("one two three four", 9), textwrap.dedent("  a\n  b"), sys.maxsize > 0, os.path.join("a", "b"), os.path.splitext("x.tar.gz"))
print(hashlib.md5(b"a").hexdigest(), hashlib.sha256(b"a").hexdigest()[:16], base64.b64encode(b"hello"), struct.pack("<ih", 1, 2), struct.unpack("<d", struct.pack("<d", 1.5)), operator.add(1, 2), operator.itemgetter(1, 0)("ab"))
print(types.SimpleNamespace(a=1), difflib.SequenceMatcher(None, "abcd", "bcde").ratio(), list(csv.reader(["a,b", '"x,y",z'])), unicodedata.name("é"), cmath.sqrt(-1), isinstance(1, numbers.Integral), ast.literal_eval("[1, {'a': 2}]"), uuid.UUID(int=5), difflib.get_close_matches("aple", ["apple", "pear"]))
pprint.pprint({"b": [1, 2], "a": {"c": 3}})
q = queue.PriorityQueue(); q.put((2, "b")); q.put((1, "a"))
@contextlib.contextmanager
def tag(name):
    print(f"<{name}>", end=""); yield name; print(f"</{name}>")
with tag("b") as name: print(name, end="")
print(q.get(), sorted(vars(math := __import__("math")))[:0], callable(math.sqrt), (lambda: 0).__name__, ast.dump(ast.parse("1+x", mode="eval").body.op), sys.version_info >= (3, 10), __name__)
# Prints: (1, 'a') [] True <lambda> Add() True __main__
