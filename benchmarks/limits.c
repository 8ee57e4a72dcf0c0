/* What this machine can do, as JSON: limits MEGABYTES THREADS prints the best of some runs of each.

   read, write, stream: 10^9 bytes a second from and to memory (write: plain stores; stream: past the caches, where the
   processor has such stores); fma64, fma32: 10^9 operations a second, a fused multiply-add counted as two. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define RUNS 12
#define STEPS 4000000L
#define CHAINS 12
#define MOST 256 /* threads */
#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX__)
#define WIDTH 32
#else
#define WIDTH 16
#endif
typedef double doubles __attribute__((vector_size(WIDTH)));
typedef float floats __attribute__((vector_size(WIDTH)));
typedef uint64_t words __attribute__((vector_size(WIDTH)));

typedef void (*job)(char *memory, size_t bytes);
static pthread_barrier_t together;
static volatile uint64_t sink;

static void read_memory(char *memory, size_t bytes) {
    words *p = (words *)memory, a = p[0], b = a, c = a, d = a;
    size_t n = bytes / WIDTH;
    for (size_t i = 0; i + 4 <= n; i += 4) {
        a ^= p[i];
        b ^= p[i + 1];
        c ^= p[i + 2];
        d ^= p[i + 3];
    }
    a ^= b ^ c ^ d;
    sink = a[0];
}

static void write_memory(char *memory, size_t bytes) {
    memset(memory, (int)sink & 1, bytes);
    __asm__ __volatile__("" ::"r"(memory) : "memory");
}

static void stream_memory(char *memory, size_t bytes) {
#if defined(__AVX512F__)
    __m512d value = _mm512_set1_pd((double)sink);
    for (size_t i = 0; i + 64 <= bytes; i += 64) _mm512_stream_pd((double *)(memory + i), value);
    _mm_sfence();
#elif defined(__SSE2__)
    __m128d value = _mm_set1_pd((double)sink);
    for (size_t i = 0; i + 16 <= bytes; i += 16) _mm_stream_pd((double *)(memory + i), value);
    _mm_sfence();
#else
    write_memory(memory, bytes);
#endif
}

/* CHAINS independent sums hide the latency; the compiler contracts a * x + b to one instruction. */
#define MULTIPLY_ADD(name, type, scalar)                                              \
    static void name(char *memory, size_t bytes) {                                    \
        type a[CHAINS], x, b;                                                         \
        (void)memory;                                                                 \
        (void)bytes;                                                                  \
        for (size_t i = 0; i < WIDTH / sizeof(scalar); i++) x[i] = (scalar)0.999, b[i] = (scalar)0.001; \
        for (int k = 0; k < CHAINS; k++) a[k] = b * (scalar)k;                        \
        for (long s = 0; s < STEPS; s++) {                                            \
            _Pragma("GCC unroll 12") for (int k = 0; k < CHAINS; k++) a[k] = a[k] * x + b; \
        }                                                                             \
        for (int k = 1; k < CHAINS; k++) a[0] += a[k];                                \
        sink = (uint64_t)a[0][0];                                                     \
    }
MULTIPLY_ADD(fma64, doubles, double)
MULTIPLY_ADD(fma32, floats, float)

struct share {
    job run;
    char *memory;
    size_t bytes;
    double starts[RUNS], ends[RUNS];
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

/* Each thread looks at the clock itself: one more thread that did might be waiting for a processor. */
static void *work(void *argument) {
    struct share *share = argument;
    for (int i = 0; i < RUNS; i++) {
        pthread_barrier_wait(&together);
        share->starts[i] = now();
        share->run(share->memory, share->bytes);
        share->ends[i] = now();
    }
    return NULL;
}

/* The shortest of the runs, from the first thread's start to the last one's end, in seconds. */
static double best(job run, char *memory, size_t bytes, int threads) {
    pthread_t others[MOST];
    static struct share shares[MOST];
    size_t part = bytes / threads / 4096 * 4096;
    double shortest = 1e9;
    pthread_barrier_init(&together, NULL, threads);
    for (int t = 0; t < threads; t++) {
        shares[t] = (struct share){.run = run, .memory = memory + t * part, .bytes = part};
        pthread_create(&others[t], NULL, work, &shares[t]);
    }
    for (int t = 0; t < threads; t++) pthread_join(others[t], NULL);
    for (int i = 0; i < RUNS; i++) {
        double start = shares[0].starts[i], end = shares[0].ends[i];
        for (int t = 1; t < threads; t++) {
            if (shares[t].starts[i] < start) start = shares[t].starts[i];
            if (shares[t].ends[i] > end) end = shares[t].ends[i];
        }
        if (end - start < shortest) shortest = end - start;
    }
    pthread_barrier_destroy(&together);
    return shortest;
}

int main(int count, char **words_of_command) {
    if (count != 3) return fprintf(stderr, "usage: limits MEGABYTES THREADS\n"), 2;
    size_t bytes = strtoul(words_of_command[1], NULL, 10) * 1000000 / 4096 * 4096;
    int threads = atoi(words_of_command[2]);
    if (!bytes || threads < 1 || threads > MOST) return fprintf(stderr, "limits: no such size or number\n"), 2;
    char *memory = aligned_alloc(1 << 21, (bytes + (1 << 21) - 1) >> 21 << 21);
    if (!memory) return fprintf(stderr, "limits: no memory\n"), 1;
#ifdef MADV_HUGEPAGE
    madvise(memory, bytes, MADV_HUGEPAGE); /* as NumPy asks for its arrays */
#endif
    memset(memory, 1, bytes);
    double operations = 2.0 * CHAINS * STEPS * threads;
    printf("{\"read\": %.3f, ", 1e-9 * bytes / best(read_memory, memory, bytes, threads));
    printf("\"write\": %.3f, ", 1e-9 * bytes / best(write_memory, memory, bytes, threads));
    printf("\"stream\": %.3f, ", 1e-9 * bytes / best(stream_memory, memory, bytes, threads));
    printf("\"fma64\": %.3f, ", 1e-9 * operations * (WIDTH / 8) / best(fma64, memory, bytes, threads));
    printf("\"fma32\": %.3f}\n", 1e-9 * operations * (WIDTH / 4) / best(fma32, memory, bytes, threads));
    free(memory);
    return 0;
}
