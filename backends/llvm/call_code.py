"""The native code of a call: arguments checked, outputs made, the program run, without Python.

`call` is a function that Python calls (METH_FASTCALL) and `self` an int64 array, the *record* of
one program (`call_checks`). The code makes arrays by the functions of NumPy's public table.
After the inputs, the mark and an array for each output may follow: these are then written and
returned, in place of fresh arrays.

`call` refuses, with nothing done, whatever it does not know: another number of arguments, another
type than exactly `ndarray` of exactly this dtype object and shape, dense and aligned; an array in
memory that the program writes; an array for an output that is read-only or not apart from all
others; a record that another call works in; more threads than there is memory for; a check that
failed. The caller then goes the way of Python. Memory errors are raised, and what handlers of
signals raise. Everything is done under the lock of the interpreter but the program itself.
"""

from __future__ import annotations

from graphc.backends.llvm.call_checks import (
    ARRAY_TYPE,
    BUSY,
    BYTE_TYPE,
    CONTROL,
    DATA,
    ENTRY,
    FITS,
    FRESH,
    HEADER,
    INPUT_WORDS,
    INPUTS,
    IS_APART,
    LIMIT,
    MARK,
    MOST_THREADS,
    OUTPUT_WORDS,
    OUTPUTS,
    REFUSAL,
    RELEASE,
    SCRATCH,
    TABLE,
    TAKE,
    TEAM,
    THREADS,
    field,
    pointer,
    word,
)
from graphc.backends.llvm.polling import STOP

FUNCTIONS = (  # of Python
    "PyList_New",
    "PyList_SetItem",
    "PyObject_CallNoArgs",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyContextVar_Get",
    "PyLong_AsLong",
    "PyThread_get_thread_ident",
    "Py_IncRef",
    "Py_DecRef",
)
ARRAY_FUNCTIONS = {"PyArray_NewFromDescr": 94, "PyArray_SetBaseObject": 282}  # of NumPy's table


_DECLARATIONS = """\
declare ptr @PyList_New(i64)
declare i32 @PyList_SetItem(ptr, i64, ptr)
declare ptr @PyObject_CallNoArgs(ptr)
declare ptr @PyEval_SaveThread()
declare void @PyEval_RestoreThread(ptr)
declare i32 @PyContextVar_Get(ptr, ptr, ptr)
declare i64 @PyLong_AsLong(ptr)
declare i64 @PyThread_get_thread_ident()
declare void @Py_IncRef(ptr)
declare void @Py_DecRef(ptr)
declare ptr @PyArray_NewFromDescr(ptr, ptr, i32, ptr, ptr, ptr, i32, ptr)
declare i32 @PyArray_SetBaseObject(ptr, ptr)
"""

# A small output is a view, aligned to 64 bytes, of an array of bytes that it keeps alive.
_MAKE = f"""
define internal ptr @make(ptr %d, ptr %record) nounwind {{
entry:
{field("maker", "%record", 32, "ptr")}
  %small = icmp eq ptr %maker, null
  br i1 %small, label %bytes, label %pooled
pooled:
  %given = call ptr @PyObject_CallNoArgs(ptr %maker)
  ret ptr %given
bytes:
{pointer("type", ARRAY_TYPE)}
{pointer("byte", BYTE_TYPE)}
  %size.at = getelementptr i64, ptr %record, i64 3
  call void @Py_IncRef(ptr %byte)
  %raw = call ptr @PyArray_NewFromDescr(ptr %type, ptr %byte, i32 1, ptr %size.at,
                                       ptr null, ptr null, i32 0, ptr null)
  %no.raw = icmp eq ptr %raw, null
  br i1 %no.raw, label %fail, label %view
view:
{field("start", "%raw", DATA, "i64")}
  %past = add i64 %start, 63
  %aligned = and i64 %past, -64
  %data = inttoptr i64 %aligned to ptr
  %dtype = load ptr, ptr %record
{field("rank", "%record", 8, "i32")}
{field("extents", "%record", 16, "ptr")}
  call void @Py_IncRef(ptr %dtype)
  %array = call ptr @PyArray_NewFromDescr(ptr %type, ptr %dtype, i32 %rank, ptr %extents,
                                         ptr null, ptr %data, i32 {FRESH}, ptr null)
  %no.array = icmp eq ptr %array, null
  br i1 %no.array, label %drop.raw, label %tie
tie:
  %failed = call i32 @PyArray_SetBaseObject(ptr %array, ptr %raw)
  %untied = icmp slt i32 %failed, 0
  br i1 %untied, label %drop.array, label %done
done:
  ret ptr %array
drop.raw:
  call void @Py_DecRef(ptr %raw)
  br label %fail
drop.array:
  call void @Py_DecRef(ptr %array)
  br label %fail
fail:
  ret ptr null
}}

define internal void @drop(ptr %scratch, i64 %count) nounwind {{
entry:
  br label %next
next:
  %i = phi i64 [ 0, %entry ], [ %i.next, %one ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %done
one:
  %at = getelementptr ptr, ptr %scratch, i64 %i
  %array = load ptr, ptr %at
  call void @Py_DecRef(ptr %array)
  %i.next = add i64 %i, 1
  br label %next
done:
  ret void
}}
"""

# How many threads: what `graphc.threads` says in this context, else as many as there is memory for.
_WANTED = f"""
define internal i64 @wanted(ptr %d, i64 %threads, i64 %most) nounwind {{
entry:
  %place = alloca ptr
  %shared = icmp sgt i64 %most, 1
  br i1 %shared, label %ask, label %default
ask:
{pointer("variable", LIMIT)}
  %r = call i32 @PyContextVar_Get(ptr %variable, ptr null, ptr %place)
  %value = load ptr, ptr %place
  %limit = call i64 @PyLong_AsLong(ptr %value)
  call void @Py_DecRef(ptr %value)
  %none = icmp sle i64 %limit, 0
  br i1 %none, label %default, label %limited
limited:
  %fewer = icmp slt i64 %limit, %most
  %chosen = select i1 %fewer, i64 %limit, i64 %most
  ret i64 %chosen
default:
  ret i64 %threads
}}
"""

_CALL = f"""
define ptr @call(ptr %self, ptr %arguments, i64 %given) nounwind {{
entry:
{field("d", "%self", DATA, "ptr")}
{word("busy", BUSY)}
{word("inputs", INPUTS)}
{word("outputs", OUTPUTS)}
{word("threads", THREADS)}
{word("most", MOST_THREADS)}
{pointer("team.record", TEAM)}
{pointer("table", TABLE)}
{pointer("scratch", SCRATCH)}
{pointer("control", CONTROL)}
{pointer("run", ENTRY)}
{word("release", RELEASE)}
{pointer("refusal", REFUSAL)}
  %idle = icmp eq i64 %busy, 0
{field("members", "%team.record", 8, "i64")}
  br i1 %idle, label %count.arguments, label %refuse
count.arguments:
  %as.many = icmp eq i64 %given, %inputs
  br i1 %as.many, label %measure, label %count.outputs
count.outputs:
  %marked = add i64 %inputs, 1
  %with.outputs = add i64 %marked, %outputs
  %with.all = icmp eq i64 %given, %with.outputs
  br i1 %with.all, label %read.mark, label %refuse
read.mark:
{pointer("mark", MARK)}
  %marking.at = getelementptr ptr, ptr %arguments, i64 %inputs
  %marking = load ptr, ptr %marking.at
  %is.marked = icmp eq ptr %marking, %mark
  br i1 %is.marked, label %measure, label %refuse
measure:
  %wanted = call i64 @wanted(ptr %d, i64 %threads, i64 %most)
  %need.team = icmp sgt i64 %wanted, 1
  %needed = select i1 %need.team, i64 %wanted, i64 0
  %enough = icmp sge i64 %members, %needed
  %room = icmp sge i64 %threads, %wanted
  %go = and i1 %room, %enough
  br i1 %go, label %arguments.first, label %refuse
arguments.first:
  br label %argument
argument:
  %i = phi i64 [ 0, %arguments.first ], [ %i.next, %pass ]
  %more.arguments = icmp slt i64 %i, %inputs
  br i1 %more.arguments, label %check, label %check.outputs
check:
  %array.at = getelementptr ptr, ptr %arguments, i64 %i
  %array = load ptr, ptr %array.at
  %input.words = mul i64 %i, {INPUT_WORDS}
  %input.word = add i64 %input.words, {HEADER}
  %input = getelementptr i64, ptr %d, i64 %input.word
  %fits = call i1 @fits(ptr %d, ptr %input, ptr %array)
  br i1 %fits, label %fitting, label %refuse
fitting:
{field("address", "%array", DATA, "ptr")}
{field("bytes", "%input", 24, "i64")}
  %is.apart = call i1 @is_apart(ptr %d, ptr %address, i64 %bytes)
  br i1 %is.apart, label %pass, label %refuse
pass:
  %slot.at = getelementptr ptr, ptr %table, i64 %i
  store ptr %address, ptr %slot.at
  %i.next = add i64 %i, 1
  br label %argument
check.outputs:
  %all.input.words = mul i64 %inputs, {INPUT_WORDS}
  %first.output = add i64 %all.input.words, {HEADER}
  %first.given = add i64 %inputs, 1
  br label %given.output
given.output:
  %g = phi i64 [ 0, %check.outputs ], [ %g.next, %taken ]
  %more.given = icmp slt i64 %g, %outputs
  %another = select i1 %as.many, i1 false, i1 %more.given
  br i1 %another, label %check.output, label %take
check.output:
  %g.place = add i64 %first.given, %g
  %g.at = getelementptr ptr, ptr %arguments, i64 %g.place
  %candidate = load ptr, ptr %g.at
  %g.words = mul i64 %g, {OUTPUT_WORDS}
  %g.word = add i64 %g.words, %first.output
  %g.record = getelementptr i64, ptr %d, i64 %g.word
  %takes = call i1 @takes(ptr %d, ptr %g.record, ptr %candidate, i64 %g)
  br i1 %takes, label %taken, label %refuse
taken:
{field("g.address", "%candidate", DATA, "ptr")}
  %g.slot = add i64 %inputs, %g
  %g.slot.at = getelementptr ptr, ptr %table, i64 %g.slot
  store ptr %g.address, ptr %g.slot.at
  %g.next = add i64 %g, 1
  br label %given.output
take:
  %thread = call i64 @PyThread_get_thread_ident()
  store i64 %thread, ptr %busy.at
  br label %output
output:
  %o = phi i64 [ 0, %take ], [ %o.next, %made ]
  %more.outputs = icmp slt i64 %o, %outputs
  br i1 %more.outputs, label %have, label %begin
have:
  br i1 %as.many, label %make, label %hold
hold:
  %held.place = add i64 %first.given, %o
  %held.at = getelementptr ptr, ptr %arguments, i64 %held.place
  %held = load ptr, ptr %held.at
  call void @Py_IncRef(ptr %held)
  br label %made
make:
  %output.words = mul i64 %o, {OUTPUT_WORDS}
  %output.word = add i64 %output.words, %first.output
  %output.record = getelementptr i64, ptr %d, i64 %output.word
  %new = call ptr @make(ptr %d, ptr %output.record)
  %none = icmp eq ptr %new, null
  br i1 %none, label %fail, label %made
made:
  %result = phi ptr [ %held, %hold ], [ %new, %make ]
  %kept.at = getelementptr ptr, ptr %scratch, i64 %o
  store ptr %result, ptr %kept.at
{field("place", "%result", DATA, "ptr")}
  %slot = add i64 %inputs, %o
  %output.at = getelementptr ptr, ptr %table, i64 %slot
  store ptr %place, ptr %output.at
  %o.next = add i64 %o, 1
  br label %output
begin:
  %team = load ptr, ptr %team.record
  %releases = icmp ne i64 %release, 0
  br i1 %releases, label %apart, label %run.here
run.here:
  call void %run(ptr %table, ptr %team, i64 %wanted)
  br label %ran
apart:
  %state = call ptr @PyEval_SaveThread()
  call void %run(ptr %table, ptr %team, i64 %wanted)
  call void @PyEval_RestoreThread(ptr %state)
  br label %ran
ran:
  %code = load i64, ptr %control
  %good = icmp eq i64 %code, 0
  br i1 %good, label %collect, label %look
look:
{field("stopped", "%control", STOP, "i32")}
  %checked = icmp eq i32 %stopped, 0
  br i1 %checked, label %undo, label %fail.all
undo:
  call void @drop(ptr %scratch, i64 %outputs)
  store i64 0, ptr %busy.at
  br label %refuse
collect:
  %list = call ptr @PyList_New(i64 %outputs)
  %no.list = icmp eq ptr %list, null
  br i1 %no.list, label %fail.all, label %fill
fill:
  %f = phi i64 [ 0, %collect ], [ %f.next, %put ]
  %more.results = icmp slt i64 %f, %outputs
  br i1 %more.results, label %put, label %finish
put:
  %filling.at = getelementptr ptr, ptr %scratch, i64 %f
  %filling = load ptr, ptr %filling.at
  %was.put = call i32 @PyList_SetItem(ptr %list, i64 %f, ptr %filling)
  %f.next = add i64 %f, 1
  br label %fill
finish:
  store i64 0, ptr %busy.at
  ret ptr %list
refuse:
  call void @Py_IncRef(ptr %refusal)
  ret ptr %refusal
fail.all:
  br label %fail
fail:
  %count = phi i64 [ %o, %make ], [ %outputs, %fail.all ]
  call void @drop(ptr %scratch, i64 %count)
  store i64 0, ptr %busy.at
  ret ptr null
}}
"""


def text() -> str:
    """Return the module of `call`."""
    return _DECLARATIONS + FITS + IS_APART + _MAKE + TAKE + _WANTED + _CALL
