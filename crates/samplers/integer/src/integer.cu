// The integer kernel: see lib.rs. TIES_TO_EVEN says where a coordinate half way between two pixels goes.
#define LARGEST_WEIGHT 1

__device__ inline void weights(REAL x, int* first, REAL* weights) {
    REAL below = floor(x), fraction = x - below, half = REAL(0.5);
    bool odd = floor(below * half) * REAL(2) != below;
    bool up = TIES_TO_EVEN ? fraction > half || (fraction == half && odd) : fraction >= half;
    *first = (int)(up ? below + REAL(1) : below);
    weights[0] = REAL(1);
}

__device__ inline void derivatives(REAL, REAL* derivatives) {
    derivatives[0] = REAL(0);
}
