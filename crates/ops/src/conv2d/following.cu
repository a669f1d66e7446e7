// What follows a convolution: its bias, a rectified linear unit, max pooling; see following.rs. Windows lie side by side; without pooling each is a pixel.

// A thread a window. `output` may be `sums` where a window is a pixel.
KERNEL following(const REAL* sums, const REAL* bias, REAL* output, unsigned char* winners, i64 planes, int channels, int rectified, AXES) {
    TAKE_AXES;
    Index windows = (Index)vertical.output * horizontal.output;
    EACH(i, planes * windows) {
        Index plane = i / windows;
        int window = i % windows, y = window / horizontal.output, x = window % horizontal.output;
        const REAL* from = sums + (i64)plane * ((i64)vertical.input * horizontal.input);
        i64 pixel = winner(from, vertical, horizontal, y, x);
        REAL value = from[pixel] + bias[plane % (Index)channels];
        // Not value > 0, which would turn NaN into 0.
        output[i] = rectified && value <= REAL(0) ? REAL(0) : value;
        if (winners) {
            int line = pixel / horizontal.input - y * vertical.stride, column = pixel % horizontal.input - x * horizontal.stride;
            winners[i] = line * horizontal.kernel + column;
        }
    }
}

__device__ inline REAL through(const REAL* output, const REAL* upstream, i64 window, int rectified) {
    return rectified && output[window] <= REAL(0) ? REAL(0) : upstream[window];
}

// A thread a pixel of the convolution's output.
KERNEL following_gradient(const REAL* output, const unsigned char* winners, const REAL* upstream, REAL* to_sums, i64 planes, int rectified, AXES) {
    TAKE_AXES;
    Index pixels = (Index)vertical.input * horizontal.input, windows = (Index)vertical.output * horizontal.output;
    EACH(i, planes * pixels) {
        int pixel = i % pixels, line = pixel / horizontal.input, column = pixel % horizontal.input;
        int y = line / vertical.stride, x = column / horizontal.stride;
        REAL gradient = 0;
        if (y < vertical.output && x < horizontal.output) {
            i64 window = (i64)(i / pixels) * windows + (i64)y * horizontal.output + x;
            int place = (line - y * vertical.stride) * horizontal.kernel + column - x * horizontal.stride;
            if (!winners || winners[window] == place) gradient = through(output, upstream, window, rectified);
        }
        to_sums[i] = gradient;
    }
}

// The gradient to the bias: a block a channel.
KERNEL following_bias_gradient(const REAL* output, const REAL* upstream, REAL* to_bias, i64 samples, int channels, int rectified, i64 windows) {
    REAL sum = 0;
    for (Index i = threadIdx.x; i < (Index)(samples * windows); i += BLOCK) {
        i64 window = ((i64)(i / (Index)windows) * channels + blockIdx.x) * windows + i % (Index)windows;
        sum += through(output, upstream, window, rectified);
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) to_bias[blockIdx.x] = sum;
}
