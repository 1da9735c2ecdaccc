"""What a lab forbids, taken away in the process where an answer runs, before its first line runs there.

A function of Python loses its code, and whoever still holds it calls one that raises; one of C is replaced in every
module that has it; a library that was not read yet is found by no import. Of the course itself only that is left which
the lab allows, and what that needs. No text of an answer has to be understood for this, so no spelling goes round it.
"""

from __future__ import annotations

import functools
import importlib.machinery
import os
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

COURSE = "cnn_course"
# Serve the answer, or do what is done here.
_OWN = tuple(f"cnn_course.grading.sandbox.{name}" for name in ("student_side", "module_questions", "taken_away"))
_BESIDE = frozenset(["PIL"])  # without it no matplotlib can be imported: only the text of an answer is looked at for it
_MAY_HOLD = ("__main__", "numpy", "matplotlib", COURSE)  # modules with functions of NumPy in their own names
_DISPATCHER = "_ArrayFunctionDispatcher"  # what NumPy wraps its functions in
_CODE = (".py", ".pyc", ".so", ".pyd")  # of Windows the last
_SAID = "the rules of this lab do not allow {}"


def is_forbidden(path: str, table: Mapping[str, bool]) -> bool:
    """Whether a lab's table, dotted path: forbidden or not, forbids this one: its longest entry decides."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        verdict = table.get(".".join(parts[:end]))
        if verdict is not None:
            return verdict
    return False


def leads_to_allowed(path: str, table: Mapping[str, bool]) -> bool:
    """Whether something below this path is allowed, as `cnn_course.pooling` is below `cnn_course`."""
    return any(not verdict and allowed.startswith(f"{path}.") for allowed, verdict in table.items())


def path_of(name: str, value: object) -> str:
    """The dotted path of a module, a function or a class; of any other value of the lab's first cell, its name."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type) or type(value).__name__ == _DISPATCHER:
        module = getattr(value, "__module__", None)
        if isinstance(module, str) and module not in ("__main__", "builtins"):
            return f"{module}.{getattr(value, '__qualname__', name)}"
    return name


def take_away(names: dict[str, Any], table: dict[str, bool]) -> None:
    """names: what the lab's first cell has made, in which what is forbidden becomes something that raises.

    It cannot be undone: it is meant for a process that does nothing else. A library with which an allowed function of
    the course works stays, and so do those that this library has read.
    """
    _detach(names)
    forbidden = {path for path, verdict in table.items() if verdict and path.partition(".")[0] not in (COURSE, *names)}
    modules = {path for path in forbidden if "." not in path or path in sys.modules} - _BESIDE
    functions = forbidden - modules - _BESIDE
    if is_forbidden(COURSE, table):
        kept = _needed(_allowed(names, table))
        for function in _functions(_loaded(COURSE)):
            if function not in kept:
                _kill(function, f"{function.__module__}.{function.__qualname__}")
        modules -= _used_libraries(kept, modules)
    _replace({path: value for path in functions for path, value in _found(path)})
    places = [place for path in (COURSE, *modules) for place in _places_of(path)]
    _unlink(modules)
    sys.meta_path.insert(0, _Refusing(frozenset(modules)))
    _lock(places)
    for name, value in [*names.items()]:
        path = path_of(name, value)
        if is_forbidden(path, table) and not leads_to_allowed(path, table):
            names[name] = _Refused(path)


class _Refusing:
    """Finds none of some modules, nor what is below them."""

    def __init__(self, modules: frozenset[str]) -> None:
        self._modules = modules

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        for module in self._modules:
            if f"{name}.".startswith(f"{module}."):
                raise ImportError(_SAID.format(module), name=name)


def _places_of(path: str) -> Sequence[str]:
    """The folders of a package, whether it was imported or not."""
    if (module := sys.modules.get(path)) is not None:
        return [*getattr(module, "__path__", ())]
    spec = importlib.machinery.PathFinder.find_spec(path) if "." not in path else None
    return [*(spec.submodule_search_locations or ())] if spec else []


def _lock(folders: Iterable[str]) -> None:
    """Let nothing below some folders be opened or loaded from now on (PEP 578).

    Uses nothing that can be replaced from outside, as `os.path.realpath` can.
    """
    busy, open_, close, link, path_only = False, os.open, os.close, os.readlink, getattr(os, "O_PATH", None)
    real, plain, separator = os.path.realpath, os.path.normcase, os.sep
    places = tuple(f"{folder if path_only else plain(real(folder))}{separator}" for folder in folders)

    def decode(path: Any, fspath: Callable = os.fspath) -> str:
        path = fspath(path)
        return bytes.decode(path, "utf-8", "surrogateescape") if isinstance(path, bytes) else str.__str__(path)

    def hook(event: str, arguments: tuple) -> None:
        nonlocal busy
        if event == "sys.addaudithook":  # it would be called while this one looks
            raise RuntimeError(_SAID.format(event))
        if event not in ("open", "import") or busy:
            return
        path = arguments[event == "import"]
        if not isinstance(path, int | None):
            path = decode(path)  # a string of a class of one's own is taken for what it is
            busy = True
            try:
                if path_only is None:  # outside Linux nobody is graded, and nobody gains by replacing these two
                    path = plain(real(path))
                else:
                    fd = open_(path, path_only)
                    path = link(f"/proc/self/fd/{fd}")  # the kernel knows where it leads
                    close(fd)
            except (OSError, ValueError):  # not there; or no /proc
                pass
            finally:
                busy = False
            if f"{path}{separator}".startswith(places) and (event == "import" or path.endswith(_CODE)):
                raise PermissionError(_SAID.format(path))  # which `linecache` takes for a file without lines

    sys.addaudithook(hook)


class _Refused:
    """In the place of a name: whatever is done with it raises."""

    def __init__(self, path: str) -> None:
        object.__setattr__(self, "_path", path)

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return _Refused
        said = _SAID.format(object.__getattribute__(self, "_path"))
        raise AttributeError(said)  # hasattr says no

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError(_SAID.format(object.__getattribute__(self, "_path")))

    __call__ = __getitem__ = __iter__ = __len__ = __bool__ = __array__ = _refuse


def _detach(names: dict[str, Any]) -> None:
    """Functions of the lab's first cell keep the names that they need, whatever becomes of these for the student."""
    private = dict(names)
    for name, value in names.items():
        if isinstance(value, types.FunctionType) and value.__globals__ is names:
            copy = types.FunctionType(value.__code__, private, value.__name__, value.__defaults__, value.__closure__)
            copy.__kwdefaults__, copy.__doc__ = value.__kwdefaults__, value.__doc__
            private[name] = copy
    names.update({name: value for name, value in private.items() if isinstance(value, types.FunctionType)})


def _allowed(names: dict[str, Any], table: dict[str, bool]) -> Iterator[object]:
    """What the answer may call, and what answers for it."""
    for module in _OWN:
        yield from vars(sys.modules[module]).values() if module in sys.modules else ()
    for name, value in names.items():
        if not is_forbidden(path_of(name, value), table):
            yield value
    for path, verdict in table.items():
        if not verdict and path.startswith(f"{COURSE}."):
            yield from (value for inner, value in _found(path) if not is_forbidden(inner, table))


def _needed(roots: Iterable[object]) -> set[types.FunctionType]:
    """The course's functions that some values need, followed through the names in their code."""
    found: set[types.FunctionType] = set()
    seen: set[int] = set()
    waiting = [*roots]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, types.FunctionType):
            if value.__module__ == "__main__" or str(value.__module__).partition(".")[0] == COURSE:
                found.add(value)
                waiting += _used(value)
        elif isinstance(value, type):
            if value.__module__.partition(".")[0] == COURSE:
                waiting += [*_functions_of(value), *value.__mro__]
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
        elif not isinstance(value, types.ModuleType):
            waiting += [type(value), getattr(value, "__wrapped__", None), getattr(value, "func", None)]
            waiting += getattr(value, "__dict__", {}).values() if type(value).__module__.startswith(COURSE) else ()
    return found


def _used(function: types.FunctionType) -> Iterator[object]:
    """What a function reaches by the names in its code."""
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    yield function.__dict__.get("__wrapped__")
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # empty
            continue
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
        for name in code.co_names:
            value = function.__globals__.get(name)
            if name.startswith(f"{COURSE}."):  # imported where it is used
                value = sys.modules.get(name)
            yield value
            if isinstance(value, types.ModuleType) and value.__name__.startswith(COURSE):
                yield from _reached(value, code.co_names)


def _reached(module: types.ModuleType, names: Sequence[str]) -> Iterator[object]:
    for name in names:
        value = vars(module).get(name)
        yield value
        if isinstance(value, types.ModuleType) and value.__name__.startswith(f"{module.__name__}."):
            yield from _reached(value, names)


def _library(value: object) -> str:
    """The library that a module, a function or a class belongs to; "" for other values."""
    name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
    return name.partition(".")[0] if isinstance(name, str) else ""


def _used_libraries(kept: set[types.FunctionType], modules: set[str]) -> set[str]:
    """Those of the modules with which some functions work, and those that these have read."""
    waiting = {_library(value) for function in kept for value in _used(function)} & modules
    found: set[str] = set()
    while waiting:
        found.add(library := waiting.pop())
        inner = {_library(value) for module in _loaded(library) for value in [*vars(module).values()]}
        waiting |= (inner & modules) - found
    return found


def _unlink(modules: set[str]) -> None:
    """Leave no way to some modules: not by `import`, and not through others that have read them."""
    gone = {id(module): path for path in modules for module in _loaded(path)}
    libraries = {path for path in modules if "." not in path}
    left = [sys.modules.pop(name) for name, module in [*sys.modules.items()] if id(module) in gone]
    for names in _names_of_modules():
        for name, value in [*names.items()]:
            path = gone.get(id(value)) or _library(value)
            if id(value) in gone or path in libraries:
                names[name] = _Refused(path)
    for module in left:  # who comes to one of their functions in another way finds nothing that it could use
        vars(module).clear()


def _names_of_modules() -> list[dict[str, Any]]:
    """The names of the modules through which a student can come to what others have read."""
    found = [module for module in [*sys.modules.values()] if isinstance(module, types.ModuleType)]
    return [vars(module) for module in found if module.__name__.partition(".")[0] in _MAY_HOLD]


def _loaded(root: str) -> list[types.ModuleType]:
    """A module and all below it, as far as they have been imported."""
    found = [(name, module) for name, module in [*sys.modules.items()] if f"{name}.".startswith(f"{root}.")]
    return [module for _, module in found if isinstance(module, types.ModuleType)]


def _functions(modules: list[types.ModuleType]) -> Iterator[types.FunctionType]:
    """All functions that some modules define."""
    own = {module.__name__ for module in modules}
    for module in modules:
        for value in [*vars(module).values()]:
            if isinstance(value, type):
                found = [*_functions_of(value)] if value.__module__ in own else []
            else:
                found = [*_inner(value)]
            yield from (function for function in found if function.__module__ in own)


def _functions_of(kind: type) -> Iterator[types.FunctionType]:
    for value in [*vars(kind).values()]:
        yield from _inner(value)


def _inner(value: object) -> Iterator[types.FunctionType]:
    """The functions in a function, a static or class method, a property, or what wraps one."""
    if isinstance(value, types.FunctionType):
        yield value
        yield from _inner(value.__dict__.get("__wrapped__"))
    elif isinstance(value, staticmethod | classmethod):
        yield from _inner(value.__func__)
    elif isinstance(value, property):
        for part in (value.fget, value.fset, value.fdel):
            yield from _inner(part)
    elif isinstance(value, functools.cached_property | functools.partial):
        yield from _inner(value.func)
    elif isinstance(value, functools._lru_cache_wrapper):
        yield from _inner(value.__wrapped__)
    elif type(value).__name__ == _DISPATCHER:
        yield from _inner(value._implementation)  # type: ignore[attr-defined]


def _found(path: str) -> Iterator[tuple[str, object]]:
    """What a path leads to, as far as it has been imported: of a module, all functions and classes in it."""
    if (module := sys.modules.get(path)) is not None:
        for name, value in [*vars(module).items()]:
            if isinstance(value, types.FunctionType | type) and _library(value) == path.partition(".")[0]:
                yield f"{path}.{name}", value
        return
    module, _, name = path.rpartition(".")
    if isinstance(owner := sys.modules.get(module), types.ModuleType) and name in vars(owner):
        yield path, vars(owner)[name]


def _replace(found: dict[str, Any]) -> None:
    """Take some functions and classes out of every module; those of Python also lose their code."""
    instead = {}
    for path, value in found.items():
        for function in _functions_of(value) if isinstance(value, type) else _inner(value):
            if str(function.__module__).partition(".")[0] == path.partition(".")[0]:  # enum puts its own into classes
                _kill(function, path)
        if not isinstance(value, type):  # a class is what others ask whether something is one of
            instead[id(value)] = _refusal(path)
    for names in _names_of_modules():
        for name in [name for name, value in names.items() if id(value) in instead]:
            names[name] = instead[id(names[name])]


def _refusal(path: str) -> Callable[..., Any]:
    def refused(*_: Any, **__: Any) -> Any:
        raise RuntimeError("")

    _kill(refused, path)
    return refused


@functools.cache
def _template(free: int) -> types.CodeType:
    """The code of a function that raises, with as many free variables as the one that it takes the place of has."""
    variables = ", ".join(f"v{i}" for i in range(free))
    lines = [f"def outer({variables}):", "    def refused(*_, **__):"]
    lines += [f"        if False: ({variables},)"] if free else []
    lines += ["        raise RuntimeError('SAID')", "    return refused"]
    made: dict[str, Any] = {}
    exec("\n".join(lines), made)
    return made["outer"](*range(free)).__code__


def _kill(function: Any, path: str) -> None:
    code, said = _template(len(function.__code__.co_freevars)), _SAID.format(path)
    constants = tuple(said if constant == "SAID" else constant for constant in code.co_consts)
    function.__code__ = code.replace(co_consts=constants, co_name=function.__code__.co_name)
    function.__defaults__, function.__kwdefaults__ = None, None
