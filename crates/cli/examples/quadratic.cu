// The quadratic B-spline: see own_plugins.rs. WIDTH says how wide it is.
#define LARGEST_WEIGHT 1

__device__ inline void weights(REAL x, int* first, REAL* weights) {
    const REAL half = REAL(0.5), nearest = floor(x + half), offset = x - nearest;
    const REAL left = (half - offset) * (half - offset) * half, right = (half + offset) * (half + offset) * half;
    *first = (int)nearest - 1;
    weights[0] = WIDTH * left;
    weights[1] = REAL(1) - WIDTH * (left + right);
    weights[2] = WIDTH * right;
}

__device__ inline void derivatives(REAL x, REAL* derivatives) {
    const REAL half = REAL(0.5), offset = x - floor(x + half);
    const REAL left = offset - half, right = half + offset;
    derivatives[0] = WIDTH * left;
    derivatives[1] = -WIDTH * (left + right);
    derivatives[2] = WIDTH * right;
}
