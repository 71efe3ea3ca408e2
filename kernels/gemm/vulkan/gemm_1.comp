// gemm.glsl for one row: a step of one sequence.
#version 450
#extension GL_GOOGLE_include_directive : require
#define ROWS 1
#include "gemm.glsl"
