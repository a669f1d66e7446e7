// Dropout: see dropout.rs.

__device__ inline u32 turned(u32 x, int bits) { return x << bits | x >> (32 - bits); }

__device__ inline void quarter(u32& a, u32& b, u32& c, u32& d) {
    a += b; d = turned(d ^ a, 16);
    c += d; b = turned(b ^ c, 12);
    a += b; d = turned(d ^ a, 8);
    c += d; b = turned(b ^ c, 7);
}

// Block `block` of 16 numbers of a stream of ChaCha with 8 rounds (Bernstein 2008), with counter and stream of 64 bits each.
__device__ inline void chacha8(const u32 (&key)[8], u64 block, u64 stream, u32 (&numbers)[16]) {
    u32 start[16] = {
        0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, key[0], key[1], key[2], key[3],
        key[4], key[5], key[6], key[7], (u32)block, (u32)(block >> 32), (u32)stream, (u32)(stream >> 32),
    };
    for (int i = 0; i < 16; i++) numbers[i] = start[i];
    for (int round = 0; round < 8; round += 2) {
        for (int i = 0; i < 4; i++) quarter(numbers[i], numbers[4 + i], numbers[8 + i], numbers[12 + i]);
        for (int i = 0; i < 4; i++) quarter(numbers[i], numbers[4 + (i + 1) % 4], numbers[8 + (i + 2) % 4], numbers[12 + (i + 3) % 4]);
    }
    for (int i = 0; i < 16; i++) numbers[i] += start[i];
}

// Each of neighbouring groups of `length` numbers is kept or not, as 32 bits drawn for it say, the first of them the one behind `passed` of `block`. A thread takes 16
// numbers, which the draws of a block or two decide on.
KERNEL dropout(
    const REAL* x, REAL* y, i64 count, i64 length, i64 threshold, REAL scale, i64 block, int passed, i64 stream,
    int key0, int key1, int key2, int key3, int key4, int key5, int key6, int key7
) {
    const u32 key[8] = {(u32)key0, (u32)key1, (u32)key2, (u32)key3, (u32)key4, (u32)key5, (u32)key6, (u32)key7};
    EACH(i, (count + 15) / 16) {
        u32 drawn[16];
        Index known = 0;
        for (Index at = i * 16; at < (i + 1) * 16 && at < (Index)count; at++) {
            Index draw = at / (Index)length + passed;
            if (at == i * 16 || draw / 16 != known) {
                known = draw / 16;
                chacha8(key, (u64)block + known, (u64)stream, drawn);
            }
            // A product, not a choice: NaN and infinity stay visible.
            y[at] = x[at] * ((i64)drawn[draw % 16] >= threshold ? scale : REAL(0));
        }
    }
}
