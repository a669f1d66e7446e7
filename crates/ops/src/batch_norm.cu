// Batch normalisation: see batch_norm.rs. A block a channel adds up in 64 bits, always in the same order.

// The place of number i of a channel.
__device__ inline i64 place_of(Index i, int channel, int channels, Index plane) { return ((i64)(i / plane) * channels + channel) * plane + i % plane; }

// Mean and variance of every channel.
KERNEL moments(const REAL* x, double* mean, double* variance, i64 samples, int channels, i64 plane) {
    Index count = samples * plane;
    double sum = 0, squares = 0;
    for (Index i = threadIdx.x; i < count; i += BLOCK) sum += x[place_of(i, blockIdx.x, channels, plane)];
    double middle = block_sum(sum) / count;
    for (Index i = threadIdx.x; i < count; i += BLOCK) {
        double difference = x[place_of(i, blockIdx.x, channels, plane)] - middle;
        squares += difference * difference;
    }
    squares = block_sum(squares);
    if (threadIdx.x == 0) {
        mean[blockIdx.x] = middle;
        variance[blockIdx.x] = squares / count;
    }
}

// A step of running moments towards new ones.
KERNEL lead(REAL* running, const double* given, i64 channels, double kept, double share) {
    EACH(i, channels) running[i] = REAL(kept * running[i] + share * given[i]);
}

// w (x - mean) / sqrt(variance + epsilon) + b, rectified where floor is 0. `inverse` is 1 / sqrt(variance + epsilon).
KERNEL batch_norm(
    const REAL* x, const REAL* weight, const REAL* bias, const double* mean, const double* inverse, REAL* y, i64 count, int channels, i64 plane, REAL floor
) {
    EACH(i, count) {
        int channel = i / (Index)plane % (Index)channels;
        REAL value = (x[i] - REAL(mean[channel])) * REAL(weight[channel] * inverse[channel]) + bias[channel];
        // Not value > floor, which would turn NaN into the floor.
        y[i] = value <= floor ? floor : value;
    }
}

// The gradients to bias and weight: the sums of the gradient, and of the gradient times the normalised input.
KERNEL batch_norm_sums(
    const REAL* x, const REAL* y, const REAL* upstream, const double* mean, const double* inverse, double* sums, REAL* to_weight, REAL* to_bias,
    i64 samples, int channels, i64 plane, REAL floor
) {
    double sum = 0, product = 0;
    for (Index i = threadIdx.x; i < (Index)(samples * plane); i += BLOCK) {
        i64 place = place_of(i, blockIdx.x, channels, plane);
        REAL gradient = y[place] <= floor ? REAL(0) : upstream[place];
        sum += gradient;
        product += double(gradient * (x[place] - REAL(mean[blockIdx.x])));
    }
    sum = block_sum(sum);
    product = block_sum(product);
    if (threadIdx.x == 0) {
        sums[2 * blockIdx.x] = sum;
        sums[2 * blockIdx.x + 1] = product;
        to_bias[blockIdx.x] = REAL(sum);
        to_weight[blockIdx.x] = REAL(product * inverse[blockIdx.x]);
    }
}

// The gradient to the input. `through` is 1 / count where the moments are the batch's, and the gradient goes through them; else 0.
KERNEL batch_norm_gradient(
    const REAL* x, const REAL* y, const REAL* upstream, const REAL* weight, const double* mean, const double* inverse, const double* sums, REAL* to_x,
    i64 count, int channels, i64 plane, double through, REAL floor
) {
    EACH(i, count) {
        int channel = i / (Index)plane % (Index)channels;
        double scale = weight[channel] * inverse[channel];
        REAL slope = REAL(scale * inverse[channel] * inverse[channel] * sums[2 * channel + 1] * through), shift = REAL(scale * sums[2 * channel] * through);
        REAL gradient = y[i] <= floor ? REAL(0) : upstream[i];
        to_x[i] = REAL(scale) * gradient - shift - (x[i] - REAL(mean[channel])) * slope;
    }
}
