-- The Python program that reads Python: python3 PROGRAM FOLDER LIST OUTPUT. LIST holds paths below FOLDER, a zero byte
-- behind each. OUTPUT gets JSON lines: {"python": version}, then for each path, in that order, its triples
-- [head, relation, tail, head's type, tail's type], its code [entity, text] and how many constructs had no name; or
-- the problem that kept it from being read.
--
-- Python's own parser reads the language of the installed Python, all of it; Debian 12 has no Python grammar for
-- tree-sitter, and a parser of ours would be a worse one.
local MAIN = [==[
import json
import os
import platform
import sys
import textwrap
import warnings

MODULE_LINES = 50


def source_of(node, lines):
    """The lines of a definition with its decorators, its own indentation taken off."""
    first = min([node.lineno] + [decorator.lineno for decorator in node.decorator_list])
    return textwrap.dedent('\n'.join(lines[first - 1:node.end_lineno]))


def source_of_module(tree, lines):
    """The first paragraph of the docstring and the import statements of module level: most of what stands beside them
    are functions and classes, which have code of their own, and a long docstring or licence would leave no room."""
    parts = []
    docstring = ast.get_docstring(tree)
    if docstring:
        parts.append('"""' + docstring.split('\n\n')[0] + '"""')
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            parts += lines[node.lineno - 1:node.end_lineno]
    return '\n'.join('\n'.join(parts).split('\n')[:MODULE_LINES])


def read(folder, path):
    with open(os.path.join(os.fsencode(folder), path), 'rb') as file:
        data = file.read()
    try:
        text = data.decode('utf-8-sig').replace('\r\n', '\n').replace('\r', '\n')
    except UnicodeDecodeError as error:
        return {'problem': 'not_utf8', 'message': str(error)}
    name = path.decode('utf-8')
    module = os.path.basename(name)[:-len('.py')]
    try:
        tree = ast.parse(text)
        facts = Facts(name, module, tree)
        facts.visit(tree)
    except (SyntaxError, ValueError) as error:  # ValueError: a zero byte, before Python 3.12
        return {'problem': 'syntax', 'message': str(error)}
    except (RecursionError, MemoryError) as error:
        return {'problem': 'too_deep', 'message': str(error)}
    lines = text.split('\n')
    code = [(module, source_of_module(tree, lines))]
    code += [(entity, source_of(node, lines)) for entity, node in facts.definitions]
    return {'triples': facts.triples, 'code': [pair for pair in code if pair[1].strip()], 'unnamed': facts.unnamed}


def main(folder, list_path, output_path):
    warnings.simplefilter('ignore')  # of the sources that are read, such as an odd escape
    with open(list_path, 'rb') as file:
        paths = file.read().split(b'\0')[:-1]
    with open(output_path, 'w', encoding='utf-8', newline='\n') as output:
        print(json.dumps({'python': platform.python_version()}), file=output)
        for path in paths:
            try:
                found = read(folder, path)
            except OSError as error:
                found = {'problem': 'unreadable', 'message': error.strerror}
            print(json.dumps(found, ensure_ascii=False), file=output)


main(*sys.argv[1:])
]==]

return table.concat({ require 'graph.python_names', require 'graph.python_facts', MAIN }, '\n\n')
