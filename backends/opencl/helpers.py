"""The OpenCL C functions that a single expression cannot spell: conversions of 16-bit floats, and
division of indices that may be negative.

`odd` in a name says that the float32 is rounded towards zero, with its last bit set where that was
inexact: rounding it once more, to fewer bits, gives what rounding once would have (Boldo and
Melquiond 2008). Subnormals are kept, NaN stays a NaN. 64-bit integers become float32 by way of at
most 53 significant bits, because there are devices (Oclgrind is one) that go by way of a double.
"""

from __future__ import annotations

_FUNCTIONS: dict[str, str] = {
    "graphc_half_to_float": """\
float graphc_half_to_float(ushort h) {
  const uint sign = (uint)(h & 0x8000) << 16, rest = h & 0x7fff;
  if (rest >= 0x7c00) return as_float(sign | 0x7f800000U | (rest & 0x3ff) << 13);
  if (rest >= 0x0400) return as_float(sign | (rest + 0x1c000U) << 13);
  return as_float(sign | as_uint((float)(int)rest * 0x1p-24f));
}
""",
    "graphc_float_to_half": """\
ushort graphc_float_to_half(float f) {
  const uint bits = as_uint(f), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffffU;
  if (rest > 0x7f800000U) return (ushort)(sign | 0x7e00);
  if (rest >= 0x477ff000U) return (ushort)(sign | 0x7c00);
  if (rest < 0x33000000U) return (ushort)sign;
  const uint exponent = rest >> 23;
  const uint shift = exponent < 113 ? 126 - exponent : 13;
  const uint whole = exponent < 113 ? (rest & 0x7fffff) | 0x800000 : rest - 0x38000000U;
  const uint half_way = 1U << (shift - 1), kept = whole >> shift;
  return (ushort)(sign | (kept + ((whole & (2 * half_way - 1)) + (kept & 1) > half_way)));
}
""",
    "graphc_bfloat_to_float": """\
float graphc_bfloat_to_float(ushort b) { return as_float((uint)b << 16); }
""",
    "graphc_float_to_bfloat": """\
ushort graphc_float_to_bfloat(float f) {
  const uint bits = as_uint(f);
  if ((bits & 0x7fffffffU) > 0x7f800000U) return (ushort)(bits >> 16 | 0x40);
  return (ushort)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
""",
    "graphc_odd_from_ulong": """\
float graphc_odd_from_ulong(ulong a) {
  const int excess = 40 - (int)clz(a | 1);
  if (excess <= 0) return (float)a;
  const ulong kept = a >> excess;
  const ulong inexact = (kept << excess) != a;
  return (float)(kept | inexact) * as_float((uint)(excess + 127) << 23);
}
""",
    "graphc_odd_from_long": """\
float graphc_odd_from_long(long a) {
  return a < 0 ? -graphc_odd_from_ulong(0UL - (ulong)a) : graphc_odd_from_ulong((ulong)a);
}
""",
    "graphc_ulong_to_float": """\
float graphc_ulong_to_float(ulong a) {
  const ulong kept = (a & ~0x7ffUL) | ((a & 0x7ff) != 0 ? 0x800UL : 0UL);
  return (float)(a >> 53 != 0 ? kept : a);
}
""",
    "graphc_long_to_float": """\
float graphc_long_to_float(long a) {
  const float magnitude = graphc_ulong_to_float(a < 0 ? 0UL - (ulong)a : (ulong)a);
  return a < 0 ? -magnitude : magnitude;
}
""",
    "graphc_floordiv": """\
long graphc_floordiv(long a, long b) { return a / b - (a % b < 0); }
""",
    "graphc_mod": """\
long graphc_mod(long a, long b) { const long r = a % b; return r < 0 ? r + b : r; }
""",
    "graphc_odd_from_double": """\
float graphc_odd_from_double(double d) {
  const ulong bits = as_ulong(d), rest = bits & 0x7fffffffffffffffUL;
  const uint sign = (uint)(bits >> 32) & 0x80000000U;
  if (rest >= 0x7ff0000000000000UL) return (float)d;
  if (rest >= 0x47f0000000000000UL) return as_float(sign | 0x7f7fffffU);
  const long exponent = (long)(rest >> 52) - 896;
  const ulong whole = (rest & 0xfffffffffffffUL) | 0x10000000000000UL;
  const long shift = exponent > 0 ? 29 : min(30 - exponent, 63L);
  const uint kept = (uint)(whole >> shift) & 0xffffffU;
  const uint inexact = ((ulong)kept << shift) != whole && rest != 0;
  const uint magnitude = exponent > 0 ? (uint)exponent << 23 | (kept & 0x7fffff) : kept;
  return as_float(sign | magnitude | inexact);
}
""",
}


def helpers_for(source: str) -> str:
    """Return the definitions of the functions that `source` calls, and of those that they call."""
    chosen: list[str] = []
    for name, text in reversed(_FUNCTIONS.items()):  # each stands after those it calls
        if f"{name}(" in source:
            chosen.append(text)
            source += text
    return "".join(reversed(chosen))
