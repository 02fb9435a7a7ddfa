-- Python source, the second part of the program that reads Python: the triples of one file, in the order of its text.
--
-- The file is F and its stem the module M; the entity of a class C is M.C where it is defined and C as an owner of
-- methods; a method is C.m, a function f. What is nested has its path: a function g within f is f.g. Calls, returns,
-- raise and except belong to the innermost function, within a class to C, outside of both to M.
return [==[
class Facts(ast.NodeVisitor):
    def __init__(self, file, module, tree):
        self.file, self.module = file, module
        self.scope, self.kind, self.path = module, 'module', ''
        self.triples, self.unnamed, self.definitions = [], {}, []
        # Names that an `import` anywhere in the file binds to a module.
        self.modules = {(alias.asname or alias.name.split('.')[0]) for node in ast.walk(tree)
                        if isinstance(node, ast.Import) for alias in node.names}

    def add(self, relation, tail, tail_type, head=None, head_type=None):
        """Without a head it is a fact of the scope. A tail without a name cannot be a triple: it is counted."""
        if tail:
            self.triples.append([head or self.scope, relation, tail, head_type or self.kind, tail_type])
        else:
            self.unnamed[relation] = self.unnamed.get(relation, 0) + 1

    def define(self, name, kind, owner, owner_type, relation='defines'):
        self.add(relation, name, kind, owner, owner_type)
        self.add('contains', name, kind, owner, owner_type)

    def visit_all(self, nodes):
        for node in nodes:
            self.visit(node)

    def enter(self, name, kind, body):
        before = self.scope, self.kind, self.path
        self.scope, self.kind, self.path = name, kind, name + '.'
        self.visit_all(body)
        self.scope, self.kind, self.path = before

    def decorate(self, node, entity, kind):
        for decorator in node.decorator_list:
            name = called_name(decorator)
            self.add('annotated_with', name, 'decorator', entity, kind)
            # A decorator's own call is this fact already; calls among its arguments are calls.
            self.visit_all(ast.iter_child_nodes(decorator) if name and isinstance(decorator, ast.Call) else [decorator])

    def visit_Import(self, node):
        for alias in node.names:
            self.add('imports', alias.name, 'module', self.module, 'module')

    def visit_ImportFrom(self, node):
        # Modules are known by their stems, so the dots of `from .m import x` go, and `from . import m` imports m.
        names = [node.module] if node.module else [alias.name for alias in node.names]
        for name in names:
            self.add('imports', name if name != '*' else '', 'module', self.module, 'module')

    def visit_ClassDef(self, node):
        name = self.path + node.name
        entity = self.module + '.' + name
        self.define(entity, 'class', self.file, 'file')
        for base in node.bases:
            self.add('inherits_from', base_name(base), class_type(base_name(base)), entity, 'class')
        self.decorate(node, entity, 'class')
        self.visit_all(node.bases + node.keywords)
        self.definitions += [(entity, node), (name, node)]
        self.enter(name, 'class', node.body)

    def visit_FunctionDef(self, node):
        name = self.path + node.name
        if self.kind == 'class':
            kind = 'method'
            self.define(name, kind, self.scope, 'class', 'declares')
        else:
            kind = 'function'
            self.define(name, kind, self.file, 'file')
        if node.returns:
            for returned in annotation_names(node.returns):
                self.add('returns', 'type::' + returned, 'type', name, kind)
        self.decorate(node, name, kind)
        self.visit(node.args)
        self.definitions.append((name, node))
        self.enter(name, kind, node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Call(self, node):
        name, rooted = dotted(node.func)
        called = 'class' if capitalised(name) else 'function'
        self.add('instantiates' if called == 'class' else 'calls', name, called)
        if rooted and name.split('.')[0] in self.modules:
            self.add('invokes', 'api::' + name, 'api')
        if name and self.kind in ('function', 'method') and self.scope.split('.')[-1].startswith('test_'):
            self.add('tests', name, called)
        self.generic_visit(node)

    def visit_Return(self, node):
        if node.value:
            self.add('returns', 'type::' + returned_name(node.value), 'type')
        self.generic_visit(node)

    def visit_Raise(self, node):
        if node.exc:  # a bare `raise` raises again what was caught, whatever that was
            name = called_name(node.exc)
            self.add('raises', name, exception_type(name))
        self.generic_visit(node)

    def visit_ExceptHandler(self, node):
        caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        for one in caught:
            name = name_of(one) if one else 'BaseException'  # which a bare `except:` means
            self.add('catches', name, exception_type(name))
        self.generic_visit(node)
]==]
