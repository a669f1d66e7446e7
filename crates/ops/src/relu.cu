// The rectified linear unit: see relu.rs.

KERNEL relu(const REAL* x, REAL* y, i64 count) {
    // Not x > 0, which would turn NaN into 0.
    EACH(i, count) y[i] = x[i] <= REAL(0) ? REAL(0) : x[i];
}

KERNEL relu_gradient(const REAL* y, const REAL* upstream, REAL* to_x, i64 count) {
    EACH(i, count) to_x[i] = y[i] <= REAL(0) ? REAL(0) : upstream[i];
}
