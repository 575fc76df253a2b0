"""What the native code of a call reads, and how it checks what it is given.

The code reads arrays as every C extension does, through NumPy's public structure
`PyArrayObject_fields`, and what it has to know of a program from an int64 array, its *record*.
Words of a record:

    0 busy: the thread in it   1 entry    2 table of addresses   3 control   4 inputs    5 outputs
    6 threads that there is memory for           7 threads that the work is worth
    8 whether the lock of the interpreter is released        9 type `ndarray`      10 dtype uint8
    11 the team: address, members asked for      12 what is returned to refuse     13 scratch
    14 the context variable of `graphc.threads`
    15 memory that the program writes besides its outputs: starts and ends       16 their number
    17 the mark `INTO`
    then for each input its dtype, its rank, the address of its extents and its bytes,
    then for each output the first three, its bytes plus 64, and a maker of arrays or 0
"""

from __future__ import annotations

BUSY, ENTRY, TABLE, CONTROL, INPUTS, OUTPUTS, THREADS, MOST_THREADS = range(8)
RELEASE, ARRAY_TYPE, BYTE_TYPE, TEAM, REFUSAL, SCRATCH, LIMIT = range(8, 15)
SPANS, SPAN_COUNT, MARK, HEADER = range(15, 19)
INPUT_WORDS, OUTPUT_WORDS = 4, 5

# Byte offsets of PyArrayObject_fields, and the flags C_CONTIGUOUS, ALIGNED and WRITEABLE.
TYPE, DATA, RANK, EXTENTS, DTYPE, FLAGS = 8, 16, 24, 32, 56, 64
DENSE, FRESH, WRITEABLE = 0x101, 0x501, 0x400


def word(name: str, number: int) -> str:
    """Return the lines that load a word of the record %d."""
    return f"""\
  %{name}.at = getelementptr i64, ptr %d, i64 {number}
  %{name} = load i64, ptr %{name}.at"""


def pointer(name: str, number: int) -> str:
    """Return the lines that load a word of the record %d that is an address."""
    return word(name, number).replace("= load i64", "= load ptr")


def field(name: str, base: str, offset: int, type_: str) -> str:
    """Return the lines that load what lies `offset` bytes behind `base`."""
    return f"""\
  %{name}.at = getelementptr i8, ptr {base}, i64 {offset}
  %{name} = load {type_}, ptr %{name}.at"""


FITS = f"""
define internal i1 @fits(ptr %d, ptr %record, ptr %array) nounwind {{
entry:
{pointer("array.type", ARRAY_TYPE)}
{field("type", "%array", TYPE, "ptr")}
  %is.array = icmp eq ptr %type, %array.type
  br i1 %is.array, label %look, label %no
look:
{field("dtype", "%array", DTYPE, "ptr")}
  %wanted.dtype = load ptr, ptr %record
  %same.dtype = icmp eq ptr %dtype, %wanted.dtype
{field("flags", "%array", FLAGS, "i32")}
  %dense = and i32 %flags, {DENSE}
  %is.dense = icmp eq i32 %dense, {DENSE}
{field("rank", "%array", RANK, "i32")}
{field("wanted.rank", "%record", 8, "i64")}
  %rank.wide = sext i32 %rank to i64
  %same.rank = icmp eq i64 %rank.wide, %wanted.rank
  %both = and i1 %same.dtype, %is.dense
  %all = and i1 %both, %same.rank
  br i1 %all, label %measure, label %no
measure:
{field("extents", "%array", EXTENTS, "ptr")}
{field("wanted.extents", "%record", 16, "ptr")}
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

IS_APART = f"""
define internal i1 @is_apart(ptr %d, ptr %address, i64 %bytes) nounwind {{
entry:
{pointer("spans", SPANS)}
{word("count", SPAN_COUNT)}
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

# An array that was given for output %o, if it can be one; its address is compared with those of all
# inputs and of the outputs before it, which are in the table.
TAKE = f"""
define internal i1 @takes(ptr %d, ptr %record, ptr %array, i64 %o) nounwind {{
entry:
  %fits = call i1 @fits(ptr %d, ptr %record, ptr %array)
  br i1 %fits, label %fitting, label %no
fitting:
{field("flags", "%array", FLAGS, "i32")}
{field("address", "%array", DATA, "ptr")}
{field("room", "%record", 24, "i64")}
  %start = ptrtoint ptr %address to i64
  %bytes = sub i64 %room, 64
  %end = add i64 %start, %bytes
  %may.write = and i32 %flags, {WRITEABLE}
  %is.writeable = icmp ne i32 %may.write, 0
  br i1 %is.writeable, label %look, label %no
look:
  %is.apart = call i1 @is_apart(ptr %d, ptr %address, i64 %bytes)
  br i1 %is.apart, label %others, label %no
others:
{word("inputs", INPUTS)}
{pointer("table", TABLE)}
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
