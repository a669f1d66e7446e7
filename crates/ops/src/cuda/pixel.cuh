// The type that images and their gradients are stored in: REAL, or half as long as float and computed with as float.
//
// Before this stands STORED: 0 for REAL, 1 for bf16, 2 for f16.

#if STORED == 0
typedef REAL PIXEL;
__device__ inline REAL value_of(PIXEL pixel) { return pixel; }
__device__ inline PIXEL pixel_of(REAL number) { return number; }
#else

struct PIXEL {
    unsigned short bits;
};

__device__ inline PIXEL pixel_of_bits(u32 bits) {
    PIXEL pixel = {(unsigned short)bits};
    return pixel;
}

#if STORED == 1
__device__ inline float value_of(PIXEL pixel) { return __uint_as_float((u32)pixel.bits << 16); }

// The nearest bf16, of two the one that ends in zero.
__device__ inline PIXEL pixel_of(float number) {
    u32 bits = __float_as_uint(number);
    return pixel_of_bits(number == number ? (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 : bits >> 16 | 0x40);
}
#else
__device__ inline float value_of(PIXEL pixel) {
    u32 magnitude = pixel.bits & 0x7FFF, sign = (u32)(pixel.bits & 0x8000) << 16;
    // Below infinity the exponents differ by 112; a product brings small numbers to theirs.
    float value = magnitude < 0x7C00 ? __uint_as_float(magnitude << 13) * __uint_as_float(239u << 23) : __uint_as_float(magnitude << 13 | 0x7F800000);
    return __uint_as_float(__float_as_uint(value) | sign);
}

// The nearest f16, of two the one that ends in zero.
__device__ inline PIXEL pixel_of(float number) {
    u32 bits = __float_as_uint(number), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7FFFFFFF;
    if (number != number) return pixel_of_bits(sign | 0x7E00 | (magnitude >> 13 & 0x3FF));
    if (magnitude >= 0x47800000) return pixel_of_bits(sign | 0x7C00);
    // Above 2^-14 the last 13 bits are rounded away; below it a sum with a half, whose last bit is the least f16, rounds to one.
    if (magnitude >= 0x38800000) return pixel_of_bits(sign | (((magnitude + 0xFFF + (magnitude >> 13 & 1)) >> 13) - (112 << 10)));
    return pixel_of_bits(sign | (__float_as_uint(__uint_as_float(magnitude) + 0.5f) - 0x3F000000));
}
#endif
#endif
