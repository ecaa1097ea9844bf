// What happens to a finished element of a matrix product: shared by matmul.wgsl, which computes
// it, and matmul_splits.wgsl, which adds it up from parts. Values are four columns with VEC4.

// @if VEC4
alias Value = vec4f;
// @else
alias Value = f32;
// @end

// @stored Out F16_OUT
// @stored Gelu F16_GELU

@group(0) @binding(1) var<storage, read_write> out: array<Out>;
// @if BIAS
@group(0) @binding(5) var<storage, read> bias: array<Value>;
// @end
// @if GELU_INTO
@group(0) @binding(2) var<storage, read_write> geluInto: array<Gelu>;
// @end
// @if GELU_FROM
@group(0) @binding(6) var<storage, read> geluFrom: array<Gelu>;
// @end
// @if RESIDUAL
@group(0) @binding(7) var<storage, read> residual: array<Value>;
// @end

/// The tanh of GELU's tanh form (Hendrycks & Gimpel 2016), by one exponential: right to 3e-7, while
/// Vulkan lets a driver's own be a quotient of two sums of exponentials, off by 5e-6. The argument is
/// clamped where tanh is 1 to the last bit, or the exponential would overflow.
fn geluTanh(x: Value) -> Value {
  let y = clamp(0.7978845608 * (x + 0.044715 * x * x * x), Value(-10.0), Value(10.0));
  return 1.0 - 2.0 / (exp(2.0 * y) + 1.0);
}

/// Stores the Value at `at` of out, in the Value `column` of its row.
fn finish(at: u32, column: u32, product: Value) {
  var y = product;
  // @if BIAS
  y += bias[column];
  // @end
  // @if GELU_INTO
  geluInto[at] = Gelu(y);
  y = 0.5 * y * (1.0 + geluTanh(y));
  // @end
  // @if GELU_FROM
  let x = Value(geluFrom[at]);
  let t = geluTanh(x);
  y *= 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * 0.7978845608 * (1.0 + 0.134145 * x * x);
  // @end
  // @if RESIDUAL
  y += residual[at];
  // @end
  // @if ACCUMULATE
  y += Value(out[at]);
  // @end
  out[at] = Out(y);
}
