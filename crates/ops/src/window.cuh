// The windows of a pooling: see window.rs.

struct Axis {
    // Of the input; of a window; from one window to the next; before the input; the number of windows.
    int input, kernel, stride, padding, output;
};

// The pixels that window i covers: from the first to behind the last.
__device__ inline int window_start(Axis axis, int i) { return max(i * axis.stride - axis.padding, 0); }
__device__ inline int window_end(Axis axis, int i) { return min(i * axis.stride - axis.padding + axis.kernel, axis.input); }

// The windows that cover a pixel: from the first to behind the last.
__device__ inline int first_window(Axis axis, int pixel) { return max((pixel + axis.padding - axis.kernel) / axis.stride + (pixel + axis.padding >= axis.kernel), 0); }
__device__ inline int last_window(Axis axis, int pixel) { return min((pixel + axis.padding) / axis.stride + 1, axis.output); }

#define AXES int input_y, int kernel_y, int stride_y, int padding_y, int output_y, int input_x, int kernel_x, int stride_x, int padding_x, int output_x
#define TAKE_AXES \
    Axis vertical = {input_y, kernel_y, stride_y, padding_y, output_y}, horizontal = {input_x, kernel_x, stride_x, padding_x, output_x}

// The pixel of the plane that gives a window its value: the first of equal ones, the last of several NaNs.
__device__ inline i64 winner(const PIXEL* plane, Axis vertical, Axis horizontal, int y, int x) {
    i64 best = -1;
    REAL largest = -REAL(INFINITY);
    for (int line = window_start(vertical, y); line < window_end(vertical, y); line++) {
        for (int column = window_start(horizontal, x); column < window_end(horizontal, x); column++) {
            i64 pixel = (i64)line * horizontal.input + column;
            REAL value = value_of(plane[pixel]);
            if (best < 0 || value > largest || value != value) {
                best = pixel;
                largest = value;
            }
        }
    }
    return best;
}
