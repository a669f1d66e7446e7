// What the text of every kernel begins with. REAL, the type of the numbers, is defined before it: float or double.

typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// Counts the numbers of a launch: in 64 bits only where there are 2^31 or more, for divisions of 64 bits cost several times those of 32.
#ifdef LARGE
typedef i64 Index;
#else
typedef u32 Index;
#endif

// NVRTC brings no headers.
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#endif

// Memory that the threads of a block share, of the size that the launch says.
#ifndef DYNAMIC_SHARED
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#endif

// A kernel that the host launches by its name.
#define KERNEL extern "C" __global__ void

// Threads of a block of the kernels that add up or share memory; a power of two.
#define BLOCK 256

// Every number of `count`, shared out among all threads of the launch.
#define EACH(i, count) for (Index i = (Index)blockIdx.x * blockDim.x + threadIdx.x; i < (Index)(count); i += (Index)gridDim.x * blockDim.x)

__device__ inline bool is_finite(REAL x) { return x - x == REAL(0); }

// The sum of a number a thread, over a block of BLOCK threads: a tree, so always in the same order. Every thread gets it.
template <class T> __device__ inline T block_sum(T x) {
    __shared__ T sums[BLOCK];
    sums[threadIdx.x] = x;
    for (int half = BLOCK / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    }
    __syncthreads();
    T sum = sums[0];
    __syncthreads();
    return sum;
}
