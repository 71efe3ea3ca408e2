// gemm.glsl for tiles of 8 rows.
#version 450
#extension GL_GOOGLE_include_directive : require
#define ROWS 8
#include "gemm.glsl"
