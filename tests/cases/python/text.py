# f-strings
name, price, count = "apples", 2.5, 3
print(f"{count} {name} at ${price:.2f} = ${count * price:,.2f}")
print(f"{price!r:>8}|{name:^10}|{count:03d}|{1234567.891:,.1f}|{0.256:.1%}|{255:#x}|{5:b}|{1e10:g}")
print(f"{count=} {name.upper()=} {'nested ' + f'{price}'}")
width = 12
print(f"{name:>{width}}|{name:<{width}}|{name:*^{width}}|{-5:+d}|{5:+d}|{3.14159:10.3f}|")
print("%d %s %.3f %5d|%-5d|%05d %x %e %%" % (1, "two", 3.0, 4, 5, 6, 255, 12345.678))
print("{} {1}".replace("{1}", "x").format(1), "{0} {1} {0} {k}".format("a", "b", k="c"), "{:>5}{:<5}|".format(1, 2))
# string methods
text = "  The quick brown fox, the lazy dog  "
print(text.strip().split(), text.split(","), text.title().strip(), text.swapcase().strip())
print("a-b-c".partition("-"), "a-b-c".rpartition("-"), "a,b,,c".split(","), "a b  c".split(), "x=1;y=2".split(";", 1))
print("banana".count("an"), "banana".find("na"), "banana".rfind("na"), "banana".index("n"), "banana".replace("na", "NA", 1))
print("abc".isalpha(), "123".isdigit(), "a1".isalnum(), " ".isspace(), "Ab".islower(), "AB".isupper(), "1.5".isdecimal())
print("abc".center(9, "*"), "7".zfill(3), "abc".ljust(5) + "|", "abc".rjust(5), "a\tb".expandtabs(4))
print("hello"[::-1], "hello"[1:4], "hello"[-3:], "hello"[::2], "l" in "hello", "hello" * 2)
print(",".join(str(n) for n in range(5)), "".join(sorted("hello")), "Hello".startswith("He"), "Hello".endswith(("lo", "x")))
print("one\ntwo\r\nthree".splitlines(), repr("quote ' and \" and \n"), "ß".upper(), "É".lower(), len("日本語"))
print(ord("a"), chr(97), ascii("é"), "abc".encode(), b"abc".decode(), "é".encode("utf-8"), bytes([65, 66]).decode("ascii"))
print("a" < "b", "apple" < "Apple", max("hello"), min("hello"), "abc".translate(str.maketrans("abc", "xyz")))
print("CamelCaseString".removeprefix("Camel"), "file.txt".removesuffix(".txt"), "x".casefold() == "X".casefold())
print("%s" % [1, "a"], "%r" % "a", str(None), str(True), str(1.0), str([1.5, "a", None]), str({"a": (1,)}))
for line in """3 apples
5 pears""".split("\n"):
    count, fruit = line.split()
    print(int(count) * 2, fruit)
# Prints: 10 pears
