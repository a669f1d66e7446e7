// What CUDA C has that C++ has not, for running kernels on the processor, one thread after the other.
//
// The threads of a block are fibers: each runs until it waits for the others or ends. Blocks follow each other. Both go forwards or backwards, so that a test sees where
// a result hangs on the order; no more than that is like a card.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ucontext.h>
#include <utility>
#include <vector>

using std::exp, std::fabs, std::floor, std::fma, std::fmod, std::frexp, std::ldexp, std::log, std::max, std::min, std::rint, std::sqrt;

#define __global__
#define __device__ static
#define __shared__ static
#define __launch_bounds__(threads)

struct Coordinate {
    unsigned x;
};
static Coordinate threadIdx, blockIdx, blockDim, gridDim;
static std::vector<unsigned char> dynamic_shared;
#define DYNAMIC_SHARED(name) unsigned char* name = dynamic_shared.data()

template <class T> T atomicAdd(T* place, T value) {
    T before = *place;
    *place += value;
    return before;
}

template <class T> T atomicMax(T* place, T value) {
    T before = *place;
    *place = max(before, value);
    return before;
}

template <class To, class From> To same_bits(From from) {
    To to;
    static_assert(sizeof to == sizeof from);
    std::memcpy(&to, &from, sizeof to);
    return to;
}
static inline unsigned __float_as_uint(float x) { return same_bits<unsigned>(x); }
static inline float __uint_as_float(unsigned x) { return same_bits<float>(x); }
static inline long long __double_as_longlong(double x) { return same_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return same_bits<double>(x); }

struct Fiber {
    ucontext_t context;
    std::vector<unsigned char> stack = std::vector<unsigned char>(1 << 16);
    bool ended;
};
static ucontext_t scheduler;
static std::vector<Fiber> fibers;
static void (*body)(void*);
static void* given;

static void begin() {
    body(given);
    fibers[threadIdx.x].ended = true;
}

static void __syncthreads() {
    unsigned self = threadIdx.x;
    swapcontext(&fibers[self].context, &scheduler);
}

static void run_block(unsigned threads, bool backwards) {
    fibers.resize(threads);
    for (Fiber& fiber : fibers) {
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = &scheduler;
        fiber.ended = false;
        makecontext(&fiber.context, begin, 0);
    }
    for (unsigned running = threads; running > 0;) {
        for (unsigned i = 0; i < threads; i++) {
            unsigned self = backwards ? threads - 1 - i : i;
            if (fibers[self].ended) continue;
            threadIdx.x = self;
            swapcontext(&scheduler, &fibers[self].context);
            running -= fibers[self].ended;
        }
    }
}

template <class... A> struct Call {
    void (*kernel)(A...);
    void** arguments;

    template <std::size_t... I> void with(std::index_sequence<I...>) { kernel(*static_cast<std::remove_reference_t<A>*>(arguments[I])...); }
    static void run(void* self) { static_cast<Call*>(self)->with(std::index_sequence_for<A...>()); }
};

template <class... A> void emulate(void (*kernel)(A...), void** arguments, unsigned blocks, unsigned threads, unsigned shared, bool backwards) {
    Call<A...> call = {kernel, arguments};
    body = Call<A...>::run;
    given = &call;
    blockDim.x = threads;
    gridDim.x = blocks;
    for (unsigned i = 0; i < blocks; i++) {
        blockIdx.x = backwards ? blocks - 1 - i : i;
        // What an earlier block left is not to be relied on.
        dynamic_shared.assign(shared, 0xAB);
        run_block(threads, backwards);
    }
    given = nullptr;
}

#define LAUNCHED(name) \
    extern "C" void launch_##name(void** arguments, unsigned blocks, unsigned threads, unsigned shared, bool backwards) { \
        emulate(name, arguments, blocks, threads, shared, backwards); \
    }
