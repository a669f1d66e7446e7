// Average pooling: see avg_pool2d.rs.

// The length of the part of window i that lies within image and padding.
__device__ inline int within_padding(Axis axis, int i) { return min(axis.kernel, axis.input + 2 * axis.padding - i * axis.stride); }

KERNEL avg_pool2d(const PIXEL* input, PIXEL* output, i64 planes, AXES) {
    TAKE_AXES;
    Index windows = (Index)vertical.output * horizontal.output;
    EACH(i, planes * windows) {
        const PIXEL* plane = input + i / windows * ((i64)vertical.input * horizontal.input);
        int window = i % windows, y = window / horizontal.output, x = window % horizontal.output;
        REAL sum = 0;
        for (int line = window_start(vertical, y); line < window_end(vertical, y); line++) {
            for (int column = window_start(horizontal, x); column < window_end(horizontal, x); column++) sum += value_of(plane[(i64)line * horizontal.input + column]);
        }
        output[i] = pixel_of(sum / ((i64)within_padding(vertical, y) * within_padding(horizontal, x)));
    }
}

// A thread a pixel of the input: it adds up the windows that cover it, in order.
KERNEL avg_pool2d_gradient(const PIXEL* upstream, PIXEL* to_input, i64 planes, AXES) {
    TAKE_AXES;
    Index pixels = (Index)vertical.input * horizontal.input, windows = (Index)vertical.output * horizontal.output;
    EACH(i, planes * pixels) {
        const PIXEL* gradient = upstream + (i64)(i / pixels) * windows;
        int pixel = i % pixels, line = pixel / horizontal.input, column = pixel % horizontal.input;
        REAL sum = 0;
        for (int y = first_window(vertical, line); y < last_window(vertical, line); y++) {
            for (int x = first_window(horizontal, column); x < last_window(horizontal, column); x++) {
                sum += value_of(gradient[(i64)y * horizontal.output + x]) / ((i64)within_padding(vertical, y) * within_padding(horizontal, x));
            }
        }
        to_input[i] = pixel_of(sum);
    }
}
