-- Python source, the first part of the program that reads Python: what expressions of the language are called.
return [==[
import ast
import builtins


def dotted(node):
    """'a.b.c', and whether it begins with a plain name. Of attributes of something nameless, as in f().b.c, 'b.c'; ''
    where nothing has a name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    rooted = isinstance(node, ast.Name)
    if rooted:
        parts.append(node.id)
    return '.'.join(reversed(parts)), rooted


def name_of(node):
    return dotted(node)[0]


def called_name(node):
    """The name of E in both E and E(...), as decorators and raised exceptions come."""
    return name_of(node.func if isinstance(node, ast.Call) else node)


def base_name(node):
    """Of Generic[T] it is Generic."""
    return name_of(node.value if isinstance(node, ast.Subscript) else node)


def capitalised(name):
    """Whether the last part looks like a class. Underscores in front only say that it is private."""
    return name.split('.')[-1].lstrip('_')[:1].isupper()


def builtin(name, kind):
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, kind)


# What is written where a class or an exception is meant may as well be a variable that holds one: "value".
def class_type(name):
    return 'class' if capitalised(name) or builtin(name, object) else 'value'


def exception_type(name):
    is_exception = capitalised(name) or name.endswith('error') or builtin(name, BaseException)
    return 'exception' if is_exception else 'value'


def annotation_names(node):
    """Names of the types in a return annotation: of list[int] it is list, of A | B both; what has none, as written."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value.strip(), mode='eval').body
        except SyntaxError:
            return [node.value.strip() or '<value>']
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return annotation_names(node.left) + annotation_names(node.right)
    return [base_name(node) or ast.unparse(node)]


DISPLAYS = {
    ast.List: 'list', ast.ListComp: 'list', ast.Dict: 'dict', ast.DictComp: 'dict', ast.Set: 'set', ast.SetComp: 'set',
    ast.Tuple: 'tuple', ast.JoinedStr: 'str', ast.GeneratorExp: 'generator', ast.Lambda: 'function',
}


def returned_name(node):
    """What a returned expression is called: its name, that of the function it calls, or the type of a literal."""
    if isinstance(node, ast.Await):
        return returned_name(node.value)
    if isinstance(node, ast.Constant):
        return 'None' if node.value is None else type(node.value).__name__
    return DISPLAYS.get(type(node)) or called_name(node) or '<value>'
]==]
