"""The native code of a call: arguments checked, outputs made, the program run, without Python.

`call` is a function that Python calls (METH_FASTCALL) and `self` an int64 array, the *record* of
one program. The code reads arrays as every C extension does, through NumPy's public structure
`PyArrayObject_fields`, and makes them by the functions of its public table. Words of a record:

    0 busy: the thread in it   1 entry    2 table of addresses   3 control   4 inputs    5 outputs
    6 threads that there is memory for           7 threads that the work is worth
    8 whether the lock of the interpreter is released        9 type `ndarray`      10 dtype uint8
    11 the team: address, members asked for      12 what is returned to refuse     13 scratch
    14 the context variable of `graphc.threads`
    15 memory that the program writes besides its outputs: starts and ends       16 their number
    17 the mark `INTO`
    then for each input its dtype, its rank, the address of its extents and its bytes,
    then for each output the first three, its bytes plus 64, and a maker of arrays or 0

After the inputs, the mark and an array for each output may follow: these are then written and
returned, in place of fresh arrays.

`call` refuses, with nothing done, whatever it does not know: another number of arguments, another
type than exactly `ndarray` of exactly this dtype object and shape, dense and aligned; an array in
memory that the program writes; an array for an output that is read-only, not aligned to 64 bytes or
not apart from all others; a record that another call works in; more threads than there is memory
for; a check that failed. The caller then goes the way of Python. Memory errors are raised,
and what handlers of signals raise. Everything is done under the lock of the interpreter but the
program itself.
"""

from __future__ import annotations

from graphc.backends.llvm.polling import STOP

BUSY, ENTRY, TABLE, CONTROL, INPUTS, OUTPUTS, THREADS, MOST_THREADS = range(8)
RELEASE, ARRAY_TYPE, BYTE_TYPE, TEAM, REFUSAL, SCRATCH, LIMIT = range(8, 15)
SPANS, SPAN_COUNT, MARK, HEADER = range(15, 19)
INPUT_WORDS, OUTPUT_WORDS = 4, 5

# Byte offsets of PyArrayObject_fields, and the flags C_CONTIGUOUS, ALIGNED and WRITEABLE.
TYPE, DATA, RANK, EXTENTS, DTYPE, FLAGS = 8, 16, 24, 32, 56, 64
DENSE, FRESH, WRITEABLE = 0x101, 0x501, 0x400

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


def _word(name: str, number: int) -> str:
    return f"""\
  %{name}.at = getelementptr i64, ptr %d, i64 {number}
  %{name} = load i64, ptr %{name}.at"""


def _pointer(name: str, number: int) -> str:
    return _word(name, number).replace("= load i64", "= load ptr")


def _field(name: str, base: str, offset: int, type_: str) -> str:
    return f"""\
  %{name}.at = getelementptr i8, ptr {base}, i64 {offset}
  %{name} = load {type_}, ptr %{name}.at"""


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

_FITS = f"""
define internal i1 @fits(ptr %d, ptr %record, ptr %array) nounwind {{
entry:
{_pointer("array.type", ARRAY_TYPE)}
{_field("type", "%array", TYPE, "ptr")}
  %is.array = icmp eq ptr %type, %array.type
  br i1 %is.array, label %look, label %no
look:
{_field("dtype", "%array", DTYPE, "ptr")}
  %wanted.dtype = load ptr, ptr %record
  %same.dtype = icmp eq ptr %dtype, %wanted.dtype
{_field("flags", "%array", FLAGS, "i32")}
  %dense = and i32 %flags, {DENSE}
  %is.dense = icmp eq i32 %dense, {DENSE}
{_field("rank", "%array", RANK, "i32")}
{_field("wanted.rank", "%record", 8, "i64")}
  %rank.wide = sext i32 %rank to i64
  %same.rank = icmp eq i64 %rank.wide, %wanted.rank
  %both = and i1 %same.dtype, %is.dense
  %all = and i1 %both, %same.rank
  br i1 %all, label %measure, label %no
measure:
{_field("extents", "%array", EXTENTS, "ptr")}
{_field("wanted.extents", "%record", 16, "ptr")}
  br label %axis
axis:
  %i = phi i64 [ 0, %measure ], [ %i.next, %equal ]
  %more = icmp slt i64 %i, %rank.wide
  br i1 %more, label %compare, label %yes
compare:
  %extent.at = getelementptr i64, ptr %extents, i64 %i
  %extent = load i64, ptr %extent.at
  %wanted.at = getelementptr i64, ptr %wanted.extents, i64 %i
  %wanted = load i64, ptr %wanted.at
  %same = icmp eq i64 %extent, %wanted
  br i1 %same, label %equal, label %no
equal:
  %i.next = add i64 %i, 1
  br label %axis
yes:
  ret i1 true
no:
  ret i1 false
}}
"""

_IS_APART = f"""
define internal i1 @is_apart(ptr %d, ptr %address, i64 %bytes) nounwind {{
entry:
{_pointer("spans", SPANS)}
{_word("count", SPAN_COUNT)}
  %start = ptrtoint ptr %address to i64
  %end = add i64 %start, %bytes
  br label %span
span:
  %i = phi i64 [ 0, %entry ], [ %i.next, %next ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %compare, label %yes
compare:
  %low.at = getelementptr [2 x i64], ptr %spans, i64 %i
  %low = load i64, ptr %low.at
  %high.at = getelementptr i64, ptr %low.at, i64 1
  %high = load i64, ptr %high.at
  %before = icmp ule i64 %end, %low
  %behind = icmp uge i64 %start, %high
  %apart = or i1 %before, %behind
  br i1 %apart, label %next, label %no
next:
  %i.next = add i64 %i, 1
  br label %span
yes:
  ret i1 true
no:
  ret i1 false
}}
"""

# A small output is a view, aligned to 64 bytes, of an array of bytes that it keeps alive.
_MAKE = f"""
define internal ptr @make(ptr %d, ptr %record) nounwind {{
entry:
{_field("maker", "%record", 32, "ptr")}
  %small = icmp eq ptr %maker, null
  br i1 %small, label %bytes, label %pooled
pooled:
  %given = call ptr @PyObject_CallNoArgs(ptr %maker)
  ret ptr %given
bytes:
{_pointer("type", ARRAY_TYPE)}
{_pointer("byte", BYTE_TYPE)}
  %size.at = getelementptr i64, ptr %record, i64 3
  call void @Py_IncRef(ptr %byte)
  %raw = call ptr @PyArray_NewFromDescr(ptr %type, ptr %byte, i32 1, ptr %size.at,
                                       ptr null, ptr null, i32 0, ptr null)
  %no.raw = icmp eq ptr %raw, null
  br i1 %no.raw, label %fail, label %view
view:
{_field("start", "%raw", DATA, "i64")}
  %past = add i64 %start, 63
  %aligned = and i64 %past, -64
  %data = inttoptr i64 %aligned to ptr
  %dtype = load ptr, ptr %record
{_field("rank", "%record", 8, "i32")}
{_field("extents", "%record", 16, "ptr")}
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

# An array that was given for output %o, if it can be one; its address is compared with those of all
# inputs and of the outputs before it, which are in the table.
_TAKE = f"""
define internal i1 @takes(ptr %d, ptr %record, ptr %array, i64 %o) nounwind {{
entry:
  %fits = call i1 @fits(ptr %d, ptr %record, ptr %array)
  br i1 %fits, label %fitting, label %no
fitting:
{_field("flags", "%array", FLAGS, "i32")}
{_field("address", "%array", DATA, "ptr")}
{_field("room", "%record", 24, "i64")}
  %start = ptrtoint ptr %address to i64
  %bytes = sub i64 %room, 64
  %end = add i64 %start, %bytes
  %may.write = and i32 %flags, {WRITEABLE}
  %is.writeable = icmp ne i32 %may.write, 0
  %odd = and i64 %start, 63
  %is.aligned = icmp eq i64 %odd, 0
  %is.good = and i1 %is.writeable, %is.aligned
  br i1 %is.good, label %look, label %no
look:
  %is.apart = call i1 @is_apart(ptr %d, ptr %address, i64 %bytes)
  br i1 %is.apart, label %others, label %no
others:
{_word("inputs", INPUTS)}
{_pointer("table", TABLE)}
  %before = add i64 %inputs, %o
  %all.inputs = mul i64 %inputs, {INPUT_WORDS}
  br label %other
other:
  %i = phi i64 [ 0, %others ], [ %i.next, %next ]
  %more = icmp slt i64 %i, %before
  br i1 %more, label %compare, label %yes
compare:
  %is.input = icmp slt i64 %i, %inputs
  %as.output = sub i64 %i, %inputs
  %input.word = mul i64 %i, {INPUT_WORDS}
  %output.words = mul i64 %as.output, {OUTPUT_WORDS}
  %output.word = add i64 %output.words, %all.inputs
  %word = select i1 %is.input, i64 %input.word, i64 %output.word
  %bytes.word = add i64 %word, {HEADER + 3}
  %bytes.at = getelementptr i64, ptr %d, i64 %bytes.word
  %words = load i64, ptr %bytes.at
  %more.room = select i1 %is.input, i64 0, i64 64
  %other.bytes = sub i64 %words, %more.room
  %low.at = getelementptr i64, ptr %table, i64 %i
  %low = load i64, ptr %low.at
  %high = add i64 %low, %other.bytes
  %is.before = icmp ule i64 %end, %low
  %is.behind = icmp uge i64 %start, %high
  %is.disjoint = or i1 %is.before, %is.behind
  br i1 %is.disjoint, label %next, label %no
next:
  %i.next = add i64 %i, 1
  br label %other
yes:
  ret i1 true
no:
  ret i1 false
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
{_pointer("variable", LIMIT)}
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
{_field("d", "%self", DATA, "ptr")}
{_word("busy", BUSY)}
{_word("inputs", INPUTS)}
{_word("outputs", OUTPUTS)}
{_word("threads", THREADS)}
{_word("most", MOST_THREADS)}
{_pointer("team.record", TEAM)}
{_pointer("table", TABLE)}
{_pointer("scratch", SCRATCH)}
{_pointer("control", CONTROL)}
{_pointer("run", ENTRY)}
{_word("release", RELEASE)}
{_pointer("refusal", REFUSAL)}
  %idle = icmp eq i64 %busy, 0
{_field("members", "%team.record", 8, "i64")}
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
{_pointer("mark", MARK)}
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
{_field("address", "%array", DATA, "ptr")}
{_field("bytes", "%input", 24, "i64")}
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
{_field("g.address", "%candidate", DATA, "ptr")}
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
{_field("place", "%result", DATA, "ptr")}
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
{_field("stopped", "%control", STOP, "i32")}
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
    return _DECLARATIONS + _FITS + _IS_APART + _MAKE + _TAKE + _WANTED + _CALL
