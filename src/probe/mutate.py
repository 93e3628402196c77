# Prints a JSON list of calls: those among the lines that a model wrote, then some that differ from them
# and from those in the examples in their arguments' values, not in their types. The host puts
# `ENTRY_POINT`, `PREFIX`, `EXAMPLES`, `WRITTEN`, `COUNT` and `SEED` before.
import ast
import json
import random

draw = random.Random(SEED)

# Of a call's text.
LENGTH_MAX = 2000


def main():
    calls = []
    for example in EXAMPLES:
        calls += calls_in(example)
    seen, found = set(calls), []
    for line in WRITTEN:
        for call in calls_in(line.strip().lstrip("-*`0123456789. ").rstrip("`;")):
            if call not in seen and len(call) <= LENGTH_MAX and len(found) < COUNT // 2:
                seen.add(call)
                found.append(call)
    calls = calls + found or call_by_annotation()
    atoms = [atom for call in calls for site in sites(call) for atom in atoms_of(literal(site))]
    # Small types have few values: a boolean has two.
    for _ in range(COUNT * 20):
        if len(found) == COUNT or not calls:
            break
        base = draw.choice(found) if found and draw.random() < 0.4 else draw.choice(calls)
        call = mutated_call(base, atoms)
        if call not in seen and len(call) <= LENGTH_MAX:
            seen.add(call)
            found.append(call)
    print(json.dumps(found))


def calls_in(example):
    """The calls of the function in a statement."""
    try:
        nodes = list(ast.walk(ast.parse(example)))
    except (SyntaxError, ValueError):
        return []
    return [ast.unparse(node) for node in nodes if is_asked(node)]


def is_asked(node):
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return is_call and node.func.id == ENTRY_POINT


def sites(call):
    """The largest literals among the arguments: nodes of a tree."""
    found = []

    def look(node):
        try:
            ast.literal_eval(node)
            found.append(node)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            for child in ast.iter_child_nodes(node):
                if isinstance(child, (ast.expr, ast.keyword)):
                    look(child)

    node = ast.parse(call, mode="eval").body
    for argument in node.args + node.keywords:
        look(argument)
    return found


def literal(node):
    return ast.literal_eval(node)


def mutated_call(call, atoms):
    places = sites(call)
    if not places:
        return call
    chosen = places if draw.random() < 0.4 else [draw.choice(places)]
    # From the end, so that earlier places stay where they are.
    text = call.encode()
    for node in sorted(chosen, key=lambda node: node.col_offset, reverse=True):
        value = repr(mutated(literal(node), atoms)).encode()
        text = text[: node.col_offset] + value + text[node.end_col_offset :]
    return text.decode()


def atoms_of(value):
    """The numbers and strings in a value."""
    if isinstance(value, dict):
        return [atom for pair in value.items() for part in pair for atom in atoms_of(part)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [atom for item in value for atom in atoms_of(item)]
    return [value]


def mutated(value, atoms):
    """A value of the same type; of a collection, items of the same types."""
    kind = type(value)
    if kind is bool:
        return draw.random() < 0.5
    if kind is int:
        return mutated_int(value, atoms)
    if kind is float:
        other = round(draw.uniform(0, 2 * abs(value) + 1), 2)
        return draw.choice([0.0, value + 1, value * 2, -value, other])
    if kind is str:
        return mutated_str(value, atoms)
    if kind in (list, tuple):
        return kind(mutated_items(list(value), atoms))
    if kind in (set, frozenset):
        return hashable(kind, mutated_items(sorted(value, key=repr), atoms), value)
    if kind is dict and value:
        items = list(value.items())
        place = draw.randrange(len(items))
        key, item = items[place]
        way = draw.randrange(4)
        if way == 0 and len(items) > 1:
            del items[place]
        elif way == 1:
            items.append((mutated(key, atoms), mutated(item, atoms)))
        else:
            items[place] = (key, mutated(item, atoms))
        return hashable(dict, items, value)
    return value


def mutated_int(value, atoms):
    size = abs(value)
    ways = [
        lambda: draw.choice([0, 1, 2, -1, 10]),
        lambda: value + 1,
        lambda: value - 1,
        lambda: value * 2,
        lambda: draw.randint(0, max(2 * size, 10)),
        lambda: draw.randint(1, max(size, 5)),
        lambda: draw.randint(-3, 20) if value <= 20 else draw.randint(1, value),
        lambda: draw.choice([atom for atom in atoms if type(atom) is int] or [value]),
    ]
    return draw.choice(ways)()


def mutated_str(value, atoms):
    if not value:
        return draw.choice(["", "a", "ab", "A b"])
    if draw.random() < 0.05:
        return ""
    at = draw.randrange(len(value))
    to = draw.randrange(len(value))
    before, character, after = value[:at], value[at], value[at + 1 :]
    ways = [
        lambda: value + value[to],
        lambda: before + after,
        lambda: before + value[to] + value[at:],
        lambda: before + value[to] + after,
        lambda: before + value[max(at, to) :],
        lambda: draw.choice([atom for atom in atoms if type(atom) is str and atom] or [value]),
        lambda: before + like(character) + after,
    ]
    return draw.choice(ways)()


def like(character):
    """Another character of its kind."""
    for first, last in "az", "AZ", "09":
        if first <= character <= last:
            return chr(draw.randint(ord(first), ord(last)))
    return character


def mutated_items(items, atoms):
    if draw.random() < 0.05:
        return []
    for _ in range(draw.choice([1, 1, 2, 3])):
        if not items:
            break
        at, to = draw.randrange(len(items)), draw.randrange(len(items))
        way = draw.randrange(6)
        if way == 0 and len(items) > 1:
            del items[at]
        elif way == 1:
            items.insert(at, mutated(items[to], atoms))
        elif way == 2:
            items[at], items[to] = items[to], items[at]
        elif way == 3:
            items.insert(at, items[to])
        else:
            items[at] = mutated(items[at], atoms)
    return items


def hashable(kind, items, value):
    try:
        return kind(items)
    except TypeError:
        return value


def call_by_annotation():
    """Where no example calls the function: a call with values of the types it asks for."""
    try:
        nodes = list(ast.walk(ast.parse(PREFIX)))
    except (SyntaxError, ValueError):
        return []
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and node.name == ENTRY_POINT:
            values = [value_of(argument.annotation) for argument in node.args.args]
            if values and None not in values:
                return [ENTRY_POINT + "(" + ", ".join(map(repr, values)) + ")"]
    return []


def value_of(annotation):
    if isinstance(annotation, ast.Name):
        plain = {"int": 5, "float": 2.5, "str": "abcab", "bool": True, "list": [3, 1, 2]}
        return plain.get(annotation.id)
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name):
        inner = annotation.slice
        parts = [value_of(part) for part in (inner.elts if isinstance(inner, ast.Tuple) else [inner])]
        if None in parts:
            return None
        made = {
            "list": lambda: [mutated(parts[0], []) for _ in range(4)],
            "tuple": lambda: tuple(parts),
            "dict": lambda: {parts[0]: parts[-1]},
            "optional": lambda: parts[0],
        }
        return made.get(annotation.value.id.lower(), lambda: None)()
    return None


main()
