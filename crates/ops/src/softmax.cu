// Softmax over the last axis, and the loss of a classifier that is made of it: see softmax.rs and cross_entropy.rs.
//
// A thread a row: rows are as long as there are classes, some ten.

// log sum exp of a row, and its largest number.
__device__ inline REAL log_total(const REAL* x, i64 width, REAL* largest) {
    // A NaN never wins the comparison; it comes back through the exponential.
    REAL most = -REAL(INFINITY), total = 0;
    for (i64 i = 0; i < width; i++) most = x[i] > most ? x[i] : most;
    for (i64 i = 0; i < width; i++) total += exp(x[i] - most);
    *largest = most;
    return log(total);
}

KERNEL softmax(const REAL* x, REAL* y, i64 rows, i64 width) {
    EACH(row, rows) {
        const REAL* from = x + (i64)row * width;
        REAL* to = y + (i64)row * width;
        REAL largest = -REAL(INFINITY), total = 0;
        for (i64 i = 0; i < width; i++) largest = from[i] > largest ? from[i] : largest;
        for (i64 i = 0; i < width; i++) total += to[i] = exp(from[i] - largest);
        for (i64 i = 0; i < width; i++) to[i] /= total;
    }
}

// dx_i = y_i (dy_i - sum_j y_j dy_j).
KERNEL softmax_gradient(const REAL* y, const REAL* upstream, REAL* to_x, i64 rows, i64 width) {
    EACH(row, rows) {
        i64 first = (i64)row * width;
        REAL inner = 0;
        for (i64 i = first; i < first + width; i++) inner += upstream[i] * y[i];
        for (i64 i = first; i < first + width; i++) to_x[i] = y[i] * (upstream[i] - inner);
    }
}

// The mean loss, by one block. A label that is no class makes it NaN; the host has looked at them.
KERNEL cross_entropy(const REAL* logits, const u32* labels, REAL* mean, i64 samples, i64 classes) {
    REAL sum = 0;
    for (i64 row = threadIdx.x; row < samples; row += BLOCK) {
        const REAL* x = logits + row * classes;
        REAL largest, total = log_total(x, classes, &largest);
        sum += labels[row] < classes ? largest + total - x[labels[row]] : REAL(NAN);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) *mean = sum / samples;
}

// (softmax - one-hot) / N, times the gradient to the mean.
KERNEL cross_entropy_gradient(const REAL* logits, const u32* labels, const REAL* upstream, REAL* to_logits, i64 samples, i64 classes) {
    REAL scale = *upstream / samples;
    EACH(row, samples) {
        const REAL* x = logits + (i64)row * classes;
        REAL largest, total = log_total(x, classes, &largest);
        for (i64 i = 0; i < classes; i++) {
            to_logits[(i64)row * classes + i] = (exp(x[i] - largest - total) - (i == labels[row] ? REAL(1) : REAL(0))) * scale;
        }
    }
}
