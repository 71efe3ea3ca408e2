// exp, softplus, silu, sine and cosine to about one unit in the last place of f32. The functions of the API may be much
// worse (sin and cos: 2^-11), and differ from driver to driver; these give the same bits on every driver that keeps `precise`.

float exp_(float x) {
  if (x > 88.72) return uintBitsToFloat(0x7f800000u);
  if (x < -87.33) return 0.0;
  precise float n = floor(x * 1.44269504 + 0.5);
  precise float r = fma(n, -0.693145752, x);  // log 2 in two parts: n times the first is exact
  r = fma(n, -1.42860682e-6, r);
  precise float p = 1.0 / 5040.0;
  p = fma(p, r, 1.0 / 720.0);
  p = fma(p, r, 1.0 / 120.0);
  p = fma(p, r, 1.0 / 24.0);
  p = fma(p, r, 1.0 / 6.0);
  p = fma(p, r, 0.5);
  p = fma(p, r, 1.0);
  p = fma(p, r, 1.0);
  int e = int(n);
  if (e > 127) return p * 2.0 * uintBitsToFloat(uint(e + 126) << 23);
  return p * uintBitsToFloat(uint(e + 127) << 23);
}

// log(1 + u) for 0 <= u <= 1, as 2 atanh(u / (2 + u)).
float log1p_unit(float u) {
  precise float z = u / (2.0 + u);
  precise float q = z * z;
  precise float p = 1.0 / 17.0;
  p = fma(p, q, 1.0 / 15.0);
  p = fma(p, q, 1.0 / 13.0);
  p = fma(p, q, 1.0 / 11.0);
  p = fma(p, q, 1.0 / 9.0);
  p = fma(p, q, 1.0 / 7.0);
  p = fma(p, q, 1.0 / 5.0);
  p = fma(p, q, 1.0 / 3.0);
  p = fma(p, q, 1.0);
  return 2.0 * z * p;
}

float softplus(float v) {
  precise float sum = max(v, 0.0) + log1p_unit(exp_(-abs(v)));
  return sum;
}

float silu(float v) {
  precise float e = exp_(-abs(v));
  precise float s = (v >= 0.0 ? 1.0 : e) / (1.0 + e);
  return v * s;
}

// Sine and cosine of a fraction of a turn, given as 32 binary digits after the point.
vec2 sin_cos_turn(uint fraction) {
  uint quarter = (fraction + 0x20000000u) >> 30;
  precise float a = float(int(fraction - (quarter << 30))) * 1.46291807926715968e-9;  // 2 pi / 2^32; |a| <= pi / 4
  precise float q = a * a;
  precise float s = -1.0 / 39916800.0;
  s = fma(s, q, 1.0 / 362880.0);
  s = fma(s, q, -1.0 / 5040.0);
  s = fma(s, q, 1.0 / 120.0);
  s = fma(s, q, -1.0 / 6.0);
  s = fma(s * q, a, a);
  precise float c = -1.0 / 3628800.0;
  c = fma(c, q, 1.0 / 40320.0);
  c = fma(c, q, -1.0 / 720.0);
  c = fma(c, q, 1.0 / 24.0);
  c = fma(c, q, -0.5);
  c = fma(c, q, 1.0);
  if (quarter == 0u) return vec2(s, c);
  if (quarter == 1u) return vec2(c, -s);
  if (quarter == 2u) return vec2(-s, -c);
  return vec2(-c, s);
}
