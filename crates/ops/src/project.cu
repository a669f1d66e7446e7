// The projection of volumes to images: see project.rs. PROJECTION is 0 for the largest number of a line, 1 for the mean, 2 for the sum.

// Where the line of image pixel i begins in the volumes.
__device__ inline i64 line_of(Index i, i64 length, Index stride) { return i / stride * length * stride + i % stride; }

// The place of the largest number of a line: the first of equal ones, the last of several NaNs.
__device__ inline i64 largest_of(const REAL* line, i64 length, i64 stride) {
    i64 best = 0;
    for (i64 place = 1; place < length; place++) {
        REAL value = line[place * stride], largest = line[best * stride];
        if (value > largest || value != value) best = place;
    }
    return best;
}

KERNEL project(const REAL* volumes, REAL* image, i64 count, i64 length, i64 stride) {
    EACH(i, count) {
        const REAL* line = volumes + line_of(i, length, stride);
#if PROJECTION == 0
        image[i] = line[largest_of(line, length, stride) * stride];
#else
        REAL sum = line[0];
        for (i64 place = 1; place < length; place++) sum += line[place * stride];
        image[i] = PROJECTION == 1 ? sum * (REAL(1) / length) : sum;
#endif
    }
}

KERNEL project_gradient(const REAL* volumes, const REAL* upstream, REAL* to_volumes, i64 count, i64 length, i64 stride) {
    EACH(i, count) {
        i64 first = line_of(i, length, stride);
#if PROJECTION == 0
        i64 best = largest_of(volumes + first, length, stride);
        for (i64 place = 0; place < length; place++) to_volumes[first + place * stride] = place == best ? upstream[i] : REAL(0);
#else
        REAL share = PROJECTION == 1 ? upstream[i] * (REAL(1) / length) : upstream[i];
        for (i64 place = 0; place < length; place++) to_volumes[first + place * stride] = share;
#endif
    }
}
