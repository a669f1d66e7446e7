// The bilinear kernel: see lib.rs.
#define LARGEST_WEIGHT 1

__device__ inline void weights(REAL x, int* first, REAL* weights) {
    REAL below = floor(x);
    *first = (int)below;
    weights[1] = x - below;
    weights[0] = REAL(1) - weights[1];
}

__device__ inline void derivatives(REAL, REAL* derivatives) {
    derivatives[0] = REAL(-1);
    derivatives[1] = REAL(1);
}
