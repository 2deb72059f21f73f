"""From the kernel's Python to object code, by Numba. Only what has to compile imports this.

Importing it teaches Numba every part of the kernel: what `njit` from here compiles may call them.
`__init__` has imported all parts before.
"""

import gc
import re
from collections.abc import Iterable
from typing import Any

import llvmlite.binding as llvm
import numba as nb
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.registry import cpu_target
from numba.core.typing.templates import make_intrinsic_template
from numba.extending import models, register_model

from ringfence.exchange.engine import views
from ringfence.exchange.engine.views import Function, Table

njit = nb.njit

_BYTES = ir.IntType(8).as_pointer()
_I64, _I32 = ir.IntType(64), ir.IntType(32)

_WRAPPER = """
declare i64 @PyLong_AsLongLong(ptr)
declare ptr @PyLong_FromLongLong(i64)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyObject_CallOneArg(ptr, ptr)
declare void @Py_DecRef(ptr)
declare i32 @"{raw}"(ptr, ptr, i64)

define ptr @"{name}"(ptr %on_error, ptr %argument) {{
  %result = alloca i64
  %error = alloca ptr
  %address = call i64 @PyLong_AsLongLong(ptr %argument)
  %thread = call ptr @PyEval_SaveThread()
  %status = call i32 @"{raw}"(ptr %result, ptr %error, i64 %address)
  call void @PyEval_RestoreThread(ptr %thread)
  %failed = icmp ne i32 %status, 0
  br i1 %failed, label %bad, label %good
good:
  %number = load i64, ptr %result
  %returned = call ptr @PyLong_FromLongLong(i64 %number)
  ret ptr %returned
bad:
  %reason = load ptr, ptr %error
  %reason_number = ptrtoint ptr %reason to i64
  %reason_object = call ptr @PyLong_FromLongLong(i64 %reason_number)
  %raised = call ptr @PyObject_CallOneArg(ptr %on_error, ptr %reason_object)
  call void @Py_DecRef(ptr %reason_object)
  ret ptr %raised
}}
"""
"""A C function for CPython (METH_O) around one entry point, which lets other threads run meanwhile. Where
Numba says that an exception is, it tells `on_error`, its `self`, which raises it."""


@global_compiler_lock
def object_code(entries: Iterable[Function]) -> bytes:
    """Return object code with a C function of the name of every entry point."""
    gc.disable()  # collecting what the compiler still needs takes a tenth of its time
    codegen = cpu_target.target_context.codegen()
    image = _Image(codegen, "ringfence.kernel")
    for function in entries:
        dispatcher = _dispatchers[function]
        dispatcher.compile(nb.int64(nb.int64))
        (compiled,) = dispatcher.overloads.values()
        image.add_linking_library(compiled.library)
        wrapper = _WRAPPER.format(raw=compiled.fndesc.llvm_func_name, name=function.__name__)
        image.add_llvm_module(llvm.parse_assembly(wrapper))
    image.finalize()
    code: bytes = codegen._tm.emit_object(image._final_module)
    gc.enable()
    return code


_FORBIDDEN = re.compile(r"\b(?:double|float|half|NRT_incref|NRT_decref|NRT_allocate)\b")


def refuse_floats_and_reference_counts(code: str) -> None:
    """Raise AssertionError if one of our functions computes with floats or counts references.

    Both creep in silently: a float where uint64 meets int64, a count where an array is passed.
    """
    ours, name = False, ""
    for line in code.splitlines():
        if line.startswith("define "):
            name = line[line.find("@") + 1 :].split("(")[0].strip('"')
            ours = name.startswith("_ZN9ringfence")
        elif ours and (found := _FORBIDDEN.search(line)):
            raise AssertionError(f"the kernel may not use {found[0]}: {name}: {line.strip()}")


def _with_callees(libraries: list[Any]) -> list[Any]:
    """Return libraries with all that they call, each once: parts are not linked into each other."""
    found: dict[Any, None] = {}
    ahead = list(libraries)
    while ahead:
        library = ahead.pop()
        if library not in found:
            found[library] = None
            if isinstance(library, _Library) and library.is_part:
                ahead += library._linking_libraries
    return list(found)


class _Image(JITCodeLibrary):  # type: ignore[misc]
    """All of the kernel, optimised as a whole; its machine code is for another process."""

    _linking_libraries: list[Any]

    def finalize(self) -> None:
        self._linking_libraries = _with_callees(self._linking_libraries)
        super().finalize()

    def _optimize_final_module(self) -> None:
        # Numba runs a cheap round before, for the sake of reference counts: there are none.
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)

    def _finalize_final_module(self) -> None:
        refuse_floats_and_reference_counts(str(self._final_module))
        self._finalized = True


class _Library(JITCodeLibrary):  # type: ignore[misc]
    """Machine code of everything but the parts of a kernel.

    Numba links every function into each of its callers, optimises and assembles it there again. The parts
    of a kernel stay intermediate code that is linked once: a cold start takes a fraction of the time. Parts
    cannot be called from Python.
    """

    _linking_libraries: list[Any]

    @property
    def is_part(self) -> bool:
        return self.name in _names

    def finalize(self) -> None:
        if self.is_part:
            self._raise_if_finalized()
            self._keep_calls()
            self._finalize_dynamic_globals()
            self._finalized = True
        else:
            self._linking_libraries = _with_callees(self._linking_libraries)
            super().finalize()

    def _optimize_functions(self, module: Any) -> None:
        if self.is_part:
            module.data_layout = self._codegen._data_layout
        else:
            super()._optimize_functions(module)

    def _keep_calls(self) -> None:
        """Inline what is marked inline and nothing else: one copy of every rare path."""
        for function in self._final_module.functions:
            if not function.is_declaration and function.name.startswith("_ZN9ringfence"):
                if not any(b"alwaysinline" in words for words in function.attributes):
                    function.add_function_attribute("noinline")

    def get_pointer_to_function(self, name: str) -> Any:
        return 0 if self.is_part else super().get_pointer_to_function(name)


# ---- the words of `views`, as machine code


def _at_address(dtype: np.dtype[np.void]) -> Any:
    record_type = nb.from_dtype(dtype)

    def view(typing_context: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], context.get_value_type(record_type))

        return record_type(types.int64), generate

    return view


def _element(table: Table, builder: Any, args: Any) -> Any:
    assert table.owner.fields is not None
    raw = builder.bitcast(args[0], _BYTES)
    field = builder.gep(raw, [_I64(table.owner.fields["p_" + table.name][1])])
    base = builder.load(builder.bitcast(field, _BYTES.as_pointer()))
    return builder.gep(base, [builder.mul(args[1], _I64(table.dtype.itemsize))], inbounds=True)


def _check_index(table: Table, context: Any, builder: Any, args: Any) -> None:
    assert table.owner.fields is not None
    raw = builder.bitcast(args[0], _BYTES)
    field = builder.gep(raw, [_I64(table.owner.fields["cap_" + table.name][1])])
    capacity = builder.load(builder.bitcast(field, _I64.as_pointer()))
    outside = builder.icmp_unsigned(">=", args[1], capacity)
    with builder.if_then(outside, likely=False):
        context.call_conv.return_user_exc(builder, IndexError, (table.name,))


def _getter(table: Table) -> Any:
    record_type = nb.from_dtype(table.dtype)

    def get(typing_context: Any, owner_record: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            if views.BUILD == "checked":
                _check_index(table, context, builder, args)
            return builder.bitcast(_element(table, builder, args), context.get_value_type(record_type))

        return record_type(owner_record, types.uint64), generate

    return get


def _prefetcher(table: Table) -> Any:
    def prefetch(typing_context: Any, owner_record: Any, index: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            kind = ir.FunctionType(ir.VoidType(), [_BYTES, _I32, _I32, _I32])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            builder.call(function, [_element(table, builder, args), _I32(0), _I32(3), _I32(1)])
            return context.get_dummy_value()

        return types.void(owner_record, types.uint64), generate

    return prefetch


def _count_zeros(instruction: str) -> Any:
    def count(typing_context: Any, word: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, instruction)(args[0], ir.Constant(ir.IntType(1), 1))

        return types.int64(types.uint64), generate

    return count


def _mulhi(typing_context: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.sext(args[0], wide), builder.sext(args[1], wide))
        return builder.trunc(builder.ashr(product, ir.Constant(wide, 64)), _I64)

    return types.int64(types.int64, types.int64), generate


def _mullo(typing_context: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.mul(*args)

    return types.uint64(types.uint64, types.uint64), generate


# ---- telling Numba


class _Pipeline(CompilerBase):  # type: ignore[misc]
    """Numba's passes without those for closures, array expressions, literals and `with`: parts use none of them."""

    def define_pipelines(self) -> list[Any]:
        passes = PassManager("kernel")
        for step in (
            untyped_passes.TranslateByteCode, untyped_passes.FixupArgs, untyped_passes.IRProcessing,
            untyped_passes.GenericRewrites, untyped_passes.RewriteDynamicRaises, untyped_passes.ReconstructSSA,
            typed_passes.NopythonTypeInference, typed_passes.PreLowerStripPhis, typed_passes.IRLegalization,
            typed_passes.AnnotateTypes, typed_passes.NativeLowering, typed_passes.NoPythonBackend,
        ):  # fmt: skip
            passes.add_pass(step, step.__name__)
        passes.finalize()
        return [passes]


def _teach_instruction(function: Function, definition: Any) -> None:
    template = make_intrinsic_template(function, definition, function.__name__)
    cpu_target.typing_context.insert_user_function(function, template)


class _Part(types.Dispatcher):  # type: ignore[misc]
    """A part of the kernel is compiled once: whatever integer it is given arrives as a signed 64-bit one.

    Numba would compile it again for every width and, worse, for every constant.
    """

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        return super().get_call_type(context, tuple(map(_widened, args)), kws)


register_model(_Part)(models.OpaqueModel)


def _teach_part(function: Function, *, is_inline: bool) -> Any:
    # `forceinline` is said outright, or Numba takes it over from whichever caller it compiles first.
    dispatcher = nb.njit(
        forceinline=is_inline,
        error_model="numpy",
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        pipeline_class=_Pipeline,
    )(function)
    cpu_target.typing_context.insert_global(function, _Part(dispatcher))
    return dispatcher


def _widened(argument: Any) -> Any:
    plain = types.unliteral(argument)
    return types.int64 if isinstance(plain, types.Integer) and plain != types.uint64 else plain


_names = {function.__qualname__ for function in views.PARTS}
_codegen = cpu_target.target_context.codegen()
_codegen._library_class = _Library
_set_environment = _codegen.set_env


def _set_environment_if_assembled(name: str, environment: Any) -> None:
    if _codegen._engine.is_symbol_defined(name):
        _set_environment(name, environment)


_codegen.set_env = _set_environment_if_assembled

for _view, _dtype in views.RECORDS.items():
    _teach_instruction(_view, _at_address(_dtype))
for _table in views.TABLES:
    _teach_instruction(_table.get, _getter(_table))
    _teach_instruction(_table.prefetch, _prefetcher(_table))
_teach_instruction(views.trailing_zeros, _count_zeros("cttz"))
_teach_instruction(views.leading_zeros, _count_zeros("ctlz"))
_teach_instruction(views.mulhi, _mulhi)
_teach_instruction(views.mullo, _mullo)
_dispatchers = {
    _function: _teach_part(_function, is_inline=_is_inline) for _function, _is_inline in views.PARTS.items()
}
