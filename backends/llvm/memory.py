"""Loads and stores in LLVM IR.

Outside vector loops an access is a scalar one. Inside, every lane accesses memory: the stride of
the place by lane chooses a scalar access (0), a vector one (1), a reversed one (-1), vectors with
other elements between (a few, `steps`), or a gather or scatter (all others). A *mask*, the lanes
for which guards and `where` hold, makes it masked. A place where nothing may be read is never
touched: a load that is not wanted reads zeros from a constant instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphc.backends.llvm import helpers, spelling, steps
from graphc.backends.llvm.addresses import Environment
from graphc.backends.llvm.module import ZEROS
from graphc.backends.llvm.operations import Operand, spread
from graphc.backends.llvm.writer import Writer
from graphc.dtypes import DType, bool_
from graphc.index import Index, linearise
from graphc.kernel import LINE, Load
from graphc.tensor_type import TensorType


@dataclass(frozen=True, slots=True)
class Storage:
    """An array of the kernel: its address, and how many lanes each of its elements has.

    `lanes` above 1 is a scratch array that every lane of a vector loop has for itself, lane by lane
    within each element. `is_read_only` says that the kernel writes it nowhere. `alignment` is that
    of the address, `unit` that of an access, in bytes; by default that of an element.
    """

    address: str
    type: TensorType
    lanes: int = 1
    is_read_only: bool = False
    is_private: bool = False
    alignment: int = 1
    unit: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where one access goes: an element offset of an array, and under which conditions.

    `mask` holds one bit a lane, empty for all; `condition` is an i1 for all lanes, empty for true.
    `has_zeros` says that lanes outside the mask read as zero, not as anything: they are used.
    `within` is the depth of the innermost guard: loads do not leave it.
    """

    storage: Storage
    offset: Index
    mask: str
    condition: str
    has_zeros: bool
    within: int

    @property
    def dtype(self) -> DType:
        return self.storage.type.dtype

    @property
    def is_inside(self) -> bool:
        """Whether the known bounds put the place inside the array, whatever holds or does not."""
        low, high = self.offset.bounds
        return low >= 0 and high < self.storage.type.size and not self.offset.values


def make_place(
    environment: Environment, storage: Storage, indices: tuple[Index, ...], where: Operand | None,
    mask: str, within: int,
) -> Place:  # fmt: skip
    """Return the place of an access under the guards' `mask` and its own `where`."""
    offset = linearise(indices, storage.type.shape)
    if where is None:
        return Place(storage, offset, mask, "", False, within)
    if where.lanes == 1:
        return Place(storage, offset, mask, where.text, False, within)
    if mask:
        both = f"and <{where.lanes} x i1> {mask}, {where.text}"
        return Place(storage, offset, environment.writer.pure(both), "", True, within)
    return Place(storage, offset, where.text, "", True, within)


def in_words(place: Place, load: Load) -> Place:
    """Return the place of what `load` reads, in the array seen as words if it reads one."""
    count, dtype = load.count, load.result.dtype
    if count == 1:
        return place
    storage = place.storage
    assert storage.lanes == 1
    words = TensorType((storage.type.size // count,), dtype)
    seen = replace(storage, type=words, unit=storage.type.dtype.itemsize)
    return replace(place, storage=seen, offset=place.offset // count)


# --- addresses ------------------------------------------------------------------------------------


def address_of(environment: Environment, place: Place, shift: int = 0) -> str:
    """Return the address of the place in lane 0, moved by `shift` elements."""
    writer, element = environment.writer, spelling.memory(place.dtype)
    variable, constant = environment.base(place.offset * place.storage.lanes)
    address = place.storage.address
    if variable:
        address = writer.pure(f"getelementptr {element}, ptr {address}, i64 {variable}")
    if constant + shift:
        address = writer.pure(f"getelementptr {element}, ptr {address}, i64 {constant + shift}")
    return address


def _addresses(environment: Environment, place: Place) -> str:
    """Return the addresses of the place in all lanes, from offsets of 32 bits where they fit."""
    lanes, per_element = environment.lanes, place.storage.lanes
    stride = stride_of(environment, place)
    if stride is not None:
        return _strided(environment, place, stride)
    offset = place.offset * per_element
    bits = environment.narrow_bits(offset + lanes)
    offsets = environment.vector(offset, bits)
    if per_element > 1:
        steps = spelling.ramp(bits, lanes)
        offsets = environment.writer.pure(f"add <{lanes} x i{bits}> {offsets}, {steps}")
    element, base = spelling.memory(place.dtype), place.storage.address
    text = f"getelementptr {element}, ptr {base}, <{lanes} x i{bits}> {offsets}"
    return environment.writer.pure(text)


def _strided(environment: Environment, place: Place, stride: int) -> str:
    """Return the addresses of lanes that lie so far apart: that of the first, and constants."""
    lanes, element = environment.lanes, spelling.memory(place.dtype)
    bits = 32 if abs(stride) * lanes < 2**31 else 64
    offsets, first = spelling.ramp(bits, lanes, stride), address_of(environment, place)
    text = f"getelementptr {element}, ptr {first}, <{lanes} x i{bits}> {offsets}"
    return environment.writer.pure(text)


def stride_of(environment: Environment, place: Place) -> int | None:
    """Return the stride by lane in elements of memory."""
    stride = environment.stride(place.offset)
    if place.storage.lanes > 1:
        return 1 if stride == 0 else None
    return stride


def alignment_of(place: Place) -> int:
    """Return to how many bytes the elements of the array are aligned."""
    return place.storage.unit or place.dtype.itemsize


# --- loads ----------------------------------------------------------------------------------------


def load(environment: Environment, place: Place) -> Operand:
    """Write a load and return its value; uniform if the place is the same for all lanes."""
    lanes, stride = environment.lanes, stride_of(environment, place)
    if lanes == 1 or stride == 0:
        return _load_uniform(environment, place)
    if stride == 1 and _is_plain(place):
        loaded = _read(environment, place, address_of(environment, place), lanes)
    elif stride == 1:
        loaded = _read_masked(environment, place, address_of(environment, place), place.mask)
    elif stride == -1:
        loaded = _load_reversed(environment, place)
    elif stride is not None and steps.is_short(stride):
        loaded = _load_stepped(environment, place, stride)
    else:
        mask = _full_mask(environment.writer, place, lanes)
        element = spelling.memory(place.dtype)
        addresses = _addresses(environment, place)
        loaded = helpers.gather(
            environment.writer, element, lanes, addresses, mask, place.storage.unit
        )
    value = helpers.from_memory(environment.writer, place.dtype, lanes, loaded)
    return Operand(_zero_elsewhere(environment, place, value, stride), place.dtype, lanes)


def prefetch(environment: Environment, place: Place, level: int) -> None:
    """Ask for the lines of the place in all lanes, if these are adjacent, in a cache of `level`.

    No address is a fault for a prefetch, so that nothing has to be known of the end of the array.
    """
    stride = stride_of(environment, place)
    if stride not in (0, 1):
        return
    writer, locality = environment.writer, 4 - level
    address = address_of(environment, place)
    nbytes = (environment.lanes if stride else 1) * place.dtype.itemsize
    for start in range(0, nbytes, LINE):
        line = writer.pure(f"getelementptr i8, ptr {address}, i64 {start}") if start else address
        writer.line(f"call void @llvm.prefetch.p0(ptr {line}, i32 0, i32 {locality}, i32 1)")


def _is_plain(place: Place) -> bool:
    """Whether all lanes may be read whatever the mask (what is then read is not used)."""
    return not place.mask or (place.storage.is_private and place.is_inside)


def _zero_elsewhere(environment: Environment, place: Place, value: str, stride: int | None) -> str:
    """Give zero in the lanes of a plain read that the mask leaves out."""
    if not (stride in (1, -1) and place.has_zeros and _is_plain(place)):
        return value
    type_, mask = spelling.register(place.dtype, environment.lanes), f"<{environment.lanes} x i1>"
    zero = spelling.literal(place.dtype, 0, environment.lanes)
    return environment.writer.pure(f"select {mask} {place.mask}, {type_} {value}, {type_} {zero}")


def _load_uniform(environment: Environment, place: Place) -> Operand:
    writer, lanes = environment.writer, environment.lanes
    wanted = place.condition
    if place.mask:
        some = helpers.is_any(writer, place.mask, lanes)
        wanted = writer.pure(f"and i1 {wanted}, {some}") if wanted else some
    address = address_of(environment, place)
    loaded = _read(environment, place, _choose(writer, wanted, address), 1)
    value = Operand(helpers.from_memory(writer, place.dtype, 1, loaded), place.dtype)
    if not place.has_zeros:
        return value
    type_, text = spelling.register(place.dtype, lanes), spread(writer, value, lanes)
    zero = spelling.literal(place.dtype, 0, lanes)
    chosen = writer.pure(f"select <{lanes} x i1> {place.mask}, {type_} {text}, {type_} {zero}")
    return Operand(chosen, place.dtype, lanes)


def _choose(writer: Writer, wanted: str, address: str) -> str:
    """Return `address`, or that of zeros if `wanted` is given and does not hold."""
    if not wanted:
        return address
    return writer.pure(f"select i1 {wanted}, ptr {address}, ptr {ZEROS}")


def _read(environment: Environment, place: Place, address: str, lanes: int) -> str:
    if place.condition and lanes > 1:
        address = _choose(environment.writer, place.condition, address)
    element = spelling.memory(place.dtype, lanes)
    text = f"load {element}, ptr {address}, align {alignment_of(place)}"
    if place.storage.is_read_only:
        return environment.writer.pure(text, within=place.within)
    return environment.writer.emit(text)


def _read_masked(environment: Environment, place: Place, address: str, mask: str) -> str:
    lanes, element = environment.lanes, spelling.memory(place.dtype)
    address = _choose(environment.writer, place.condition, address)
    type_ = spelling.vector(element, lanes)
    return environment.writer.emit(
        f"call {type_} @llvm.masked.load.{spelling.suffix(element, lanes)}.p0("
        f"ptr align {alignment_of(place)} {address}, <{lanes} x i1> {mask}, "
        f"{type_} zeroinitializer)"
    )


def _load_reversed(environment: Environment, place: Place) -> str:
    writer, lanes = environment.writer, environment.lanes
    element = spelling.memory(place.dtype)
    address = address_of(environment, place, 1 - lanes)
    if _is_plain(place):
        loaded = _read(environment, place, address, lanes)
    else:
        mask = _reverse(writer, "i1", place.mask, lanes)
        loaded = _read_masked(environment, place, address, mask)
    return _reverse(writer, element, loaded, lanes)


def _load_stepped(environment: Environment, place: Place, stride: int) -> str:
    writer, lanes = environment.writer, environment.lanes
    first = min(0, stride * (lanes - 1))

    def address(start: int) -> str:
        return address_of(environment, place, first + start)

    if place.mask:
        masks = steps.masks(writer, lanes, place.mask, stride)
        vectors = {s: _read_masked(environment, place, address(s), m) for s, m in masks.items()}
    else:
        before, after = 0, 0
        if place.is_inside:
            low, high = place.offset.bounds
            before, after = low, place.storage.type.size - 1 - high
        starts = steps.starts(lanes, abs(stride), before, after)
        vectors = {s: _read(environment, place, address(s), lanes) for s in starts}
    return steps.pick(writer, spelling.memory(place.dtype), lanes, vectors, stride)


def _reverse(writer: Writer, element: str, value: str, lanes: int) -> str:
    order = ", ".join(f"i32 {lane}" for lane in reversed(range(lanes)))
    type_ = spelling.vector(element, lanes)
    return writer.pure(f"shufflevector {type_} {value}, {type_} poison, <{lanes} x i32> <{order}>")


def _full_mask(writer: Writer, place: Place, lanes: int) -> str:
    """Return the mask and the condition as one mask; empty for all lanes."""
    if not place.condition:
        return place.mask
    condition = spread(writer, Operand(place.condition, bool_), lanes)
    return writer.pure(f"and <{lanes} x i1> {place.mask}, {condition}") if place.mask else condition


# --- stores ---------------------------------------------------------------------------------------


def store(
    environment: Environment, place: Place, value: Operand, *, past_caches: bool = False
) -> bool:
    """Write a store. Lanes that share a place store one value, that of a lane in the mask.

    With `past_caches` it goes to memory past the caches, if it fills whole lines of these and no
    condition holds lanes back; returns whether it may, and a fence has to follow some time.
    """
    stride = stride_of(environment, place)
    if environment.lanes == 1 or stride == 0:
        _store_uniform(environment, place, value)
        return False
    lanes, writer = environment.lanes, environment.writer
    text = helpers.to_memory(writer, place.dtype, lanes, spread(writer, value, lanes))
    if stride is not None and steps.is_short(stride):
        _store_stepped(environment, place, text, stride)
        return False
    if stride not in (1, -1):
        _scatter(environment, place, text)
        return False
    if past_caches and stride == 1 and _fills_lines(environment, place):
        _store_past_caches(environment, place, text)
        return True
    address, mask = address_of(environment, place, 0 if stride == 1 else 1 - lanes), place.mask
    if stride == -1:
        text = _reverse(writer, spelling.memory(place.dtype), text, lanes)
        mask = _reverse(writer, "i1", mask, lanes) if mask else ""
    if place.condition:
        with writer.guarded(place.condition):
            _store_vector(environment, place, address, text, mask)
    else:
        _store_vector(environment, place, address, text, mask)
    return False


def _store_stepped(environment: Environment, place: Place, text: str, stride: int) -> None:
    writer, lanes = environment.writer, environment.lanes
    masks = steps.masks(writer, lanes, _full_mask(writer, place, lanes), stride)
    vectors = steps.spread(writer, spelling.memory(place.dtype), lanes, text, stride)
    for start, vector in vectors.items():
        address = address_of(environment, place, min(0, stride * (lanes - 1)) + start)
        _write_masked(environment, place, address, vector, masks[start])


def _fills_lines(environment: Environment, place: Place) -> bool:
    """Return whether a store of all lanes writes whole lines of the caches in an array that begins
    with one."""
    size, lane = place.dtype.itemsize, environment.lane
    start = place.offset.divisor(lane) * size
    is_whole = start % LINE == 0 and environment.lanes * size % LINE == 0
    return is_whole and not place.mask and not place.condition


def bytes_into_a_line(writer: Writer, storage: Storage) -> str:
    """Return how many bytes after the beginning of a line of the caches an array begins."""
    start = writer.pure(f"ptrtoint ptr {storage.address} to i64")
    return writer.pure(f"and i64 {start}, {LINE - 1}")


def _store_past_caches(environment: Environment, place: Place, text: str) -> None:
    """Write a store past the caches; where the array does not begin with a line, one into them.

    That one is written as a masked store of all lanes: of two ordinary stores under opposite
    conditions LLVM makes one, and into the caches.
    """
    writer, address = environment.writer, address_of(environment, place)
    type_, lanes = spelling.memory(place.dtype, environment.lanes), environment.lanes
    hint = "!nontemporal !{i32 1}"
    if place.storage.alignment >= LINE:
        writer.line(f"store {type_} {text}, ptr {address}, align {LINE}, {hint}")
        return
    rest = bytes_into_a_line(writer, place.storage)
    with writer.guarded(writer.pure(f"icmp eq i64 {rest}, 0")):
        writer.line(f"store {type_} {text}, ptr {address}, align {LINE}, {hint}")
    with writer.guarded(writer.pure(f"icmp ne i64 {rest}, 0")):
        _write_masked(environment, place, address, text, spelling.splat("i1", "true", lanes))


def _store_vector(
    environment: Environment, place: Place, address: str, text: str, mask: str
) -> None:
    writer, lanes = environment.writer, environment.lanes
    element, alignment = spelling.memory(place.dtype), alignment_of(place)
    type_ = spelling.vector(element, lanes)
    if mask and not (place.storage.is_private and place.is_inside):
        _write_masked(environment, place, address, text, mask)
        return
    if mask:
        old = writer.emit(f"load {type_}, ptr {address}, align {alignment}")
        text = writer.emit(f"select <{lanes} x i1> {mask}, {type_} {text}, {type_} {old}")
    writer.line(f"store {type_} {text}, ptr {address}, align {alignment}")


def _write_masked(
    environment: Environment, place: Place, address: str, text: str, mask: str
) -> None:
    lanes, element = environment.lanes, spelling.memory(place.dtype)
    environment.writer.line(
        f"call void @llvm.masked.store.{spelling.suffix(element, lanes)}.p0("
        f"{spelling.vector(element, lanes)} {text}, ptr align {alignment_of(place)} {address}, "
        f"<{lanes} x i1> {mask})"
    )


def _store_uniform(environment: Environment, place: Place, value: Operand) -> None:
    writer, wanted = environment.writer, place.condition
    if place.mask:
        some = helpers.is_any(writer, place.mask, environment.lanes)
        wanted = writer.pure(f"and i1 {wanted}, {some}") if wanted else some
    if wanted:
        with writer.guarded(wanted):
            _store_scalar(environment, place, value)
    else:
        _store_scalar(environment, place, value)


def _store_scalar(environment: Environment, place: Place, value: Operand) -> None:
    writer, text = environment.writer, value.text
    if value.lanes > 1:
        text = _one_lane(environment, place, value)
    text = helpers.to_memory(writer, place.dtype, 1, text)
    element = spelling.memory(place.dtype)
    address = address_of(environment, place)
    writer.line(f"store {element} {text}, ptr {address}, align {alignment_of(place)}")


def _one_lane(environment: Environment, place: Place, value: Operand) -> str:
    """Return a varying value in the first lane that the mask leaves in."""
    writer, lanes = environment.writer, environment.lanes
    lane = "0"
    if place.mask:
        word = f"i{lanes}"
        bits = writer.pure(f"bitcast <{lanes} x i1> {place.mask} to {word}")
        lane = writer.pure(f"call {word} @llvm.cttz.{word}({word} {bits}, i1 true)")
    type_ = spelling.register(value.dtype, lanes)
    return writer.pure(f"extractelement {type_} {value.text}, i{lanes} {lane}")


def _scatter(environment: Environment, place: Place, text: str) -> None:
    writer, lanes = environment.writer, environment.lanes
    element = spelling.memory(place.dtype)
    addresses = _addresses(environment, place)
    mask = _full_mask(writer, place, lanes) or spelling.splat("i1", "true", lanes)
    writer.line(
        f"call void @llvm.masked.scatter.{spelling.suffix(element, lanes)}.v{lanes}p0("
        f"<{lanes} x {element}> {text}, <{lanes} x ptr> align {alignment_of(place)} "
        f"{addresses}, <{lanes} x i1> {mask})"
    )
