// Where the target's pixels read: M_theta B, computed on the fly, or an explicit grid; see warp.rs and structured.rs.
//
// Before this stand, as constants: DIMS, the axes; ROWS and TERMS, the sizes of M_theta, or ROWS = 0 for an explicit grid; GUARD, the least homogeneous divisor.

// Coordinates, and the divisor where there is one.
#define COORDINATES (ROWS > DIMS ? ROWS : DIMS)

// A gradient times a factor: zero where the gradient is, though the factor be infinite.
__device__ inline REAL product(REAL gradient, REAL factor) { return gradient == REAL(0) ? REAL(0) : gradient * factor; }

// A divisor kept away from zero; whether it passes a gradient.
__device__ inline REAL guarded(REAL w, bool* passes) {
    *passes = !(fabs(w) < REAL(GUARD));
    return *passes ? w : w < REAL(0) ? -REAL(GUARD) : REAL(GUARD);
}

// The normalised coordinates of target pixel p of sample n; the divisor behind the last axis where there is one.
__device__ inline void coordinates(const REAL* warp, const REAL* basis, i64 n, i64 p, i64 pixels, REAL* at) {
#if ROWS == 0
    for (int axis = 0; axis < DIMS; axis++) at[axis] = warp[(n * pixels + p) * DIMS + axis];
#else
    for (int row = 0; row < ROWS; row++) at[row] = REAL(0);
    for (int k = 0; k < TERMS; k++) {
        REAL value = basis[k * pixels + p];
        for (int row = 0; row < ROWS; row++) at[row] = fma(warp[(n * ROWS + row) * TERMS + k], value, at[row]);
    }
#if ROWS > DIMS
    bool passes;
    for (int axis = 0; axis < DIMS; axis++) at[axis] = at[axis] / guarded(at[DIMS], &passes);
#endif
#endif
}
