// For every kernel: where this workgroup stands, fixed-order sums, halves.
#extension GL_EXT_control_flow_attributes : require

// Grids longer than one axis allows are folded into two (kernels/common/vulkan/launch.h, groups()).
uint group_index() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }

// f32 to half, to nearest, ties to even, as kernels/common/quant.cpp does it: packHalf2x16 leaves the rounding open.
uint half_bits(float value) {
  uint bits = floatBitsToUint(value), sign = (bits >> 16) & 0x8000u;
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u) return sign | 0x7e00u;
  if (bits >= 0x477ff000u) return sign | 0x7c00u;
  if (bits < 0x38800000u) {
    precise float moved = uintBitsToFloat(bits) + 0.5;
    return sign | (floatBitsToUint(moved) - 0x3f000000u);
  }
  bits += 0xfffu + ((bits >> 13) & 1u);
  return sign | ((bits - 0x38000000u) >> 13);
}
uint pack_halves(float low, float high) { return half_bits(low) | (half_bits(high) << 16); }
