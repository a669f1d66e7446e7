// What a layer adds to a product of matrices, and takes back: see linear/mod.rs and conv2d/mod.rs. Numbers are N x channels x plane; the plane of a fully connected layer
// is 1.

KERNEL add_bias(PIXEL* y, const PIXEL* bias, i64 count, int channels, i64 plane) {
    EACH(i, count) y[i] = pixel_of(value_of(y[i]) + value_of(bias[i / (Index)plane % (Index)channels]));
}

// The gradient to the bias: a block a channel.
KERNEL bias_gradient(const PIXEL* upstream, PIXEL* to_bias, i64 samples, int channels, i64 plane) {
    REAL sum = 0;
    for (Index i = threadIdx.x; i < (Index)(samples * plane); i += BLOCK) {
        sum += value_of(upstream[((i64)(i / (Index)plane) * channels + blockIdx.x) * plane + i % (Index)plane]);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) to_bias[blockIdx.x] = pixel_of(sum);
}
