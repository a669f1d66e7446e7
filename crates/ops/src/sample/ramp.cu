// A kernel of any support, of no use but to compare one path with another: see tests.rs.
__device__ inline void weights(REAL x, int* first, REAL* weights) {
    REAL below = floor(x);
    *first = (int)below - (SUPPORT - 1) / 2;
    for (int t = 0; t < SUPPORT; t++) weights[t] = REAL(0.3) + (x - below) * REAL(t - 1.2);
}

__device__ inline void derivatives(REAL, REAL* derivatives) {
    for (int t = 0; t < SUPPORT; t++) derivatives[t] = REAL(t - 1.2);
}
