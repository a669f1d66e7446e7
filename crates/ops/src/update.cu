// Updates in place: see update.rs. Every number is computed by itself.

KERNEL accumulate(REAL* to, const REAL* from, i64 count) {
    EACH(i, count) to[i] += from[i];
}

KERNEL sgd(REAL* weight, const REAL* gradient, i64 count, REAL lr, REAL decay) {
    EACH(i, count) weight[i] -= lr * (gradient[i] + decay * weight[i]);
}

KERNEL sgd_with_momentum(REAL* weight, REAL* velocity, const REAL* gradient, i64 count, REAL lr, REAL momentum, REAL decay, int nesterov) {
    EACH(i, count) {
        REAL g = gradient[i] + decay * weight[i], v = momentum * velocity[i] + g;
        velocity[i] = v;
        weight[i] -= lr * (nesterov ? g + momentum * v : v);
    }
}

KERNEL adam(
    REAL* weight, REAL* mean, REAL* square, const REAL* gradient, i64 count,
    REAL kept_mean, REAL kept_square, REAL new_mean, REAL new_square, REAL rate, REAL scale, REAL epsilon, REAL l2, REAL shrink
) {
    EACH(i, count) {
        REAL g = gradient[i] + l2 * weight[i];
        REAL m = mean[i] = kept_mean * mean[i] + new_mean * g;
        REAL v = square[i] = kept_square * square[i] + new_square * g * g;
        weight[i] = shrink * weight[i] - rate * m / (sqrt(v) * scale + epsilon);
    }
}
