// Max pooling: see max_pool2d.rs.

KERNEL max_pool2d(const PIXEL* input, PIXEL* output, i64 planes, AXES) {
    TAKE_AXES;
    Index windows = (Index)vertical.output * horizontal.output;
    EACH(i, planes * windows) {
        const PIXEL* plane = input + i / windows * ((i64)vertical.input * horizontal.input);
        int window = i % windows;
        output[i] = plane[winner(plane, vertical, horizontal, window / horizontal.output, window % horizontal.output)];
    }
}

// A thread a pixel of the input: it looks at the windows that cover it, in order, so that no two add to one number.
KERNEL max_pool2d_gradient(const PIXEL* input, const PIXEL* upstream, PIXEL* to_input, i64 planes, AXES) {
    TAKE_AXES;
    Index pixels = (Index)vertical.input * horizontal.input, windows = (Index)vertical.output * horizontal.output;
    EACH(i, planes * pixels) {
        const PIXEL* plane = input + (i64)(i / pixels) * pixels;
        const PIXEL* gradient = upstream + (i64)(i / pixels) * windows;
        int pixel = i % pixels, line = pixel / horizontal.input, column = pixel % horizontal.input;
        REAL sum = 0;
        for (int y = first_window(vertical, line); y < last_window(vertical, line); y++) {
            for (int x = first_window(horizontal, column); x < last_window(horizontal, column); x++) {
                if (winner(plane, vertical, horizontal, y, x) == pixel) sum += value_of(gradient[(i64)y * horizontal.output + x]);
            }
        }
        to_input[i] = pixel_of(sum);
    }
}
