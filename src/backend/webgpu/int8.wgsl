// Included by kernels that read four numbers of 8 bits from a word.

/// The bytes of a word, the lowest first, as signed numbers.
fn int8s(word: u32) -> vec4i {
  return (vec4i(vec4u(word) << vec4u(24u, 16u, 8u, 0u))) >> vec4u(24u);
}
