# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False, embedsignature=True
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of digits and run `symgrad generate` again.
"""digits: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

a_1 = W1*u + b1
h_1 = tanh.(a_1)
N_theta = W2*h_1 + b2
L = log(Sum(exp(z[i, 0]), (i, 0, 9))) - z[label, 0]
z = N_theta
delta_2[j, 0] = dL/dz[j, 0] = exp(z[j, 0])/Sum(exp(z[i, 0]), (i, 0, 9)) - [j = label]
dL/dW2 = delta_2*h_1.T
dL/db2 = delta_2
delta_1 = dL/da_1 = (W2.T*delta_2) .* tanh'.(a_1)
dL/dW1 = delta_1*u.T
dL/db1 = delta_1
tanh'(x) = 1 - tanh(x)**2
A dot makes a function or an operation elementwise; [i = j] is 1 where it holds, else 0.

In the code p0..p2047 is W1 (32 x 64), p2048..p2079 is b1 (32 x 1), p2080..p2399 is W2 (10 x 32), p2400..p2409
is b2 (10 x 1), u0..u63 is u (64 x 1), y0 is label.

Computed in stable forms:
    log(Sum(exp(x))) -> logsumexp(x)

For each sample 5989 operations for the loss, 11545 for the loss with its gradient; 0 once for a theta.
Sums over samples are compensated and merged in an order that depends on N alone: the same bits for any number of
threads and any layout of the arrays. Gradients of matrices are summed as products of matrices: over 64 samples in
this module's arithmetic, over a tile of 1024 in double, and from there on
as pairs: within 9e-15 of the mean size of what is summed. Needs NumPy alone.
"""

import os
from _thread import start_new_thread
from threading import Lock

import numpy as np

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport NAN, INFINITY
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

# What the C compiler has to know; the mathematics begins at `once`.
cdef extern from *:
    """
    #if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ == 1) \
        || (defined(__GNUC__) && !defined(__clang__) && defined(__GCC_IEC_559) && __GCC_IEC_559 < 1) \
        || (defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ < 0 || __FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2))
    #error "this module's sums need IEEE arithmetic: build it without -ffast-math, -Ofast and their parts"
    #endif
    #include <limits.h>  /* glibc tells its version, which has vector functions from 2.35 on */
    #if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) && !defined(__ILP32__)
    #define HAS_VECTOR_FUNCTIONS __GLIBC_PREREQ(2, 35)
    #else
    #define HAS_VECTOR_FUNCTIONS 0
    #endif
    #if HAS_VECTOR_FUNCTIONS
    #define VECTOR __attribute__((simd("notinbranch"), const, nothrow, leaf))
    #elif defined(__GNUC__)
    #define VECTOR __attribute__((const, nothrow, leaf))
    #else
    #define VECTOR
    #endif
    #if defined(__APPLE__)
    #define C_NAME(name) __asm__("_" name)
    #else
    #define C_NAME(name) __asm__(name)
    #endif
    #if defined(__GNUC__) && !defined(__clang__)
    /* no-tree-sink: a call that moves into a branch of a choice can no longer be vectorised */
    #define hot_function __attribute__((optimize("O3", "no-tree-sink", "no-math-errno", "no-trapping-math", "fp-contract=off")))
    #else
    #define hot_function
    #endif
    #define hot hot_function void
    #define magnitude __builtin_fabs
    /* NaN with one pattern of bits, whichever operation it came from */
    static inline hot_function double canonical(double x) { return x == x ? x : __builtin_nan(""); }
    #define GREATEST 0x1.fffffffffffffp1023
    #define SHRINK 0x1p-512
    #define LEAST 0x1p-1022
    /* Round to nearest, let small numbers be, trap nothing, whatever the process has set; and what it had set back. */
    #if defined(__x86_64__) && defined(__GNUC__)
    typedef unsigned environment;
    static inline void restore(environment was) {
        __asm__ __volatile__("" ::: "memory");
        __builtin_ia32_ldmxcsr(was);
        __asm__ __volatile__("" ::: "memory");
    }
    static inline environment calm(void) {
        environment was = __builtin_ia32_stmxcsr();
        restore(0x1f80);
        return was;
    }
    #else
    #include <fenv.h>
    typedef fenv_t environment;
    static void restore(environment was) { fesetenv(&was); }
    static environment calm(void) {
        environment was;
        fegetenv(&was);
        fesetenv(FE_DFL_ENV);
        return was;
    }
    #endif
    typedef double real;
    typedef real *__restrict__ rows;
    typedef real eight __attribute__((vector_size(8 * sizeof(real)), aligned(1), may_alias));
    #define EXCHANGE(a, b, i0, i1, i2, i3, i4, i5, i6, i7, distance) do { \
        eight upper = __builtin_shufflevector(a, b, i0, i1, i2, i3, i4, i5, i6, i7); \
        b = __builtin_shufflevector(a, b, i0 + distance, i1 + distance, i2 + distance, i3 + distance, \
                                    i4 + distance, i5 + distance, i6 + distance, i7 + distance); \
        a = upper; \
    } while (0)
    /* to[j * to_down + i] = from[i * down + j]; down is in bytes; the eight rows that follow are fetched ahead */
    static inline hot turn_eight(real *__restrict__ to, Py_ssize_t to_down, const char *from, Py_ssize_t down) {
        eight r0 = *(const eight *)(from + 0 * down);
        __builtin_prefetch(from + 8 * down, 0, 2);
        eight r1 = *(const eight *)(from + 1 * down);
        __builtin_prefetch(from + 9 * down, 0, 2);
        eight r2 = *(const eight *)(from + 2 * down);
        __builtin_prefetch(from + 10 * down, 0, 2);
        eight r3 = *(const eight *)(from + 3 * down);
        __builtin_prefetch(from + 11 * down, 0, 2);
        eight r4 = *(const eight *)(from + 4 * down);
        __builtin_prefetch(from + 12 * down, 0, 2);
        eight r5 = *(const eight *)(from + 5 * down);
        __builtin_prefetch(from + 13 * down, 0, 2);
        eight r6 = *(const eight *)(from + 6 * down);
        __builtin_prefetch(from + 14 * down, 0, 2);
        eight r7 = *(const eight *)(from + 7 * down);
        __builtin_prefetch(from + 15 * down, 0, 2);
EXCHANGE(r0, r1, 0, 8, 2, 10, 4, 12, 6, 14, 1); EXCHANGE(r2, r3, 0, 8, 2, 10, 4, 12, 6, 14, 1); EXCHANGE(r4, r5, 0, 8, 2, 10, 4, 12, 6, 14, 1); EXCHANGE(r6, r7, 0, 8, 2, 10, 4, 12, 6, 14, 1); 
EXCHANGE(r0, r2, 0, 1, 8, 9, 4, 5, 12, 13, 2); EXCHANGE(r1, r3, 0, 1, 8, 9, 4, 5, 12, 13, 2); EXCHANGE(r4, r6, 0, 1, 8, 9, 4, 5, 12, 13, 2); EXCHANGE(r5, r7, 0, 1, 8, 9, 4, 5, 12, 13, 2); 
EXCHANGE(r0, r4, 0, 1, 2, 3, 8, 9, 10, 11, 4); EXCHANGE(r1, r5, 0, 1, 2, 3, 8, 9, 10, 11, 4); EXCHANGE(r2, r6, 0, 1, 2, 3, 8, 9, 10, 11, 4); EXCHANGE(r3, r7, 0, 1, 2, 3, 8, 9, 10, 11, 4); 
        *(eight *)(to + 0 * to_down) = r0;
        *(eight *)(to + 1 * to_down) = r1;
        *(eight *)(to + 2 * to_down) = r2;
        *(eight *)(to + 3 * to_down) = r3;
        *(eight *)(to + 4 * to_down) = r4;
        *(eight *)(to + 5 * to_down) = r5;
        *(eight *)(to + 6 * to_down) = r6;
        *(eight *)(to + 7 * to_down) = r7;
    }
    #if defined(__linux__)
    #include <sys/mman.h>
    #endif
    static void *large_memory(size_t size) {  /* in pages of 2 MB, where the system has them */
        void *memory = NULL;
    #if defined(__linux__)
        if (size >= (size_t)2 << 20 && posix_memalign(&memory, (size_t)2 << 20, size) == 0) madvise(memory, size, MADV_HUGEPAGE);
    #endif
        return memory != NULL ? memory : malloc(size);
    }
    #define fma_real __builtin_fma
    /* vectors as wide as the processor's; GCC and Clang make whole loops over them one instruction */
    #if defined(__AVX512F__)
    #define VECTOR_BYTES 64
    #elif defined(__AVX__)
    #define VECTOR_BYTES 32
    #else
    #define VECTOR_BYTES 16
    #endif
    #define WIDTH ((Py_ssize_t)(VECTOR_BYTES / sizeof(real)))
    typedef real vector __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
    static inline hot_function vector fma_vector(real a, vector b, vector c) {
        vector r;
        for (int i = 0; i < WIDTH; i++) r[i] = fma_real(a, b[i], c[i]);
        return r;
    }
    /* 6 rows and 4 vectors of columns of to = a @ b; a(i, p) is a[i * down + p * right] */
    static __attribute__((noinline)) hot block_6_4(real *__restrict__ to, Py_ssize_t to_down, const real *a, Py_ssize_t down, Py_ssize_t right,
                      const real *__restrict__ b, Py_ssize_t b_down, Py_ssize_t k, int more) {
        vector s00 = more ? *(vector *)(to + 0 * to_down + 0 * WIDTH) : (vector){0}, s01 = more ? *(vector *)(to + 0 * to_down + 1 * WIDTH) : (vector){0}, s02 = more ? *(vector *)(to + 0 * to_down + 2 * WIDTH) : (vector){0}, s03 = more ? *(vector *)(to + 0 * to_down + 3 * WIDTH) : (vector){0} ;
        vector s10 = more ? *(vector *)(to + 1 * to_down + 0 * WIDTH) : (vector){0}, s11 = more ? *(vector *)(to + 1 * to_down + 1 * WIDTH) : (vector){0}, s12 = more ? *(vector *)(to + 1 * to_down + 2 * WIDTH) : (vector){0}, s13 = more ? *(vector *)(to + 1 * to_down + 3 * WIDTH) : (vector){0} ;
        vector s20 = more ? *(vector *)(to + 2 * to_down + 0 * WIDTH) : (vector){0}, s21 = more ? *(vector *)(to + 2 * to_down + 1 * WIDTH) : (vector){0}, s22 = more ? *(vector *)(to + 2 * to_down + 2 * WIDTH) : (vector){0}, s23 = more ? *(vector *)(to + 2 * to_down + 3 * WIDTH) : (vector){0} ;
        vector s30 = more ? *(vector *)(to + 3 * to_down + 0 * WIDTH) : (vector){0}, s31 = more ? *(vector *)(to + 3 * to_down + 1 * WIDTH) : (vector){0}, s32 = more ? *(vector *)(to + 3 * to_down + 2 * WIDTH) : (vector){0}, s33 = more ? *(vector *)(to + 3 * to_down + 3 * WIDTH) : (vector){0} ;
        vector s40 = more ? *(vector *)(to + 4 * to_down + 0 * WIDTH) : (vector){0}, s41 = more ? *(vector *)(to + 4 * to_down + 1 * WIDTH) : (vector){0}, s42 = more ? *(vector *)(to + 4 * to_down + 2 * WIDTH) : (vector){0}, s43 = more ? *(vector *)(to + 4 * to_down + 3 * WIDTH) : (vector){0} ;
        vector s50 = more ? *(vector *)(to + 5 * to_down + 0 * WIDTH) : (vector){0}, s51 = more ? *(vector *)(to + 5 * to_down + 1 * WIDTH) : (vector){0}, s52 = more ? *(vector *)(to + 5 * to_down + 2 * WIDTH) : (vector){0}, s53 = more ? *(vector *)(to + 5 * to_down + 3 * WIDTH) : (vector){0} ;
        for (Py_ssize_t p = 0; p < k; p++, a += right, b += b_down) {
            vector b0 = *(const vector *)(b + 0 * WIDTH), b1 = *(const vector *)(b + 1 * WIDTH), b2 = *(const vector *)(b + 2 * WIDTH), b3 = *(const vector *)(b + 3 * WIDTH) ;
s00 = fma_vector(a[0 * down], b0, s00); s01 = fma_vector(a[0 * down], b1, s01); s02 = fma_vector(a[0 * down], b2, s02); s03 = fma_vector(a[0 * down], b3, s03); 
s10 = fma_vector(a[1 * down], b0, s10); s11 = fma_vector(a[1 * down], b1, s11); s12 = fma_vector(a[1 * down], b2, s12); s13 = fma_vector(a[1 * down], b3, s13); 
s20 = fma_vector(a[2 * down], b0, s20); s21 = fma_vector(a[2 * down], b1, s21); s22 = fma_vector(a[2 * down], b2, s22); s23 = fma_vector(a[2 * down], b3, s23); 
s30 = fma_vector(a[3 * down], b0, s30); s31 = fma_vector(a[3 * down], b1, s31); s32 = fma_vector(a[3 * down], b2, s32); s33 = fma_vector(a[3 * down], b3, s33); 
s40 = fma_vector(a[4 * down], b0, s40); s41 = fma_vector(a[4 * down], b1, s41); s42 = fma_vector(a[4 * down], b2, s42); s43 = fma_vector(a[4 * down], b3, s43); 
s50 = fma_vector(a[5 * down], b0, s50); s51 = fma_vector(a[5 * down], b1, s51); s52 = fma_vector(a[5 * down], b2, s52); s53 = fma_vector(a[5 * down], b3, s53); 
        }
*(vector *)(to + 0 * to_down + 0 * WIDTH) = s00; *(vector *)(to + 0 * to_down + 1 * WIDTH) = s01; *(vector *)(to + 0 * to_down + 2 * WIDTH) = s02; *(vector *)(to + 0 * to_down + 3 * WIDTH) = s03; 
*(vector *)(to + 1 * to_down + 0 * WIDTH) = s10; *(vector *)(to + 1 * to_down + 1 * WIDTH) = s11; *(vector *)(to + 1 * to_down + 2 * WIDTH) = s12; *(vector *)(to + 1 * to_down + 3 * WIDTH) = s13; 
*(vector *)(to + 2 * to_down + 0 * WIDTH) = s20; *(vector *)(to + 2 * to_down + 1 * WIDTH) = s21; *(vector *)(to + 2 * to_down + 2 * WIDTH) = s22; *(vector *)(to + 2 * to_down + 3 * WIDTH) = s23; 
*(vector *)(to + 3 * to_down + 0 * WIDTH) = s30; *(vector *)(to + 3 * to_down + 1 * WIDTH) = s31; *(vector *)(to + 3 * to_down + 2 * WIDTH) = s32; *(vector *)(to + 3 * to_down + 3 * WIDTH) = s33; 
*(vector *)(to + 4 * to_down + 0 * WIDTH) = s40; *(vector *)(to + 4 * to_down + 1 * WIDTH) = s41; *(vector *)(to + 4 * to_down + 2 * WIDTH) = s42; *(vector *)(to + 4 * to_down + 3 * WIDTH) = s43; 
*(vector *)(to + 5 * to_down + 0 * WIDTH) = s50; *(vector *)(to + 5 * to_down + 1 * WIDTH) = s51; *(vector *)(to + 5 * to_down + 2 * WIDTH) = s52; *(vector *)(to + 5 * to_down + 3 * WIDTH) = s53; 
    }
    /* 4 rows and 4 vectors of columns of to = a @ b; a(i, p) is a[i * down + p * right] */
    static __attribute__((noinline)) hot block_4_4(real *__restrict__ to, Py_ssize_t to_down, const real *a, Py_ssize_t down, Py_ssize_t right,
                      const real *__restrict__ b, Py_ssize_t b_down, Py_ssize_t k, int more) {
        vector s00 = more ? *(vector *)(to + 0 * to_down + 0 * WIDTH) : (vector){0}, s01 = more ? *(vector *)(to + 0 * to_down + 1 * WIDTH) : (vector){0}, s02 = more ? *(vector *)(to + 0 * to_down + 2 * WIDTH) : (vector){0}, s03 = more ? *(vector *)(to + 0 * to_down + 3 * WIDTH) : (vector){0} ;
        vector s10 = more ? *(vector *)(to + 1 * to_down + 0 * WIDTH) : (vector){0}, s11 = more ? *(vector *)(to + 1 * to_down + 1 * WIDTH) : (vector){0}, s12 = more ? *(vector *)(to + 1 * to_down + 2 * WIDTH) : (vector){0}, s13 = more ? *(vector *)(to + 1 * to_down + 3 * WIDTH) : (vector){0} ;
        vector s20 = more ? *(vector *)(to + 2 * to_down + 0 * WIDTH) : (vector){0}, s21 = more ? *(vector *)(to + 2 * to_down + 1 * WIDTH) : (vector){0}, s22 = more ? *(vector *)(to + 2 * to_down + 2 * WIDTH) : (vector){0}, s23 = more ? *(vector *)(to + 2 * to_down + 3 * WIDTH) : (vector){0} ;
        vector s30 = more ? *(vector *)(to + 3 * to_down + 0 * WIDTH) : (vector){0}, s31 = more ? *(vector *)(to + 3 * to_down + 1 * WIDTH) : (vector){0}, s32 = more ? *(vector *)(to + 3 * to_down + 2 * WIDTH) : (vector){0}, s33 = more ? *(vector *)(to + 3 * to_down + 3 * WIDTH) : (vector){0} ;
        for (Py_ssize_t p = 0; p < k; p++, a += right, b += b_down) {
            vector b0 = *(const vector *)(b + 0 * WIDTH), b1 = *(const vector *)(b + 1 * WIDTH), b2 = *(const vector *)(b + 2 * WIDTH), b3 = *(const vector *)(b + 3 * WIDTH) ;
s00 = fma_vector(a[0 * down], b0, s00); s01 = fma_vector(a[0 * down], b1, s01); s02 = fma_vector(a[0 * down], b2, s02); s03 = fma_vector(a[0 * down], b3, s03); 
s10 = fma_vector(a[1 * down], b0, s10); s11 = fma_vector(a[1 * down], b1, s11); s12 = fma_vector(a[1 * down], b2, s12); s13 = fma_vector(a[1 * down], b3, s13); 
s20 = fma_vector(a[2 * down], b0, s20); s21 = fma_vector(a[2 * down], b1, s21); s22 = fma_vector(a[2 * down], b2, s22); s23 = fma_vector(a[2 * down], b3, s23); 
s30 = fma_vector(a[3 * down], b0, s30); s31 = fma_vector(a[3 * down], b1, s31); s32 = fma_vector(a[3 * down], b2, s32); s33 = fma_vector(a[3 * down], b3, s33); 
        }
*(vector *)(to + 0 * to_down + 0 * WIDTH) = s00; *(vector *)(to + 0 * to_down + 1 * WIDTH) = s01; *(vector *)(to + 0 * to_down + 2 * WIDTH) = s02; *(vector *)(to + 0 * to_down + 3 * WIDTH) = s03; 
*(vector *)(to + 1 * to_down + 0 * WIDTH) = s10; *(vector *)(to + 1 * to_down + 1 * WIDTH) = s11; *(vector *)(to + 1 * to_down + 2 * WIDTH) = s12; *(vector *)(to + 1 * to_down + 3 * WIDTH) = s13; 
*(vector *)(to + 2 * to_down + 0 * WIDTH) = s20; *(vector *)(to + 2 * to_down + 1 * WIDTH) = s21; *(vector *)(to + 2 * to_down + 2 * WIDTH) = s22; *(vector *)(to + 2 * to_down + 3 * WIDTH) = s23; 
*(vector *)(to + 3 * to_down + 0 * WIDTH) = s30; *(vector *)(to + 3 * to_down + 1 * WIDTH) = s31; *(vector *)(to + 3 * to_down + 2 * WIDTH) = s32; *(vector *)(to + 3 * to_down + 3 * WIDTH) = s33; 
    }
    /* 1 rows and 4 vectors of columns of to = a @ b; a(i, p) is a[i * down + p * right] */
    static __attribute__((noinline)) hot block_1_4(real *__restrict__ to, Py_ssize_t to_down, const real *a, Py_ssize_t down, Py_ssize_t right,
                      const real *__restrict__ b, Py_ssize_t b_down, Py_ssize_t k, int more) {
        vector s00 = more ? *(vector *)(to + 0 * to_down + 0 * WIDTH) : (vector){0}, s01 = more ? *(vector *)(to + 0 * to_down + 1 * WIDTH) : (vector){0}, s02 = more ? *(vector *)(to + 0 * to_down + 2 * WIDTH) : (vector){0}, s03 = more ? *(vector *)(to + 0 * to_down + 3 * WIDTH) : (vector){0} ;
        for (Py_ssize_t p = 0; p < k; p++, a += right, b += b_down) {
            vector b0 = *(const vector *)(b + 0 * WIDTH), b1 = *(const vector *)(b + 1 * WIDTH), b2 = *(const vector *)(b + 2 * WIDTH), b3 = *(const vector *)(b + 3 * WIDTH) ;
s00 = fma_vector(a[0 * down], b0, s00); s01 = fma_vector(a[0 * down], b1, s01); s02 = fma_vector(a[0 * down], b2, s02); s03 = fma_vector(a[0 * down], b3, s03); 
        }
*(vector *)(to + 0 * to_down + 0 * WIDTH) = s00; *(vector *)(to + 0 * to_down + 1 * WIDTH) = s01; *(vector *)(to + 0 * to_down + 2 * WIDTH) = s02; *(vector *)(to + 0 * to_down + 3 * WIDTH) = s03; 
    }
    /* 6 rows and 1 vector of columns of to = a @ b; a(i, p) is a[i * down + p * right] */
    static __attribute__((noinline)) hot block_6_1(real *__restrict__ to, Py_ssize_t to_down, const real *a, Py_ssize_t down, Py_ssize_t right,
                      const real *__restrict__ b, Py_ssize_t b_down, Py_ssize_t k, int more) {
        vector s00 = more ? *(vector *)(to + 0 * to_down + 0 * WIDTH) : (vector){0} ;
        vector s10 = more ? *(vector *)(to + 1 * to_down + 0 * WIDTH) : (vector){0} ;
        vector s20 = more ? *(vector *)(to + 2 * to_down + 0 * WIDTH) : (vector){0} ;
        vector s30 = more ? *(vector *)(to + 3 * to_down + 0 * WIDTH) : (vector){0} ;
        vector s40 = more ? *(vector *)(to + 4 * to_down + 0 * WIDTH) : (vector){0} ;
        vector s50 = more ? *(vector *)(to + 5 * to_down + 0 * WIDTH) : (vector){0} ;
        for (Py_ssize_t p = 0; p < k; p++, a += right, b += b_down) {
            vector b0 = *(const vector *)(b + 0 * WIDTH) ;
s00 = fma_vector(a[0 * down], b0, s00); 
s10 = fma_vector(a[1 * down], b0, s10); 
s20 = fma_vector(a[2 * down], b0, s20); 
s30 = fma_vector(a[3 * down], b0, s30); 
s40 = fma_vector(a[4 * down], b0, s40); 
s50 = fma_vector(a[5 * down], b0, s50); 
        }
*(vector *)(to + 0 * to_down + 0 * WIDTH) = s00; 
*(vector *)(to + 1 * to_down + 0 * WIDTH) = s10; 
*(vector *)(to + 2 * to_down + 0 * WIDTH) = s20; 
*(vector *)(to + 3 * to_down + 0 * WIDTH) = s30; 
*(vector *)(to + 4 * to_down + 0 * WIDTH) = s40; 
*(vector *)(to + 5 * to_down + 0 * WIDTH) = s50; 
    }
    /* 4 rows and 1 vector of columns of to = a @ b; a(i, p) is a[i * down + p * right] */
    static __attribute__((noinline)) hot block_4_1(real *__restrict__ to, Py_ssize_t to_down, const real *a, Py_ssize_t down, Py_ssize_t right,
                      const real *__restrict__ b, Py_ssize_t b_down, Py_ssize_t k, int more) {
        vector s00 = more ? *(vector *)(to + 0 * to_down + 0 * WIDTH) : (vector){0} ;
        vector s10 = more ? *(vector *)(to + 1 * to_down + 0 * WIDTH) : (vector){0} ;
        vector s20 = more ? *(vector *)(to + 2 * to_down + 0 * WIDTH) : (vector){0} ;
        vector s30 = more ? *(vector *)(to + 3 * to_down + 0 * WIDTH) : (vector){0} ;
        for (Py_ssize_t p = 0; p < k; p++, a += right, b += b_down) {
            vector b0 = *(const vector *)(b + 0 * WIDTH) ;
s00 = fma_vector(a[0 * down], b0, s00); 
s10 = fma_vector(a[1 * down], b0, s10); 
s20 = fma_vector(a[2 * down], b0, s20); 
s30 = fma_vector(a[3 * down], b0, s30); 
        }
*(vector *)(to + 0 * to_down + 0 * WIDTH) = s00; 
*(vector *)(to + 1 * to_down + 0 * WIDTH) = s10; 
*(vector *)(to + 2 * to_down + 0 * WIDTH) = s20; 
*(vector *)(to + 3 * to_down + 0 * WIDTH) = s30; 
    }
    /* 1 rows and 1 vector of columns of to = a @ b; a(i, p) is a[i * down + p * right] */
    static __attribute__((noinline)) hot block_1_1(real *__restrict__ to, Py_ssize_t to_down, const real *a, Py_ssize_t down, Py_ssize_t right,
                      const real *__restrict__ b, Py_ssize_t b_down, Py_ssize_t k, int more) {
        vector s00 = more ? *(vector *)(to + 0 * to_down + 0 * WIDTH) : (vector){0} ;
        for (Py_ssize_t p = 0; p < k; p++, a += right, b += b_down) {
            vector b0 = *(const vector *)(b + 0 * WIDTH) ;
s00 = fma_vector(a[0 * down], b0, s00); 
        }
*(vector *)(to + 0 * to_down + 0 * WIDTH) = s00; 
    }
    /* rows of the next block, where so many are left: none of two or three single rows, which cost as much as four */
    static inline Py_ssize_t block_rows(Py_ssize_t left) { return left == 6 || left == 7 || left > 9 ? 6 : left > 3 ? 4 : 1; }
    static inline void multiply_block(Py_ssize_t rows, Py_ssize_t vectors, real *__restrict__ to, Py_ssize_t to_down, const real *a, Py_ssize_t down,
                                      Py_ssize_t right, const real *__restrict__ b, Py_ssize_t b_down, Py_ssize_t k, int more) {
        if (rows == 6 && vectors == 4) block_6_4(to, to_down, a, down, right, b, b_down, k, more);
        else if (rows == 4 && vectors == 4) block_4_4(to, to_down, a, down, right, b, b_down, k, more);
        else if (rows == 1 && vectors == 4) block_1_4(to, to_down, a, down, right, b, b_down, k, more);
        else if (rows == 6 && vectors == 1) block_6_1(to, to_down, a, down, right, b, b_down, k, more);
        else if (rows == 4 && vectors == 1) block_4_1(to, to_down, a, down, right, b, b_down, k, more);
        else if (rows == 1 && vectors == 1) block_1_1(to, to_down, a, down, right, b, b_down, k, more);
    }
    VECTOR real lane_exp(real) C_NAME("exp");
    VECTOR real lane_log1p(real) C_NAME("log1p");
    """
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows
    ctypedef struct Environment "environment":
        pass
    Environment calm() noexcept nogil
    void restore(Environment) noexcept nogil
    double magnitude(double) noexcept nogil
    double canonical(double) noexcept nogil
    const double GREATEST
    const double SHRINK  # of weights, where sums would overflow
    const double LEAST  # the smallest number of full precision
    real fma_real(real, real, real) noexcept nogil
    void* large_memory(size_t) noexcept nogil
    hot turn_eight(real*, Py_ssize_t, const char*, Py_ssize_t) noexcept nogil
    const Py_ssize_t WIDTH
    Py_ssize_t block_rows(Py_ssize_t) noexcept nogil
    void multiply_block(Py_ssize_t, Py_ssize_t, real*, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, int) noexcept nogil
    real exp "lane_exp"(real) noexcept nogil
    real log1p "lane_log1p"(real) noexcept nogil
    real fabs "fabs"(real) noexcept nogil
    real floor "floor"(real) noexcept nogil

PARAMETERS = (('W1', (32, 64)), ('b1', (32, 1)), ('W2', (10, 32)), ('b2', (10, 1)))
INPUTS = (('u', (64, 1)),)
TARGETS = (('label', ()),)
N_PARAMETERS = 2410
TILE = 1024  # rows that are summed together: the rows may be split for `partial_sums` at its multiples

cdef enum:
    N_COLUMNS = 2410  # of all parameters' gradients
    LANES = 64  # samples side by side in a call of a lane function
    DEPTH = 16  # calls that make a tile
    TILE_ROWS = LANES * DEPTH
    INPUT_COLUMNS = 64
    TARGET_COLUMNS = 1
    WEIGHT_ROW = INPUT_COLUMNS + TARGET_COLUMNS
    WEIGHTS = 2  # the place of the weights among the arrays of samples
    INVARIANTS = 2410  # numbers that are computed once for a theta; first the penalty and its gradient
    PREDICTIONS = 10
    SUMMED_ROWS = 43  # the loss, and what is summed of its gradient row by row
    VALUE_ROWS = 149  # all rows of the function that has most
    BATCH = 1  # calls whose values are added up together
    SLICE = (1 << 15) // (LANES * sizeof(real))  # rows that stay in the first cache while they are multiplied
    LINE = 64 // sizeof(real)  # columns of a matrix are padded to so many
    TURNED = 64  # columns of turned operands
    PRODUCTS = 2368  # sums over the samples of a tile, of products of matrices
    COST = 445  # about this many nanoseconds for a sample with its gradient


cdef hot multiply(rows to, const real* a, Py_ssize_t down, Py_ssize_t right, const real* b, Py_ssize_t m, Py_ssize_t k, Py_ssize_t n) noexcept nogil:
    """to = a @ b for each lane: a (m, k) is the same for all, with the strides down and right; b (k, n) has rows of lanes."""
    cdef Py_ssize_t i, j, height, panel, slice, first, part, width = n * LANES
    for slice in range((k + SLICE - 1) // SLICE):
        first = slice * SLICE
        part = min(k - first, SLICE)
        i = 0
        while i < m:
            height = block_rows(m - i)
            for panel in range(width // (4 * WIDTH)):
                j = panel * 4 * WIDTH
                multiply_block(height, 4, &to[i * width + j], width, &a[i * down + first * right], down, right,
                               &b[first * width + j], width, part, first > 0)
            i += height


cdef hot once(const double* theta, real* c) noexcept nogil:
    """What no sample changes: computed once for a theta."""
    cdef Py_ssize_t row
    cdef real p0, p2048, p2080, p2400
    for row in range(2048):
        p0 = <real>theta[row]
        c[row] = p0
    for row in range(32):
        p2048 = <real>theta[2048 + row]
        c[2048 + row] = p2048
    for row in range(320):
        p2080 = <real>theta[2080 + row]
        c[2080 + row] = p2080
    for row in range(10):
        p2400 = <real>theta[2400 + row]
        c[2400 + row] = p2400


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Each lane's loss, times its weight."""
    cdef Py_ssize_t lane, row
    cdef real p2048, matmul_1, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, product_3, product_4, \
        sum_4, negative_1, choice_1, choice_2, p2400, y0, matmul_2, sum_5, largest_1, largest_1_or_nan, \
        floor_1, choice_3, choice_4, exp_2, choice_5, choice_6, total_1, total_2, total_3, w, log1p_1
    cdef bint condition_1, condition_2
    cdef real[LANES] choice_3_by_lane, total_1_by_lane, largest_1_by_lane, total_2_by_lane, total_3_by_lane
    # matmul_1 = p0 @ u0, 32 x 1
    multiply(&out[1 * LANES], &c[0], 64, 1, &data[0], 32, 64, 1)
    for row in range(32):
        p2048 = c[2048 + row]
        for lane in range(LANES):
            matmul_1 = out[(1 + row) * LANES + lane]
            sum_1 = p2048 + matmul_1
            size_1 = fabs(sum_1)
            exp_1 = exp(size_1 * -2.0)
            product_1 = sum_1 * sum_1
            sum_2 = product_1 * (product_1 * 6.50769217873237e-05 + -0.00022646125178830043) + 0.0005871241987521835
            product_2 = product_1 * (product_1 * (product_1 * sum_2 + -0.0014554257178951656) + 0.003592092138684696)
            sum_3 = product_1 * (product_1 * (product_2 + -0.008863233600962223) + 0.021869488476433937) + -0.053968253967312856
            product_3 = (1.0 - exp_1) * (1.0 / (exp_1 + 1.0))
            product_4 = product_1 * (product_1 * (product_1 * sum_3 + 0.13333333333332756) + -0.3333333333333333)
            sum_4 = sum_1 + sum_1 * product_4
            negative_1 = -product_3
            choice_1 = negative_1 if (sum_1 < 0.0) else product_3
            choice_2 = sum_4 if (size_1 < 0.45) else choice_1
            out[(33 + row) * LANES + lane] = choice_2
    # matmul_2 = p2080 @ choice_2, 10 x 1
    multiply(&out[1 * LANES], &c[2080], 32, 1, &out[33 * LANES], 10, 32, 1)
    for lane in range(LANES):
        largest_1_by_lane[lane] = -INFINITY
    for row in range(10):
        p2400 = c[2400 + row]
        for lane in range(LANES):
            y0 = data[64 * LANES + lane]
            matmul_2 = out[(1 + row) * LANES + lane]
            sum_5 = p2400 + matmul_2
            out[(21 + row) * LANES + lane] = sum_5
            out[(11 + row) * LANES + lane] = 1.0 if (<real>row == y0) else 0.0
            largest_1 = largest_1_by_lane[lane]
            largest_1_or_nan = largest_1 + sum_5
            largest_1_or_nan = largest_1 if largest_1 >= sum_5 else largest_1_or_nan
            largest_1_by_lane[lane] = sum_5 if sum_5 > largest_1 else largest_1_or_nan
    for lane in range(LANES):
        y0 = data[64 * LANES + lane]
        floor_1 = floor(y0)
        choice_3 = 0.0 if (((0.0 <= y0) & (y0 < 10.0)) & (y0 == floor_1)) else NAN
        choice_3_by_lane[lane] = choice_3
    for lane in range(LANES):
        total_1_by_lane[lane] = 0.0
        total_2_by_lane[lane] = 0.0
        total_3_by_lane[lane] = 0.0
    for row in range(10):
        for lane in range(LANES):
            sum_5 = out[(21 + row) * LANES + lane]
            condition_1 = out[(11 + row) * LANES + lane] != 0.0
            choice_3 = choice_3_by_lane[lane]
            largest_1 = largest_1_by_lane[lane]
            choice_4 = sum_5 if condition_1 else choice_3
            condition_2 = (sum_5 == largest_1)
            exp_2 = exp(sum_5 - largest_1)
            choice_5 = 0.0 if condition_2 else exp_2
            choice_6 = 1.0 if condition_2 else 0.0
            total_1_by_lane[lane] += choice_4
            total_2_by_lane[lane] += choice_6
            total_3_by_lane[lane] += choice_5
    for lane in range(LANES):
        total_1 = total_1_by_lane[lane]
        largest_1 = largest_1_by_lane[lane]
        total_2 = total_2_by_lane[lane]
        total_3 = total_3_by_lane[lane]
        w = data[WEIGHT_ROW * LANES + lane]
        log1p_1 = log1p(total_2 - 1.0 + total_3)
        out[lane] = (largest_1 + log1p_1 - total_1) * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Each lane's loss and its derivative by each parameter, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane, row
    cdef real p2048, matmul_1, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, quotient_1, \
        product_3, product_4, sum_4, negative_1, choice_1, choice_2, p2400, y0, matmul_2, sum_5, \
        largest_1, largest_1_or_nan, w, floor_1, choice_3, negative_2, choice_4, exp_2, choice_5, \
        choice_6, choice_7, choice_8, total_1, total_2, total_3, sum_6, log1p_1, sum_7, matmul_3, \
        product_6
    cdef bint condition_1, condition_2
    cdef real[LANES] choice_3_by_lane, total_1_by_lane, largest_1_by_lane, total_2_by_lane, total_3_by_lane, \
        negative_2_by_lane, sum_7_by_lane
    # matmul_1 = p0 @ u0, 32 x 1
    multiply(&out[43 * LANES], &c[0], 64, 1, &data[0], 32, 64, 1)
    for row in range(32):
        p2048 = c[2048 + row]
        for lane in range(LANES):
            matmul_1 = out[(43 + row) * LANES + lane]
            sum_1 = p2048 + matmul_1
            size_1 = fabs(sum_1)
            exp_1 = exp(size_1 * -2.0)
            product_1 = sum_1 * sum_1
            sum_2 = product_1 * (product_1 * 6.50769217873237e-05 + -0.00022646125178830043) + 0.0005871241987521835
            product_2 = product_1 * (product_1 * (product_1 * sum_2 + -0.0014554257178951656) + 0.003592092138684696)
            sum_3 = product_1 * (product_1 * (product_2 + -0.008863233600962223) + 0.021869488476433937) + -0.053968253967312856
            quotient_1 = 1.0 / (exp_1 + 1.0)
            product_3 = (1.0 - exp_1) * quotient_1
            product_4 = product_1 * (product_1 * (product_1 * sum_3 + 0.13333333333332756) + -0.3333333333333333)
            sum_4 = sum_1 + sum_1 * product_4
            negative_1 = -product_3
            choice_1 = negative_1 if (sum_1 < 0.0) else product_3
            choice_2 = sum_4 if (size_1 < 0.45) else choice_1
            out[(75 + row) * LANES + lane] = choice_2
            out[(107 + row) * LANES + lane] = quotient_1 * (exp_1 * quotient_1) * 4.0
    # matmul_2 = p2080 @ choice_2, 10 x 1
    multiply(&out[43 * LANES], &c[2080], 32, 1, &out[75 * LANES], 10, 32, 1)
    for lane in range(LANES):
        largest_1_by_lane[lane] = -INFINITY
    for row in range(10):
        p2400 = c[2400 + row]
        for lane in range(LANES):
            y0 = data[64 * LANES + lane]
            matmul_2 = out[(43 + row) * LANES + lane]
            sum_5 = p2400 + matmul_2
            out[(63 + row) * LANES + lane] = sum_5
            out[(53 + row) * LANES + lane] = 1.0 if (<real>row == y0) else 0.0
            largest_1 = largest_1_by_lane[lane]
            largest_1_or_nan = largest_1 + sum_5
            largest_1_or_nan = largest_1 if largest_1 >= sum_5 else largest_1_or_nan
            largest_1_by_lane[lane] = sum_5 if sum_5 > largest_1 else largest_1_or_nan
    for lane in range(LANES):
        y0 = data[64 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        floor_1 = floor(y0)
        choice_3 = 0.0 if (((0.0 <= y0) & (y0 < 10.0)) & (y0 == floor_1)) else NAN
        choice_3_by_lane[lane] = choice_3
        negative_2_by_lane[lane] = -w
    for lane in range(LANES):
        total_1_by_lane[lane] = 0.0
        total_2_by_lane[lane] = 0.0
        total_3_by_lane[lane] = 0.0
    for row in range(10):
        for lane in range(LANES):
            sum_5 = out[(63 + row) * LANES + lane]
            condition_1 = out[(53 + row) * LANES + lane] != 0.0
            choice_3 = choice_3_by_lane[lane]
            largest_1 = largest_1_by_lane[lane]
            negative_2 = negative_2_by_lane[lane]
            choice_4 = sum_5 if condition_1 else choice_3
            condition_2 = (sum_5 == largest_1)
            exp_2 = exp(sum_5 - largest_1)
            choice_5 = 0.0 if condition_2 else exp_2
            choice_6 = 1.0 if condition_2 else 0.0
            choice_7 = 1.0 if condition_2 else exp_2
            choice_8 = negative_2 if condition_1 else choice_3
            out[(43 + row) * LANES + lane] = choice_7
            out[(139 + row) * LANES + lane] = choice_8
            total_1_by_lane[lane] += choice_4
            total_2_by_lane[lane] += choice_6
            total_3_by_lane[lane] += choice_5
    for lane in range(LANES):
        total_1 = total_1_by_lane[lane]
        largest_1 = largest_1_by_lane[lane]
        total_2 = total_2_by_lane[lane]
        total_3 = total_3_by_lane[lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_6 = total_2 - 1.0 + total_3
        log1p_1 = log1p(sum_6)
        out[lane] = (largest_1 + log1p_1 - total_1) * w  # L
        sum_7_by_lane[lane] = 1.0 + sum_6
    for row in range(10):
        for lane in range(LANES):
            w = data[WEIGHT_ROW * LANES + lane]
            choice_7 = out[(43 + row) * LANES + lane]
            sum_7 = sum_7_by_lane[lane]
            choice_8 = out[(139 + row) * LANES + lane]
            out[(33 + row) * LANES + lane] = w * (choice_7 / sum_7) + choice_8  # dL/db2[0, 0]
    # matmul_3 = p2080.T @ sum_8, 32 x 1
    multiply(&out[43 * LANES], &c[2080], 1, 32, &out[33 * LANES], 32, 10, 1)
    for row in range(32):
        for lane in range(LANES):
            matmul_3 = out[(43 + row) * LANES + lane]
            product_6 = out[(107 + row) * LANES + lane]
            out[(1 + row) * LANES + lane] = matmul_3 * product_6  # dL/db1[0, 0]


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Each lane's outputs of the model."""
    cdef Py_ssize_t lane, row
    cdef real p2048, matmul_1, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, product_3, product_4, \
        sum_4, negative_1, choice_1, choice_2, p2400, matmul_2
    # matmul_1 = p0 @ u0, 32 x 1
    multiply(&out[10 * LANES], &c[0], 64, 1, &data[0], 32, 64, 1)
    for row in range(32):
        p2048 = c[2048 + row]
        for lane in range(LANES):
            matmul_1 = out[(10 + row) * LANES + lane]
            sum_1 = p2048 + matmul_1
            size_1 = fabs(sum_1)
            exp_1 = exp(size_1 * -2.0)
            product_1 = sum_1 * sum_1
            sum_2 = product_1 * (product_1 * 6.50769217873237e-05 + -0.00022646125178830043) + 0.0005871241987521835
            product_2 = product_1 * (product_1 * (product_1 * sum_2 + -0.0014554257178951656) + 0.003592092138684696)
            sum_3 = product_1 * (product_1 * (product_2 + -0.008863233600962223) + 0.021869488476433937) + -0.053968253967312856
            product_3 = (1.0 - exp_1) * (1.0 / (exp_1 + 1.0))
            product_4 = product_1 * (product_1 * (product_1 * sum_3 + 0.13333333333332756) + -0.3333333333333333)
            sum_4 = sum_1 + sum_1 * product_4
            negative_1 = -product_3
            choice_1 = negative_1 if (sum_1 < 0.0) else product_3
            choice_2 = sum_4 if (size_1 < 0.45) else choice_1
            out[(42 + row) * LANES + lane] = choice_2
    # matmul_2 = p2080 @ choice_2, 10 x 1
    multiply(&out[10 * LANES], &c[2080], 32, 1, &out[42 * LANES], 10, 32, 1)
    for row in range(10):
        p2400 = c[2400 + row]
        for lane in range(LANES):
            matmul_2 = out[(10 + row) * LANES + lane]
            out[row * LANES + lane] = p2400 + matmul_2


ctypedef hot (*LaneFunction)(const real*, const real*, rows) noexcept nogil

cdef struct Column:
    const char* base  # NULL where there is no such array
    Py_ssize_t row_stride
    Py_ssize_t column_stride

cdef struct Sweep:
    LaneFunction function
    const real* c
    Py_ssize_t n_rows  # rows that the function fills: the loss, and with it the gradient; or the predictions
    bint with_gradient
    Py_ssize_t n_sums  # rows of a node: the weight, the loss, and with_gradient its derivative by each parameter
    bint shrunk  # weights are multiplied by SHRINK
    Py_ssize_t n  # samples in the arrays below
    Column[3] columns  # inputs, targets, weights
    char* out  # NULL: sums are wanted; else rows first_row, ... of each sample go to one row of out
    Py_ssize_t first_row
    Py_ssize_t out_rows


cdef struct Scratch:  # what a thread works in
    real* data
    real* values
    double* sums
    real* turned
    double* products
    real* values_by_lane  # where each lane's numbers lie together
    real* data_by_lane


cdef struct Nodes:  # of the tree of sums: a row is a pair, high and low
    double* sums
    double* shrunk  # the same sums times SHRINK: for rows of which `sums` is not finite, and meaningless for others


cdef inline hot add_exactly(double* high, double* low, double x) noexcept nogil:
    """high + low += x, the rounding error of high + x kept in low (Knuth 1969, TwoSum)."""
    cdef double total = high[0] + x
    cdef double shift = total - high[0]
    low[0] += (high[0] - (total - shift)) + (x - shift)
    high[0] = total


cdef inline hot merge(double* high, double* low, double other_high, double other_low) noexcept nogil:
    """The sum of two pairs, as a pair; infinities and NaN stay what they are."""
    cdef double total = high[0] + other_high
    cdef double shift = total - high[0]
    cdef double rest = ((high[0] - (total - shift)) + (other_high - shift)) + (low[0] + other_low)
    cdef double rounded = total + rest
    low[0] = rest - (rounded - total) if total - total == 0.0 else 0.0
    high[0] = rounded if total - total == 0.0 else total


cdef hot accumulate(const real* values, Py_ssize_t calls, double* high, double* low, Py_ssize_t n_rows) noexcept nogil:
    """Each lane's values, of one call after the other, onto that lane's pair."""
    cdef Py_ssize_t call, i
    for call in range(calls):
        for i in range(n_rows * LANES):
            add_exactly(&high[i], &low[i], values[call * VALUE_ROWS * LANES + i])


cdef inline hot halve(double* high, double* low, Py_ssize_t n) noexcept nogil:
    """n pairs, halved until eight are left."""
    cdef Py_ssize_t half = n // 2, i
    while half >= 8:
        for i in range(half):
            merge(&high[i], &low[i], high[half + i], low[half + i])
        half //= 2


cdef hot fold(double* high, double* low, Py_ssize_t n_rows, double* node) noexcept nogil:
    """The lanes of a tile, halved until one pair is left for each row: node[2 * row], node[2 * row + 1].

    The last eight lanes of eight rows are turned, and halved together.
    """
    cdef double[64] turned_high
    cdef double[64] turned_low
    cdef Py_ssize_t first, count, row, lane
    memset(turned_high, 0, sizeof(turned_high))
    memset(turned_low, 0, sizeof(turned_low))
    for first in range(0, n_rows, 8):
        count = min(n_rows - first, 8)
        for row in range(count):
            halve(&high[(first + row) * LANES], &low[(first + row) * LANES], LANES)
            for lane in range(8):
                turned_high[lane * 8 + row] = high[(first + row) * LANES + lane]
                turned_low[lane * 8 + row] = low[(first + row) * LANES + lane]
        halve(turned_high, turned_low, 64)
        for row in range(count):
            node[2 * (first + row)] = turned_high[row]
            node[2 * (first + row) + 1] = turned_low[row]


cdef inline Nodes nodes_from(Nodes nodes, Py_ssize_t row) noexcept nogil:
    nodes.sums += 2 * row
    nodes.shrunk += 2 * row
    return nodes


cdef bint all_finite(const double* node, Py_ssize_t n_rows) noexcept nogil:
    cdef Py_ssize_t row, others = 0
    for row in range(n_rows):
        others += not magnitude(node[2 * row]) <= GREATEST
    return others == 0


cdef bint might_overflow(const double* node, const double* other, Py_ssize_t n_rows) noexcept nogil:
    cdef Py_ssize_t row, others = 0
    for row in range(n_rows):
        others += not magnitude(node[2 * row]) + magnitude(other[2 * row]) <= GREATEST / 2
    return others > 0


cdef void merge_shrunk(Nodes node, Nodes other, Py_ssize_t n_rows) noexcept nogil:
    """The sums times SHRINK, for each row of which the sum could overflow."""
    cdef Py_ssize_t row
    cdef double high, low
    for row in range(0, 2 * n_rows, 2):
        if not magnitude(node.sums[row]) + magnitude(other.sums[row]) <= GREATEST / 2:
            if magnitude(node.sums[row]) <= GREATEST:
                node.shrunk[row] = node.sums[row] * SHRINK
                node.shrunk[row + 1] = node.sums[row + 1] * SHRINK
            high = other.shrunk[row]
            low = other.shrunk[row + 1]
            if magnitude(other.sums[row]) <= GREATEST:
                high = other.sums[row] * SHRINK
                low = other.sums[row + 1] * SHRINK
            merge(&node.shrunk[row], &node.shrunk[row + 1], high, low)


cdef hot merge_pairs(double* node, const double* other, Py_ssize_t n_rows) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(n_rows):
        merge(&node[2 * row], &node[2 * row + 1], other[2 * row], other[2 * row + 1])


cdef void merge_nodes(Nodes node, Nodes other, Py_ssize_t n_rows) noexcept nogil:
    """A node and its right sibling: their parent, in the place of the first. Few rows at a time, which stay in the cache."""
    cdef Py_ssize_t first, count
    for first in range(0, n_rows, 256):
        count = min(n_rows - first, 256)
        if might_overflow(&node.sums[2 * first], &other.sums[2 * first], count):
            merge_shrunk(nodes_from(node, first), nodes_from(other, first), count)
        merge_pairs(&node.sums[2 * first], &other.sums[2 * first], count)


cdef Py_ssize_t push(Nodes stack, Py_ssize_t height, Py_ssize_t index, Py_ssize_t n_rows) noexcept nogil:
    """A node was put on top: merge what is complete, as a binary counter carries. The new height."""
    while index & 1:
        height -= 1
        merge_nodes(nodes_from(stack, (height - 1) * n_rows), nodes_from(stack, height * n_rows), n_rows)
        index >>= 1
    return height


cdef void collapse(Nodes stack, Py_ssize_t height, Py_ssize_t n_rows) noexcept nogil:
    """The nodes left on the stack, from the top down into the first."""
    while height > 1:
        height -= 1
        merge_nodes(nodes_from(stack, (height - 1) * n_rows), nodes_from(stack, height * n_rows), n_rows)


cdef inline double quotient(const double* pair, const double* shrunk, double total, double unit) noexcept nogil:
    """A sum over the total weight, which is total / unit."""
    if magnitude(pair[0]) <= GREATEST:
        return (pair[0] + pair[1]) / total * unit
    return (shrunk[0] + shrunk[1]) / total * (unit / SHRINK)


cdef hot divide(real* means, const double* sums, Py_ssize_t n, double total) noexcept nogil:
    """Pairs over the total weight."""
    cdef Py_ssize_t i
    for i in range(n):
        means[i] = <real>canonical((sums[2 * i] + sums[2 * i + 1]) / total)


cdef void divide_each(real* means, const double* sums, const double* shrunk, Py_ssize_t n, double total,
                      double unit) noexcept nogil:
    """The same where some sums are not finite, or the total weight is not."""
    cdef Py_ssize_t i
    for i in range(n):
        means[i] = <real>canonical(quotient(&sums[2 * i], &shrunk[2 * i], total, unit))


cdef hot gather_table(rows to, Column table, Py_ssize_t columns, Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    """``count`` rows of a table from ``start``, turned: a row of lanes for each column. Eight samples are read at a time."""
    cdef Py_ssize_t index, first, lane
    cdef const char* at = table.base + start * table.row_stride
    if table.row_stride == sizeof(real):
        for index in range(columns):
            memcpy(&to[index * LANES], at + index * table.column_stride, count * sizeof(real))
        return
    for first in range(0, count - 7, 8):
        index = 0
        if table.column_stride == sizeof(real):
            for index in range(0, columns - 7, 8):
                turn_eight(&to[index * LANES + first], LANES, at + first * table.row_stride + index * sizeof(real), table.row_stride)
            index = columns - columns % 8
        for index in range(index, columns):
            for lane in range(8):
                memcpy(&to[index * LANES + first + lane], at + (first + lane) * table.row_stride + index * table.column_stride, sizeof(real))
    for lane in range(count - count % 8, count):
        for index in range(columns):
            memcpy(&to[index * LANES + lane], at + lane * table.row_stride + index * table.column_stride, sizeof(real))


cdef Py_ssize_t gather(Sweep* sweep, Scratch* scratch, Py_ssize_t start, Py_ssize_t count, unsigned char* masked) noexcept nogil:
    """``count`` samples from ``start``, transposed; the lanes beyond them, and those of weight zero, are masked.

    A masked lane is a copy of a lane that is not. Returns how many lanes are masked: all, if every weight is zero.
    """
    cdef Py_ssize_t index, lane, kept = 0, n_masked = 0
    cdef real* data = scratch.data
    gather_table(data, sweep.columns[0], INPUT_COLUMNS, start, count)
    if sweep.columns[1].base != NULL:  # predictions need no targets
        gather_table(&data[INPUT_COLUMNS * LANES], sweep.columns[1], TARGET_COLUMNS, start, count)
    cdef real* weights = &data[WEIGHT_ROW * LANES]
    if sweep.columns[WEIGHTS].base != NULL:
        gather_table(weights, sweep.columns[WEIGHTS], 1, start, count)
    else:
        for lane in range(count):
            weights[lane] = 1.0
        if count == LANES:
            return 0
    for lane in range(LANES):
        masked[lane] = lane >= count or weights[lane] == 0.0
        n_masked += masked[lane]
        if not masked[lane]:
            kept = lane
    if n_masked and n_masked < LANES:
        for lane in range(LANES):
            if masked[lane]:
                for index in range(WEIGHT_ROW + 1):
                    data[index * LANES + lane] = data[index * LANES + kept]
    return n_masked


cdef hot shrink(real* weights) noexcept nogil:
    """Everything that a lane function computes from then on is SHRINK times as large; no weight becomes zero."""
    cdef Py_ssize_t lane
    for lane in range(LANES):
        weights[lane] = <real>(weights[lane] * SHRINK)
        if magnitude(weights[lane]) < LEAST:
            weights[lane] = <real>(LEAST if weights[lane] >= 0.0 else -LEAST)


cdef hot clear_masked(real* out, Py_ssize_t n_rows, const unsigned char* masked) noexcept nogil:
    cdef Py_ssize_t row, lane
    for row in range(n_rows):
        for lane in range(LANES):
            if masked[lane]:
                out[row * LANES + lane] = 0.0


cdef hot turn(rows to, const real* values, Py_ssize_t p, Py_ssize_t k, Py_ssize_t down, Py_ssize_t right,
              const unsigned char* masked) noexcept nogil:
    """An operand of p times k rows of lanes, turned: lanes follow one another, and 4 vectors of columns lie together.

    Row (q, j) is q * down + j * right. Masked lanes count as zero.
    """
    cdef Py_ssize_t panel, first, width, q, lane, j, i
    cdef const real* row
    cdef real* part
    for panel in range((k + 4 * WIDTH - 1) // (4 * WIDTH)):
        first = panel * 4 * WIDTH
        width = min(4 * WIDTH, (k - first + LINE - 1) // LINE * LINE)
        for q in range(p):
            part = &to[(first * p + q * width) * LANES]
            for lane in range(0, LANES, 8):
                for j in range(0, min(width, k - first) - 7, 8):
                    row = &values[(q * down + (first + j) * right) * LANES + lane]
                    turn_eight(&part[lane * width + j], width, <const char*>row, right * LANES * sizeof(real))
                for j in range(min(width, k - first) // 8 * 8, width):
                    row = &values[(q * down + (first + j) * right) * LANES + lane]
                    for i in range(8):
                        part[(lane + i) * width + j] = row[i] if j < k - first else 0.0
            if masked != NULL:
                for lane in range(LANES):
                    if masked[lane]:
                        memset(&part[lane * width], 0, width * sizeof(real))


cdef hot add_block(double* sums, rows block, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        sums[i] += block[i]


cdef hot add_panel(double* sums, const real* a, Py_ssize_t down, const real* b, Py_ssize_t m, Py_ssize_t width) noexcept nogil:
    """One call's a @ b onto sums: a (m, LANES) with rows ``down`` apart, b (LANES, width)."""
    cdef Py_ssize_t part, height, i = 0, vectors = 4 if width == 4 * WIDTH else 1
    cdef real[24 * LINE] block
    while i < m:
        height = block_rows(m - i)
        for part in range(width // (vectors * WIDTH)):
            multiply_block(height, vectors, &block[part * WIDTH], width, &a[i * down], down, 1, &b[part * WIDTH], width, LANES, 0)
        add_block(&sums[i * width], block, height * width)
        i += height


cdef hot add_outer(double* sums, const real* left, Py_ssize_t down, Py_ssize_t right, const real* turned,
                   Py_ssize_t m, Py_ssize_t p, Py_ssize_t k) noexcept nogil:
    """One call's sum of products onto sums: in the module's arithmetic over its lanes, in double from there on.

    The left operand has m times p rows of lanes, (i, q) is row i * down + q * right; the other is turned.
    """
    cdef Py_ssize_t panel, first, width, q
    for panel in range((k + 4 * WIDTH - 1) // (4 * WIDTH)):
        first = panel * 4 * WIDTH
        width = min(4 * WIDTH, (k - first + LINE - 1) // LINE * LINE)
        for q in range(p):
            add_panel(&sums[first * m], &left[q * right * LANES], down * LANES, &turned[(first * p + q * width) * LANES], m, width)


cdef inline hot fold_sum(double* pair, double total, bint more) noexcept nogil:
    if more:
        add_exactly(&pair[0], &pair[1], total)
    else:
        pair[0] = total
        pair[1] = 0.0


cdef hot fold_outer(double* node, Py_ssize_t down, Py_ssize_t right, const double* sums, Py_ssize_t m, Py_ssize_t k, bint more) noexcept nogil:
    """A tile's sums to the pairs of node, in the order in which these lie; ``more``: onto what is there."""
    cdef Py_ssize_t panel, first, width, columns, i, j
    cdef const double* part
    for panel in range((k + 4 * WIDTH - 1) // (4 * WIDTH)):
        first = panel * 4 * WIDTH
        columns = min(4 * WIDTH, k - first)
        width = (columns + LINE - 1) // LINE * LINE
        part = &sums[first * m]
        if down < right:
            for j in range(columns):
                for i in range(m):
                    fold_sum(&node[2 * (i * down + (first + j) * right)], part[i * width + j], more)
        else:
            for i in range(m):
                for j in range(columns):
                    fold_sum(&node[2 * (i * down + (first + j) * right)], part[i * width + j], more)


cdef hot write_outer(rows to, const real* left, const real* right, Py_ssize_t m, Py_ssize_t p, Py_ssize_t k, bint more) noexcept nogil:
    """One lane's left @ right, an (m, k) matrix; ``more``: onto what is there."""
    cdef Py_ssize_t i, j, q
    cdef real factor
    for q in range(p):
        for i in range(m):
            factor = left[i * p + q]
            if more or q:
                for j in range(k):
                    to[i * k + j] = <real>canonical(fma_real(factor, right[q * k + j], to[i * k + j]))
            else:
                for j in range(k):
                    to[i * k + j] = <real>canonical(factor * right[j])


cdef void add_outers(Scratch* scratch, const unsigned char* masked) noexcept nogil:
    """The products of a call."""
    turn(&scratch.turned[0 * LANES], &scratch.values[1 * LANES], 1, 32, 1, 1, masked)
    turn(&scratch.turned[32 * LANES], &scratch.values[75 * LANES], 1, 32, 32, 1, masked)
    add_outer(&scratch.products[0], &scratch.data[0 * LANES], 1, 64, &scratch.turned[0 * LANES], 64, 1, 32)
    add_outer(&scratch.products[2048], &scratch.values[33 * LANES], 1, 1, &scratch.turned[32 * LANES], 10, 1, 32)


cdef void fold_outers(Scratch* scratch, double* node) noexcept nogil:
    """The products of a tile, each to its place among all parameters."""
    fold_outer(&node[2 * 1], 1, 64, &scratch.products[0], 64, 32, 0)
    fold_outer(&node[2 * 2081], 32, 1, &scratch.products[2048], 10, 32, 0)


cdef void fold_gradients(double* high, double* low, double* node) noexcept nogil:
    """The loss and the rows of the gradient, each to its place among all parameters."""
    fold(high, low, 1, node)
    fold(&high[1 * LANES], &low[1 * LANES], 32, &node[2 * 2049])
    fold(&high[33 * LANES], &low[33 * LANES], 10, &node[2 * 2401])


cdef void sum_tile(Sweep* sweep, Scratch* scratch, Py_ssize_t tile, double* node) noexcept nogil:
    """The samples of a tile: calls of the lane function onto each lane's pairs, and these folded."""
    cdef Py_ssize_t call, start, count, n_masked, n_rows = sweep.n_rows
    cdef Py_ssize_t n_lanes = LANES, waiting = 0  # calls whose values are not yet added
    cdef real* data = scratch.data
    cdef real* values
    cdef double* sums = scratch.sums
    cdef double* low = &sums[(n_rows + 1) * LANES]
    cdef unsigned char[LANES] masked
    cdef bint weighted = sweep.columns[WEIGHTS].base != NULL
    memset(sums, 0, 2 * (n_rows + 1) * LANES * sizeof(double))
    if sweep.with_gradient:
        memset(scratch.products, 0, PRODUCTS * sizeof(double))
    for call in range(DEPTH):
        start = tile * TILE_ROWS + call * LANES
        count = min(n_lanes, sweep.n - start)
        if count <= 0:
            break
        n_masked = gather(sweep, scratch, start, count, masked)
        if n_masked == LANES:
            continue
        if sweep.shrunk:
            shrink(&data[WEIGHT_ROW * LANES])
        values = &scratch.values[waiting * VALUE_ROWS * LANES]
        sweep.function(sweep.c, data, values)
        if sweep.with_gradient:
            add_outers(scratch, masked if n_masked else NULL)
        if n_masked:
            clear_masked(values, n_rows, masked)
            clear_masked(&data[WEIGHT_ROW * LANES], 1, masked)
        waiting += 1
        if waiting == BATCH:
            accumulate(scratch.values, waiting, sums, low, n_rows)
            waiting = 0
        if weighted:
            accumulate(&data[WEIGHT_ROW * LANES], 1, &sums[n_rows * LANES], &low[n_rows * LANES], 1)
    accumulate(scratch.values, waiting, sums, low, n_rows)
    fold(&sums[n_rows * LANES], &low[n_rows * LANES], 1, node)
    if sweep.with_gradient:
        fold_gradients(sums, low, &node[2])
        fold_outers(scratch, &node[2])
    else:
        fold(sums, low, 1, &node[2])


cdef void sum_block(Sweep* sweep, Scratch* scratch, Nodes stack) noexcept nogil:
    """The samples of a block, into the first node of the stack: a tree over its tiles.

    A sum that is not finite, though the mean may be, is computed once more with smaller weights, tile by tile. So the
    result is still a matter of each sample's place in the tree alone.
    """
    cdef Py_ssize_t tile, height = 0
    cdef Nodes node
    for tile in range((sweep.n + TILE_ROWS - 1) // TILE_ROWS):
        node = nodes_from(stack, height * sweep.n_sums)
        sum_tile(sweep, scratch, tile, node.sums)
        if not all_finite(node.sums, sweep.n_sums):
            sweep.shrunk = True
            sum_tile(sweep, scratch, tile, node.shrunk)
            sweep.shrunk = False
        height = push(stack, height + 1, tile, sweep.n_sums)
    collapse(stack, height, sweep.n_sums)


cdef extern from *:
    """
    #if defined(__SSE2__) && defined(__x86_64__)
    #include <emmintrin.h>
    #endif
    #if defined(__AVX512F__)
    #define PIECE 8
    typedef real piece __attribute__((vector_size(8 * sizeof(real)), aligned(sizeof(real)), may_alias));
    /* to[j * to_down + i] = from[i * LANES + j] for a square of numbers, turned in registers: rounds of exchanges between pairs */
    static inline hot turn_square(real *__restrict__ to, Py_ssize_t to_down, const real *__restrict__ from) {
        piece r0 = *(const piece *)(from + 0);
        piece r1 = *(const piece *)(from + 64);
        piece r2 = *(const piece *)(from + 128);
        piece r3 = *(const piece *)(from + 192);
        piece r4 = *(const piece *)(from + 256);
        piece r5 = *(const piece *)(from + 320);
        piece r6 = *(const piece *)(from + 384);
        piece r7 = *(const piece *)(from + 448);
        piece upper;
        upper = __builtin_shufflevector(r0, r1, 0, 8, 2, 10, 4, 12, 6, 14);
        r1 = __builtin_shufflevector(r0, r1, 1, 9, 3, 11, 5, 13, 7, 15);
        r0 = upper;
        upper = __builtin_shufflevector(r2, r3, 0, 8, 2, 10, 4, 12, 6, 14);
        r3 = __builtin_shufflevector(r2, r3, 1, 9, 3, 11, 5, 13, 7, 15);
        r2 = upper;
        upper = __builtin_shufflevector(r4, r5, 0, 8, 2, 10, 4, 12, 6, 14);
        r5 = __builtin_shufflevector(r4, r5, 1, 9, 3, 11, 5, 13, 7, 15);
        r4 = upper;
        upper = __builtin_shufflevector(r6, r7, 0, 8, 2, 10, 4, 12, 6, 14);
        r7 = __builtin_shufflevector(r6, r7, 1, 9, 3, 11, 5, 13, 7, 15);
        r6 = upper;
        upper = __builtin_shufflevector(r0, r2, 0, 1, 8, 9, 4, 5, 12, 13);
        r2 = __builtin_shufflevector(r0, r2, 2, 3, 10, 11, 6, 7, 14, 15);
        r0 = upper;
        upper = __builtin_shufflevector(r1, r3, 0, 1, 8, 9, 4, 5, 12, 13);
        r3 = __builtin_shufflevector(r1, r3, 2, 3, 10, 11, 6, 7, 14, 15);
        r1 = upper;
        upper = __builtin_shufflevector(r4, r6, 0, 1, 8, 9, 4, 5, 12, 13);
        r6 = __builtin_shufflevector(r4, r6, 2, 3, 10, 11, 6, 7, 14, 15);
        r4 = upper;
        upper = __builtin_shufflevector(r5, r7, 0, 1, 8, 9, 4, 5, 12, 13);
        r7 = __builtin_shufflevector(r5, r7, 2, 3, 10, 11, 6, 7, 14, 15);
        r5 = upper;
        upper = __builtin_shufflevector(r0, r4, 0, 1, 2, 3, 8, 9, 10, 11);
        r4 = __builtin_shufflevector(r0, r4, 4, 5, 6, 7, 12, 13, 14, 15);
        r0 = upper;
        upper = __builtin_shufflevector(r1, r5, 0, 1, 2, 3, 8, 9, 10, 11);
        r5 = __builtin_shufflevector(r1, r5, 4, 5, 6, 7, 12, 13, 14, 15);
        r1 = upper;
        upper = __builtin_shufflevector(r2, r6, 0, 1, 2, 3, 8, 9, 10, 11);
        r6 = __builtin_shufflevector(r2, r6, 4, 5, 6, 7, 12, 13, 14, 15);
        r2 = upper;
        upper = __builtin_shufflevector(r3, r7, 0, 1, 2, 3, 8, 9, 10, 11);
        r7 = __builtin_shufflevector(r3, r7, 4, 5, 6, 7, 12, 13, 14, 15);
        r3 = upper;
        *(piece *)(to + 0 * to_down) = r0;
        *(piece *)(to + 1 * to_down) = r1;
        *(piece *)(to + 2 * to_down) = r2;
        *(piece *)(to + 3 * to_down) = r3;
        *(piece *)(to + 4 * to_down) = r4;
        *(piece *)(to + 5 * to_down) = r5;
        *(piece *)(to + 6 * to_down) = r6;
        *(piece *)(to + 7 * to_down) = r7;
    }
    /* Fewer rows than a piece is long: how many lanes were written. */
    static hot_function Py_ssize_t interleave(const real *values, Py_ssize_t rows, real *to, Py_ssize_t count) {
        Py_ssize_t lane = 0;
        return lane;
    }

    #elif defined(__AVX__)
    #define PIECE 4
    typedef real piece __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));
    /* to[j * to_down + i] = from[i * LANES + j] for a square of numbers, turned in registers: rounds of exchanges between pairs */
    static inline hot turn_square(real *__restrict__ to, Py_ssize_t to_down, const real *__restrict__ from) {
        piece r0 = *(const piece *)(from + 0);
        piece r1 = *(const piece *)(from + 64);
        piece r2 = *(const piece *)(from + 128);
        piece r3 = *(const piece *)(from + 192);
        piece upper;
        upper = __builtin_shufflevector(r0, r1, 0, 4, 2, 6);
        r1 = __builtin_shufflevector(r0, r1, 1, 5, 3, 7);
        r0 = upper;
        upper = __builtin_shufflevector(r2, r3, 0, 4, 2, 6);
        r3 = __builtin_shufflevector(r2, r3, 1, 5, 3, 7);
        r2 = upper;
        upper = __builtin_shufflevector(r0, r2, 0, 1, 4, 5);
        r2 = __builtin_shufflevector(r0, r2, 2, 3, 6, 7);
        r0 = upper;
        upper = __builtin_shufflevector(r1, r3, 0, 1, 4, 5);
        r3 = __builtin_shufflevector(r1, r3, 2, 3, 6, 7);
        r1 = upper;
        *(piece *)(to + 0 * to_down) = r0;
        *(piece *)(to + 1 * to_down) = r1;
        *(piece *)(to + 2 * to_down) = r2;
        *(piece *)(to + 3 * to_down) = r3;
    }
    /* Fewer rows than a piece is long: how many lanes were written. */
    static hot_function Py_ssize_t interleave(const real *values, Py_ssize_t rows, real *to, Py_ssize_t count) {
        Py_ssize_t lane = 0;
        return lane;
    }

    #else
    #define PIECE 2
    typedef real piece __attribute__((vector_size(2 * sizeof(real)), aligned(sizeof(real)), may_alias));
    /* to[j * to_down + i] = from[i * LANES + j] for a square of numbers, turned in registers: rounds of exchanges between pairs */
    static inline hot turn_square(real *__restrict__ to, Py_ssize_t to_down, const real *__restrict__ from) {
        piece r0 = *(const piece *)(from + 0);
        piece r1 = *(const piece *)(from + 64);
        piece upper;
        upper = __builtin_shufflevector(r0, r1, 0, 2);
        r1 = __builtin_shufflevector(r0, r1, 1, 3);
        r0 = upper;
        *(piece *)(to + 0 * to_down) = r0;
        *(piece *)(to + 1 * to_down) = r1;
    }
    /* Fewer rows than a piece is long: how many lanes were written. */
    static hot_function Py_ssize_t interleave(const real *values, Py_ssize_t rows, real *to, Py_ssize_t count) {
        Py_ssize_t lane = 0;
        return lane;
    }

    #endif
    /* to[lane * row_length + row] = values[row * LANES + lane]. The last columns may be written twice, with the same numbers. */
    static hot scatter(const real *values, Py_ssize_t n_rows, real *to, Py_ssize_t row_length, Py_ssize_t count) {
        Py_ssize_t lane = 0, row;
        if (n_rows >= PIECE) {
            for (; lane + PIECE <= count; lane += PIECE) {
                for (row = 0; row + PIECE <= n_rows; row += PIECE)
                    turn_square(to + lane * row_length + row, row_length, values + row * 64 + lane);
                if (row < n_rows)
                    turn_square(to + lane * row_length + n_rows - PIECE, row_length, values + (n_rows - PIECE) * 64 + lane);
            }
        } else if (row_length == n_rows) lane = interleave(values, n_rows, to, count);
        for (; lane < count; lane++)
            for (row = 0; row < n_rows; row++) to[lane * row_length + row] = values[row * 64 + lane];
    }
    /* A copy past the caches, where the processor can: no line is read before it is written. ``settle_stores`` comes after. */
    #if defined(__SSE2__) && defined(__x86_64__)
    static inline hot stream_one(real *to, const real *from) {
        long long bits;
        memcpy(&bits, from, sizeof(real));
        _mm_stream_si64((long long *)to, bits);
    }
    static hot stream(real *to, const real *from, Py_ssize_t n) {
        const Py_ssize_t step = 16 / sizeof(real);
        for (; n && ((size_t)to & 15); n--) stream_one(to++, from++);
        for (; n >= step; n -= step, to += step, from += step)
            _mm_stream_si128((__m128i *)to, _mm_loadu_si128((const __m128i *)from));
        for (; n; n--) stream_one(to++, from++);
    }
    static void settle_stores(void) { _mm_sfence(); }
    #else
    static void stream(real *to, const real *from, Py_ssize_t n) { memcpy(to, from, n * sizeof(real)); }
    static void settle_stores(void) {}
    #endif
    """
    hot scatter(const real*, Py_ssize_t, real*, Py_ssize_t, Py_ssize_t) noexcept nogil  # rows of lanes to one row for each sample
    void stream(real*, const real*, Py_ssize_t) noexcept nogil  # a copy past the caches
    void settle_stores() noexcept nogil

cdef enum:
    STREAMED = 1 << 21  # bytes of a block of results, from which on they are written past the caches


cdef hot settle(real* values, Py_ssize_t n) noexcept nogil:
    """Every NaN gets the same bits."""
    cdef Py_ssize_t i
    for i in range(n):
        values[i] = <real>canonical(values[i])


cdef void turn_to_lanes(Scratch* scratch, Py_ssize_t count) noexcept nogil:
    """What the gradients of a call are made of: each lane's values one after the other, and so its data."""
    scatter(scratch.values, VALUE_ROWS, scratch.values_by_lane, VALUE_ROWS, count)
    scatter(scratch.data, WEIGHT_ROW, scratch.data_by_lane, WEIGHT_ROW, count)


cdef void write_gradient(const real* values, const real* data, real* to) noexcept nogil:
    """One lane's gradient, from what is that lane's."""
    memcpy(&to[2048], &values[1], 32 * sizeof(real))
    memcpy(&to[2400], &values[33], 10 * sizeof(real))
    write_outer(&to[0], &values[1], &data[0], 32, 1, 64, 0)
    write_outer(&to[2080], &values[33], &values[75], 10, 1, 32, 0)


cdef void write_rows(Sweep* sweep, Scratch scratch, Py_ssize_t lane, real* to, Py_ssize_t count) noexcept nogil:
    """The rows of ``count`` lanes of a call, from ``lane`` on."""
    cdef Py_ssize_t here
    scratch.values += lane
    if sweep.with_gradient:
        for here in range(lane, lane + count):
            write_gradient(&scratch.values_by_lane[here * VALUE_ROWS], &scratch.data_by_lane[here * WEIGHT_ROW], &to[(here - lane) * N_COLUMNS])
        return
    scatter(&scratch.values[sweep.first_row * LANES], sweep.out_rows, to, sweep.out_rows, count)


cdef Py_ssize_t lanes_together(Py_ssize_t row_size) noexcept nogil:
    """Lanes whose rows are put together before they are written past the caches: in the first cache."""
    cdef Py_ssize_t lanes = LANES
    while lanes > 1 and lanes * row_size > 1 << 14:
        lanes //= 2
    return lanes


cdef void write_block(Sweep* sweep, Scratch* scratch) noexcept nogil:
    """The rows of all samples of a block, to ``out``: past the caches if they are many, so that no line is read first."""
    cdef Py_ssize_t lane, here, count, start = 0, n_lanes = LANES
    cdef Py_ssize_t together = n_lanes, row_size = sweep.out_rows * sizeof(real)
    cdef void* memory = NULL
    cdef real* room = NULL  # without one, rows go to their places at once
    cdef real* to = <real*>sweep.out
    cdef unsigned char[LANES] masked
    if sweep.n * row_size >= STREAMED:
        together = lanes_together(row_size)
        memory = malloc(together * row_size + 64)
        if memory != NULL:
            room = <real*>(<size_t>memory + 64 & ~<size_t>63)
    while start < sweep.n:
        here = min(n_lanes, sweep.n - start)
        gather(sweep, scratch, start, here, masked)
        sweep.function(sweep.c, scratch.data, scratch.values)
        settle(scratch.values, sweep.n_rows * LANES)
        if sweep.with_gradient:
            turn_to_lanes(scratch, here)
        lane = 0
        while lane < here:
            count = min(together, here - lane)
            write_rows(sweep, scratch[0], lane, to if room == NULL else room, count)
            if room != NULL:
                stream(to, room, count * sweep.out_rows)
            to += count * sweep.out_rows
            lane += count
        start += here
    if room != NULL:
        settle_stores()
        free(memory)


cdef object _DOUBLE = np.dtype(np.float64)
cdef object _REAL = np.dtype(np.float64)
cdef object _ARRAY = np.ndarray
cdef object _empty = np.empty
_THETA = "an array of shape (%d,)" % N_PARAMETERS
_NODES = "dictionaries {(level, index): float64 array of shape (%d, 2)}" % (3 + N_COLUMNS)
_THREADS = "None or a positive integer"
_UNUSED = object()  # the targets of predict
# The errors that a wrong array gets, both with the same texts everywhere (symgrad puts its own subclasses here).
ArrayError = ValueError
ArrayTypeError = TypeError


def risk(theta, inputs, targets, weights=None, *, threads=None):
    """The mean loss, plus the penalty if there is one: a float.

    theta (2410,) flat, inputs (N, 64), targets (N, 1): (N,) will do for one column, None for none.
    weights (N,): the mean is sum(w * loss) / sum(w). threads: None takes what the work is worth.
    Raises ValueError for a wrong shape and TypeError for a wrong kind of array.
    """
    return _mean(_bound(inputs, targets, weights, threads), _theta(theta), None)


def gradient(theta, inputs, targets, weights=None, *, out=None, threads=None):
    """The gradient of `risk`, (2410,): one epoch in one pass. Arguments as for `risk`."""
    cdef _Bound data = _bound(inputs, targets, weights, threads)
    theta = _theta(theta)
    out = _result(out, (N_PARAMETERS,), theta, data)
    _mean(data, theta, out)
    return out


def risk_and_gradient(theta, inputs, targets, weights=None, *, threads=None):
    """`(risk, gradient)` in one pass, as scipy.optimize.minimize(..., jac=True) takes them."""
    cdef _Bound data = _bound(inputs, targets, weights, threads)
    theta = _theta(theta)
    out = _empty(N_PARAMETERS, _REAL)
    return _mean(data, theta, out), out


def per_sample_loss(theta, inputs, targets, *, out=None, threads=None):
    """Each sample's loss, (N,), without the penalty. Arguments as for `risk`; an interrupted call leaves out partly written."""
    cdef _Bound data = _bound(inputs, targets, None, threads)
    theta = _theta(theta)
    out = _result(out, (data.n,), theta, data)
    _each(data, theta, losses, 1, 1, 0, out)
    return out


def per_sample_gradient(theta, inputs, targets, *, out=None, threads=None):
    """Each sample's gradient, (N, 2410), without the penalty's. Arguments as for `risk`."""
    cdef _Bound data = _bound(inputs, targets, None, threads)
    theta = _theta(theta)
    out = _result(out, (data.n, N_PARAMETERS), theta, data)
    _each(data, theta, gradients, 43, N_COLUMNS, 1, out)
    return out


def predict(theta, inputs, *, threads=None):
    """The model's output for each row of inputs: (N, PREDICTIONS)."""
    cdef _Bound data = _bound(inputs, _UNUSED, None, threads)
    out = np.empty((data.n, PREDICTIONS), _REAL)
    _each(data, _theta(theta), predictions, PREDICTIONS, PREDICTIONS, 0, out)
    return out


def bind(inputs, targets, weights=None, *, threads=None):
    """The arrays checked once: ``f = bind(...)``, then ``f(theta)`` is `(risk, gradient)`. Arguments as for `risk`."""
    return _bound(inputs, targets, weights, threads)


def pack(values):
    """A flat theta, (2410,), from ``{name: array}``, each array in its parameter's shape."""
    shapes = dict(PARAMETERS)
    if not isinstance(values, dict):
        _refuse(ArrayTypeError, "values", "a dictionary {name: array}", type(values).__name__, "unpack(theta) shows one")
    if set(values) != set(shapes):
        _refuse(ArrayError, "values", "the names %s" % list(shapes), list(values), "give each parameter once")
    parts = [_numbers("values[%r]" % name, values[name], "an array of shape %s" % (shapes[name],)) for name in shapes]
    for name, part in zip(shapes, parts):
        if part.shape != shapes[name]:
            _refuse(ArrayError, "values[%r]" % name, "shape %s" % (shapes[name],), part.shape, "reshape it")
    return np.concatenate([part.ravel() for part in parts]).astype(_DOUBLE)


def unpack(theta):
    """``{name: array}`` from a flat theta, each array a copy in its parameter's shape."""
    shapes = dict(PARAMETERS)
    ends = np.cumsum([int(np.prod(shapes[name])) for name in shapes])
    parts = np.split(_theta(theta), ends[:len(ends) - 1])
    return {name: part.reshape(shapes[name]).copy() for name, part in zip(shapes, parts)}


def partial_sums(theta, inputs, targets, weights=None, *, first=0, threads=None):
    """The sums over these rows, as `merge_sums` takes them: `{(level, index): array}`, a few small arrays.

    first: where these rows begin among all rows, a multiple of TILE. N too is one, unless these rows are the last. All
    rows are a row of tiles, of TILE rows each; the node (level, index) has the tiles from index * 2**level on, 2**level
    of them or those that there are. Its array, float64 (2413, 2), has in row 0 the number of rows and 0;
    then pairs, high and low, whose sums are those of the weights (without weights, of ones), of w * loss and of
    w * gradient, without the penalty. Where such a sum is beyond the range of double its pair is not finite, and the
    array has two columns more: pairs that are 2**-512 times the sums, for the rows that are not finite.
    Equal rows give equal bits, for any number of threads. Other arguments and errors as for `risk`.
    """
    cdef _Bound data = _Bound(inputs, targets, weights, threads)
    cdef Py_ssize_t tile = _first_tile(first), end = tile + (data.n + TILE_ROWS - 1) // TILE_ROWS, at = tile, level, start, n
    cdef dict nodes = {}
    cdef _Job job
    cdef _Tree root
    theta = _theta(theta)
    cdef Environment environment = calm()
    try:
        job = _job(data, theta, gradients, 43, True)
        while at < end:
            level = 0
            while not at >> level & 1 and at + (<Py_ssize_t>2 << level) <= end:
                level += 1
            start = (at - tile) * TILE_ROWS
            n = min(TILE_ROWS << level, data.n - start)
            root = job.sweep_rows(start, n)
            nodes[level, at >> level] = _array_of(root, n)
            _idle_trees.append(root)
            at += <Py_ssize_t>1 << level
    finally:
        restore(environment)
    return nodes


def merge_sums(theta, *parts):
    """`(risk, gradient)` over all rows, from what `partial_sums` gave for parts of them at the same theta.

    The same bits as `risk_and_gradient` over all rows at once, whatever the parts and their order. A node may come
    several times, if its bits are the same. ValueError where they are not, and where rows are missing or overlap, from
    row 0 to the last row that any part has; whether that is the last of all, only you can tell.
    """
    cdef dict nodes = {}
    for part in parts:
        if not isinstance(part, dict):
            _refuse(ArrayTypeError, "parts", _NODES, type(part).__name__, "pass what partial_sums returned")
        for key, array in part.items():
            _check_node(key, array)
            known = nodes.setdefault(key, array)
            if known is not array and np.ascontiguousarray(known).tobytes() != np.ascontiguousarray(array).tobytes():
                _refuse(ArrayError, "parts", "one array for the node %s" % (key,), "two that differ",
                        "was theta the same for all parts? else one was damaged")
    return _merged(_theta(theta), _in_order(nodes), nodes)


cdef object _merged(theta, list keys, dict nodes):
    cdef _Siblings siblings = _Siblings()
    cdef Py_ssize_t level, index
    cdef real* c
    level, index = keys[len(keys) - 1]
    rows = int(nodes[level, index][0, 0])
    siblings.tiles = (index << level) + (rows + TILE_ROWS - 1) // TILE_ROWS
    siblings.n_sums = 2 + N_COLUMNS
    out = np.empty(N_PARAMETERS, _REAL)
    cdef Environment environment = calm()
    try:
        for level, index in keys:
            siblings.join(_tree_of(nodes[level, index]), level, index)
        c = _invariants(theta)
        try:
            return _finish(siblings.root, c, out), out
        finally:
            free(c)
    finally:
        restore(environment)


cdef Py_ssize_t _first_tile(first) except -1:
    expected = "a multiple of TILE, %d, that is not negative" % TILE_ROWS
    if not isinstance(first, (int, np.integer)) or isinstance(first, bool):
        _refuse(ArrayTypeError, "first", expected, repr(first), "it is the number of rows before these")
    if first < 0 or first % TILE_ROWS or first > <Py_ssize_t>1 << 60:
        _refuse(ArrayError, "first", expected, first, "split the rows at multiples of TILE")
    return first // TILE_ROWS


cdef double* _numbers_of(array) except? NULL:
    """A C-contiguous array's memory, which lives as long as the array."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    cdef double* numbers = <double*>view.buf
    PyBuffer_Release(&view)
    return numbers


cdef object _array_of(_Tree tree, Py_ssize_t n):
    """The first node of a tree, as `partial_sums` returns it."""
    cdef Py_ssize_t row, columns = 2 if all_finite(tree.nodes.sums, 2 + N_COLUMNS) else 4
    array = np.zeros((3 + N_COLUMNS, columns))
    cdef double* pair = _numbers_of(array)
    pair[0] = n
    for row in range(2 + N_COLUMNS):
        pair += columns
        pair[0] = canonical(tree.nodes.sums[2 * row])
        pair[1] = canonical(tree.nodes.sums[2 * row + 1])
        if not magnitude(pair[0]) <= GREATEST:
            pair[2] = canonical(tree.nodes.shrunk[2 * row])
            pair[3] = canonical(tree.nodes.shrunk[2 * row + 1])
    return array


cdef _Tree _tree_of(object node):
    array = np.ascontiguousarray(node)
    cdef Py_ssize_t row, columns = array.shape[1]
    cdef const double* pair = _numbers_of(array)
    cdef _Tree tree = _take(_idle_trees, _Tree)
    tree.reserve(1, 2 + N_COLUMNS)
    for row in range(2 + N_COLUMNS):
        pair += columns
        tree.nodes.sums[2 * row] = pair[0]
        tree.nodes.sums[2 * row + 1] = pair[1]
        if columns == 4:
            tree.nodes.shrunk[2 * row] = pair[2]
            tree.nodes.shrunk[2 * row + 1] = pair[3]
    return tree


cdef int _check_node(key, array) except -1:
    """Is it a node, and are there as many rows in it as there can be?"""
    cure = "pass what partial_sums returned"
    if not isinstance(key, tuple) or len(key) != 2 or not all([isinstance(k, (int, np.integer)) for k in key]):
        _refuse(ArrayTypeError, "parts", _NODES, "the key %r" % (key,), cure)
    if not isinstance(array, np.ndarray) or array.dtype != _DOUBLE:
        _refuse(ArrayTypeError, "parts", _NODES, "%s at %s" % (getattr(array, "dtype", type(array).__name__), key), cure)
    if array.shape not in ((3 + N_COLUMNS, 2), (3 + N_COLUMNS, 4)):
        _refuse(ArrayError, "parts", _NODES, "the shape %s at %s" % (array.shape, key), cure)
    level, index = key
    if not (0 <= level <= 50 and 0 <= index < 1 << 50 - level):
        _refuse(ArrayError, "parts", _NODES, "the key %s" % (key,), cure)
    if not 0 < array[0, 0] <= TILE_ROWS << level or array[0, 0] % 1:
        _refuse(ArrayError, "parts", "1 to %d rows at %s" % (TILE_ROWS << level, key), array[0, 0], cure)


cdef list _in_order(dict nodes):
    """The nodes' keys by their rows: each begins where the one before ends."""
    if not nodes:
        _refuse(ArrayError, "parts", "at least one row", "none", "the mean over an empty data set is undefined")
    keys = sorted(nodes, key=lambda key: (key[1] << key[0], key[0]))
    end = 0
    for level, index in keys:
        start = (index << level) * TILE_ROWS
        if start > end:
            _refuse(ArrayError, "parts", "all rows from 0 on", "none of the rows %d to %d" % (end, start - 1),
                    "they come before those of the node %s" % ((level, index),))
        if start < end:
            _refuse(ArrayError, "parts", "each row once", "the rows of the node %s twice" % ((level, index),),
                    "split the rows in one way")
        end = start + int(nodes[level, index][0, 0])
    return keys


cdef class _Bound:
    """Arrays that were checked once; called with theta it gives `(risk, gradient)`."""

    cdef tuple arrays  # inputs, targets, weights: each an array of N rows, or N numbers for one column, or None
    cdef Column[3] columns  # where they are read in place
    cdef Py_ssize_t n, threads

    def __init__(self, inputs, targets, weights, threads):
        self.check(inputs, targets, weights, threads)

    cdef int check(self, inputs, targets, weights, threads) except -1:
        self.threads = _threads(threads)
        self.n = -1
        cdef bint equal = True
        self.arrays = (
            None if inputs is None and INPUT_COLUMNS == 0 else self.table(0, "inputs", inputs, INPUT_COLUMNS, &equal),
            None if targets is _UNUSED or (targets is None and TARGET_COLUMNS == 0)
            else self.table(1, "targets", targets, TARGET_COLUMNS, &equal),
            None if weights is None else self.table(WEIGHTS, "weights", weights, 1, &equal),
        )
        if self.n < 0:
            _refuse(ArrayError, "inputs", "an array of shape (N, 0)", "None", "numpy.empty((N, 0)) says how many samples there are")
        if not equal:
            _refuse(ArrayError, "inputs, targets, weights", "one row for each sample in all of them",
                    "%s rows" % [len(array) for array in self.arrays if array is not None], "check which rows belong together")
        return 0

    cdef object table(self, int place, name, value, Py_ssize_t columns, bint* equal):
        """One of the sample arrays as an array; its memory goes to ``columns``, where it has numbers of this module's kind."""
        cdef Py_buffer view
        array = value if type(value) is _ARRAY and value.dtype is _REAL else _numbers(name, value, _shape_of(columns))
        PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
        cdef bint fits = view.ndim == 2 and view.shape[1] == columns or view.ndim == 1 and columns == 1
        if fits:
            equal[0] = equal[0] and (self.n < 0 or self.n == view.shape[0])
            self.n = view.shape[0]
            if view.len and (array.dtype is _REAL or array.dtype == _REAL):
                _take_place(&self.columns[place], &view)
        PyBuffer_Release(&view)
        if not fits:
            _refuse(ArrayError, name, _shape_of(columns), array.shape, "a row is one sample")
        return array

    def __call__(self, theta):
        out = _empty(N_PARAMETERS, _REAL)
        return _mean(self, _theta(theta), out), out


cdef _Bound _bound(inputs, targets, weights, threads):
    cdef _Bound data = _Bound.__new__(_Bound)
    data.check(inputs, targets, weights, threads)
    return data


cdef class _Tree:
    """The nodes of a tree of sums that wait for their siblings, one of each height; the result is the first."""

    cdef Nodes nodes
    cdef Py_ssize_t room

    def __dealloc__(self):
        free(self.nodes.sums)
        free(self.nodes.shrunk)

    cdef int reserve(self, Py_ssize_t n, Py_ssize_t n_sums) except -1:
        """Room for a node of each height that the tree of n samples has."""
        cdef Py_ssize_t heights = 1, tiles = (n + TILE_ROWS - 1) // TILE_ROWS
        while tiles > 1:
            tiles //= 2
            heights += 1
        if heights * n_sums > self.room:
            self.room = 0
            free(self.nodes.sums)
            free(self.nodes.shrunk)
            self.nodes.sums = <double*>large_memory(2 * heights * n_sums * sizeof(double))
            self.nodes.shrunk = <double*>malloc(2 * heights * n_sums * sizeof(double))  # hardly ever touched
            if self.nodes.sums == NULL or self.nodes.shrunk == NULL:
                raise MemoryError()
            self.room = heights * n_sums
        return 0


cdef class _Siblings:
    """Nodes of the tree over a number of tiles, merged with their siblings as these come: in any order, from any thread."""

    cdef Py_ssize_t tiles, n_sums
    cdef dict waiting  # {(level, index): _Tree}: those whose siblings are not there yet
    cdef object lock  # of waiting
    cdef _Tree root  # the sum of all tiles

    def __cinit__(self):
        self.waiting = {}
        self.lock = Lock()

    cdef int join(self, _Tree node, Py_ssize_t level, Py_ssize_t index) except -1:
        """The node of tiles index * 2**level, ... with its sibling, if that is there, and so on up the tree."""
        cdef Py_ssize_t width = (self.tiles - 1 >> level) + 1
        cdef _Tree sibling
        while width > 1:
            if index ^ 1 < width:  # the last of an odd number of nodes rises alone
                with self.lock:
                    sibling = self.waiting.pop((level, index ^ 1), None)
                    if sibling is None:
                        self.waiting[level, index] = node
                        return 0
                if index & 1:
                    node, sibling = sibling, node
                with nogil:
                    merge_nodes(node.nodes, sibling.nodes, self.n_sums)
                _idle_trees.append(sibling)
            index >>= 1
            width = (width + 1) >> 1
            level += 1
        self.root = node
        return 0


cdef class _Scratch:
    """What one thread works in: kept when it is done, so that the next call finds it warm."""

    cdef Scratch scratch
    cdef void* memory

    def __cinit__(self):
        cdef Scratch* scratch = &self.scratch
        cdef size_t at = 64, data = at  # each part begins at a multiple of 64 bytes, so that no vector lies across two cache lines
        at += (WEIGHT_ROW + 1) * LANES * sizeof(real) + 63 & ~63
        cdef size_t values = at
        at += BATCH * VALUE_ROWS * LANES * sizeof(real) + 63 & ~63
        cdef size_t sums = at
        at += 2 * (SUMMED_ROWS + 1) * LANES * sizeof(double)
        cdef size_t turned = at
        at += TURNED * LANES * sizeof(real) + 63 & ~63
        cdef size_t products = at
        at += PRODUCTS * sizeof(double)
        cdef size_t values_by_lane = at
        at += VALUE_ROWS * LANES * sizeof(real)
        cdef size_t data_by_lane = at
        at += WEIGHT_ROW * LANES * sizeof(real)
        self.memory = large_memory(at)
        if self.memory == NULL:
            raise MemoryError()
        cdef char* base = <char*>(<size_t>self.memory & ~<size_t>63)
        scratch.data = <real*>(base + data)
        scratch.values = <real*>(base + values)
        scratch.sums = <double*>(base + sums)
        scratch.turned = <real*>(base + turned)
        scratch.products = <double*>(base + products)
        scratch.values_by_lane = <real*>(base + values_by_lane)
        scratch.data_by_lane = <real*>(base + data_by_lane)

    def __dealloc__(self):
        free(self.memory)


# What no thread works with.
cdef list _idle_scratch = []
cdef list _idle_trees = []


cdef _take(list idle, kind):
    try:
        return idle.pop()
    except IndexError:
        return kind()


cdef double _last_sweep = 0.0  # when the last one ended for which threads may be worth it


cdef class _Job:
    """One sweep over rows of bound arrays at one theta, a block at a time, from any thread."""

    cdef Sweep sweep
    cdef _Bound data
    cdef real* c
    cdef Py_ssize_t start, n  # the rows
    cdef Py_ssize_t block, blocks, begun  # rows of a block; how many there are; how many a thread has taken
    cdef Py_ssize_t threads, longest  # as many rows are taken at most
    cdef Py_ssize_t level  # of a block's node
    cdef _Siblings siblings
    cdef object out
    cdef Py_ssize_t helpers  # other threads that are at work in it
    cdef object failure  # of one of them
    cdef int** calls  # those that wait for a call, which they get when the first block begins
    cdef Py_ssize_t n_calls

    def __dealloc__(self):
        free(self.c)

    cdef int work(self, _Scratch scratch) except -1:
        """Blocks, until none is left: whole subtrees of them while there are many, and the last one by one."""
        cdef Py_ssize_t index, up
        cdef _Tree node
        while self.begun < self.blocks:
            index = self.begun
            up = 0
            while (index % (2 << up) == 0 and self.block << up < self.longest
                   and self.blocks - index >= (2 << up) * self.threads):
                up += 1
            self.begun += 1 << up
            node = self.run(index * self.block, self.block << up, scratch)
            if node is not None:
                self.siblings.join(node, self.level + up, index >> up)
        return 0

    cdef Py_ssize_t* help(self, _Scratch scratch):
        """The same in another thread: where it is counted until it leaves."""
        cdef Environment environment = calm()
        enter(&self.helpers)
        try:
            self.work(scratch)
        except BaseException as error:
            self.begun = self.blocks
            self.failure = error
        restore(environment)
        return &self.helpers

    cdef _Tree run(self, Py_ssize_t first, Py_ssize_t rows, _Scratch scratch):
        """As many rows from ``first`` on: to ``out``, or the node that is their sum."""
        PyErr_CheckSignals()
        cdef _Tree tree = None
        cdef Nodes nodes
        cdef Sweep sweep = self.sweep
        cdef Column column
        sweep.n = min(rows, self.n - first)
        if sweep.out != NULL:
            sweep.out += first * sweep.out_rows * sizeof(real)
        first += self.start
        converted = None  # kept until the sweep is done
        cdef int place
        for place in range(3):
            column = self.data.columns[place]
            if column.base != NULL:
                column.base += first * column.row_stride
            elif self.data.arrays[place] is not None and self.data.arrays[place].size:
                array = self.data.arrays[place]
                array = array[first:first + sweep.n].astype(_REAL)
                converted = array, converted
                _point(&column, array)
            sweep.columns[place] = column
        if sweep.columns[WEIGHTS].base != NULL and not weights_are_finite(sweep.columns[WEIGHTS], sweep.n):
            _check_weights(self.data.arrays[WEIGHTS][first:first + sweep.n])
        if sweep.out == NULL:
            tree = _take(_idle_trees, _Tree)
            tree.reserve(sweep.n, sweep.n_sums)
            nodes = tree.nodes
        cdef Py_ssize_t n_calls = self.n_calls
        self.n_calls = 0
        if n_calls == 0 and sweep.n * COST < 20_000:  # to give up the interpreter and to get it back may take longer
            compute_block(&sweep, &scratch.scratch, nodes)
        else:
            with nogil:
                call_helpers(self.calls, n_calls)  # now they find the interpreter free
                compute_block(&sweep, &scratch.scratch, nodes)
        return tree

    cdef _Tree sweep_rows(self, Py_ssize_t start, Py_ssize_t n):
        """All blocks of n rows from ``start``, on as many threads as the arrays were bound to, this one among them.

        The sum is the first node of the tree; without a weight, the weight is the number of rows.
        """
        global _last_sweep
        cdef Py_ssize_t threads = self.data.threads
        cdef _Scratch scratch = _take(_idle_scratch, _Scratch)
        cdef _Tree root
        if threads == 0:
            threads = _worthwhile_threads(n)
        self.start = start
        self.n = n
        self.begun = 0
        self.longest = self.block = _block_rows(n, 15_000_000)  # so soon is Ctrl-C seen
        if threads > 1:
            self.block = _block_rows(n, 100_000)  # so long does one wait for the other; a block costs microseconds
        self.blocks = (n + self.block - 1) // self.block
        self.threads = min(threads, self.blocks)
        if self.blocks == 1:
            root = self.run(0, n, scratch)
        else:
            root = self.sum_of_blocks(scratch)
        _idle_scratch.append(scratch)
        if n * COST >= FEW_NANOSECONDS:
            _last_sweep = seconds()
        if root is not None and self.data.arrays[WEIGHTS] is None:
            root.nodes.sums[0] = n
        return root

    cdef _Tree sum_of_blocks(self, _Scratch scratch):
        self.level = 0
        while TILE_ROWS << self.level < self.block:
            self.level += 1
        self.siblings = _Siblings()
        self.siblings.tiles = (self.n + TILE_ROWS - 1) // TILE_ROWS
        self.siblings.n_sums = self.sweep.n_sums
        if self.threads == 1:
            self.work(scratch)
        else:
            self.work_together(scratch)
        return self.siblings.root

    cdef int work_together(self, _Scratch scratch) except -1:
        """This thread, with others that wait since the sweep before, or are started."""
        cdef list helpers = []
        cdef _Helper helper
        cdef Py_ssize_t waiting = 0
        self.failure = None
        self.calls = <int**>malloc(self.threads * sizeof(int*))
        if self.calls == NULL:
            raise MemoryError()
        try:
            for _ in range(self.threads - 1):
                helper = _waiting_helper() or _Helper()
                helper.job = self
                helpers.append(helper)
                if helper.state == WAITING:
                    self.calls[waiting] = &helper.state
                    waiting += 1
                elif self.begun >= self.blocks or not _started(helper):  # all is done already, or there are no more
                    break
            self.n_calls = waiting
            self.work(scratch)
        finally:
            self.begun = self.blocks  # after an error, the others stop too
            self.n_calls = 0
            for helper in helpers:  # one that comes from now on is too late
                helper.job = None
            with nogil:
                wait_for_helpers(&self.helpers)
            free(self.calls)
        if self.failure is not None:
            raise self.failure
        return 0


cdef extern from *:
    """
    #include <sched.h>
    #include <time.h>
    #define PATIENCE 2e-4  /* seconds for which a thread waits for the next sweep */
    enum { CALLED, WAITING, GONE };  /* states of a helper */
    static void rest(int turn) {  /* about a microsecond; then the processor is whoever's needs it */
    #if defined(__x86_64__)
        __builtin_ia32_pause();
    #endif
        if (turn % 32 == 31) sched_yield();
    }
    static double seconds(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec + 1e-9 * now.tv_nsec;
    }
    static void enter(Py_ssize_t *helpers) { __atomic_add_fetch(helpers, 1, __ATOMIC_ACQ_REL); }
    static void call_helpers(int **states, Py_ssize_t n) {
        for (Py_ssize_t i = 0; i < n; i++) {
            int waiting = WAITING;
            __atomic_compare_exchange_n(states[i], &waiting, CALLED, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
        }
    }
    /* Out of the sweep that it helped with, if it did; then it waits: has it been called? */
    static int leave_and_wait(Py_ssize_t *helpers, int *state) {
        double end = seconds() + PATIENCE;
        int waiting = WAITING;
        __atomic_store_n(state, WAITING, __ATOMIC_RELEASE);
        if (helpers != NULL) __atomic_sub_fetch(helpers, 1, __ATOMIC_ACQ_REL);
        while (seconds() < end)
            for (int turn = 0; turn < 32; turn++) {
                if (__atomic_load_n(state, __ATOMIC_ACQUIRE) == CALLED) return 1;
                rest(turn);
            }
        return !__atomic_compare_exchange_n(state, &waiting, GONE, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    static void wait_for_helpers(Py_ssize_t *helpers) {
        for (int turn = 0; __atomic_load_n(helpers, __ATOMIC_ACQUIRE); turn = (turn + 1) % 32) rest(turn);
    }
    """
    const double PATIENCE
    const int WAITING
    double seconds() noexcept nogil
    void enter(Py_ssize_t*) noexcept nogil
    void call_helpers(int**, Py_ssize_t) noexcept nogil
    bint leave_and_wait(Py_ssize_t*, int*) noexcept nogil
    void wait_for_helpers(Py_ssize_t*) noexcept nogil


cdef list _waiting = []  # helpers; some of them may be gone


cdef class _Helper:
    """A thread that works at a job with another, and then waits a moment for the next: a fork loses it, and no call needs it."""

    cdef int state
    cdef _Job job  # until the call that it is for has ended

    def stay(self):
        """What the thread does."""
        cdef _Job job
        cdef Py_ssize_t* helpers
        cdef bint called = True
        cdef _Scratch scratch = _take(_idle_scratch, _Scratch)  # from sweep to sweep the same, near to its processor
        while called:
            job = self.job
            helpers = job.help(scratch) if job is not None else NULL
            self.job = job = None  # before it leaves: when the call ends, its arrays are its caller's alone
            _waiting.append(self)
            with nogil:
                called = leave_and_wait(helpers, &self.state)
        _idle_scratch.insert(0, scratch)
        if self in _waiting:
            _waiting.remove(self)


cdef _Helper _waiting_helper():
    """One that can be called, or None."""
    cdef _Helper helper
    while _waiting:
        helper = _waiting.pop()
        if helper.state == WAITING:
            return helper
    return None


cdef bint _started(_Helper helper):
    """Could one more thread be had?"""
    try:
        start_new_thread(helper.stay, ())
    except RuntimeError:
        return False
    return True


cdef bint weights_are_finite(Column weights, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t row, others = 0
    cdef real weight
    for row in range(n):
        memcpy(&weight, weights.base + row * weights.row_stride, sizeof(real))
        others += not magnitude(weight) <= GREATEST
    return others == 0


cdef void compute_block(Sweep* sweep, Scratch* scratch, Nodes nodes) noexcept nogil:
    if sweep.out != NULL:
        write_block(sweep, scratch)
    else:
        sum_block(sweep, scratch, nodes)


cdef _Job _job(_Bound data, theta, LaneFunction function, Py_ssize_t n_rows, bint with_gradient):
    cdef _Job job = _Job.__new__(_Job)
    job.c = _invariants(theta)
    job.data = data
    job.sweep.function = function
    job.sweep.c = job.c
    job.sweep.n_rows = n_rows
    job.sweep.with_gradient = with_gradient
    job.sweep.n_sums = 2 + with_gradient * N_COLUMNS
    return job


cdef real* _invariants(theta) except NULL:
    """What is computed once for a theta, in memory that is the caller's."""
    cdef Py_buffer view
    cdef real* c = <real*>calloc(INVARIANTS + 1, sizeof(real))
    if c == NULL:
        raise MemoryError()
    PyObject_GetBuffer(theta, &view, PyBUF_STRIDES)
    once(<const double*>view.buf, c)
    PyBuffer_Release(&view)
    return c


cdef double _mean(_Bound data, theta, out) except? -1.0:
    """The risk; its gradient goes to ``out``, if that is not None."""
    cdef _Job job
    if data.n == 0:
        _refuse(ArrayError, "inputs", "at least one sample", "none", "the mean over an empty data set is undefined")
    cdef Environment environment = calm()
    try:
        job = (_job(data, theta, losses, 1, False) if out is None
               else _job(data, theta, gradients, 43, True))
        return _finish(job.sweep_rows(0, data.n), job.c, out)
    finally:
        restore(environment)


cdef double _finish(_Tree tree, const real* c, out) except? -1.0:
    """The mean from all samples' sums, plus the penalty: the risk; the gradient goes to ``out``."""
    cdef const double* sums = tree.nodes.sums
    cdef const double* shrunk = tree.nodes.shrunk
    cdef double total = sums[0] + sums[1], unit = 1.0
    cdef Py_buffer view
    if not magnitude(sums[0]) <= GREATEST:
        total = shrunk[0] + shrunk[1]
        unit = SHRINK
    if not magnitude(total) <= GREATEST or total == 0.0:
        _refuse(ArrayError, "weights", "a finite sum other than zero", total, "the weighted mean divides by it")
    if out is not None:
        PyObject_GetBuffer(out, &view, PyBUF_STRIDES)
        if unit == 1.0 and all_finite(&sums[4], N_COLUMNS):
            divide(<real*>view.buf, &sums[4], N_COLUMNS, total)
        else:
            divide_each(<real*>view.buf, &sums[4], &shrunk[4], N_COLUMNS, total, unit)
        PyBuffer_Release(&view)
    cdef double risk = canonical(quotient(&sums[2], &shrunk[2], total, unit))

    _idle_trees.append(tree)
    return risk


cdef int _each(_Bound data, theta, LaneFunction function, Py_ssize_t n_rows, Py_ssize_t out_rows, Py_ssize_t first_row,
               out) except -1:
    """Each sample's ``out_rows`` values, the function's rows from ``first_row`` on, into ``out``."""
    cdef _Job job
    cdef Py_buffer view
    if data.n == 0:
        return 0
    cdef Environment environment = calm()
    try:
        job = _job(data, theta, function, n_rows, first_row > 0)
        job.out = out
        PyObject_GetBuffer(out, &view, PyBUF_STRIDES)
        job.sweep.out = <char*>view.buf
        PyBuffer_Release(&view)
        job.sweep.first_row = first_row
        job.sweep.out_rows = out_rows
        job.sweep_rows(0, data.n)
    finally:
        restore(environment)
    return 0


cdef int _point(Column* column, array) except -1:
    """Point ``column`` at a table's memory, which lives as long as the array."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    _take_place(column, &view)
    PyBuffer_Release(&view)
    return 0


cdef void _take_place(Column* column, Py_buffer* view) noexcept:
    column.base = <const char*>view.buf
    column.row_stride = view.strides[0]
    column.column_stride = view.strides[1] if view.ndim > 1 else sizeof(real)


cdef enum:
    FEW_NANOSECONDS = 300_000  # less work than this is done by one thread
    MANY_NANOSECONDS = 1_000_000  # more than this is worth the start of others


cdef Py_ssize_t _worthwhile_threads(Py_ssize_t n):
    """The processor cores that this process may use, or one.

    Between few and many, others help if calls follow one another so closely that they wait from one to the next.
    """
    if n * COST < FEW_NANOSECONDS or n * COST < MANY_NANOSECONDS and seconds() - _last_sweep > PATIENCE:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


cdef Py_ssize_t _block_rows(Py_ssize_t n, double nanoseconds):
    """Rows of a block: a power of two of tiles that takes about so long. No result depends on it."""
    cdef Py_ssize_t rows = TILE_ROWS
    while rows < n and rows * COST < nanoseconds and rows * (WEIGHT_ROW + 1) < 1 << 22:
        rows *= 2
    return rows


cdef int _refuse(error, name, expected, got, cure) except -1:
    raise error("%s: expected %s, got %s; %s" % (name, expected, got, cure))


cdef object _numbers(name, value, expected):
    """A NumPy array of real numbers."""
    if value is None or isinstance(value, np.ma.MaskedArray):
        _refuse(ArrayTypeError, name, expected, type(value).__name__, "pass numbers alone: a mask would be lost")
    try:
        array = np.asarray(value)
    except ValueError as error:
        _refuse(ArrayError, name, expected, error, "give all rows the same length")
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        _refuse(ArrayTypeError, name, expected + " of real numbers", array.dtype, "convert it, as with numpy.asarray(..., float)")
    return array


cdef object _theta(theta):
    if isinstance(theta, dict):
        _refuse(ArrayTypeError, "theta", _THETA, "a dictionary", "pack({name: array, ...}) makes one")
    cdef Py_buffer view
    cdef bint ready
    if type(theta) is _ARRAY and theta.dtype is _DOUBLE:
        PyObject_GetBuffer(theta, &view, PyBUF_STRIDES)
        ready = view.ndim == 1 and view.shape[0] == N_PARAMETERS and view.strides[0] == sizeof(double)
        PyBuffer_Release(&view)
        if ready:
            return theta
    else:
        theta = _numbers("theta", theta, _THETA)
    if theta.shape != (N_PARAMETERS,):
        _refuse(ArrayError, "theta", _THETA, theta.shape, "pack({name: array, ...}) makes one")
    return np.ascontiguousarray(theta, _DOUBLE)


cdef object _shape_of(Py_ssize_t columns):
    return "an array of shape (N, %d)%s" % (columns, " or (N,)" if columns == 1 else "")


cdef int _check_weights(weights) except -1:
    if not np.isfinite(weights).all():
        _refuse(ArrayError, "weights", "finite numbers", weights[~np.isfinite(weights)][0], "give such rows the weight 0")


cdef Py_ssize_t _threads(threads) except -1:
    if threads is None:
        return 0
    if not isinstance(threads, (int, np.integer)) or isinstance(threads, bool):
        _refuse(ArrayTypeError, "threads", _THREADS, repr(threads), "None takes what the work is worth")
    if threads < 1:
        _refuse(ArrayError, "threads", _THREADS, threads, "None takes what the work is worth")
    return threads


cdef object _result(out, tuple shape, theta, _Bound data):
    """``out``, if it can take the result, a new array if it is None."""
    if out is None:
        return _empty(shape, _REAL)
    if type(out) is not _ARRAY and (not isinstance(out, _ARRAY) or isinstance(out, np.ma.MaskedArray)) or out.dtype != _REAL:
        _refuse_out(ArrayTypeError, shape, out.dtype if type(out) is _ARRAY else type(out).__name__)
    if out.shape != shape or not out.flags.carray:
        _refuse_out(ArrayError, shape, "shape %s, strides %s, writable %s, aligned %s"
                    % (out.shape, out.strides, out.flags.writeable, out.flags.aligned))
    for other in (theta, *data.arrays):
        if other is not None and np.may_share_memory(out, other):
            _refuse_out(ArrayError, shape, "memory that another argument uses")
    return out


cdef int _refuse_out(error, shape, got) except -1:
    _refuse(error, "out", "a writable, aligned, C-contiguous %s array of shape %s" % (_REAL, shape), got,
            "numpy.empty(%s, '%s') makes one" % (shape, _REAL))


# Where they were imported from: pickle looks there, when one goes to another process.
for _function in (risk, gradient, risk_and_gradient, per_sample_loss, per_sample_gradient, predict, bind, partial_sums, merge_sums, pack,
                  unpack):
    _function.__module__ = __name__
