// Max pooling: see max_pool2d.rs.

// The pixel of the plane that gives a window its value: the first of equal ones, the last of several NaNs.
__device__ inline i64 winner(const REAL* plane, Axis vertical, Axis horizontal, int y, int x) {
    i64 best = -1;
    REAL largest = -REAL(INFINITY);
    for (int line = window_start(vertical, y); line < window_end(vertical, y); line++) {
        for (int column = window_start(horizontal, x); column < window_end(horizontal, x); column++) {
            i64 pixel = (i64)line * horizontal.input + column;
            REAL value = plane[pixel];
            if (best < 0 || value > largest || value != value) {
                best = pixel;
                largest = value;
            }
        }
    }
    return best;
}

KERNEL max_pool2d(const REAL* input, REAL* output, i64 planes, AXES) {
    TAKE_AXES;
    Index windows = (Index)vertical.output * horizontal.output;
    EACH(i, planes * windows) {
        const REAL* plane = input + i / windows * ((i64)vertical.input * horizontal.input);
        int window = i % windows;
        output[i] = plane[winner(plane, vertical, horizontal, window / horizontal.output, window % horizontal.output)];
    }
}

// A thread a pixel of the input: it looks at the windows that cover it, in order, so that no two add to one number.
KERNEL max_pool2d_gradient(const REAL* input, const REAL* upstream, REAL* to_input, i64 planes, AXES) {
    TAKE_AXES;
    Index pixels = (Index)vertical.input * horizontal.input, windows = (Index)vertical.output * horizontal.output;
    EACH(i, planes * pixels) {
        const REAL* plane = input + (i64)(i / pixels) * pixels;
        const REAL* gradient = upstream + (i64)(i / pixels) * windows;
        int pixel = i % pixels, line = pixel / horizontal.input, column = pixel % horizontal.input;
        REAL sum = 0;
        for (int y = first_window(vertical, line); y < last_window(vertical, line); y++) {
            for (int x = first_window(horizontal, column); x < last_window(horizontal, column); x++) {
                if (winner(plane, vertical, horizontal, y, x) == pixel) sum += gradient[(i64)y * horizontal.output + x];
            }
        }
        to_input[i] = sum;
    }
}
