// Included by kernels that must know an overflow.

/// Whether the bits of an f32 are those of a number. Asked in integers, because compilers may take for
/// granted that infinities and NaN never occur.
fn isFinite(bits: u32) -> bool {
  return (bits & 0x7f800000u) != 0x7f800000u;
}
