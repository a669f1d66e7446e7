// Coordinates as an explicit grid, and the gradients' way back from coordinates to what they come from: see structured.rs. Before this stands warp.cuh.

// The sum of `parts` parts of gradients to rows, in order, into the first.
KERNEL sum_parts(REAL* to_rows, i64 count, int parts) {
    EACH(i, count) {
        REAL sum = 0;
        for (int part = 0; part < parts; part++) sum += to_rows[part * count + i];
        to_rows[i] = sum;
    }
}

// N x dims x P to N x P x dims.
KERNEL rows_to_grid(const REAL* to_rows, REAL* to_grid, i64 samples, i64 pixels) {
    EACH(i, samples * pixels * DIMS) {
        i64 axis = i % DIMS, p = i / DIMS % (Index)pixels, n = i / DIMS / (Index)pixels;
        to_grid[i] = to_rows[(n * DIMS + axis) * pixels + p];
    }
}

#if ROWS > 0
// The gradient to M: a block a row of a sample.
KERNEL matrix_gradient(const REAL* to_rows, const REAL* basis, REAL* to_matrix, i64 pixels) {
    const REAL* gradient = to_rows + (i64)blockIdx.x * pixels;
    for (int k = 0; k < TERMS; k++) {
        REAL sum = 0;
        for (i64 p = threadIdx.x; p < pixels; p += BLOCK) sum += product(gradient[p], basis[k * pixels + p]);
        sum = block_sum(sum);
        if (threadIdx.x == 0) to_matrix[(i64)blockIdx.x * TERMS + k] = sum;
    }
}

// The gradient to B: a thread a number, over the samples in order.
KERNEL basis_gradient(const REAL* to_rows, const REAL* matrix, REAL* to_basis, i64 samples, i64 pixels) {
    EACH(i, TERMS * pixels) {
        i64 k = i / (Index)pixels, p = i % (Index)pixels;
        REAL sum = 0;
        for (i64 n = 0; n < samples; n++) {
            for (int row = 0; row < ROWS; row++) sum += product(to_rows[(n * ROWS + row) * pixels + p], matrix[(n * ROWS + row) * TERMS + k]);
        }
        to_basis[i] = sum;
    }
}

// The coordinates themselves, N x P x dims.
KERNEL grid(const REAL* matrix, const REAL* basis, REAL* points, i64 samples, i64 pixels) {
    EACH(i, samples * pixels) {
        REAL at[COORDINATES];
        coordinates(matrix, basis, i / (Index)pixels, i % (Index)pixels, pixels, at);
        for (int axis = 0; axis < DIMS; axis++) points[(i64)i * DIMS + axis] = at[axis];
    }
}

// From the gradient to the coordinates, N x P x dims, to that to the rows of M_theta B, N x rows x P.
KERNEL grid_gradient(const REAL* matrix, const REAL* basis, const REAL* upstream, REAL* to_rows, i64 samples, i64 pixels) {
    EACH(i, samples * pixels) {
        i64 n = i / (Index)pixels, p = i % (Index)pixels;
        REAL sum = 0, at[COORDINATES];
        bool passes = true;
        coordinates(matrix, basis, n, p, pixels, at);
        REAL divisor = ROWS > DIMS ? guarded(at[COORDINATES - 1], &passes) : REAL(1);
        for (int axis = 0; axis < DIMS; axis++) {
            REAL gradient = upstream[(i64)i * DIMS + axis];
            if (ROWS > DIMS) gradient = product(gradient, REAL(1) / divisor);
            sum += product(gradient, at[axis]);
            to_rows[(n * ROWS + axis) * pixels + p] = gradient;
        }
        if (ROWS > DIMS) to_rows[(n * ROWS + DIMS) * pixels + p] = passes ? -sum : REAL(0);
    }
}
#endif
