// Keys' kernel: see lib.rs. KEYS_A is its slope one pixel from its centre.

__device__ inline REAL inner(REAL a, REAL t) { return ((a + REAL(2)) * t - (a + REAL(3))) * t * t + REAL(1); }
__device__ inline REAL outer(REAL a, REAL t) { return ((a * t - REAL(5) * a) * t + REAL(8) * a) * t - REAL(4) * a; }
__device__ inline REAL inner_slope(REAL a, REAL t) { return (REAL(3) * (a + REAL(2)) * t - REAL(2) * (a + REAL(3))) * t; }
__device__ inline REAL outer_slope(REAL a, REAL t) { return (REAL(3) * a * t - REAL(10) * a) * t + REAL(8) * a; }

__device__ inline void weights(REAL x, int* first, REAL* weights) {
    REAL a = KEYS_A, below = floor(x), f = x - below;
    *first = (int)below - 1;
    weights[0] = outer(a, f + REAL(1));
    weights[1] = inner(a, f);
    weights[2] = inner(a, REAL(1) - f);
    weights[3] = outer(a, REAL(2) - f);
}

__device__ inline void derivatives(REAL x, REAL* derivatives) {
    REAL a = KEYS_A, f = x - floor(x);
    derivatives[0] = outer_slope(a, f + REAL(1));
    derivatives[1] = inner_slope(a, f);
    derivatives[2] = -inner_slope(a, REAL(1) - f);
    derivatives[3] = -outer_slope(a, REAL(2) - f);
}
