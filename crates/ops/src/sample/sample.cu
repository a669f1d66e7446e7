// The sampler, equation 3 of the paper, and its gradients, equations 6 and 7: see mod.rs.
//
// Before this stands warp.cuh; as constants, BOUNDARY, 0 for zeros, 1 for border, 2 for reflection; TAP_RULE, whether the boundary acts on every tap by itself; ALIGN_CORNERS;
// SUPPORT, the taps along an axis; and the sampling kernel's own text:
//
//     __device__ void weights(REAL x, int* first, REAL* weights)
//     __device__ void derivatives(REAL x, REAL* derivatives)
//
// Coordinates are computed in the steps and the order of the CPU's code, without contraction, so that both read the same pixels to the bit.

#define TAPS_Z (DIMS == 3 ? SUPPORT : 1)
#define FAR REAL(1 << 29)
#define HUGE_PIXEL REAL(1 << 30)

// Width, height and depth of the source.
struct Source {
    int size[3];
};

// Where one target pixel reads, and with what weights.
struct Taps {
    // Along each axis: how far into the plane a tap lies, or -1 where zero stands in its place.
    int x[SUPPORT], y[SUPPORT], z[TAPS_Z];
    REAL weight_x[SUPPORT], weight_y[SUPPORT], weight_z[TAPS_Z];
};

// The derivatives of the weights with respect to the coordinates in pixels, and of these with respect to the normalised ones.
struct Slopes {
    REAL x[SUPPORT], y[SUPPORT], z[TAPS_Z];
    REAL jacobian[3];
};

__device__ inline REAL clamped(REAL x, int size, REAL* slope) {
    REAL last = REAL(size > 0 ? size - 1 : 0);
    bool inside = x > REAL(0) && x < last;
    *slope = inside ? REAL(1) : REAL(0);
    return inside ? x : x >= last ? last : REAL(0);
}

__device__ inline REAL mirrored(REAL x, int size, REAL* sign) {
    REAL low = ALIGN_CORNERS ? REAL(0) : REAL(-0.5), span = ALIGN_CORNERS ? REAL(size > 0 ? size - 1 : 0) : REAL(size);
    *sign = REAL(0);
    if (span <= REAL(0) || !is_finite(x)) return REAL(0);
    *sign = REAL(1);
    if (x >= low && x - low < span) return x - low + low;
    REAL distance = x < low ? low - x : x - low, extra = fmod(distance, span);
    bool flipped = fmod(floor(distance / span), REAL(2)) != REAL(0);
    *sign = (x < low) != flipped ? REAL(-1) : REAL(1);
    return flipped ? span - extra + low : extra + low;
}

// A coordinate where the boundary has it, and the derivative of that.
__device__ inline REAL bounded(REAL x, int size, REAL* slope) {
#if BOUNDARY == 0
    *slope = REAL(1);
    return x;
#elif BOUNDARY == 1
    return clamped(x, size, slope);
#else
    REAL sign, mirror = mirrored(x, size, &sign);
    x = clamped(mirror, size, slope);
    *slope *= sign;
    return x;
#endif
}

// A normalised coordinate in pixels, as any kernel can take it, and the derivative of that.
__device__ inline REAL settled(REAL x, int size, REAL* jacobian) {
    REAL length = REAL(size), half = REAL(0.5), slope;
#if ALIGN_CORNERS
    REAL scale = (length - REAL(1)) * half;
    x = (x + REAL(1)) * half * (length - REAL(1));
#else
    REAL scale = length * half;
    x = ((x + REAL(1)) * length - REAL(1)) * half;
#endif
#if BOUNDARY == 0 || TAP_RULE
    *jacobian = scale;
    if (fabs(x) < HUGE_PIXEL) return x;
    *jacobian = REAL(0);
    return BOUNDARY == 0 ? -FAR : bounded(x, size, &slope);
#else
    x = bounded(x, size, &slope);
    *jacobian = slope * scale;
    return x;
#endif
}

// The pixel that stands for pixel `index` of an axis, or -1 for zero.
__device__ inline int pixel_of(int index, int size) {
    if (index >= 0 && index < size) return index;
#if BOUNDARY == 0
    return -1;
#elif BOUNDARY == 1
    return size == 0 ? -1 : index < 0 ? 0 : size - 1;
#else
    if (size == 0) return -1;
    int period = ALIGN_CORNERS ? 2 * (size - 1) : 2 * size, fold = ALIGN_CORNERS ? period : period - 1;
    if (period == 0) return 0;
    int phase = index % period;
    if (phase < 0) phase += period;
    return min(phase, fold - phase);
#endif
}

// The taps of one axis at a normalised coordinate.
__device__ inline REAL axis_taps(REAL x, int size, int stride, int* offsets, REAL* of_taps, REAL* jacobian) {
    x = settled(x, size, jacobian);
    int first;
    weights(x, &first, of_taps);
    for (int t = 0; t < SUPPORT; t++) {
        int pixel = pixel_of(first + t, size);
        offsets[t] = pixel < 0 ? -1 : pixel * stride;
    }
    return x;
}

__device__ inline void taps_at(const REAL* at, Source source, Taps* taps, Slopes* slopes) {
    REAL unused[3];
    REAL* jacobian = slopes ? slopes->jacobian : unused;
    REAL x = axis_taps(at[0], source.size[0], 1, taps->x, taps->weight_x, jacobian);
    REAL y = axis_taps(at[1], source.size[1], source.size[0], taps->y, taps->weight_y, jacobian + 1);
#if DIMS == 3
    REAL z = axis_taps(at[2], source.size[2], source.size[0] * source.size[1], taps->z, taps->weight_z, jacobian + 2);
#else
    taps->z[0] = 0;
    taps->weight_z[0] = REAL(1);
#endif
    if (slopes) {
        derivatives(x, slopes->x);
        derivatives(y, slopes->y);
#if DIMS == 3
        derivatives(z, slopes->z);
#else
        slopes->z[0] = REAL(0);
        slopes->jacobian[2] = REAL(0);
#endif
    }
}

// Where a tap of three axes lies in the plane, or -1.
__device__ inline int place_of(const Taps* taps, int i, int j, int k) {
    return (taps->x[i] | taps->y[j] | taps->z[k]) < 0 ? -1 : taps->x[i] + taps->y[j] + taps->z[k];
}

// Equation 3: a thread a target pixel of one sample, for `group` channels.
KERNEL sample(
    const PIXEL* input, const REAL* warp, const REAL* basis, PIXEL* output,
    i64 samples, int channels, int group, int width, int height, int depth, i64 pixels
) {
    Source source = {{width, height, depth}};
    i64 plane = (i64)width * height * depth;
    Index points = pixels, groups = (channels + group - 1) / group;
    EACH(task, samples * groups * pixels) {
        i64 p = task % points, n = task / points / groups;
        int start = task / points % groups * group, end = min(start + group, channels);
        REAL at[COORDINATES];
        Taps taps;
        coordinates(warp, basis, n, p, pixels, at);
        taps_at(at, source, &taps, 0);
        for (int c = start; c < end; c++) {
            const PIXEL* values = input + (n * channels + c) * plane;
            REAL sum = 0;
            for (int k = 0; k < TAPS_Z; k++) {
                REAL sum_y = 0;
                for (int j = 0; j < SUPPORT; j++) {
                    REAL sum_x = 0;
                    for (int i = 0; i < SUPPORT; i++) {
                        int place = place_of(&taps, i, j, k);
                        sum_x += taps.weight_x[i] * (place < 0 ? REAL(0) : value_of(values[place]));
                    }
                    sum_y += taps.weight_y[j] * sum_x;
                }
                sum += taps.weight_z[k] * sum_y;
            }
            output[(n * channels + c) * pixels + p] = pixel_of(sum);
        }
    }
}

// Sums of the same bits in whatever order they are added up: whole numbers of 64 bits, in two halves, for a shared memory that adds 32 bits at once. The carry of each
// addition to the lower half goes to the upper one, so the two together are the sum.
__device__ inline void add_whole(u32* low, u32* high, i64 value) {
    u32 part = (u32)value, before = atomicAdd(low, part);
    atomicAdd(high, (u32)((u64)value >> 32) + (before + part < part ? 1u : 0u));
}

__device__ inline i64 whole(u32 low, u32 high) { return (i64)((u64)high << 32 | low); }

// 2 to the power that brings numbers below `largest` to whole ones of `bits` bits.
__device__ inline int shift_of(REAL largest, int bits) {
    int exponent;
    frexp(largest, &exponent);
    // A power of two that REAL holds; numbers so small are rounded more coarsely.
    return min(bits - exponent, sizeof(REAL) == 4 ? 126 : 1022);
}

// Bits of a number that is not negative, in the order of the numbers; NaN comes last.
#if SINGLE
typedef u32 Bits;
__device__ inline Bits bits_of(REAL x) { return __float_as_uint(fabs(x)); }
__device__ inline REAL of_bits(Bits bits) { return __uint_as_float(bits); }
#else
typedef u64 Bits;
__device__ inline Bits bits_of(REAL x) { return __double_as_longlong(fabs(x)); }
__device__ inline REAL of_bits(Bits bits) { return __longlong_as_double(bits); }
#endif

// Equation 6 for one channel of `band` pixels of the source, added up by one thread in order: where a gradient is infinite or NaN, which no whole number is. `sums` may be
// where whole numbers were added up.
__device__ void scatter_in_order(
    const REAL* warp, const REAL* basis, const PIXEL* upstream, REAL* sums, Source source, i64 n, i64 pixels, int first, int band
) {
    for (int i = 0; i < band; i++) sums[i] = REAL(0);
    for (i64 p = 0; p < pixels; p++) {
        REAL at[COORDINATES];
        Taps taps;
        coordinates(warp, basis, n, p, pixels, at);
        taps_at(at, source, &taps, 0);
        for (int k = 0; k < TAPS_Z; k++)
            for (int j = 0; j < SUPPORT; j++)
                for (int i = 0; i < SUPPORT; i++) {
                    int place = place_of(&taps, i, j, k) - first;
                    if (place >= 0 && place < band) sums[place] += value_of(upstream[p]) * taps.weight_z[k] * taps.weight_y[j] * taps.weight_x[i];
                }
    }
}

// The gradients of one channel at one target pixel: to the source, in whole numbers, and to the coordinates in pixels.
__device__ inline void one_channel(
    const Taps* taps, const Slopes* slopes, const PIXEL* values, REAL gradient, REAL scale, u32* low, u32* high, int first, int band, REAL* to_at
) {
    REAL to_x = 0, to_y = 0, to_z = 0;
    for (int k = 0; k < TAPS_Z; k++) {
        REAL plane = 0, plane_x = 0, plane_y = 0;
        for (int j = 0; j < SUPPORT; j++) {
            REAL line = 0, line_x = 0, share = gradient * taps->weight_z[k] * taps->weight_y[j];
            for (int i = 0; i < SUPPORT; i++) {
                int place = place_of(taps, i, j, k) - first;
                if (place < 0 || place >= band) continue;
                if (slopes) {
                    REAL value = value_of(values[first + place]);
                    line += taps->weight_x[i] * value;
                    line_x += slopes->x[i] * value;
                }
                // Rounded to the nearest whole number; the scale is a power of two.
                if (low) add_whole(low + place, high + place, (i64)rint(share * taps->weight_x[i] * scale));
            }
            if (slopes) {
                plane += taps->weight_y[j] * line;
                plane_x += taps->weight_y[j] * line_x;
                plane_y += slopes->y[j] * line;
            }
        }
        if (slopes) {
            to_x += taps->weight_z[k] * plane_x;
            to_y += taps->weight_z[k] * plane_y;
            to_z += slopes->z[k] * plane;
        }
    }
    if (slopes) {
        to_at[0] += gradient * to_x;
        to_at[1] += gradient * to_y;
#if DIMS == 3
        to_at[2] += gradient * to_z;
#endif
    }
}

// Equations 6 and 7: a block a sample, `group` channels and a band of the source's pixels, whose gradients it adds up in shared memory.
//
// `to_input` or `to_rows` is null where it is not wanted. `to_rows` gets the part of these channels and this band in the gradients to the rows of M_theta B (to the
// coordinates, for an explicit grid), parts x N x rows x P. `bits` is what is left of 62 bits after those that count the terms of a sum.
KERNEL __launch_bounds__(2 * BLOCK) sample_gradients(
    const PIXEL* input, const REAL* warp, const REAL* basis, const PIXEL* upstream, PIXEL* to_input, REAL* to_rows,
    i64 samples, int channels, int group, int width, int height, int depth, i64 pixels, int band_length, int bits
) {
    Source source = {{width, height, depth}};
    int plane = width * height * depth, bands = to_input ? (plane + band_length - 1) / band_length : 1, groups = (channels + group - 1) / group;
    int band_number = blockIdx.x % bands, group_number = blockIdx.x / bands % groups;
    i64 n = blockIdx.x / bands / groups;
    int first = to_input ? band_number * band_length : 0, band = to_input ? min(band_length, plane - first) : plane;
    int start = group_number * group, count = min(group, channels - start);

    // The sums' lower halves, their upper halves, and the largest number of each channel.
    DYNAMIC_SHARED(memory);
    u32* low = (u32*)memory;
    u32* high = low + group * band_length;
    Bits* largest = (Bits*)(high + group * band_length);

    if (to_input) {
        for (int i = threadIdx.x; i < 2 * group * band_length; i += blockDim.x) low[i] = 0;
        for (int c = threadIdx.x; c < count; c += blockDim.x) largest[c] = 0;
        __syncthreads();
#ifdef LARGEST_WEIGHT
        for (int c = 0; c < count; c++) {
            const PIXEL* gradient = upstream + (n * channels + start + c) * pixels;
            REAL weight = REAL(1);
            for (int axis = 0; axis < DIMS; axis++) weight *= REAL(LARGEST_WEIGHT);
            Bits most = 0;
            for (i64 p = threadIdx.x; p < pixels; p += blockDim.x) most = max(most, bits_of(value_of(gradient[p]) * weight));
            atomicMax(largest + c, most);
        }
#else
        for (i64 p = threadIdx.x; p < pixels; p += blockDim.x) {
            REAL at[COORDINATES];
            Taps taps;
            coordinates(warp, basis, n, p, pixels, at);
            taps_at(at, source, &taps, 0);
            Bits x = 0, y = 0, z = 0;
            for (int i = 0; i < SUPPORT; i++) x = max(x, bits_of(taps.weight_x[i])), y = max(y, bits_of(taps.weight_y[i]));
            for (int k = 0; k < TAPS_Z; k++) z = max(z, bits_of(taps.weight_z[k]));
            for (int c = 0; c < count; c++) {
                atomicMax(largest + c, bits_of(value_of(upstream[(n * channels + start + c) * pixels + p]) * of_bits(z) * of_bits(y) * of_bits(x)));
            }
        }
#endif
        __syncthreads();
    }

    for (i64 p = threadIdx.x; p < pixels; p += blockDim.x) {
        REAL at[COORDINATES], to_at[COORDINATES];
        Taps taps;
        Slopes slopes;
        coordinates(warp, basis, n, p, pixels, at);
        taps_at(at, source, &taps, to_rows ? &slopes : 0);
        for (int axis = 0; axis < COORDINATES; axis++) to_at[axis] = 0;
        for (int c = 0; c < count; c++) {
            i64 image = n * channels + start + c;
            REAL most = to_input ? of_bits(largest[c]) : REAL(0), scale = 0;
            bool adds = to_input && is_finite(most) && most > REAL(0);
            if (adds) scale = ldexp(REAL(1), shift_of(most, bits));
            one_channel(
                &taps, to_rows ? &slopes : 0, input + image * plane, value_of(upstream[image * pixels + p]), scale,
                adds ? low + c * band_length : 0, adds ? high + c * band_length : 0, first, band, to_at
            );
        }
        if (to_rows) {
            for (int axis = 0; axis < DIMS; axis++) to_at[axis] *= slopes.jacobian[axis];
#if ROWS > DIMS
            bool passes;
            REAL divisor = guarded(at[DIMS], &passes), sum = 0;
            for (int axis = 0; axis < DIMS; axis++) {
                to_at[axis] = product(to_at[axis], REAL(1) / divisor);
                sum += product(to_at[axis], at[axis]);
            }
            to_at[DIMS] = passes ? -sum : REAL(0);
#endif
            i64 part = group_number * bands + band_number;
            for (int row = 0; row < COORDINATES; row++) to_rows[((part * samples + n) * COORDINATES + row) * pixels + p] = to_at[row];
        }
    }

    if (to_input) {
        __syncthreads();
        for (int c = 0; c < count; c++) {
            REAL most = of_bits(largest[c]);
            PIXEL* to_band = to_input + (n * channels + start + c) * plane + first;
            if (is_finite(most)) {
                int shift = most > REAL(0) ? shift_of(most, bits) : 0;
                for (int i = threadIdx.x; i < band; i += blockDim.x) {
                    to_band[i] = pixel_of(ldexp((REAL)whole(low[c * band_length + i], high[c * band_length + i]), -shift));
                }
            } else if (threadIdx.x == 0) {
                const PIXEL* gradient = upstream + (n * channels + start + c) * pixels;
#if STORED == 0
                scatter_in_order(warp, basis, gradient, to_band, source, n, pixels, first, band);
#else
                // Half as long they hold no sum: it is made where the whole numbers' lower halves were.
                float* sums = (float*)(low + c * band_length);
                scatter_in_order(warp, basis, gradient, sums, source, n, pixels, first, band);
                for (int i = 0; i < band; i++) to_band[i] = pixel_of(sums[i]);
#endif
            }
        }
    }
}
