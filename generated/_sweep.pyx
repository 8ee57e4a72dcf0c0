# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False, embedsignature=True
# distutils: libraries = m
# Written by symgrad. The same text for every risk in float64: to change it, change symgrad's templates/sweep.
"""The sweep: what all compiled risks in float64 share, from NumPy's arrays to sums with the same bits for any threads.

A model brings its mathematics: functions in C, each of which computes for some samples side by side, and a table of
whole numbers that says what they read and fill. See `Risk`. Needs NumPy alone.

    arrays -> gather -> lane function -> pairs -> node of a tile -> tree of nodes -> mean
"""

import os
import sys
from _thread import start_new_thread
from importlib import import_module
from threading import Lock

cdef object np  # a name in C, which is found at once
import numpy as np

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from cpython.weakref cimport PyWeakref_NewRef
from libc.math cimport NAN, floor as c_floor, frexp, ldexp, log as c_log, pow as c_pow, sqrt as c_sqrt, tan as c_tan
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memmove, memset

cdef extern from *:
    """
    typedef double real;
    #if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ == 1) \
        || (defined(__GNUC__) && !defined(__clang__) && defined(__GCC_IEC_559) && __GCC_IEC_559 < 1) \
        || (defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ < 0 || __FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2))
    #error "this module's sums need IEEE arithmetic: build it without -ffast-math, -Ofast and their parts"
    #endif
    #if defined(__GNUC__) && !defined(__clang__)
    /* as fast as at -O3, and compiled in two thirds of the time */
    #define hot_function __attribute__((optimize("O2", "tree-vectorize", "vect-cost-model=dynamic", "peel-loops", "no-math-errno", "no-trapping-math", "fp-contract=off")))
    #else
    #define hot_function
    #endif
    #define hot hot_function void
    #define hot_count hot_function Py_ssize_t
    #define inlined __attribute__((always_inline)) void  /* once for each number of lanes, which is a literal there */
    typedef real *__restrict__ rows;
    typedef double *__restrict__ pairs;
    #define fma_real __builtin_fma
    #define fma_double __builtin_fma
    #define SMALLEST_SQUARE 0x1p-960
    #define magnitude __builtin_fabs
    /* NaN with one pattern of bits, whichever operation it came from */
    static inline hot_function double canonical(double x) { return x == x ? x : __builtin_nan(""); }
    /* a pair as one number; an infinity stays one */
    static inline hot_function double sum_of(double high, double low) { return high - high == 0.0 ? high + low : high; }
    #define GREATEST 0x1.fffffffffffffp1023
    #define SHRINK 0x1p-512
    #define LEAST 0x1p-1022
    #define SMALL 0x1p-32
    #define NO_WEIGHT -1100
    /* vectors as wide as the processor's; GCC and Clang make whole loops over them one instruction */
    #if defined(__AVX512F__)
    #define VECTOR_BYTES 64
    #elif defined(__AVX__)
    #define VECTOR_BYTES 32
    #else
    #define VECTOR_BYTES 16
    #endif
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
    /* Eight partial sums, in as many vectors as this processor needs for them. */
    #define PART_BYTES ((Py_ssize_t)(VECTOR_BYTES < 8 * sizeof(real) ? VECTOR_BYTES : 8 * sizeof(real)))
    #define PART ((Py_ssize_t)(PART_BYTES / sizeof(real)))
    #define PARTS (8 / PART)
    typedef real part __attribute__((vector_size(PART_BYTES), aligned(1), may_alias));
    typedef long long whole;
    typedef whole part_bits __attribute__((vector_size(PART_BYTES), aligned(1), may_alias));
    /* All bits of the last numbers of a vector, from the end of the zeros on: of those that no vector before it had. */
    static const whole last_ones[16] = {0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1};
    /* The eight sums of each row added up in one order for every processor: ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)) */
    typedef real half __attribute__((vector_size(4 * sizeof(real)), aligned(1), may_alias));
    static inline hot_function half halved(const part *first, Py_ssize_t step) {
        real s[8];
        for (Py_ssize_t q = 0; q < PARTS; q++) memcpy(s + q * PART, first + q * step, PART_BYTES);
        return *(const half *)s + *(const half *)(s + 4);
    }
    static inline hot add_up_1(real *to, const part *sums) {
        half h = halved(sums, 1);
        to[0] = (h[0] + h[2]) + (h[1] + h[3]);
    }
    #if VECTOR_BYTES >= 64  /* eight sums are one vector: those of eight rows are folded together */
    #define TOGETHER 8
    #define FOLD(a, b, i0, i1, i2, i3, i4, i5, i6, i7, distance) \
        (__builtin_shufflevector(a, b, i0, i1, i2, i3, i4, i5, i6, i7) + __builtin_shufflevector(a, b, i0 + distance, i1 + distance, \
            i2 + distance, i3 + distance, i4 + distance, i5 + distance, i6 + distance, i7 + distance))
    static inline hot add_up(real *to, const part *s) {
        part h0 = FOLD(s[0], s[1], 0, 1, 2, 3, 8, 9, 10, 11, 4);
        part h2 = FOLD(s[2], s[3], 0, 1, 2, 3, 8, 9, 10, 11, 4);
        part h4 = FOLD(s[4], s[5], 0, 1, 2, 3, 8, 9, 10, 11, 4);
        part h6 = FOLD(s[6], s[7], 0, 1, 2, 3, 8, 9, 10, 11, 4);
        part q0 = FOLD(h0, h2, 0, 1, 4, 5, 8, 9, 12, 13, 2), q4 = FOLD(h4, h6, 0, 1, 4, 5, 8, 9, 12, 13, 2);
        *(part *)to = FOLD(q0, q4, 0, 2, 4, 6, 8, 10, 12, 14, 1);
    }
    #else
    #define TOGETHER 4
    static inline hot add_up(real *to, const part *sums) {
        half h0 = halved(sums, 4), h1 = halved(sums + 1, 4), h2 = halved(sums + 2, 4), h3 = halved(sums + 3, 4);
        half even01 = __builtin_shufflevector(h0, h1, 0, 4, 2, 6), odd01 = __builtin_shufflevector(h0, h1, 1, 5, 3, 7);
        half even23 = __builtin_shufflevector(h2, h3, 0, 4, 2, 6), odd23 = __builtin_shufflevector(h2, h3, 1, 5, 3, 7);
        half even = __builtin_shufflevector(even01, even23, 0, 1, 4, 5) + __builtin_shufflevector(even01, even23, 2, 3, 6, 7);
        half odd = __builtin_shufflevector(odd01, odd23, 0, 1, 4, 5) + __builtin_shufflevector(odd01, odd23, 2, 3, 6, 7);
        *(half *)to = even + odd;
    }
    #endif
    static inline hot_function part fma_part(part a, part b, part c) {
        part r;
        for (int i = 0; i < PART; i++) r[i] = fma_real(a[i], b[i], c[i]);
        return r;
    }
    #define INPUTS(x, j) (*(const part *)((x) + (j) * sizeof(real)))
    #define MASKED(vector, mask) ((part)((part_bits)(vector) & (mask)))
    /* Of what the next call reads, one line in four is fetched while rows are weighed, and three while multiples are
       added: so memory is never idle, and never has to bring all at once. */
    #define FETCHED_BY_WEIGHING(j) ((j) / 8 % 4 == 0)
    #define WIDE 64  /* inputs: from so many on, one row is read after the other, with four sums in flight; else some rows at once */
    /* One part of the eight sums of the products of weights and of rows of inputs that are read together. */
    #if TOGETHER == 8
    static inline hot sum_part(part *sums, const char *x, Py_ssize_t down, const real *__restrict__ weights, Py_ssize_t n, part_bits mask, Py_ssize_t ahead) {
        part s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, s4 = {0}, s5 = {0}, s6 = {0}, s7 = {0}, w;
        for (Py_ssize_t j = 0; j + 8 <= n; j += 8) {
            w = *(const part *)(weights + j);
            s0 = fma_part(w, INPUTS(x + 0 * down, j), s0);
            s1 = fma_part(w, INPUTS(x + 1 * down, j), s1);
            s2 = fma_part(w, INPUTS(x + 2 * down, j), s2);
            s3 = fma_part(w, INPUTS(x + 3 * down, j), s3);
            s4 = fma_part(w, INPUTS(x + 4 * down, j), s4);
            s5 = fma_part(w, INPUTS(x + 5 * down, j), s5);
            s6 = fma_part(w, INPUTS(x + 6 * down, j), s6);
            s7 = fma_part(w, INPUTS(x + 7 * down, j), s7);
            if (FETCHED_BY_WEIGHING(j)) {
                __builtin_prefetch(x + 0 * down + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x + 1 * down + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x + 2 * down + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x + 3 * down + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x + 4 * down + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x + 5 * down + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x + 6 * down + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x + 7 * down + ahead + j * sizeof(real), 0, 2);
            }
        }
        if (n % 8) {
            w = *(const part *)(weights + n - 8);
            s0 += MASKED(w * INPUTS(x + 0 * down, n - 8), mask);
            s1 += MASKED(w * INPUTS(x + 1 * down, n - 8), mask);
            s2 += MASKED(w * INPUTS(x + 2 * down, n - 8), mask);
            s3 += MASKED(w * INPUTS(x + 3 * down, n - 8), mask);
            s4 += MASKED(w * INPUTS(x + 4 * down, n - 8), mask);
            s5 += MASKED(w * INPUTS(x + 5 * down, n - 8), mask);
            s6 += MASKED(w * INPUTS(x + 6 * down, n - 8), mask);
            s7 += MASKED(w * INPUTS(x + 7 * down, n - 8), mask);
        }
        sums[0] = s0;
        sums[1] = s1;
        sums[2] = s2;
        sums[3] = s3;
        sums[4] = s4;
        sums[5] = s5;
        sums[6] = s6;
        sums[7] = s7;
    }
    #endif
    #if TOGETHER == 4
    static inline hot sum_part(part *sums, const char *x, Py_ssize_t down, const real *__restrict__ weights, Py_ssize_t n, part_bits mask, Py_ssize_t ahead) {
        part s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0}, w;
        for (Py_ssize_t j = 0; j + 8 <= n; j += 8) {
            w = *(const part *)(weights + j);
            s0 = fma_part(w, INPUTS(x + 0 * down, j), s0);
            s1 = fma_part(w, INPUTS(x + 1 * down, j), s1);
            s2 = fma_part(w, INPUTS(x + 2 * down, j), s2);
            s3 = fma_part(w, INPUTS(x + 3 * down, j), s3);
            if (FETCHED_BY_WEIGHING(j)) {
                __builtin_prefetch(x + 0 * down + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x + 1 * down + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x + 2 * down + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x + 3 * down + ahead + j * sizeof(real), 0, 2);
            }
        }
        if (n % 8) {
            w = *(const part *)(weights + n - 8);
            s0 += MASKED(w * INPUTS(x + 0 * down, n - 8), mask);
            s1 += MASKED(w * INPUTS(x + 1 * down, n - 8), mask);
            s2 += MASKED(w * INPUTS(x + 2 * down, n - 8), mask);
            s3 += MASKED(w * INPUTS(x + 3 * down, n - 8), mask);
        }
        sums[0] = s0;
        sums[1] = s1;
        sums[2] = s2;
        sums[3] = s3;
    }
    #endif
    /* The same for one row, in four sums if it is wide. */
    static inline hot_function part sum_part_of_1(const char *x, const real *__restrict__ weights, Py_ssize_t n, part_bits mask, Py_ssize_t ahead) {
        part s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        Py_ssize_t j = 0;
        if (n >= WIDE) {
            for (; j + 32 <= n; j += 32) {
                s0 = fma_part(*(const part *)(weights + j + 0), INPUTS(x, j + 0), s0);
                s1 = fma_part(*(const part *)(weights + j + 8), INPUTS(x, j + 8), s1);
                s2 = fma_part(*(const part *)(weights + j + 16), INPUTS(x, j + 16), s2);
                s3 = fma_part(*(const part *)(weights + j + 24), INPUTS(x, j + 24), s3);
                __builtin_prefetch(x + ahead + j * sizeof(real), 0, 2);
            }
        }
        for (; j + 8 <= n; j += 8) s0 = fma_part(*(const part *)(weights + j), INPUTS(x, j), s0);
        if (n % 8) s0 += MASKED(*(const part *)(weights + n - 8) * INPUTS(x, n - 8), mask);
        if (n >= WIDE) s0 = (s0 + s1) + (s2 + s3);
        return s0;
    }
    #define MASK(n, q) (*(const part_bits *)(last_ones + (n) % 8 + (q) * PART))
    /* to[i] = weights . x of ``count`` rows ``down`` bytes apart; those that lie ``ahead`` bytes further are fetched */
    static hot weigh_rows(real *__restrict__ to, const char *x, Py_ssize_t down, const real *__restrict__ weights, Py_ssize_t n, Py_ssize_t count, Py_ssize_t ahead) {
        part sums[PARTS][TOGETHER];
        Py_ssize_t row = 0;
        for (; row + TOGETHER <= count; row += TOGETHER, x += TOGETHER * down) {
            for (Py_ssize_t q = 0; q < PARTS; q++) {
                if (n < WIDE) sum_part(sums[q], x + q * PART_BYTES, down, weights + q * PART, n, MASK(n, q), ahead);
                else for (int i = 0; i < TOGETHER; i++) sums[q][i] = sum_part_of_1(x + i * down + q * PART_BYTES, weights + q * PART, n, MASK(n, q), ahead);
            }
            add_up(to + row, sums[0]);
        }
        for (; row < count; row++, x += down) {
            for (Py_ssize_t q = 0; q < PARTS; q++) sums[0][q] = sum_part_of_1(x + q * PART_BYTES, weights + q * PART, n, MASK(n, q), ahead);
            add_up_1(to + row, sums[0]);
        }
    }
    /* to += the sum of factors[k] * x[k] over eight rows, ``down`` bytes apart, in two chains; or over one */
    #define CHAIN(a, b, c, d, j) fma_part(f##d, INPUTS(x##d, j), fma_part(f##c, INPUTS(x##c, j), fma_part(f##b, INPUTS(x##b, j), f##a * INPUTS(x##a, j))))
    static inline hot add_rows_8(real *__restrict__ to, const char *x0, Py_ssize_t down, const real *factors, Py_ssize_t n, Py_ssize_t ahead) {
        const char *x1 = x0 + 1 * down;
        const char *x2 = x0 + 2 * down;
        const char *x3 = x0 + 3 * down;
        const char *x4 = x0 + 4 * down;
        const char *x5 = x0 + 5 * down;
        const char *x6 = x0 + 6 * down;
        const char *x7 = x0 + 7 * down;
        part f0 = factors[0] - (part){0};
        part f1 = factors[1] - (part){0};
        part f2 = factors[2] - (part){0};
        part f3 = factors[3] - (part){0};
        part f4 = factors[4] - (part){0};
        part f5 = factors[5] - (part){0};
        part f6 = factors[6] - (part){0};
        part f7 = factors[7] - (part){0};
        Py_ssize_t j = 0;
        for (; j + PART <= n; j += PART) {
            *(part *)(to + j) += CHAIN(0, 1, 2, 3, j) + CHAIN(4, 5, 6, 7, j);
            if (j * sizeof(real) % 64 == 0 && !FETCHED_BY_WEIGHING(j)) {
                __builtin_prefetch(x0 + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x1 + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x2 + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x3 + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x4 + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x5 + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x6 + ahead + j * sizeof(real), 0, 2);
                __builtin_prefetch(x7 + ahead + j * sizeof(real), 0, 2);
            }
        }
        if (j < n) {
            part_bits mask = *(const part_bits *)(last_ones + 8 - PART + n - j);
            *(part *)(to + n - PART) += MASKED(CHAIN(0, 1, 2, 3, n - PART) + CHAIN(4, 5, 6, 7, n - PART), mask);
        }
    }
    static inline hot add_rows_1(real *__restrict__ to, const char *x0, Py_ssize_t down, const real *factors, Py_ssize_t n, Py_ssize_t ahead) {
        part f0 = factors[0] - (part){0};
        Py_ssize_t j = 0;
        for (; j + PART <= n; j += PART) {
            *(part *)(to + j) = fma_part(f0, INPUTS(x0, j), *(part *)(to + j));
        }
        if (j < n) {
            part_bits mask = *(const part_bits *)(last_ones + 8 - PART + n - j);
            *(part *)(to + n - PART) += MASKED(f0 * INPUTS(x0, n - PART), mask);
        }
    }
    /* to = the sum of factors[k] * x[k] over ``count`` rows */
    static hot sum_multiples(real *__restrict__ to, const char *x, Py_ssize_t down, const real *factors, Py_ssize_t n, Py_ssize_t count, Py_ssize_t ahead) {
        Py_ssize_t k = 0;
        memset(to, 0, n * sizeof(real));
        for (; k + 8 <= count; k += 8) add_rows_8(to, x + k * down, down, factors + k, n, ahead);
        for (; k < count; k++) add_rows_1(to, x + k * down, down, factors + k, n, ahead);
    }
    static hot write_squares(real *__restrict__ to, const real *x, Py_ssize_t n) {
        for (Py_ssize_t j = 0; j < n; j++) to[j] = x[j] * x[j];
    }
    /* to[k] = |x[k]|**2 of ``count`` rows, in the order of weighted sums */
    #define LEAST_LENGTH 0x1p-900
    static hot squared_lengths(double *__restrict__ to, const char *x, Py_ssize_t down, Py_ssize_t n, Py_ssize_t count) {
        part sums[PARTS][TOGETHER], v;
        real found[TOGETHER];
        for (Py_ssize_t row = 0; row < count; row += TOGETHER, x += TOGETHER * down) {
            int some = count - row < TOGETHER ? (int)(count - row) : TOGETHER;
            for (Py_ssize_t q = 0; q < PARTS; q++) {
                for (int i = 0; i < some; i++) {
                    part s = {0};
                    for (Py_ssize_t j = 0; j + 8 <= n; j += 8) {
                        v = INPUTS(x + i * down + q * PART_BYTES, j);
                        s = fma_part(v, v, s);
                    }
                    v = INPUTS(x + i * down + q * PART_BYTES, n - 8);
                    if (n % 8) s += MASKED(v * v, MASK(n, q));
                    sums[q][i] = s;
                }
                for (int i = some; i < TOGETHER; i++) sums[q][i] = (part){0};
            }
            add_up(found, sums[0]);
            for (int i = 0; i < some; i++) to[row + i] = found[i];
        }
    }
    /* to = factor * x, NaN with one pattern of bits; ``more``: onto what is there; numbers of ``to`` are ``step`` apart */
    static hot write_multiple(real *__restrict__ to, Py_ssize_t step, const char *x, real factor, Py_ssize_t n, int more) {
        for (Py_ssize_t j = 0; j < n; j++) {
            real value;
            memcpy(&value, x + j * sizeof(real), sizeof(real));
            to[j * step] = canonical(more ? fma_real(factor, value, to[j * step]) : factor * value);
        }
    }
    #if defined(__SSE2__) && defined(__x86_64__)
    #include <emmintrin.h>
    #endif
    #if defined(__AVX512F__)
    #define PIECE 8
    typedef real piece __attribute__((vector_size(8 * sizeof(real)), aligned(sizeof(real)), may_alias));
    /* to[j * to_down + i] = from[i * lanes + j] for a square of numbers, turned in registers: rounds of exchanges between pairs */
    static inline inlined turn_square(real *__restrict__ to, Py_ssize_t to_down, const real *__restrict__ from, Py_ssize_t lanes) {
        piece r0 = *(const piece *)(from + 0 * lanes);
        piece r1 = *(const piece *)(from + 1 * lanes);
        piece r2 = *(const piece *)(from + 2 * lanes);
        piece r3 = *(const piece *)(from + 3 * lanes);
        piece r4 = *(const piece *)(from + 4 * lanes);
        piece r5 = *(const piece *)(from + 5 * lanes);
        piece r6 = *(const piece *)(from + 6 * lanes);
        piece r7 = *(const piece *)(from + 7 * lanes);
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
    /* to[j * 2 + i] = from[i * lanes + j] for as many j: each piece is put together row by row */
    static inline hot interleave_2(real *__restrict__ to, const real *__restrict__ from, Py_ssize_t lanes) {
        piece r0 = *(const piece *)(from + 0 * lanes);
        piece r1 = *(const piece *)(from + 1 * lanes);
        piece mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 8, 1, 9, 2, 10, 3, 11);
        *(piece *)(to + 0) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 4, 12, 5, 13, 6, 14, 7, 15);
        *(piece *)(to + 8) = mixed;
    }
    /* to[j * 3 + i] = from[i * lanes + j] for as many j: each piece is put together row by row */
    static inline hot interleave_3(real *__restrict__ to, const real *__restrict__ from, Py_ssize_t lanes) {
        piece r0 = *(const piece *)(from + 0 * lanes);
        piece r1 = *(const piece *)(from + 1 * lanes);
        piece r2 = *(const piece *)(from + 2 * lanes);
        piece mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 8, 2, 1, 9, 5, 2, 10);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 8, 3, 4, 9, 6, 7);
        *(piece *)(to + 0) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 3, 11, 3, 4, 12, 6, 5);
        mixed = __builtin_shufflevector(mixed, r2, 10, 1, 2, 11, 4, 5, 12, 7);
        *(piece *)(to + 8) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 13, 1, 6, 14, 4, 7, 15, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 13, 2, 3, 14, 5, 6, 15);
        *(piece *)(to + 16) = mixed;
    }
    /* to[j * 4 + i] = from[i * lanes + j] for as many j: each piece is put together row by row */
    static inline hot interleave_4(real *__restrict__ to, const real *__restrict__ from, Py_ssize_t lanes) {
        piece r0 = *(const piece *)(from + 0 * lanes);
        piece r1 = *(const piece *)(from + 1 * lanes);
        piece r2 = *(const piece *)(from + 2 * lanes);
        piece r3 = *(const piece *)(from + 3 * lanes);
        piece mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 8, 2, 3, 1, 9, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 8, 3, 4, 5, 9, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 8, 4, 5, 6, 9);
        *(piece *)(to + 0) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 2, 10, 2, 3, 3, 11, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 10, 3, 4, 5, 11, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 10, 4, 5, 6, 11);
        *(piece *)(to + 8) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 4, 12, 2, 3, 5, 13, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 12, 3, 4, 5, 13, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 12, 4, 5, 6, 13);
        *(piece *)(to + 16) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 6, 14, 2, 3, 7, 15, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 14, 3, 4, 5, 15, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 14, 4, 5, 6, 15);
        *(piece *)(to + 24) = mixed;
    }
    /* to[j * 5 + i] = from[i * lanes + j] for as many j: each piece is put together row by row */
    static inline hot interleave_5(real *__restrict__ to, const real *__restrict__ from, Py_ssize_t lanes) {
        piece r0 = *(const piece *)(from + 0 * lanes);
        piece r1 = *(const piece *)(from + 1 * lanes);
        piece r2 = *(const piece *)(from + 2 * lanes);
        piece r3 = *(const piece *)(from + 3 * lanes);
        piece r4 = *(const piece *)(from + 4 * lanes);
        piece mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 8, 2, 3, 4, 1, 9, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 8, 3, 4, 5, 6, 9);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 8, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 2, 3, 8, 5, 6, 7);
        *(piece *)(to + 0) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 1, 2, 10, 4, 5, 6, 3);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 2, 3, 10, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 9, 1, 2, 3, 4, 10, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 0, 9, 2, 3, 4, 5, 10, 7);
        *(piece *)(to + 8) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 11, 1, 2, 3, 4, 12, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 11, 2, 3, 4, 5, 12, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 11, 3, 4, 5, 6, 12);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 2, 11, 4, 5, 6, 7);
        *(piece *)(to + 16) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 5, 13, 3, 4, 5, 6, 14);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 2, 13, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 3, 13, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 12, 1, 2, 3, 4, 13, 6, 7);
        *(piece *)(to + 24) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 1, 2, 7, 15, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 14, 1, 2, 3, 4, 15, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 14, 2, 3, 4, 5, 15, 7);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 14, 3, 4, 5, 6, 15);
        *(piece *)(to + 32) = mixed;
    }
    /* to[j * 6 + i] = from[i * lanes + j] for as many j: each piece is put together row by row */
    static inline hot interleave_6(real *__restrict__ to, const real *__restrict__ from, Py_ssize_t lanes) {
        piece r0 = *(const piece *)(from + 0 * lanes);
        piece r1 = *(const piece *)(from + 1 * lanes);
        piece r2 = *(const piece *)(from + 2 * lanes);
        piece r3 = *(const piece *)(from + 3 * lanes);
        piece r4 = *(const piece *)(from + 4 * lanes);
        piece r5 = *(const piece *)(from + 5 * lanes);
        piece mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 8, 2, 3, 4, 5, 1, 9);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 8, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 8, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 2, 3, 8, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r5, 0, 1, 2, 3, 4, 8, 6, 7);
        *(piece *)(to + 0) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 1, 2, 3, 2, 10, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 9, 1, 2, 3, 4, 5, 10, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 9, 2, 3, 4, 5, 6, 10);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 9, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r5, 0, 1, 2, 9, 4, 5, 6, 7);
        *(piece *)(to + 8) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 1, 3, 11, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 2, 3, 11, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 3, 4, 11, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 10, 1, 2, 3, 4, 5, 11, 7);
        mixed = __builtin_shufflevector(mixed, r5, 0, 10, 2, 3, 4, 5, 6, 11);
        *(piece *)(to + 16) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 4, 12, 2, 3, 4, 5, 5, 13);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 12, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 12, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 2, 3, 12, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r5, 0, 1, 2, 3, 4, 12, 6, 7);
        *(piece *)(to + 24) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 1, 2, 3, 6, 14, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 13, 1, 2, 3, 4, 5, 14, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 13, 2, 3, 4, 5, 6, 14);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 13, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r5, 0, 1, 2, 13, 4, 5, 6, 7);
        *(piece *)(to + 32) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 1, 7, 15, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 2, 3, 15, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 3, 4, 15, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 14, 1, 2, 3, 4, 5, 15, 7);
        mixed = __builtin_shufflevector(mixed, r5, 0, 14, 2, 3, 4, 5, 6, 15);
        *(piece *)(to + 40) = mixed;
    }
    /* to[j * 7 + i] = from[i * lanes + j] for as many j: each piece is put together row by row */
    static inline hot interleave_7(real *__restrict__ to, const real *__restrict__ from, Py_ssize_t lanes) {
        piece r0 = *(const piece *)(from + 0 * lanes);
        piece r1 = *(const piece *)(from + 1 * lanes);
        piece r2 = *(const piece *)(from + 2 * lanes);
        piece r3 = *(const piece *)(from + 3 * lanes);
        piece r4 = *(const piece *)(from + 4 * lanes);
        piece r5 = *(const piece *)(from + 5 * lanes);
        piece r6 = *(const piece *)(from + 6 * lanes);
        piece mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 8, 2, 3, 4, 5, 6, 1);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 8, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 8, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 2, 3, 8, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r5, 0, 1, 2, 3, 4, 8, 6, 7);
        mixed = __builtin_shufflevector(mixed, r6, 0, 1, 2, 3, 4, 5, 8, 7);
        *(piece *)(to + 0) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 9, 1, 2, 3, 4, 5, 2, 10);
        mixed = __builtin_shufflevector(mixed, r2, 0, 9, 2, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 9, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 2, 9, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r5, 0, 1, 2, 3, 9, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r6, 0, 1, 2, 3, 4, 9, 6, 7);
        *(piece *)(to + 8) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 1, 2, 3, 4, 3, 11, 7);
        mixed = __builtin_shufflevector(mixed, r2, 10, 1, 2, 3, 4, 5, 6, 11);
        mixed = __builtin_shufflevector(mixed, r3, 0, 10, 2, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 10, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r5, 0, 1, 2, 10, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r6, 0, 1, 2, 3, 10, 5, 6, 7);
        *(piece *)(to + 16) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 1, 2, 3, 4, 12, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 2, 3, 4, 5, 12, 7);
        mixed = __builtin_shufflevector(mixed, r3, 11, 1, 2, 3, 4, 5, 6, 12);
        mixed = __builtin_shufflevector(mixed, r4, 0, 11, 2, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r5, 0, 1, 11, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r6, 0, 1, 2, 11, 4, 5, 6, 7);
        *(piece *)(to + 24) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 1, 2, 5, 13, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 2, 3, 4, 13, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 3, 4, 5, 13, 7);
        mixed = __builtin_shufflevector(mixed, r4, 12, 1, 2, 3, 4, 5, 6, 13);
        mixed = __builtin_shufflevector(mixed, r5, 0, 12, 2, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r6, 0, 1, 12, 3, 4, 5, 6, 7);
        *(piece *)(to + 32) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 1, 6, 14, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 2, 3, 14, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 3, 4, 14, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 2, 3, 4, 5, 14, 7);
        mixed = __builtin_shufflevector(mixed, r5, 13, 1, 2, 3, 4, 5, 6, 14);
        mixed = __builtin_shufflevector(mixed, r6, 0, 13, 2, 3, 4, 5, 6, 7);
        *(piece *)(to + 40) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 7, 15, 3, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 2, 15, 4, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r3, 0, 1, 2, 3, 15, 5, 6, 7);
        mixed = __builtin_shufflevector(mixed, r4, 0, 1, 2, 3, 4, 15, 6, 7);
        mixed = __builtin_shufflevector(mixed, r5, 0, 1, 2, 3, 4, 5, 15, 7);
        mixed = __builtin_shufflevector(mixed, r6, 14, 1, 2, 3, 4, 5, 6, 15);
        *(piece *)(to + 48) = mixed;
    }
    /* Fewer rows than a piece is long: how many lanes were written. */
    static hot_function Py_ssize_t interleave(const real *values, Py_ssize_t rows, real *to, Py_ssize_t count, Py_ssize_t lanes) {
        Py_ssize_t lane = 0;
        if (rows == 2) for (; lane + PIECE <= count; lane += PIECE) interleave_2(to + lane * rows, values + lane, lanes);
        if (rows == 3) for (; lane + PIECE <= count; lane += PIECE) interleave_3(to + lane * rows, values + lane, lanes);
        if (rows == 4) for (; lane + PIECE <= count; lane += PIECE) interleave_4(to + lane * rows, values + lane, lanes);
        if (rows == 5) for (; lane + PIECE <= count; lane += PIECE) interleave_5(to + lane * rows, values + lane, lanes);
        if (rows == 6) for (; lane + PIECE <= count; lane += PIECE) interleave_6(to + lane * rows, values + lane, lanes);
        if (rows == 7) for (; lane + PIECE <= count; lane += PIECE) interleave_7(to + lane * rows, values + lane, lanes);
        return lane;
    }

    #elif defined(__AVX__)
    #define PIECE 4
    typedef real piece __attribute__((vector_size(4 * sizeof(real)), aligned(sizeof(real)), may_alias));
    /* to[j * to_down + i] = from[i * lanes + j] for a square of numbers, turned in registers: rounds of exchanges between pairs */
    static inline inlined turn_square(real *__restrict__ to, Py_ssize_t to_down, const real *__restrict__ from, Py_ssize_t lanes) {
        piece r0 = *(const piece *)(from + 0 * lanes);
        piece r1 = *(const piece *)(from + 1 * lanes);
        piece r2 = *(const piece *)(from + 2 * lanes);
        piece r3 = *(const piece *)(from + 3 * lanes);
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
    /* to[j * 2 + i] = from[i * lanes + j] for as many j: each piece is put together row by row */
    static inline hot interleave_2(real *__restrict__ to, const real *__restrict__ from, Py_ssize_t lanes) {
        piece r0 = *(const piece *)(from + 0 * lanes);
        piece r1 = *(const piece *)(from + 1 * lanes);
        piece mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 4, 1, 5);
        *(piece *)(to + 0) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 2, 6, 3, 7);
        *(piece *)(to + 4) = mixed;
    }
    /* to[j * 3 + i] = from[i * lanes + j] for as many j: each piece is put together row by row */
    static inline hot interleave_3(real *__restrict__ to, const real *__restrict__ from, Py_ssize_t lanes) {
        piece r0 = *(const piece *)(from + 0 * lanes);
        piece r1 = *(const piece *)(from + 1 * lanes);
        piece r2 = *(const piece *)(from + 2 * lanes);
        piece mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 4, 2, 1);
        mixed = __builtin_shufflevector(mixed, r2, 0, 1, 4, 3);
        *(piece *)(to + 0) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 5, 1, 2, 6);
        mixed = __builtin_shufflevector(mixed, r2, 0, 5, 2, 3);
        *(piece *)(to + 4) = mixed;
        mixed = __builtin_shufflevector(r0, r1, 0, 3, 7, 3);
        mixed = __builtin_shufflevector(mixed, r2, 6, 1, 2, 7);
        *(piece *)(to + 8) = mixed;
    }
    /* Fewer rows than a piece is long: how many lanes were written. */
    static hot_function Py_ssize_t interleave(const real *values, Py_ssize_t rows, real *to, Py_ssize_t count, Py_ssize_t lanes) {
        Py_ssize_t lane = 0;
        if (rows == 2) for (; lane + PIECE <= count; lane += PIECE) interleave_2(to + lane * rows, values + lane, lanes);
        if (rows == 3) for (; lane + PIECE <= count; lane += PIECE) interleave_3(to + lane * rows, values + lane, lanes);
        return lane;
    }

    #else
    #define PIECE 2
    typedef real piece __attribute__((vector_size(2 * sizeof(real)), aligned(sizeof(real)), may_alias));
    /* to[j * to_down + i] = from[i * lanes + j] for a square of numbers, turned in registers: rounds of exchanges between pairs */
    static inline inlined turn_square(real *__restrict__ to, Py_ssize_t to_down, const real *__restrict__ from, Py_ssize_t lanes) {
        piece r0 = *(const piece *)(from + 0 * lanes);
        piece r1 = *(const piece *)(from + 1 * lanes);
        piece upper;
        upper = __builtin_shufflevector(r0, r1, 0, 2);
        r1 = __builtin_shufflevector(r0, r1, 1, 3);
        r0 = upper;
        *(piece *)(to + 0 * to_down) = r0;
        *(piece *)(to + 1 * to_down) = r1;
    }
    /* Fewer rows than a piece is long: how many lanes were written. */
    static hot_function Py_ssize_t interleave(const real *values, Py_ssize_t rows, real *to, Py_ssize_t count, Py_ssize_t lanes) {
        Py_ssize_t lane = 0;
        return lane;
    }

    #endif
    static inline inlined scatter_lanes(const real *values, Py_ssize_t n_rows, real *to, Py_ssize_t row_length, Py_ssize_t count, Py_ssize_t lanes) {
        Py_ssize_t lane = 0, row;
        if (n_rows >= PIECE) {
            for (; lane + PIECE <= count; lane += PIECE) {
                for (row = 0; row + PIECE <= n_rows; row += PIECE)
                    turn_square(to + lane * row_length + row, row_length, values + row * lanes + lane, lanes);
                if (row < n_rows)
                    turn_square(to + lane * row_length + n_rows - PIECE, row_length, values + (n_rows - PIECE) * lanes + lane, lanes);
            }
        } else if (row_length == n_rows) lane = interleave(values, n_rows, to, count, lanes);
        for (; lane < count; lane++)
            for (row = 0; row < n_rows; row++) to[lane * row_length + row] = values[row * lanes + lane];
    }
    /* to[lane * row_length + row] = values[row * lanes + lane]. The last columns may be written twice, with the same numbers. */
    static hot scatter(const real *values, Py_ssize_t n_rows, real *to, Py_ssize_t row_length, Py_ssize_t count, Py_ssize_t lanes) {
        if (lanes == 64) scatter_lanes(values, n_rows, to, row_length, count, 64);
        else if (lanes == 32) scatter_lanes(values, n_rows, to, row_length, count, 32);
        else scatter_lanes(values, n_rows, to, row_length, count, 16);
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
    ctypedef Py_ssize_t hot_count
    double sum_of(double, double) noexcept nogil
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows
    ctypedef double* pairs
    ctypedef struct Environment "environment":
        pass
    Environment calm() noexcept nogil
    void restore(Environment) noexcept nogil
    double magnitude(double) noexcept nogil
    double canonical(double) noexcept nogil
    const double GREATEST
    const double SHRINK  # of weights, where sums would overflow
    const double LEAST  # the smallest number of full precision
    const double SMALL  # a tile's weights are scaled up where all are smaller
    const int NO_WEIGHT  # the exponent of a tile in which every weight is zero: less than that of any number
    real fma_real(real, real, real) noexcept nogil
    double fma_double(double, double, double) noexcept nogil
    const double SMALLEST_SQUARE  # so large a product has all its digits in a pair
    void* large_memory(size_t) noexcept nogil
    hot turn_eight(real*, Py_ssize_t, const char*, Py_ssize_t) noexcept nogil
    const Py_ssize_t WIDTH
    Py_ssize_t block_rows(Py_ssize_t) noexcept nogil
    void multiply_block(Py_ssize_t, Py_ssize_t, real*, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, int) noexcept nogil
    hot weigh_rows(real*, const char*, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
    hot sum_multiples(real*, const char*, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
    hot write_squares(real*, const real*, Py_ssize_t) noexcept nogil
    hot squared_lengths(double*, const char*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
    const double LEAST_LENGTH
    hot write_multiple(real*, Py_ssize_t, const char*, real, Py_ssize_t, int) noexcept nogil
    hot scatter(const real*, Py_ssize_t, real*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil  # rows of lanes to one row for each sample
    void stream(real*, const real*, Py_ssize_t) noexcept nogil  # a copy past the caches
    void settle_stores() noexcept nogil


ctypedef hot (*OnceFunction)(const double*, real*) noexcept nogil
ctypedef hot (*LaneFunction)(const real*, const real*, rows) noexcept nogil

cdef enum:
    WEIGHTS = 2  # the place of the weights among the arrays of samples
    MOST_LANES = 64
    MATRIX_LANES = 64  # of models with matrices
    LINE = 64 // sizeof(real)  # columns of a matrix are padded to so many
    SLICE = (1 << 15) // (MATRIX_LANES * sizeof(real))  # rows that stay in the first cache while they are multiplied

cdef enum Kind:  # what is summed: each sample's gradient, or what is made of it
    GRADIENTS
    CLIPPED
    SQUARES
    PRODUCTS  # of each two of its elements, the lower triangle row by row
    GROUPS  # the gradient, to the sums of the sample's group

cdef struct Segment:  # ``size`` rows of values that are summed one by one: the sums of a node from ``at`` on (0: the loss)
    Py_ssize_t row, at, size

cdef struct Predictor:  # a weighted sum of ``size`` inputs from column ``first`` on; ``weights``: where in c they begin
    Py_ssize_t row, first, size, weights  # row: of the data, where it goes

cdef struct Multiple:  # a gradient that is a factor, in ``row``, times ``size`` inputs from column ``first`` on
    Py_ssize_t at, row, first, size, step  # at: the first of its parameters, which are ``step`` apart
    Py_ssize_t place  # among the sums of a tile
    bint more  # onto what another part of the gradient has put there

cdef struct Turned:  # an operand of products: p times k rows of lanes, (q, j) is row + q * down + j * right
    Py_ssize_t row, p, k, down, right
    Py_ssize_t place  # among what is turned for a call
    Py_ssize_t block  # of parameters, whose factor multiplies it

cdef struct Outer:  # a gradient that is a sum over samples of left @ right, (m, p) times (p, k), both in rows
    Py_ssize_t at, left, right, m, p, k  # at: the first of its parameters
    Py_ssize_t turned, row, down, step  # where the operand is that is turned; the other's rows, and how they follow one another
    Py_ssize_t rows, columns, place  # the product of a tile: its shape, and where it is summed
    Py_ssize_t node_down, node_right  # how its elements follow one another among the parameters
    bint more  # onto what another part of the gradient has put there

cdef struct Model:  # rows of values: what lane functions fill; of data: what they read. A row ~r is row r of the data
    Py_ssize_t number  # of the risk among those of this process
    Py_ssize_t n_results  # what is summed for each sample, or written: a derivative for each parameter, or as many as the table says
    Py_ssize_t n_gradient  # numbers of a sample's gradient: as many, or where derivatives are pulled back, the parameters
    Py_ssize_t n_sums  # what is summed: as many, or all products by twos, or as many for each group
    Py_ssize_t n_means  # what is made of the sums: as many, or the gradient
    Kind kind
    Py_ssize_t n_blocks  # of parameters, each with a norm
    Py_ssize_t* blocks  # the block of each; NULL where there is one
    bint in_rows  # what is summed is made from gradients that are written out
    Py_ssize_t rows_together, made  # so many gradients at a time, and so many sums of a tile
    Py_ssize_t squared_rows  # of the widest operand
    Py_ssize_t n_parameters, input_columns, target_columns, n_predictions
    LaneFunction pull  # summed derivatives to those by the parameters; NULL where these are summed themselves
    Py_ssize_t pulled_rows  # that it fills: the parameters' derivatives, and what it works in
    Py_ssize_t weight_row  # of the data: it is the last, after inputs and targets
    Py_ssize_t lanes, depth, tile_rows, batch  # batch: calls whose values are added up together
    Py_ssize_t invariants, summed_rows, value_rows
    Py_ssize_t turned, products, multiples  # columns that are turned; sums of products, and of multiples, of a tile
    Py_ssize_t most_multiples  # inputs of the widest multiple
    double cost  # about so many nanoseconds for a sample with its gradient
    bint penalty, covered  # covered: each parameter has a derivative
    bint factored  # products are column times row, and nothing is added to them: their norms are known from their factors
    Py_ssize_t n_segments, n_columns, n_predictors, n_scaled, n_turns, n_outers
    Segment* segments
    Segment* columns  # those of the inputs that lane functions read: the others enter in predictors alone
    Predictor* predictors
    Multiple* scaled
    Turned* turns
    Outer* outers


cdef inline const real* row_of(const Model* model, Py_ssize_t row, const real* values, const real* data, Py_ssize_t width) noexcept nogil:
    """Where a row of so wide elements begins, in the values or in the data."""
    return &values[row * width] if row >= 0 else &data[~row * width]


cdef inline Py_ssize_t padded(Py_ssize_t columns) noexcept nogil:
    return (columns + LINE - 1) // LINE * LINE


cdef void* array_of(rows, Py_ssize_t used, Py_ssize_t size, Py_ssize_t* n) except NULL:
    """A table of whole numbers as an array of structs: ``used`` numbers in a row, ``size`` with those that are worked out."""
    cdef Py_ssize_t i = 0, j
    n[0] = len(rows)
    cdef Py_ssize_t* numbers = <Py_ssize_t*>calloc(n[0] + 1, size)
    if numbers == NULL:
        raise MemoryError()
    for row in rows:
        if len(row) != used:
            raise ValueError("a row of a model's table has %d numbers, expected %d; generate the model and the sweep together" % (len(row), used))
        for j in range(used):
            numbers[i * (size // sizeof(Py_ssize_t)) + j] = row[j]
        i += 1
    return numbers


cdef Py_ssize_t columns_cost(Py_ssize_t columns) noexcept:
    """Multiplications for a row of a product: columns in single lines take twice the time of four lines together."""
    return padded(columns) + padded(columns % (4 * LINE))


cdef void plan_outer(Model* m, Outer* o) noexcept:
    """Which operand is turned, and where that and the sums of the product lie.

    A sum over samples of left @ right contracts over the lanes too. So one operand has to be turned, lanes down and columns
    across: the one that costs less. The gradient comes out turned where that is the left one.
    """
    cdef Py_ssize_t turning = 24  # the cost of turning one number, in multiplications
    cdef Py_ssize_t i
    cdef Turned* other
    cdef Turned* t = &m.turns[m.n_turns]
    if o.k * turning + o.m * columns_cost(o.k) <= o.m * turning + o.k * columns_cost(o.m):
        t.row, t.p, t.k, t.down, t.right = o.right, o.p, o.k, o.k, 1
        o.row, o.down, o.step, o.rows, o.columns, o.node_down, o.node_right = o.left, o.p, 1, o.m, o.k, o.k, 1
    else:
        t.row, t.p, t.k, t.down, t.right = o.left, o.p, o.m, 1, o.p
        o.row, o.down, o.step, o.rows, o.columns, o.node_down, o.node_right = o.right, 1, o.k, o.k, o.m, 1, o.k
    t.block = 0 if m.blocks == NULL else m.blocks[o.at]
    m.squared_rows = max(m.squared_rows, o.rows)
    o.place = m.products
    m.products += o.rows * padded(o.columns)
    for i in range(m.n_turns):  # turned already, for another product
        other = &m.turns[i]
        if other.row == t.row and other.p == t.p and other.k == t.k and other.down == t.down and other.block == t.block:
            o.turned = other.place
            return
    m.n_turns += 1
    o.turned = t.place = m.turned
    m.turned += t.p * padded(t.k)


cdef bint fill(unsigned char* filled, Py_ssize_t at, Py_ssize_t size, Py_ssize_t step) noexcept:
    """Mark parameters that have a derivative, each so many after the other; had one of them one before?"""
    cdef bint before = False
    cdef Py_ssize_t i
    for i in range(at, at + size * step, step):
        before = before or filled[i]
        filled[i] = 1
    return before


cdef void plan_columns(Model* m) noexcept:
    """The columns of the inputs that lane functions read: what no predictor takes."""
    cdef Py_ssize_t i, at = 0, first, size
    m.n_columns = 0
    while at < m.input_columns:
        first, size = m.input_columns, 0
        for i in range(m.n_predictors):
            if at <= m.predictors[i].first < first:
                first, size = m.predictors[i].first, m.predictors[i].size
        if first > at:
            m.columns[m.n_columns] = Segment(at, at, first - at)
            m.n_columns += 1
        at = first + size


cdef void plan(Model* m, unsigned char* filled) noexcept:
    """Work out where in a thread's memory that is computed which the tables are about."""
    cdef Py_ssize_t i, n = 0
    cdef Segment* s
    cdef Segment* last = m.segments
    m.factored = m.pull == NULL
    for i in range(m.n_segments):
        s = &m.segments[i]
        fill(filled, s.at + (i == 0), s.size - (i == 0), 1)
        s.at += 1
        if i and s.row == last.row + last.size and s.at == last.at + last.size:
            last.size += s.size  # what follows both in the rows and in the node is folded with it
        else:
            last = &m.segments[n]
            last[0] = s[0]
            n += 1
    m.n_segments = n
    m.n_turns = 0
    for i in range(m.n_outers):
        plan_outer(m, &m.outers[i])
        m.outers[i].more = fill(filled, m.outers[i].at, m.outers[i].m * m.outers[i].k, 1)
        m.factored = m.factored and m.outers[i].p == 1 and not m.outers[i].more
    for i in range(m.n_scaled):
        m.scaled[i].place = m.multiples
        m.multiples += 2 * m.scaled[i].size
        m.most_multiples = max(m.most_multiples, m.scaled[i].size)
        m.scaled[i].more = fill(filled, m.scaled[i].at, m.scaled[i].size, m.scaled[i].step)
        m.factored = m.factored and not m.scaled[i].more
    m.covered = True
    for i in range(m.n_results):
        m.covered = m.covered and filled[i]
    plan_columns(m)
    plan_sums(m)


cdef void plan_sums(Model* m) noexcept:
    """What is summed, and where it lies while a tile is."""
    m.in_rows = m.kind >= PRODUCTS or m.kind == SQUARES and not m.factored
    m.rows_together = MOST_LANES if m.kind == PRODUCTS else max(1, min(<Py_ssize_t>MOST_LANES, (1 << 15) // max(1, m.n_gradient)))
    m.made = m.n_gradient * padded(m.n_gradient) if m.kind == PRODUCTS else 2 * m.n_sums if m.in_rows else 0
    while m.kind == GROUPS and m.tile_rows * m.n_gradient < 4 * m.n_sums:
        m.depth *= 2  # a tile's sums are folded once for many rows
        m.tile_rows *= 2


cdef class Risk


cdef double[22] _NEAR_ROOT = [
    -0.00017312261802727394, 0.00025968482126430747, -0.00015148586836773365, 0.0002272331660987376,
    -0.0004821990530566789, 0.0007233266279287554, -0.0010376374098418604, 0.0015566317474486838,
    -0.002345267632540769, 0.003519006401502276, -0.005279964873257405, 0.007926944646403797,
    -0.011908218001568644, 0.0179072524394512, -0.02697579675613825, 0.04076083381242074,
    -0.061922133273064534, 0.09498872445494122, -0.14840492305390884, 0.2405424842407742,
    -0.4236274212814605, 0.951055876031833]


cdef double digamma(double x) noexcept nogil:
    """The derivative of log(gamma(x)): near its root a polynomial times x - root, far out Stirling's series.

    Between, by digamma(x + 1) = digamma(x) + 1/x; left of 0 by reflection (Abramowitz and Stegun 1964, 6.3).
    """
    cdef double shift = 0.0, value = 0.0, square, rest
    cdef int k
    if x <= 0.0:
        rest = x - c_floor(x + 0.5)
        if x == 0.0:
            return -1.0 / x
        return NAN if rest == 0.0 else digamma(1.0 - x) - 3.141592653589793 / c_tan(3.141592653589793 * rest)
    if x >= 10.0:
        square = 1.0 / (x * x)
        value = (((((((-0.4432598039215686 * square + 0.08333333333333333) * square - 0.021092796092796094) * square
                     + 0.007575757575757576) * square - 0.004166666666666667) * square + 0.003968253968253968) * square
                  - 0.008333333333333333) * square + 0.08333333333333333) * square
        return c_log(x) - 0.5 / x - value
    while x > 2.0:
        x -= 1.0
        shift += 1.0 / x
    while x < 1.0:
        shift -= 1.0 / x
        x += 1.0
    for k in range(22):
        value = value * (x - 1.5) + _NEAR_ROOT[k]
    return ((x - 1.4616321449683622) - 9.549995429965697e-17) * value + shift


cdef double[10] _EULER_MACLAURIN = [
    0.08333333333333333, -0.001388888888888889, 3.306878306878307e-05, -8.267195767195768e-07, 2.08767569878681e-08,
    -5.284190138687493e-10, 1.3382536530684679e-11, -3.3896802963225827e-13, 8.586062056277845e-15,
    -2.174868698558062e-16]


cdef double polygamma(int n, double x) noexcept nogil:
    """The n-th derivative of digamma for n >= 1: (-1)**(n + 1) * n! * zeta(n + 1, x), Hurwitz' zeta function.

    By the Euler-Maclaurin formula from x + K >= n + 12 on, and the first K terms one by one (DLMF 25.11.5). NaN at
    the poles, and left of -1,000,000, where there would be too many terms.
    """
    cdef double s = n + 1.0, far = x, tail = 0.0, power, factorial = 1.0
    cdef int k
    cdef Py_ssize_t terms = 0
    if x < -1e6 or (x <= 0.0 and x == c_floor(x)):
        return NAN
    while far < n + 12.0:
        far = x + terms + 1
        terms += 1
    power = c_pow(far, <double>-n)
    for k in range(9, -1, -1):
        # B_2j/(2j)! * s (s+1) ... (s+2j-2) / far**(2j-1), the small ones first
        tail += _EULER_MACLAURIN[k] * rising(s, 2 * k + 1, far)
    tail = power / n + power / far * (tail + 0.5)
    while terms > 0:
        terms -= 1
        tail += c_pow(x + terms, -s)
    for k in range(2, n + 1):
        factorial *= k
    return factorial * tail if n % 2 else -factorial * tail


cdef double rising(double s, int count, double far) noexcept nogil:
    """s/far * (s + 1)/far * ..., ``count`` factors."""
    cdef double product = 1.0
    cdef int k
    for k in range(count):
        product *= (s + k) / far
    return product


cdef double[14] _NEAR_ZERO = [
    0.11314166859159029, -0.07607360776328573, 0.07345020539520401, 0.008446011584224939, 0.03159332043375326,
    0.031145242581416724, 0.036522988083139016, 0.042832578482160585, 0.05173148498700453, 0.06495961132717862,
    0.08655212936268364, 0.1275561753044084, 0.23201366653465907, -0.11377307454724199]
cdef double[19] _LOW_TAIL = [
    -3.110271960181403e-05, 8.586484310155117e-05, -3.4233254539799847e-06, -0.0004057833275302307,
    0.0010946627472780588, -0.0016683056994806528, 0.0014681701086483262, 0.00017847233646102494,
    -0.0034899796989255978, 0.007575686632993037, -0.009850669354128656, 0.005981921914926645, 0.009077265851255475,
    -0.03851624411945475, 0.0794679885013056, -0.11753215948227433, 0.12002191405834384, 0.9780175956182791,
    4.68839185316698e-17]
cdef double[20] _TAIL = [
    2.0638787721107145e-09, -1.5879768773937534e-08, 6.332563938296081e-08, -1.8280899307834052e-07,
    4.372564934580116e-07, -8.962840357011035e-07, 1.4982454318886848e-06, -1.5632734889042277e-06,
    -1.6104887566337293e-06, 1.6340571109231046e-05, -6.484243304853288e-05, 0.00020030436296278537,
    -0.0005371023142141135, 0.001289864804706257, -0.002773453422069077, 0.005152084518818597,
    -0.007155583524971529, 0.0008943139900670659, 1.0495530231710473, 8.984748809850264e-18]
cdef double[21] _FAR_TAIL = [
    2.23517339500595e-15, -3.5225374071585194e-14, 2.735311237555981e-13, -1.5139045568120166e-12,
    7.348255523459749e-12, -3.446942474508424e-11, 1.5805317644074125e-10, -7.028797538088116e-10,
    3.0291588092684102e-09, -1.2658678959021255e-08, 5.117542184410686e-08, -1.9893670977838154e-07,
    7.34826341442134e-07, -2.5166180627339907e-06, 7.5276828385378775e-06, -1.5866466826195098e-05,
    -1.404859221287993e-05, 0.00047750810208215243, -0.004280684042397348, 1.0318530176641192,
    -1.4520685273641323e-16]


cdef double erfinv(double x) noexcept nogil:
    """The inverse of erf: near 0 a polynomial of x^2, in three parts of the tails one of s = sqrt(-log(1 - |x|)).

    1 - |x| is exact for |x| >= 1/2, so a tail keeps its digits; what s is rounded by is put back to first order.
    """
    cdef double size = -x if x < 0.0 else x, log_tail, s, high, low, value
    if size < 0.5:
        return x if x == 0.0 else x + x * polynomial(_NEAR_ZERO, 14, x * x)
    if not size < 1.0:
        return x / 0.0 if size == 1.0 else NAN
    log_tail = -c_log(1.0 - size)
    s = c_sqrt(log_tail)
    high = <float>s
    low = s - high
    low = ((log_tail - high * high) - 2.0 * high * low - low * low) / (2.0 * s)
    if s < 1.5:
        value = 0.6367161372196165 + polynomial(_LOW_TAIL, 19, (s - 1.0) + low)
    elif s < 2.875:
        value = 1.6681883160584965 + polynomial(_TAIL, 20, (s - 2.0) + low)
    else:
        value = 3.7513593440414827 + polynomial(_FAR_TAIL, 21, (s - 4.0) + low)
    return -value if x < 0.0 else value


cdef double polynomial(const double* coefficients, int count, double x) noexcept nogil:
    """Horner's rule, the highest power first."""
    cdef double value = 0.0
    cdef int k
    for k in range(count):
        value = value * x + coefficients[k]
    return value


# What lane functions may call, beside the C library: these, and products of matrices.
SERVICES = {
    "digamma": PyCapsule_New(<void*>digamma, "digamma/float64", NULL),
    "polygamma": PyCapsule_New(<void*>polygamma, "polygamma/float64", NULL),
    "erfinv": PyCapsule_New(<void*>erfinv, "erfinv/float64", NULL),
}


cdef hot multiply(rows to, const real* a, Py_ssize_t down, Py_ssize_t right, const real* b, Py_ssize_t m, Py_ssize_t k, Py_ssize_t n) noexcept nogil:
    """to = a @ b for each lane: a (m, k) is the same for all, with the strides down and right; b (k, n) has rows of lanes."""
    cdef Py_ssize_t i, j, height, panel, slice, first, part, width = n * MATRIX_LANES
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


cdef hot multiply_each(rows to, const real* a, const real* b, Py_ssize_t m, Py_ssize_t k, Py_ssize_t n) noexcept nogil:
    """to = a @ b for each lane: a (m, k) and b (k, n) have rows of lanes."""
    cdef Py_ssize_t i, j, p, lane
    for i in range(m):
        for j in range(n):
            for lane in range(MATRIX_LANES):
                to[(i * n + j) * MATRIX_LANES + lane] = 0.0
            for p in range(k):
                for lane in range(MATRIX_LANES):
                    to[(i * n + j) * MATRIX_LANES + lane] = fma_real(
                        a[(i * k + p) * MATRIX_LANES + lane], b[(p * n + j) * MATRIX_LANES + lane], to[(i * n + j) * MATRIX_LANES + lane])


cdef hot multiply_once(rows to, const real* a, Py_ssize_t a_down, Py_ssize_t a_right, const real* b, Py_ssize_t b_down, Py_ssize_t b_right,
                       Py_ssize_t m, Py_ssize_t k, Py_ssize_t n) noexcept nogil:
    """to = a @ b, (m, k) and (k, n), each with its strides."""
    cdef Py_ssize_t i, j, p
    cdef real total
    for i in range(m):
        for j in range(n):
            total = 0.0
            for p in range(k):
                total = fma_real(a[i * a_down + p * a_right], b[p * b_down + j * b_right], total)
            to[i * n + j] = total


cdef void copy_rows(real* to, Py_ssize_t to_down, Py_ssize_t to_right, const real* from_, Py_ssize_t down, Py_ssize_t right,
                    Py_ssize_t m, Py_ssize_t n, Py_ssize_t width) noexcept nogil:
    """An (m, n) matrix of rows, from one place to another, each with its strides in rows."""
    cdef Py_ssize_t i, j
    for i in range(m):
        for j in range(n):
            memcpy(&to[(i * to_down + j * to_right) * width], &from_[(i * down + j * right) * width], width * sizeof(real))


SERVICES.update({
    "multiply": PyCapsule_New(<void*>multiply, "multiply/float64", NULL),
    "multiply_each": PyCapsule_New(<void*>multiply_each, "multiply_each/float64", NULL),
    "multiply_once": PyCapsule_New(<void*>multiply_once, "multiply_once/float64", NULL),
    "copy_rows": PyCapsule_New(<void*>copy_rows, "copy_rows/float64", NULL),
})


cdef struct Nodes:  # of the tree of sums: a row is a pair, high and low
    double* sums
    double* shrunk  # the same sums times SHRINK: for rows of which `sums` is not finite, and meaningless for others
    int* exponents  # one for each node: its weights, and so its sums, are those of the samples times 2**-exponent


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


cdef hot accumulate(const real* values, Py_ssize_t calls, Py_ssize_t distance, pairs high, pairs low, Py_ssize_t n) noexcept nogil:
    """Add n lanes' values, of one call after the other, to each lane's pair; calls are ``distance`` apart.

    Four calls are added while a pair is in registers.
    """
    cdef Py_ssize_t call, i
    cdef double high_i, low_i
    if calls == 4:
        for i in range(n):
            high_i = high[i]
            low_i = low[i]
            add_exactly(&high_i, &low_i, values[i])
            add_exactly(&high_i, &low_i, values[distance + i])
            add_exactly(&high_i, &low_i, values[2 * distance + i])
            add_exactly(&high_i, &low_i, values[3 * distance + i])
            high[i] = high_i
            low[i] = low_i
        return
    for call in range(calls):
        for i in range(n):
            add_exactly(&high[i], &low[i], values[call * distance + i])


cdef inline hot halve(double* high, double* low, Py_ssize_t n) noexcept nogil:
    """n pairs, halved until eight are left."""
    cdef Py_ssize_t half = n // 2, i
    while half >= 8:
        for i in range(half):
            merge(&high[i], &low[i], high[half + i], low[half + i])
        half //= 2


cdef hot fold(double* high, double* low, Py_ssize_t n_rows, Py_ssize_t lanes, double* node) noexcept nogil:
    """Halve the lanes of a tile until one pair is left for each row: node[2 * row], node[2 * row + 1].

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
            halve(&high[(first + row) * lanes], &low[(first + row) * lanes], lanes)
            for lane in range(8):
                turned_high[lane * 8 + row] = high[(first + row) * lanes + lane]
                turned_low[lane * 8 + row] = low[(first + row) * lanes + lane]
        halve(turned_high, turned_low, 64)
        for row in range(count):
            node[2 * (first + row)] = turned_high[row]
            node[2 * (first + row) + 1] = turned_low[row]


cdef inline Nodes nodes_from(Nodes nodes, Py_ssize_t row) noexcept nogil:
    nodes.sums += 2 * row
    nodes.shrunk += 2 * row
    return nodes


cdef inline Nodes node_at(Nodes stack, Py_ssize_t height, Py_ssize_t n_rows) noexcept nogil:
    stack = nodes_from(stack, height * n_rows)
    stack.exponents += height
    return stack


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


cdef void raise_exponent(Nodes node, int exponent, Py_ssize_t n_rows) noexcept nogil:
    """Let a node's sums be those of weights times 2**-exponent, which are smaller.

    What is rounded is below the least number times the greatest weight of all that they are added to: no mean shows it.
    """
    cdef Py_ssize_t row
    cdef double* pair
    for row in range(n_rows):
        pair = &node.sums[2 * row] if magnitude(node.sums[2 * row]) <= GREATEST else &node.shrunk[2 * row]
        pair[0] = ldexp(pair[0], node.exponents[0] - exponent)
        pair[1] = ldexp(pair[1], node.exponents[0] - exponent)
    node.exponents[0] = exponent


cdef void merge_nodes(Nodes node, Nodes other, Py_ssize_t n_rows) noexcept nogil:
    """A node and its right sibling: their parent, in the place of the first. Few rows at a time, which stay in the cache."""
    cdef Py_ssize_t first, count
    if node.exponents[0] < other.exponents[0]:
        raise_exponent(node, other.exponents[0], n_rows)
    elif other.exponents[0] < node.exponents[0]:
        raise_exponent(other, node.exponents[0], n_rows)
    for first in range(0, n_rows, 256):
        count = min(n_rows - first, 256)
        if might_overflow(&node.sums[2 * first], &other.sums[2 * first], count):
            merge_shrunk(nodes_from(node, first), nodes_from(other, first), count)
        merge_pairs(&node.sums[2 * first], &other.sums[2 * first], count)


cdef Py_ssize_t push(Nodes stack, Py_ssize_t height, Py_ssize_t index, Py_ssize_t n_rows) noexcept nogil:
    """A node was put on top: merge what is complete, as a binary counter carries. The new height."""
    while index & 1:
        height -= 1
        merge_nodes(node_at(stack, height - 1, n_rows), node_at(stack, height, n_rows), n_rows)
        index >>= 1
    return height


cdef void collapse(Nodes stack, Py_ssize_t height, Py_ssize_t n_rows) noexcept nogil:
    """The nodes left on the stack, from the top down into the first."""
    while height > 1:
        height -= 1
        merge_nodes(node_at(stack, height - 1, n_rows), node_at(stack, height, n_rows), n_rows)


cdef inline double quotient(const double* pair, const double* shrunk, double total, double unit) noexcept nogil:
    """A sum over the total weight, which is total / unit."""
    if magnitude(pair[0]) <= GREATEST:
        return (pair[0] + pair[1]) / total * unit
    return (shrunk[0] + shrunk[1]) / total * (unit / SHRINK)


cdef hot divide(real* means, const double* sums, const real* penalty, Py_ssize_t n, double total) noexcept nogil:
    """Divide pairs by the total weight, and add the penalty's share."""
    cdef Py_ssize_t i
    if penalty == NULL:
        for i in range(n):
            means[i] = <real>canonical((sums[2 * i] + sums[2 * i + 1]) / total)
    else:
        for i in range(n):
            means[i] = <real>canonical((sums[2 * i] + sums[2 * i + 1]) / total + penalty[i])


cdef void divide_all(real* means, const double* sums, const double* shrunk, const real* penalty, Py_ssize_t n, double total,
                     double unit) noexcept nogil:
    if unit == 1.0 and all_finite(sums, n):
        divide(means, sums, penalty, n, total)
    else:
        divide_each(means, sums, shrunk, penalty, n, total, unit)


cdef void divide_each(real* means, const double* sums, const double* shrunk, const real* penalty, Py_ssize_t n, double total,
                      double unit) noexcept nogil:
    """What `divide` does, where some sums are not finite, or the total weight (which is total / unit) is not."""
    cdef Py_ssize_t i
    cdef double mean
    for i in range(n):
        mean = quotient(&sums[2 * i], &shrunk[2 * i], total, unit)
        means[i] = <real>canonical(mean if penalty == NULL else mean + penalty[i])


cdef struct Column:
    const char* base  # NULL where there is no such array
    Py_ssize_t row_stride
    Py_ssize_t column_stride
    bint wide  # its numbers are doubles, whatever the module's are: weights, which may be beyond the range of single precision

cdef enum Wanted:
    SUMS  # of the loss, and with_gradient of its derivatives
    ROWS  # each sample's values
    NORMS  # the squared norm of each sample's gradient

cdef struct Sweep:
    const Model* model
    LaneFunction function
    const real* c
    Py_ssize_t n_rows  # rows that the function fills: the loss, and with it the gradient; or the predictions
    bint with_gradient
    Py_ssize_t n_sums  # rows of a node: the weight, the loss, and with_gradient its derivative by each parameter
    int exponent  # weights are multiplied by 2**-exponent, a whole tile's
    bint shrunk  # and by SHRINK
    Py_ssize_t n  # samples in the arrays below
    Column[3] columns  # inputs, targets, weights
    Wanted wanted
    char* out  # what is wanted of each sample
    Py_ssize_t out_rows  # so many rows of values, or one number
    Py_ssize_t out_size  # so many bytes
    const double* bounds  # of the norm of each block
    const int64_t* codes  # each sample's group, -1 for none


cdef struct Scratch:  # what a thread works in
    real* data
    real* values
    double* sums
    real* turned
    double* products
    real* values_by_lane  # where each lane's numbers lie together
    real* data_by_lane
    real* gradient  # of one lane
    real* cotangents  # of one lane, where they are pulled back; and after them what that works in
    const char* samples  # rows of the inputs of a call, ``down`` bytes apart
    Py_ssize_t down
    real* table  # where the inputs are copied that are not in rows
    double* multiples  # sums of multiples of inputs over the samples of a tile
    real* sums_of_call  # of one multiple
    real* factors  # of the multiples, where masked samples are left out, or other numbers are summed
    real* aside  # the weights of a call
    real* factors_of_lanes  # for each block
    double* lengths  # squared norms, for each block
    double* length_pairs
    real* made_rows  # gradients
    real* weighted  # some of their columns, times the weights
    real* squared  # an operand, or the inputs
    double* made  # sums of a tile


cdef hot gather_table(rows to, const Column* table, Py_ssize_t first, Py_ssize_t columns, Py_ssize_t start, Py_ssize_t count,
                      Py_ssize_t lanes) noexcept nogil:
    """``count`` rows from ``start`` of columns from ``first`` on, turned: a row of lanes for each. Eight samples are read at a time."""
    cdef Py_ssize_t index, eight, lane, down = table.row_stride, right = table.column_stride
    cdef const char* at = table.base + start * down + first * right
    if down == sizeof(real):
        for index in range(columns):
            memcpy(&to[index * lanes], at + index * right, count * sizeof(real))
        return
    for eight in range(0, count - 7, 8):
        index = 0
        if right == sizeof(real):
            for index in range(0, columns - 7, 8):
                turn_eight(&to[index * lanes + eight], lanes, at + eight * down + index * sizeof(real), down)
            index = columns - columns % 8
        for index in range(index, columns):
            for lane in range(8):
                memcpy(&to[index * lanes + eight + lane], at + (eight + lane) * down + index * right, sizeof(real))
    for lane in range(count - count % 8, count):
        for index in range(columns):
            memcpy(&to[index * lanes + lane], at + lane * down + index * right, sizeof(real))


cdef inline double weight_at(const Column* weights, Py_ssize_t row) noexcept nogil:
    cdef double wide
    cdef real weight
    if weights.wide:
        memcpy(&wide, weights.base + row * weights.row_stride, sizeof(double))
        return wide
    memcpy(&weight, weights.base + row * weights.row_stride, sizeof(real))
    return weight


cdef void gather_weights(real* to, const Column* weights, Py_ssize_t start, Py_ssize_t count, int exponent, Py_ssize_t lanes) noexcept nogil:
    """``count`` weights from ``start``, times 2**-exponent: so are all results of a lane function, which are as large."""
    cdef Py_ssize_t lane
    if exponent == 0 and not weights.wide:
        gather_table(to, weights, 0, 1, start, count, lanes)
        return
    for lane in range(count):
        to[lane] = <real>ldexp(weight_at(weights, start + lane), -exponent)


cdef hot gather(Sweep* sweep, Scratch* scratch, Py_ssize_t start, Py_ssize_t count, unsigned char* masked, Py_ssize_t* n_masked) noexcept nogil:
    """``count`` samples from ``start``, transposed; the lanes beyond them, and those of weight zero, are masked.

    A masked lane is a copy of a lane that is not. All ``n_masked`` lanes are masked, if every weight is zero.
    """
    cdef const Model* model = sweep.model
    cdef Py_ssize_t index, lane, kept = 0, lanes = model.lanes
    cdef real* data = scratch.data
    cdef const Segment* part
    n_masked[0] = 0
    for index in range(model.n_columns):
        part = &model.columns[index]
        gather_table(&data[part.row * lanes], &sweep.columns[0], part.at, part.size, start, count, lanes)
    if model.n_predictors:
        predict_linearly(sweep, scratch, start, count)
    if sweep.columns[1].base != NULL:  # predictions need no targets
        gather_table(&data[model.input_columns * lanes], &sweep.columns[1], 0, model.target_columns, start, count, lanes)
    cdef real* weights = &data[model.weight_row * lanes]
    if sweep.columns[WEIGHTS].base != NULL:
        gather_weights(weights, &sweep.columns[WEIGHTS], start, count, sweep.exponent, lanes)
    else:
        for lane in range(count):
            weights[lane] = 1.0
        if count == lanes:
            return
    for lane in range(lanes):
        masked[lane] = lane >= count or weights[lane] == 0.0
        n_masked[0] += masked[lane]
        if not masked[lane]:
            kept = lane
    if n_masked[0] and n_masked[0] < lanes:
        for lane in range(lanes):
            if masked[lane]:
                for index in range(model.weight_row + 1):
                    data[index * lanes + lane] = data[index * lanes + kept]


cdef int exponent_of(const Column* weights, Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    """Return the exponent that takes the greatest weight of a tile to about 1, if all are small: else none, 0.

    The products of small weights would lose digits below the range of full precision, and their sums with them. Weights
    beyond a module's range are large. Most tiles are known for ordinary by their first weight.
    """
    cdef Py_ssize_t row
    cdef int exponent
    cdef bint any_size = weights.wide and sizeof(real) < sizeof(double)
    cdef double greatest = 0.0
    if weights.base == NULL:
        return 0
    for row in range(start, start + count):
        greatest = max(greatest, magnitude(weight_at(weights, row)))
        if greatest >= SMALL and not any_size:
            return 0
    if SMALL <= greatest < 1.0 / LEAST:
        return 0
    frexp(greatest, &exponent)
    return exponent if greatest > 0.0 else NO_WEIGHT


cdef hot shrink(real* weights, Py_ssize_t lanes) noexcept nogil:
    """Everything that a lane function computes from then on is SHRINK times as large; no weight becomes zero."""
    cdef Py_ssize_t lane
    for lane in range(lanes):
        weights[lane] = <real>(weights[lane] * SHRINK)
        if magnitude(weights[lane]) < LEAST:
            weights[lane] = <real>(LEAST if weights[lane] >= 0.0 else -LEAST)


cdef hot clear_masked(real* out, Py_ssize_t n_rows, const unsigned char* masked, Py_ssize_t lanes) noexcept nogil:
    """Masked lanes of rows become zero."""
    cdef Py_ssize_t row, lane
    for row in range(n_rows):
        for lane in range(lanes):
            if masked[lane]:
                out[row * lanes + lane] = 0.0


cdef void find_rows(const Column* table, Py_ssize_t columns, Scratch* scratch, Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    """Point the scratch at the samples of a call, in rows without gaps: where they lie, or where they are copied to."""
    cdef Py_ssize_t index, lane
    scratch.samples = table.base + start * table.row_stride
    scratch.down = table.row_stride
    if table.column_stride != sizeof(real):
        for index in range(columns):
            for lane in range(count):
                memcpy(&scratch.table[lane * columns + index], scratch.samples + lane * table.row_stride + index * table.column_stride, sizeof(real))
        scratch.samples = <const char*>scratch.table
        scratch.down = columns * sizeof(real)


cdef void predict_linearly(Sweep* sweep, Scratch* scratch, Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    """The linear predictors of a call, to rows of its data."""
    cdef const Model* model = sweep.model
    cdef Py_ssize_t i
    cdef Predictor* p
    find_rows(&sweep.columns[0], model.input_columns, scratch, start, count)
    for i in range(model.n_predictors):
        p = &model.predictors[i]
        weigh_rows(&scratch.data[p.row * model.lanes], scratch.samples + p.first * sizeof(real), scratch.down, &sweep.c[p.weights], p.size, count,
                   model.lanes * scratch.down)


cdef hot add_call(pairs high, pairs low, const real* sums, Py_ssize_t n) noexcept nogil:
    """A call's sums onto pairs."""
    cdef Py_ssize_t i
    for i in range(n):
        add_exactly(&high[i], &low[i], sums[i])


cdef Py_ssize_t squeeze(const Model* model, Scratch* scratch, const unsigned char* masked) noexcept nogil:
    """Leave the masked samples of a call out, of its inputs and of the factors of its multiples; how many are left."""
    cdef Py_ssize_t i, lane, kept = 0, size = model.input_columns * sizeof(real)
    cdef real* factors
    for lane in range(model.lanes):
        if not masked[lane]:
            memmove(&scratch.table[kept * model.input_columns], scratch.samples + lane * scratch.down, size)
            for i in range(model.n_scaled):
                factors = &scratch.factors[i * MOST_LANES]
                if model.kind == GRADIENTS:
                    factors = <real*>row_of(model, model.scaled[i].row, scratch.values, scratch.data, model.lanes)
                scratch.factors[i * MOST_LANES + kept] = factors[lane]
            kept += 1
    scratch.samples = <const char*>scratch.table
    scratch.down = size
    return kept


cdef void add_multiples_of_inputs(const Model* model, Scratch* scratch, const unsigned char* masked) noexcept nogil:
    """A call's share of the gradients that are multiples of its inputs: summed plainly, and added to pairs."""
    cdef Py_ssize_t i, count, ahead = model.lanes * scratch.down
    cdef const real* factors
    cdef Multiple* s
    for i in range(model.n_scaled if model.kind != GRADIENTS else 0):
        s = &model.scaled[i]
        factors = row_of(model, s.row, scratch.values, scratch.data, model.lanes)
        if model.kind == SQUARES:
            write_squares(&scratch.factors[i * MOST_LANES], factors, model.lanes)
            multiply_lanes_by(&scratch.factors[i * MOST_LANES], scratch.aside, model.lanes)
        else:
            memcpy(&scratch.factors[i * MOST_LANES], factors, model.lanes * sizeof(real))
            multiply_lanes_by(&scratch.factors[i * MOST_LANES], &scratch.factors_of_lanes[block_of(model, s.at) * MOST_LANES], model.lanes)
    count = model.lanes if masked == NULL else squeeze(model, scratch, masked)
    if model.kind == SQUARES:
        square_table(model, scratch, count)
    for i in range(model.n_scaled):
        s = &model.scaled[i]
        factors = row_of(model, s.row, scratch.values, scratch.data, model.lanes) if masked == NULL and model.kind == GRADIENTS else &scratch.factors[i * MOST_LANES]
        sum_multiples(scratch.sums_of_call, scratch.samples + s.first * sizeof(real), scratch.down, factors, s.size, count, ahead)
        add_call(&scratch.multiples[s.place], &scratch.multiples[s.place + s.size], scratch.sums_of_call, s.size)


cdef void fold_multiples(const Model* model, Scratch* scratch, double* node) noexcept nogil:
    """The multiples of a tile's inputs, each to its place among the sums of the node."""
    cdef Py_ssize_t i, j
    cdef Multiple* s
    cdef double* sums
    cdef double* pair
    for i in range(model.n_scaled):
        s = &model.scaled[i]
        sums = &scratch.multiples[s.place]
        for j in range(s.size):
            pair = &node[2 * (1 + s.at + j * s.step)]
            if not s.more:
                pair[0] = pair[1] = 0.0
            merge(pair, &pair[1], sums[j], sums[s.size + j])


cdef void write_multiples(const Model* model, const Scratch* scratch, Py_ssize_t lane, real* to, Py_ssize_t count) noexcept nogil:
    """The multiples of their inputs of ``count`` samples from ``lane`` on, each to its row of all parameters."""
    cdef Py_ssize_t here, i
    cdef Multiple* s
    for here in range(count):
        for i in range(model.n_scaled):
            s = &model.scaled[i]
            write_multiple(&to[here * model.n_results + s.at], s.step, scratch.samples + (lane + here) * scratch.down + s.first * sizeof(real),
                           row_of(model, s.row, scratch.values, scratch.data, model.lanes)[lane + here], s.size, s.more)


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
            part = &to[(first * p + q * width) * MATRIX_LANES]
            for lane in range(0, MATRIX_LANES, 8):
                for j in range(0, min(width, k - first) - 7, 8):
                    row = &values[(q * down + (first + j) * right) * MATRIX_LANES + lane]
                    turn_eight(&part[lane * width + j], width, <const char*>row, right * MATRIX_LANES * sizeof(real))
                for j in range(min(width, k - first) // 8 * 8, width):
                    row = &values[(q * down + (first + j) * right) * MATRIX_LANES + lane]
                    for i in range(8):
                        part[(lane + i) * width + j] = row[i] if j < k - first else 0.0
            if masked != NULL:
                for lane in range(MATRIX_LANES):
                    if masked[lane]:
                        memset(&part[lane * width], 0, width * sizeof(real))


cdef hot add_block(double* sums, rows block, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        sums[i] += block[i]


cdef hot add_panel(double* sums, const real* a, Py_ssize_t down, const real* b, Py_ssize_t m, Py_ssize_t width) noexcept nogil:
    """One call's a @ b onto sums: a (m, MATRIX_LANES) with rows ``down`` apart, b (MATRIX_LANES, width)."""
    cdef Py_ssize_t part, height, i = 0, vectors = 4 if width == 4 * WIDTH else 1
    cdef real[24 * LINE] block
    while i < m:
        height = block_rows(m - i)
        for part in range(width // (vectors * WIDTH)):
            multiply_block(height, vectors, &block[part * WIDTH], width, &a[i * down], down, 1, &b[part * WIDTH], width, MATRIX_LANES, 0)
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
            add_panel(&sums[first * m], &left[q * right * MATRIX_LANES], down * MATRIX_LANES, &turned[(first * p + q * width) * MATRIX_LANES], m, width)


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


cdef void add_outers(const Model* model, Scratch* scratch, const unsigned char* masked) noexcept nogil:
    """The products of a call, onto the sums of the tile."""
    cdef Py_ssize_t i, row
    cdef const real* left
    cdef Turned* t
    cdef Outer* o
    for i in range(model.n_turns):
        t = &model.turns[i]
        turn(&scratch.turned[t.place * MATRIX_LANES], row_of(model, t.row, scratch.values, scratch.data, MATRIX_LANES), t.p, t.k, t.down, t.right, masked)
        if model.kind != GRADIENTS:
            multiply_turned(&scratch.turned[t.place * MATRIX_LANES], t.k,
                            scratch.aside if model.kind == SQUARES else &scratch.factors_of_lanes[t.block * MOST_LANES], model.kind == SQUARES)
    for i in range(model.n_outers):
        o = &model.outers[i]
        left = row_of(model, o.row, scratch.values, scratch.data, MATRIX_LANES)
        if model.kind == SQUARES:
            for row in range(o.rows):
                write_squares(&scratch.squared[row * MATRIX_LANES], &left[row * o.down * MATRIX_LANES], MATRIX_LANES)
            left = scratch.squared
        add_outer(&scratch.products[o.place], left, 1 if model.kind == SQUARES else o.down, o.step,
                  &scratch.turned[o.turned * MATRIX_LANES], o.rows, o.p, o.columns)


cdef void fold_outers(const Model* model, Scratch* scratch, double* node) noexcept nogil:
    """The products of a tile, each to its place among the sums of the node."""
    cdef Py_ssize_t i
    cdef Outer* o
    for i in range(model.n_outers):
        o = &model.outers[i]
        fold_outer(&node[2 * (1 + o.at)], o.node_down, o.node_right, &scratch.products[o.place], o.rows, o.columns, o.more)


cdef hot fold_gradients(const Model* model, double* high, double* low, Scratch* scratch, double* node) noexcept nogil:
    """The sums of the loss and of all parts of its gradient, each to its place in the node."""
    cdef Py_ssize_t i
    cdef const Segment* s
    if not model.covered:
        memset(node, 0, 2 * (1 + model.n_results) * sizeof(double))
    for i in range(model.n_segments):
        s = &model.segments[i]
        fold(&high[s.row * model.lanes], &low[s.row * model.lanes], s.size, model.lanes, &node[2 * s.at])
    if model.n_outers:
        fold_outers(model, scratch, node)
    if model.n_scaled:
        fold_multiples(model, scratch, node)


cdef hot sum_tile(Sweep* sweep, Scratch* scratch, Py_ssize_t tile, double* node) noexcept nogil:
    """The samples of a tile: calls of the lane function onto each lane's pairs, and these folded."""
    cdef const Model* model = sweep.model
    cdef Py_ssize_t call, start, count, n_masked, n_rows = sweep.n_rows, lanes = model.lanes
    cdef Py_ssize_t distance = model.value_rows * lanes, waiting = 0  # calls whose values are not yet added
    cdef real* data = scratch.data
    cdef real* weights = &data[model.weight_row * lanes]
    cdef real* values
    cdef double* sums = scratch.sums
    cdef double* low = &sums[(n_rows + 1) * lanes]
    cdef unsigned char[MOST_LANES] masked
    cdef bint weighted = sweep.columns[WEIGHTS].base != NULL
    memset(sums, 0, 2 * (n_rows + 1) * lanes * sizeof(double))
    cdef bint made = model.kind != GRADIENTS
    cdef real* first = scratch.values
    if made:
        fill_ones(scratch.aside, lanes)
    if model.made:
        memset(scratch.made, 0, model.made * sizeof(double))
    if sweep.with_gradient and model.n_outers:
        memset(scratch.products, 0, model.products * sizeof(double))
    if sweep.with_gradient and model.n_scaled:
        memset(scratch.multiples, 0, model.multiples * sizeof(double))
    for call in range(model.depth):
        start = tile * model.tile_rows + call * lanes
        count = min(lanes, sweep.n - start)
        if count <= 0:
            break
        gather(sweep, scratch, start, count, masked, &n_masked)
        if n_masked == lanes:
            continue
        if sweep.shrunk:
            shrink(weights, lanes)
        values = &scratch.values[waiting * distance]
        if made and (weighted or sweep.shrunk):  # gradients are taken without their weights, which multiply what is made of them
            memcpy(scratch.aside, weights, lanes * sizeof(real))
            fill_ones(weights, lanes)
        sweep.function(sweep.c, data, values)
        if made and (weighted or sweep.shrunk):
            memcpy(weights, scratch.aside, lanes * sizeof(real))
        if model.in_rows:
            add_call_of_rows(sweep, scratch, start, count, masked if n_masked else NULL)
            if n_masked:
                clear_masked(weights, 1, masked, lanes)
            if weighted:
                accumulate(weights, 1, 0, &sums[n_rows * lanes], &low[n_rows * lanes], lanes)
            continue
        scratch.values = values
        if model.kind == CLIPPED:
            find_factors(sweep, scratch, count)
        if sweep.with_gradient and model.n_outers:
            add_outers(model, scratch, masked if n_masked else NULL)
        if sweep.with_gradient and model.n_scaled:
            add_multiples_of_inputs(model, scratch, masked if n_masked else NULL)
        if model.kind == CLIPPED:
            scale_segments(model, scratch)
        scratch.values = first
        if n_masked:
            clear_masked(values, n_rows, masked, lanes)
            clear_masked(weights, 1, masked, lanes)
        if model.kind == SQUARES:
            accumulate_squares(values, scratch.aside, sums, low, n_rows, lanes)
        else:
            waiting += 1
        if waiting == model.batch:
            accumulate(scratch.values, waiting, distance, sums, low, n_rows * lanes)
            waiting = 0
        if weighted:
            accumulate(weights, 1, 0, &sums[n_rows * lanes], &low[n_rows * lanes], lanes)
    accumulate(scratch.values, waiting, distance, sums, low, n_rows * lanes)
    fold(&sums[n_rows * lanes], &low[n_rows * lanes], 1, lanes, node)
    if model.in_rows:
        fold_made(model, scratch, &node[2])
    elif sweep.with_gradient:
        fold_gradients(model, sums, low, scratch, &node[2])
    else:
        fold(sums, low, 1, lanes, &node[2])


cdef void sum_block(Sweep* sweep, Scratch* scratch, Nodes stack) noexcept nogil:
    """The samples of a block, into the first node of the stack: a tree over its tiles.

    A sum that is not finite, though the mean may be, is computed once more with smaller weights, tile by tile. So the
    result is still a matter of each sample's place in the tree alone.
    """
    cdef Py_ssize_t tile, height = 0, rows = sweep.model.tile_rows
    cdef Nodes node
    for tile in range((sweep.n + rows - 1) // rows):
        node = node_at(stack, height, sweep.n_sums)
        sweep.exponent = exponent_of(&sweep.columns[WEIGHTS], tile * rows, min(rows, sweep.n - tile * rows))
        node.exponents[0] = sweep.exponent
        sum_tile(sweep, scratch, tile, node.sums)
        if not all_finite(node.sums, sweep.n_sums):
            sweep.shrunk = True
            sum_tile(sweep, scratch, tile, node.shrunk)
            sweep.shrunk = False
        height = push(stack, height + 1, tile, sweep.n_sums)
    collapse(stack, height, sweep.n_sums)


cdef enum:
    FEW_PARAMETERS = 48  # of matrices: so many rows of lanes stay in the first cache
    STREAMED = 1 << 21  # bytes of a block of results, from which on they are written past the caches


cdef hot settle(real* values, Py_ssize_t n) noexcept nogil:
    """Every NaN gets the same bits."""
    cdef Py_ssize_t i
    for i in range(n):
        values[i] = <real>canonical(values[i])


cdef void pull_back(const Model* model, const real* c, const real* cotangents, real* room, real* to, const real* penalty) noexcept nogil:
    """The derivatives by the parameters from those that are summed, plus the penalty's share; ``room`` is what is worked in."""
    cdef Py_ssize_t i
    model.pull(c, cotangents, room)
    for i in range(model.n_gradient):
        to[i] = <real>canonical(room[i] if penalty == NULL else room[i] + penalty[i])


cdef void turn_to_lanes(const Model* model, Scratch* scratch, Py_ssize_t count) noexcept nogil:
    """What the gradients of a call are made of: each lane's values one after the other, and so its data."""
    scatter(scratch.values, model.value_rows, scratch.values_by_lane, model.value_rows, count, MATRIX_LANES)
    scatter(scratch.data, model.weight_row, scratch.data_by_lane, model.weight_row, count, MATRIX_LANES)


cdef void write_gradient(const Model* model, const real* values, const real* data, real* to) noexcept nogil:
    """One lane's gradient, from what is that lane's."""
    cdef Py_ssize_t i, loss
    cdef const Segment* s
    cdef Outer* o
    if not model.covered:
        memset(to, 0, model.n_results * sizeof(real))
    for i in range(model.n_segments):
        s = &model.segments[i]
        loss = s.at == 0
        memcpy(&to[s.at + loss - 1], &values[s.row + loss], (s.size - loss) * sizeof(real))
    for i in range(model.n_outers):
        o = &model.outers[i]
        write_outer(&to[o.at], row_of(model, o.left, values, data, 1), row_of(model, o.right, values, data, 1), o.m, o.p, o.k, o.more)


cdef hot multiply_lanes(rows to, const real* left, const real* right, Py_ssize_t m, Py_ssize_t p, Py_ssize_t k, bint more) noexcept nogil:
    """Each lane's left @ right, (m, p) times (p, k), as rows of lanes: the numbers that `write_outer` gives."""
    cdef Py_ssize_t i, j, q, lane
    for i in range(m):
        for j in range(k):
            for q in range(p):
                if more or q:
                    for lane in range(MATRIX_LANES):
                        to[(i * k + j) * MATRIX_LANES + lane] = <real>canonical(fma_real(
                            left[(i * p + q) * MATRIX_LANES + lane], right[(q * k + j) * MATRIX_LANES + lane], to[(i * k + j) * MATRIX_LANES + lane]))
                else:
                    for lane in range(MATRIX_LANES):
                        to[(i * k + j) * MATRIX_LANES + lane] = <real>canonical(
                            left[i * p * MATRIX_LANES + lane] * right[j * MATRIX_LANES + lane])


cdef void gradients_by_lanes(const Model* model, Scratch* scratch) noexcept nogil:
    """All lanes' gradients as rows of lanes: of few parameters, which are written sooner so than lane by lane."""
    cdef Py_ssize_t i, loss
    cdef const Segment* s
    cdef Outer* o
    if not model.covered:
        memset(scratch.gradient, 0, model.n_results * MATRIX_LANES * sizeof(real))
    for i in range(model.n_segments):
        s = &model.segments[i]
        loss = s.at == 0
        memcpy(&scratch.gradient[(s.at + loss - 1) * MATRIX_LANES], &scratch.values[(s.row + loss) * MATRIX_LANES],
               (s.size - loss) * MATRIX_LANES * sizeof(real))
    for i in range(model.n_outers):
        o = &model.outers[i]
        multiply_lanes(&scratch.gradient[o.at * MATRIX_LANES], row_of(model, o.left, scratch.values, scratch.data, MATRIX_LANES),
                       row_of(model, o.right, scratch.values, scratch.data, MATRIX_LANES), o.m, o.p, o.k, o.more)


cdef void turn_gradients(const Model* model, Scratch* scratch, Py_ssize_t count) noexcept nogil:
    """Before `write_gradients` writes a call's gradients: what products of matrices are part of is turned."""
    if model.n_outers and model.n_results <= FEW_PARAMETERS:
        gradients_by_lanes(model, scratch)
    elif model.n_outers:
        turn_to_lanes(model, scratch, count)


cdef void scatter_gradients(const Model* model, const real* values, real* to, Py_ssize_t count) noexcept nogil:
    """Each lane's gradient to one row of all parameters."""
    cdef Py_ssize_t i, loss
    cdef const Segment* s
    if not model.covered:
        memset(to, 0, count * model.n_results * sizeof(real))
    for i in range(model.n_segments):
        s = &model.segments[i]
        loss = s.at == 0
        scatter(&values[(s.row + loss) * model.lanes], s.size - loss, &to[s.at + loss - 1], model.n_results, count, model.lanes)


cdef void write_gradients(const Model* model, Scratch* scratch, Py_ssize_t lane, real* to, Py_ssize_t count) noexcept nogil:
    """The gradients of ``count`` lanes of a call, from ``lane`` on."""
    cdef Py_ssize_t here
    if model.n_outers and model.n_results <= FEW_PARAMETERS:
        scatter(&scratch.gradient[lane], model.n_results, to, model.n_results, count, MATRIX_LANES)
    elif model.n_outers:
        for here in range(count):
            write_gradient(model, &scratch.values_by_lane[(lane + here) * model.value_rows], &scratch.data_by_lane[(lane + here) * model.weight_row],
                           &to[here * model.n_results])
    else:
        scatter_gradients(model, &scratch.values[lane], to, count)
    if model.n_scaled:
        write_multiples(model, scratch, lane, to, count)


cdef void write_rows(Sweep* sweep, Scratch* scratch, Py_ssize_t lane, real* to, Py_ssize_t count) noexcept nogil:
    """The rows of ``count`` lanes of a call, from ``lane`` on."""
    cdef Py_ssize_t here
    cdef const Model* model = sweep.model
    if sweep.with_gradient and model.pull != NULL:
        for here in range(count):
            write_gradients(model, scratch, lane + here, scratch.cotangents, 1)
            pull_back(model, sweep.c, scratch.cotangents, &scratch.cotangents[model.n_results], &to[here * model.n_gradient], NULL)
    elif sweep.with_gradient:
        write_gradients(model, scratch, lane, to, count)
    else:
        scatter(&scratch.values[lane], sweep.out_rows, to, sweep.out_rows, count, model.lanes)


cdef Py_ssize_t lanes_together(const Model* model, Py_ssize_t row_size) noexcept nogil:
    """Lanes whose rows are put together before they are written past the caches: in the first cache, or of formulas in the second."""
    cdef Py_ssize_t lanes = model.lanes
    while lanes > 1 and lanes * row_size > (1 << 14 if lanes > 8 or model.n_outers else 1 << 18):
        lanes //= 2
    return lanes


cdef void write_block(Sweep* sweep, Scratch* scratch) noexcept nogil:
    """The rows of all samples of a block, to ``out``: past the caches if they are many, so that no line is read first."""
    cdef Py_ssize_t lane, here, count, n_masked, start = 0, n_lanes = sweep.model.lanes
    cdef Py_ssize_t together = n_lanes, row_size = sweep.out_rows * sizeof(real)
    cdef void* memory = NULL
    cdef real* room = NULL  # without one, rows go to their places at once
    cdef real* to = <real*>sweep.out
    cdef unsigned char[MOST_LANES] masked
    if sweep.n * row_size >= STREAMED:
        together = lanes_together(sweep.model, row_size)
        memory = malloc(together * row_size + 64)
        if memory != NULL:
            room = <real*>(<size_t>memory + 64 & ~<size_t>63)
    while start < sweep.n:
        here = min(n_lanes, sweep.n - start)
        gather(sweep, scratch, start, here, masked, &n_masked)
        sweep.function(sweep.c, scratch.data, scratch.values)
        settle(scratch.values, sweep.n_rows * n_lanes)
        if sweep.with_gradient:
            turn_gradients(sweep.model, scratch, here)
        lane = 0
        while lane < here:
            count = min(together, here - lane)
            write_rows(sweep, scratch, lane, to if room == NULL else room, count)
            if room != NULL:
                stream(to, room, count * sweep.out_rows)
            to += count * sweep.out_rows
            lane += count
        start += here
    if room != NULL:
        settle_stores()
        free(memory)


cdef enum:
    EIGHT = 8  # partial sums of a row whose numbers lie one after the other


cdef inline hot add_square(double* high, double* low, double x) noexcept nogil:
    """high + low += x * x, with the rounding errors of the product and of the sum."""
    cdef double square = x * x
    low[0] += fma_double(x, x, -square)
    add_exactly(high, low, square)


cdef inline hot add_four_squares(const real* values, Py_ssize_t lanes, pairs high, pairs low) noexcept nogil:
    cdef Py_ssize_t lane
    cdef double a, b, c, d
    for lane in range(lanes):
        a = values[lane]
        b = values[lanes + lane]
        c = values[2 * lanes + lane]
        d = values[3 * lanes + lane]
        add_exactly(&high[lane], &low[lane], fma_double(a, a, b * b) + fma_double(c, c, d * d))


cdef hot add_squares(const real* values, Py_ssize_t n_rows, Py_ssize_t lanes, pairs high, pairs low) noexcept nogil:
    """The squares of each lane's values onto that lane's pair: four rows are added plainly."""
    cdef Py_ssize_t row, lane, fours = n_rows - n_rows % 4
    for row in range(0, fours, 4):
        add_four_squares(&values[row * lanes], lanes, high, low)
    for row in range(fours, n_rows):
        for lane in range(lanes):
            add_square(&high[lane], &low[lane], values[row * lanes + lane])


cdef hot add_squares_along(const real* x, Py_ssize_t n, pairs high, pairs low) noexcept nogil:
    """The squares of n numbers that lie one after the other, onto eight pairs."""
    cdef Py_ssize_t j, i
    for j in range(n // EIGHT):
        for i in range(EIGHT):
            add_square(&high[i], &low[i], x[j * EIGHT + i])
    for j in range(n - n % EIGHT, n):
        add_square(&high[0], &low[0], x[j])


cdef double fold_eight(const double* high, const double* low) noexcept nogil:
    """Return the sum of eight pairs."""
    cdef double total = high[0], rest = low[0]
    cdef Py_ssize_t i
    for i in range(1, EIGHT):
        merge(&total, &rest, high[i], low[i])
    return sum_of(total, rest)


cdef hot add_products(const double* left, const double* left_low, const double* right, const double* right_low, pairs high, pairs low,
                      Py_ssize_t lanes, bint* doubtful) noexcept nogil:
    """Products of pairs onto each lane's pair. Doubtful: one, or a factor, has left the range of full precision, and its terms may not have."""
    cdef Py_ssize_t lane, outside = 0
    cdef double product
    for lane in range(lanes):
        product = left[lane] * right[lane]
        outside += not (product == 0.0 and (left[lane] == 0.0 or right[lane] == 0.0)
                        or SMALLEST_SQUARE <= product <= GREATEST and SMALLEST_SQUARE <= left[lane] <= GREATEST
                        and SMALLEST_SQUARE <= right[lane] <= GREATEST)
        low[lane] += fma_double(left[lane], right[lane], -product) + (left[lane] * right_low[lane] + left_low[lane] * right[lane])
        add_exactly(&high[lane], &low[lane], product)
    doubtful[0] = doubtful[0] or outside > 0


cdef bint vanished(const real* values, Py_ssize_t n_rows, Py_ssize_t lanes, const double* norms) noexcept nogil:
    """Is a lane's sum of squares zero, and not each of its values?"""
    cdef Py_ssize_t row, lane, others = 0
    for lane in range(lanes):
        if norms[lane] == 0.0:
            for row in range(n_rows):
                others += values[row * lanes + lane] != 0.0
    return others > 0


cdef void add_lengths_of_segment(const Model* model, const real* values, const Segment* s, double* pairs_of_lanes) noexcept nogil:
    """The squares of what is summed row by row, onto the pairs of each parameter's block."""
    cdef Py_ssize_t row = s.at == 0, run, block
    cdef double* high
    while row < s.size:
        block = block_of(model, s.at + row - 1)
        run = 1 if model.n_blocks > 1 else s.size - row
        while row + run < s.size and block_of(model, s.at + row + run - 1) == block:
            run += 1
        high = &pairs_of_lanes[2 * block * MOST_LANES]
        add_squares(&values[(s.row + row) * model.lanes], run, model.lanes, high, &high[MOST_LANES])
        row += run


cdef hot norms_from_factors(const Model* model, Scratch* scratch, double* to, Py_ssize_t count, bint* doubtful) noexcept nogil:
    """Each lane's squared norm of each block; of a gradient that is column times row, or a number times inputs, from the norms of these."""
    cdef double[MOST_LANES] left, left_low, right, right_low
    cdef Py_ssize_t i, lane, lanes = model.lanes
    cdef Outer* o
    cdef Multiple* f
    cdef const real* column
    cdef const real* row
    cdef double* high
    memset(scratch.length_pairs, 0, 2 * model.n_blocks * MOST_LANES * sizeof(double))
    for i in range(model.n_segments):
        add_lengths_of_segment(model, scratch.values, &model.segments[i], scratch.length_pairs)
    for i in range(model.n_outers + model.n_scaled):
        memset(left, 0, sizeof(left))
        memset(left_low, 0, sizeof(left))
        memset(right, 0, sizeof(right))
        memset(right_low, 0, sizeof(right))
        if i < model.n_outers:
            o = &model.outers[i]
            high = &scratch.length_pairs[2 * block_of(model, o.at) * MOST_LANES]
            column = row_of(model, o.left, scratch.values, scratch.data, lanes)
            row = row_of(model, o.right, scratch.values, scratch.data, lanes)
            add_squares(column, o.m, lanes, left, left_low)
            add_squares(row, o.k, lanes, right, right_low)
            doubtful[0] = doubtful[0] or vanished(column, o.m, lanes, left) or vanished(row, o.k, lanes, right)
        else:
            f = &model.scaled[i - model.n_outers]
            high = &scratch.length_pairs[2 * block_of(model, f.at) * MOST_LANES]
            row = row_of(model, f.row, scratch.values, scratch.data, lanes)
            add_squares(row, 1, lanes, left, left_low)
            squared_lengths(right, scratch.samples + f.first * sizeof(real), scratch.down, f.size, count)
            doubtful[0] = doubtful[0] or vanished(row, 1, lanes, left) or too_small(right, count) > 0
        add_products(left, left_low, right, right_low, high, &high[MOST_LANES], lanes, doubtful)
    for i in range(model.n_blocks):
        high = &scratch.length_pairs[2 * i * MOST_LANES]
        for lane in range(count):
            to[i * MOST_LANES + lane] = canonical(sum_of(high[lane], high[MOST_LANES + lane]))


cdef hot_count too_small(const double* squares, Py_ssize_t n) noexcept nogil:
    """How many sums of squares may have lost digits, whatever they are multiplied by."""
    cdef Py_ssize_t i, others = 0
    for i in range(n):
        others += squares[i] < LEAST_LENGTH
    return others


cdef hot norms_from_gradients(Sweep* sweep, Scratch* scratch, double* to, Py_ssize_t count) noexcept nogil:
    """Each lane's squared norm from its gradient, written out for one lane after the other."""
    cdef double[EIGHT] eight, eight_low
    cdef Py_ssize_t lane
    turn_gradients(sweep.model, scratch, count)
    for lane in range(count):
        write_rows(sweep, scratch, lane, scratch.made_rows, 1)
        memset(eight, 0, sizeof(eight))
        memset(eight_low, 0, sizeof(eight))
        add_squares_along(scratch.made_rows, sweep.model.n_gradient, eight, eight_low)
        to[lane] = canonical(fold_eight(eight, eight_low))


cdef void write_norms(Sweep* sweep, Scratch* scratch) noexcept nogil:
    """The squared norm of each sample's gradient, in double, to ``out``."""
    cdef const Model* model = sweep.model
    cdef Py_ssize_t count, n_masked, start = 0, lanes = model.lanes
    cdef double* to = <double*>sweep.out
    cdef unsigned char[MOST_LANES] masked
    cdef bint doubtful
    while start < sweep.n:
        count = min(lanes, sweep.n - start)
        gather(sweep, scratch, start, count, masked, &n_masked)
        sweep.function(sweep.c, scratch.data, scratch.values)
        doubtful = not model.factored
        if model.factored:
            norms_from_factors(model, scratch, &to[start], count, &doubtful)
        if doubtful:
            norms_from_gradients(sweep, scratch, &to[start], count)
        start += count


cdef object _reduced(_Bound data, theta, want, out):
    """Return ``{name: result}`` of the reductions that are wanted."""
    wanted = (want,) if isinstance(want, str) else want
    if not isinstance(wanted, (tuple, list)):
        _refuse(WRONG_TYPE, "want", "one or several of %s" % list(_REDUCTIONS), repr(want), "a name, or a list of names")
    for name in wanted:
        if name not in _REDUCTIONS:
            _refuse(WRONG_VALUE, "want", "one or several of %s" % list(_REDUCTIONS), repr(name), "choose among these names")
    out = {} if out is None else out
    if not isinstance(out, dict) or not set(out) <= set(wanted):
        _refuse(WRONG_VALUE, "out", "{name: array} with names of what is wanted", out if not isinstance(out, dict) else list(out), "leave it out")
    results = {}
    for name in wanted:
        results[name] = _result(out.get(name), (data.n,), theta, data.arrays, _DOUBLE)
        _each(data, theta, NORMS, data.risk.gradients, data.risk.model.summed_rows, 1, results[name])
    return results


_REDUCTIONS = ("squared_norms",)


cdef extern from *:
    """
    #define FAR 1e290  /* squares beyond have lost digits */
    #define NEAR 1e-140
    """
    const double FAR
    const double NEAR


cdef inline Py_ssize_t block_of(const Model* model, Py_ssize_t parameter) noexcept nogil:
    return 0 if model.blocks == NULL else model.blocks[parameter]


cdef void fill_ones(real* to, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = 1.0


cdef hot multiply_lanes_by(real* row, const real* factors, Py_ssize_t lanes) noexcept nogil:
    cdef Py_ssize_t lane
    for lane in range(lanes):
        row[lane] *= factors[lane]


cdef hot square(real* row, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        row[i] *= row[i]


cdef hot multiply_row(real* row, real factor, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        row[i] *= factor


cdef void multiply_turned(real* turned, Py_ssize_t k, const real* factors, bint squared) noexcept nogil:
    """A turned column: each lane's numbers, or their squares, times the lane's factor."""
    cdef Py_ssize_t panel, width, lane
    cdef real* row
    for panel in range((k + 4 * WIDTH - 1) // (4 * WIDTH)):
        width = min(4 * WIDTH, (k - panel * 4 * WIDTH + LINE - 1) // LINE * LINE)
        for lane in range(MATRIX_LANES):
            row = &turned[panel * 4 * WIDTH * MATRIX_LANES + lane * width]
            if squared:
                square(row, width)
            multiply_row(row, factors[lane], width)


# ------------------------------------------------------------------------------------------------------------- clipped
cdef hot clip_lanes(const double* squares, double bound, const real* weights, rows factors, pairs longer, Py_ssize_t lanes) noexcept nogil:
    """What each lane's gradient is multiplied by, from its squared norm; and whether the norm is above the bound."""
    cdef Py_ssize_t lane
    cdef double norm
    for lane in range(lanes):
        norm = c_sqrt(squares[lane])
        longer[lane] = max(longer[lane], 1.0 if norm > bound else 0.0)
        factors[lane] = <real>((bound / norm if norm > bound else 1.0) * weights[lane])


cdef void clip_lane(Sweep* sweep, Scratch* scratch, Py_ssize_t lane, double* longer) noexcept nogil:
    """What `clip_lanes` does, for one lane the squares of whose gradient leave the range."""
    cdef const Model* model = sweep.model
    cdef Py_ssize_t block, j
    cdef double size, total, norm
    write_rows(sweep, scratch, lane, scratch.made_rows, 1)
    longer[lane] = 0.0
    for block in range(model.n_blocks):
        size = total = 0.0
        for j in range(model.n_gradient):
            if block_of(model, j) == block and not magnitude(scratch.made_rows[j]) <= size:
                size = magnitude(scratch.made_rows[j])
        for j in range(model.n_gradient):
            if block_of(model, j) == block and 0.0 < size <= GREATEST:
                total += scratch.made_rows[j] / size * (scratch.made_rows[j] / size)
        norm = size * c_sqrt(total)
        if norm > sweep.bounds[block]:
            longer[lane] = 1.0
        scratch.factors_of_lanes[block * MOST_LANES + lane] = <real>(
            (sweep.bounds[block] / norm if norm > sweep.bounds[block] else 1.0) * scratch.aside[lane])


cdef hot_count outside(const double* squares, Py_ssize_t count, double bound) noexcept nogil:
    """How many squared norms have lost digits. One that is too small does not matter where the bound is larger."""
    cdef Py_ssize_t lane, others = 0
    cdef double least = NEAR * NEAR if bound < NEAR else -1.0
    for lane in range(count):
        others += (squares[lane] > FAR) + (squares[lane] < least)
    return others


cdef void find_factors(Sweep* sweep, Scratch* scratch, Py_ssize_t count) noexcept nogil:
    """What each block of each lane's gradient is multiplied by; in place of the loss the weights of those that are clipped."""
    cdef const Model* model = sweep.model
    cdef Py_ssize_t block, lane
    cdef double[MOST_LANES] longer
    cdef bint doubtful = not model.factored
    memset(longer, 0, sizeof(longer))
    if model.factored:
        norms_from_factors(model, scratch, scratch.lengths, count, &doubtful)
    else:
        memset(scratch.lengths, 0, model.n_blocks * MOST_LANES * sizeof(double))  # lanes beyond the last are none's
    for block in range(model.n_blocks):
        clip_lanes(&scratch.lengths[block * MOST_LANES], sweep.bounds[block], scratch.aside,
                   &scratch.factors_of_lanes[block * MOST_LANES], longer, model.lanes)
    for block in range(model.n_blocks):
        doubtful = doubtful or outside(&scratch.lengths[block * MOST_LANES], count, sweep.bounds[block]) > 0
    if doubtful:
        turn_gradients(model, scratch, count)
        for lane in range(count):
            clip_lane(sweep, scratch, lane, longer)
    for lane in range(model.lanes):
        scratch.values[lane] = <real>(longer[lane] * scratch.aside[lane])


cdef void scale_segments(const Model* model, Scratch* scratch) noexcept nogil:
    """Each lane's share of the gradient that is summed row by row, times the lane's factor; not what stands for the loss."""
    cdef Py_ssize_t i, row
    cdef const Segment* s
    for i in range(model.n_segments):
        s = &model.segments[i]
        for row in range(s.at == 0, s.size):
            multiply_lanes_by(&scratch.values[(s.row + row) * model.lanes],
                              &scratch.factors_of_lanes[block_of(model, s.at + row - 1) * MOST_LANES], model.lanes)


# -------------------------------------------------------------------------------------------------------------- squared
cdef hot accumulate_squares(const real* values, const real* weights, pairs high, pairs low, Py_ssize_t n_rows, Py_ssize_t lanes) noexcept nogil:
    """The squares of lanes' values, times the weights, onto each lane's pair, with what they were rounded by."""
    cdef Py_ssize_t row, lane
    cdef double x, square, product
    for row in range(n_rows):
        for lane in range(lanes):
            x = values[row * lanes + lane]
            square = x * x
            product = square * weights[lane]
            low[row * lanes + lane] += fma_double(square, weights[lane], -product) + fma_double(x, x, -square) * weights[lane]
            add_exactly(&high[row * lanes + lane], &low[row * lanes + lane], product)


cdef void square_table(const Model* model, Scratch* scratch, Py_ssize_t count) noexcept nogil:
    """The squares of a call's inputs, where they lie in rows."""
    cdef Py_ssize_t lane, j
    cdef const real* row
    for lane in range(count):
        row = <const real*>(scratch.samples + lane * scratch.down)
        write_squares(&scratch.squared[lane * model.input_columns], row, model.input_columns)
    scratch.samples = <const char*>scratch.squared
    scratch.down = model.input_columns * sizeof(real)


cdef hot write_scaled(rows to, const real* row, real factor, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        to[i] = row[i] * factor


# --------------------------------------------------------------------------------------- products by twos, and groups
cdef void add_products_of_rows(const Model* model, Scratch* scratch, Py_ssize_t count) noexcept nogil:
    """The products of each two elements of a call's gradients, which lie in rows, times the weights: of the lower triangle."""
    cdef Py_ssize_t panel, first, width, lane, i, part, height, vectors, n = model.n_gradient
    cdef const real* rows = scratch.made_rows
    cdef real[24 * LINE] block
    for panel in range((n + 4 * WIDTH - 1) // (4 * WIDTH)):
        first = panel * 4 * WIDTH
        width = min(4 * WIDTH, (n - first + LINE - 1) // LINE * LINE)
        vectors = 4 if width == 4 * WIDTH else 1
        if width > n - first:
            memset(scratch.weighted, 0, count * width * sizeof(real))
        for lane in range(count):
            write_scaled(&scratch.weighted[lane * width], &rows[lane * n + first], scratch.aside[lane], min(width, n - first))
        i = first
        while i < n:
            height = block_rows(n - i)
            for part in range(width // (vectors * WIDTH)):
                multiply_block(height, vectors, &block[part * WIDTH], width, &rows[i], 1, n, &scratch.weighted[part * WIDTH], width, count, 0)
            add_block(&scratch.made[first * n + i * width], block, height * width)
            i += height


cdef hot add_row(pairs high, pairs low, const real* row, double weight, bint squared, Py_ssize_t n) noexcept nogil:
    """A sample's gradient, or its square, times its weight, onto pairs."""
    cdef Py_ssize_t j
    cdef double square, product
    if squared:
        for j in range(n):
            square = <double>row[j] * row[j]
            product = square * weight
            low[j] += fma_double(square, weight, -product) + fma_double(row[j], row[j], -square) * weight
            add_exactly(&high[j], &low[j], product)
        return
    for j in range(n):
        add_exactly(&high[j], &low[j], row[j] * weight)


cdef void add_call_of_rows(Sweep* sweep, Scratch* scratch, Py_ssize_t start, Py_ssize_t count, const unsigned char* masked) noexcept nogil:
    """A call's gradients, written out in rows, onto the sums of the tile."""
    cdef const Model* model = sweep.model
    cdef Py_ssize_t lane = 0, here, some, group, n = model.n_gradient
    turn_gradients(model, scratch, count)
    while lane < count:
        some = min(model.rows_together, count - lane)
        write_rows(sweep, scratch, lane, scratch.made_rows, some)
        for here in range(some):
            if masked != NULL and masked[lane + here]:
                memset(&scratch.made_rows[here * n], 0, n * sizeof(real))
            elif model.kind != PRODUCTS:
                group = 0 if sweep.codes == NULL else sweep.codes[start + lane + here]
                if group >= 0:
                    add_row(&scratch.made[group * n], &scratch.made[model.n_sums + group * n], &scratch.made_rows[here * n],
                            scratch.aside[lane + here], model.kind == SQUARES, n)
        if model.kind == PRODUCTS:
            add_products_of_rows(model, scratch, some)
        lane += some


cdef void fold_made(const Model* model, Scratch* scratch, double* node) noexcept nogil:
    """The sums of a tile that are no gradient's, each to its place in the node; there is no loss."""
    cdef Py_ssize_t i, j, first, width, n = model.n_gradient
    memset(node, 0, 2 * (1 + model.n_sums) * sizeof(double))
    node += 2
    if model.kind != PRODUCTS:
        for i in range(model.n_sums):
            merge(&node[2 * i], &node[2 * i + 1], scratch.made[i], scratch.made[model.n_sums + i])
        return
    for i in range(n):
        for j in range(i + 1):
            first = j // (4 * WIDTH) * (4 * WIDTH)
            width = min(4 * WIDTH, (n - first + LINE - 1) // LINE * LINE)
            node[0] = scratch.made[first * n + i * width + j - first]
            node += 2


cdef object _DOUBLE = np.dtype(np.float64)
cdef object _REAL = np.dtype(np.float64)
cdef object _ARRAY = np.ndarray
cdef object _empty = np.empty
_THREADS = "None or a positive integer below 2**31"
cdef object _UNUSED = object()  # the targets of predict
# The errors that a wrong array gets, both with the same texts everywhere (symgrad puts its own subclasses here).
ArrayError = ValueError
ArrayTypeError = TypeError


cdef enum:
    ALWAYS_THREADS = 8  # so many may be had on any machine; more only where it has a quarter as many cores


cdef enum Fault:
    WRONG_VALUE
    WRONG_TYPE


cdef int _refuse(Fault fault, name, expected, got, cure) except -1:
    """Raise the error that a wrong argument gets."""
    error = ArrayTypeError if fault == WRONG_TYPE else ArrayError
    raise error("%s: expected %s, got %s; %s" % (name, expected, got, cure))


cdef bint _is_whole(value) except -1:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


cdef Py_ssize_t _whole(value) except? -2:
    """Return a whole number in C; of one that is too large for that, the end of the range."""
    cdef int beyond = 0
    cdef long long number = PyLong_AsLongLongAndOverflow(int(value), &beyond)
    return beyond * 0x7fffffffffffffff if beyond else number


def arrays_of(declared, inputs, targets, weights):
    """Return inputs, targets and weights as arrays, of what a call was given (symgrad puts its own here, for frames and files).

    ``declared``: `((name, shape), ...)` of the inputs and of the targets. One that gives its columns by `table[name]` may
    stand for the inputs, or (targets: ...) for both: the order of its columns does not matter.
    """
    if not (isinstance(inputs, dict) or hasattr(inputs, "columns") or hasattr(inputs, "column_names")
            or getattr(getattr(inputs, "dtype", None), "names", None)):
        if targets is ... and declared[1] is not None:
            _refuse(WRONG_TYPE, "targets", "an array", "none", "pass inputs and targets, or a table that has both")
        return inputs, targets, weights
    if isinstance(weights, str):
        weights = _column(inputs, "weights", weights)
    return (_side_by_side(inputs, "inputs", declared[0]),
            _side_by_side(inputs, "targets", declared[1]) if targets is ... and declared[1] is not None else targets, weights)


cdef object _side_by_side(table, role, declared):
    """Return the columns of a table that are called as what is declared, (N, D); of vectors `u[0]`, `u[1]`, ..."""
    columns = []
    for name, shape in declared:
        if not shape:
            columns.append(_column(table, role, name))
        elif 1 in shape:
            columns += [_column(table, role, "%s[%d]" % (name, k)) for k in range(_size(shape))]
        else:
            columns += [_column(table, role, "%s[%d, %d]" % (name, i, j)) for i in range(shape[0]) for j in range(shape[1])]
    lengths = [len(column) for column in columns]
    if lengths and min(lengths) != max(lengths):
        _refuse(WRONG_VALUE, role, "columns of one length", lengths, "check the table")
    return np.stack(columns, axis=1) if len(columns) > 1 else columns[0] if columns else None


cdef object _column(table, role, name):
    """Return one column of a table, (N,)."""
    try:
        column = table[name]
    except Exception:  # each kind of table has its own
        names = getattr(table, "column_names", None) or getattr(table, "columns", None)
        names = list(table) if names is None else list(names)
        _refuse(WRONG_VALUE, role, "a column %r" % name, "the columns %s" % names[:20], "rename one, or pass arrays")
    column = _numbers("%s: column %r" % (role, name), column, "an array of shape (N,)")
    if column.ndim != 1:
        _refuse(WRONG_VALUE, "%s: column %r" % (role, name), "an array of shape (N,)", column.shape, "a column has one number a row")
    return column


cdef object _numbers(name, value, expected):
    """Return the value as a NumPy array of real numbers."""
    if value is None or _is_masked(value):
        _refuse(WRONG_TYPE, name, expected, type(value).__name__, "pass numbers alone: a mask would be lost")
    try:
        array = np.asarray(value)
    except ValueError as error:
        _refuse(WRONG_VALUE, name, expected, error, "give all rows the same length")
    if array.dtype.kind not in "fiub" or <Py_ssize_t>array.dtype.itemsize > 8:
        _refuse(WRONG_TYPE, name, expected + " of real numbers", array.dtype, "convert it, as with numpy.asarray(..., float)")
    return array


cdef object _plain(array, dtype=_DOUBLE):
    """Return an array as NumPy's own kind, which says what is true of it: C-contiguous and aligned, a copy if need be."""
    return np.require(array, dtype, ("C_CONTIGUOUS", "ALIGNED", "ENSUREARRAY"))


cdef object _shape_of(Py_ssize_t columns):
    return "an array of shape (N, %d)%s" % (columns, " or (N,)" if columns == 1 else "")


cdef int _check_weights(weights) except -1:
    if not np.isfinite(weights).all():
        _refuse(WRONG_VALUE, "weights", "finite numbers", weights[~np.isfinite(weights)][0], "give such rows the weight 0")


cdef Py_ssize_t _threads(threads) except -1:
    if threads is None:
        return 0
    if not _is_whole(threads):
        _refuse(WRONG_TYPE, "threads", _THREADS, repr(threads), "None takes what the work is worth")
    cdef Py_ssize_t wanted = _whole(threads)
    if not 1 <= wanted < <Py_ssize_t>1 << 31:
        _refuse(WRONG_VALUE, "threads", _THREADS, threads, "None takes what the work is worth")
    return wanted if wanted <= ALWAYS_THREADS else min(wanted, max(<Py_ssize_t>ALWAYS_THREADS, 4 * _cores()))


def _quota(path):
    """Return the cores' time that a container may use, rounded up ("150000 100000": 2); a great number where there is no limit."""
    try:
        with open(path) as file:
            quota, period = file.read().split()
            return -(-int(quota) // int(period))
    except (OSError, ValueError):  # no such file, or "max 100000"
        return 1 << 30


cdef Py_ssize_t _granted = _quota("/sys/fs/cgroup/cpu.max")


cdef Py_ssize_t _cores():
    """Return the processor cores that this process may use."""
    cdef Py_ssize_t cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(<Py_ssize_t>1, min(cores, _granted))


cdef bint _is_masked(value):
    """Is it a masked array? Where numpy.ma was never imported there is none; to import it may not be safe, under traps."""
    ma = sys.modules.get("numpy.ma")
    return ma is not None and isinstance(value, ma.MaskedArray)


cdef object _result(out, tuple shape, theta, tuple arrays, dtype=_REAL):
    """Return ``out``, if it can take the result, or a new array if it is None."""
    if out is None:
        return _empty(shape, dtype)
    if not isinstance(out, _ARRAY) or _is_masked(out):
        _refuse_out(WRONG_TYPE, dtype, shape, type(out).__name__)
    array = _base_of(out)
    if array.dtype != dtype:
        _refuse_out(WRONG_TYPE, dtype, shape, array.dtype)
    if array.shape != shape or not array.flags.carray:
        _refuse_out(WRONG_VALUE, dtype, shape, "shape %s, strides %s, writable %s, aligned %s"
                    % (array.shape, array.strides, array.flags.writeable, array.flags.aligned))
    for other in (theta, *arrays):
        if isinstance(other, _ARRAY) and np.may_share_memory(array, other):
            _refuse_out(WRONG_VALUE, dtype, shape, "memory that another argument uses")
    return out


cdef inline object _base_of(array):
    """Return an array as NumPy's own kind, which shares its memory: a kind that is derived from it may say what is not true."""
    return array if type(array) is _ARRAY else np.asarray(array)


cdef object _fixed(array):
    """Return a weak reference, with which NumPy refuses to resize an array's memory, even with ``refcheck=False``."""
    if not isinstance(array, _ARRAY):
        return None
    while isinstance(array.base, _ARRAY):
        array = array.base
    return PyWeakref_NewRef(array, None)


cdef int _refuse_out(Fault fault, dtype, shape, got) except -1:
    _refuse(fault, "out", "a writable, aligned, C-contiguous %s array of shape %s" % (dtype, shape), got,
            "numpy.empty(%s, '%s') makes one" % (shape, dtype))


cdef int _point(Column* column, array) except -1:
    """Point ``column`` at a table's memory, which lives as long as the array."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    _take_place(column, &view)
    PyBuffer_Release(&view)
    return 0


cdef bint is_aligned(const Py_buffer* view, size_t size) noexcept:
    cdef size_t places = <size_t>view.buf
    cdef int i
    for i in range(view.ndim):
        places |= <size_t>view.strides[i]
    return places % size == 0


cdef void _take_place(Column* column, Py_buffer* view) noexcept:
    column.base = <const char*>view.buf
    column.row_stride = view.strides[0]
    column.column_stride = view.strides[1] if view.ndim > 1 else sizeof(real)


cdef bint weights_are_finite(Column weights, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t row, others = 0
    cdef real weight
    if weights.wide:
        for row in range(n):
            others += not magnitude(weight_at(&weights, row)) <= GREATEST
        return others == 0
    for row in range(n):  # apart: the question in the loop costs a nanosecond for each
        memcpy(&weight, weights.base + row * weights.row_stride, sizeof(real))
        others += not magnitude(weight) <= GREATEST
    return others == 0


cdef Py_ssize_t _risks = 0  # so many models use this sweep


cdef class Risk:
    """A model, as its module describes it to the sweep, in keywords.

    parameters, inputs, targets: `((name, shape), ...)`. once, losses, gradients, predictions: the model's functions, each
    in a capsule whose name tells type and dtype ("lanes/float64"). Whole numbers: ``invariants``, the numbers that
    ``once`` fills, with penalty=1 first the penalty and its gradient; ``rows``, all rows of the lane function that fills
    most, and ``summed`` those of the gradients' that are sums, the first the loss; ``outputs``, rows of predictions
    (scalar: one, for a model whose output is a number); ``lanes``, samples side by side in a call; ``batch``, calls whose
    values are added up together, ``depth``, calls that make a tile; ``cost``, about so many nanoseconds for a sample;
    ``key``, which tells the model's text and dtype from others; ``results``, what is summed for each sample, if that is no
    derivative for each parameter; with a function ``pull``, that is given their sums and fills ``pulled`` rows, first the
    derivatives by the parameters.

    Tables, rows of whole numbers; a row ~r stands for row r of the data, any other for one of the values:
    segments: (row, at, size): rows from ``row`` on are the gradient by the parameters from ``at`` on
    outers: (at, left, right, m, p, k): the gradient from ``at`` on is a sum of left @ right, (m, p) times (p, k)
    predictors: (row, first, size, weights): a row of the data is a sum of inputs times weights, which lie in c
    scaled: (at, row, first, size, step): the gradient from ``at`` on, each ``step``-th, is a row times the inputs from column ``first`` on
    """

    cdef readonly Py_ssize_t TILE  # rows of a tile
    cdef readonly tuple PARAMETERS, INPUTS, TARGETS
    cdef Model model
    cdef OnceFunction once
    cdef LaneFunction losses, gradients, predictions
    cdef bint scalar
    cdef double key
    cdef dict told  # the keywords
    cdef object keep  # a capsule
    cdef object expected_theta, expected_nodes  # what errors say

    def __cinit__(self, *, parameters, inputs, targets, once, invariants, losses, gradients, predictions=None, outputs=0, scalar=True, penalty=0,
                 rows, summed, lanes=64, depth=16, batch=4, cost=1, key=0, results=0, pull=None, pulled=0, segments=None, outers=(), predictors=(),
                 scaled=(), kind=GRADIENTS, blocks=(), groups=0):
        global _risks
        cdef Model* m = &self.model
        _risks += 1
        m.number = _risks
        self.PARAMETERS, self.INPUTS, self.TARGETS = parameters, inputs, targets
        self.told = dict(parameters=parameters, inputs=inputs, targets=targets, once=once, invariants=invariants, losses=losses, gradients=gradients,
                         rows=rows, summed=summed, lanes=lanes, depth=depth, batch=batch, cost=cost, key=key, results=results, segments=segments,
                         outers=outers, predictors=predictors, scaled=scaled, pull=pull, pulled=pulled)
        self.keep = predictions
        self.once = <OnceFunction>PyCapsule_GetPointer(once, "once/float64")
        self.losses = <LaneFunction>PyCapsule_GetPointer(losses, "lanes/float64")
        self.gradients = <LaneFunction>PyCapsule_GetPointer(gradients, "lanes/float64")
        if predictions is not None:
            self.predictions = <LaneFunction>PyCapsule_GetPointer(predictions, "lanes/float64")
        if pull is not None:
            m.pull = <LaneFunction>PyCapsule_GetPointer(pull, "lanes/float64")
        m.n_predictions, self.scalar, self.key, m.penalty, m.cost = outputs, scalar, key, penalty, cost
        m.n_parameters, m.input_columns, m.target_columns = [sum([_size(shape) for _, shape in names]) for names in (parameters, inputs, targets)]
        m.weight_row = m.input_columns + m.target_columns
        m.lanes, m.depth, m.batch, m.tile_rows = lanes, depth, batch, lanes * depth
        if <Py_ssize_t>lanes not in (16, 32, 64):
            raise ValueError("lanes: expected 16, 32 or 64, got %r; generate the model and the sweep together" % (lanes,))
        m.invariants, m.value_rows, m.summed_rows = invariants, rows, summed
        m.n_results = results or m.n_parameters
        m.n_gradient = m.n_results if m.pull == NULL else m.n_parameters
        m.pulled_rows = pulled
        m.kind, m.n_blocks, m.n_sums = kind, max(1, len(set(blocks))), m.n_results
        if kind == CLIPPED:
            m.n_parameters += m.n_blocks
        elif kind == SQUARES:
            m.n_sums = m.n_gradient
        elif kind == PRODUCTS:
            m.n_sums = m.n_gradient * (m.n_gradient + 1) // 2
        elif kind == GROUPS:
            m.n_sums = m.n_gradient * groups
        m.n_means = m.n_gradient if kind == GRADIENTS else m.n_sums
        if m.n_blocks > 1:
            self.room_for_blocks(blocks)
        if segments is None:
            segments = ((1, 0, m.n_results),)
        m.segments = <Segment*>array_of(((0, -1, 1), *segments), 3, sizeof(Segment), &m.n_segments)  # first the loss
        m.outers = <Outer*>array_of(outers, 6, sizeof(Outer), &m.n_outers)
        m.turns = <Turned*>array_of(((0,),) * m.n_outers, 1, sizeof(Turned), &m.n_turns)
        m.predictors = <Predictor*>array_of(predictors, 4, sizeof(Predictor), &m.n_predictors)
        m.columns = <Segment*>array_of(((0,),) * (m.n_predictors + 1), 1, sizeof(Segment), &m.n_columns)
        m.scaled = <Multiple*>array_of(scaled, 5, sizeof(Multiple), &m.n_scaled)
        filled = bytearray(m.n_results + 1)
        plan(m, filled)
        self.TILE = m.tile_rows
        self.expected_theta = "an array of shape (%d,)" % m.n_parameters
        self.expected_nodes = "dictionaries {(level, index): float64 array of shape (%d, 2)}" % (4 + m.n_sums)

    def __dealloc__(self):
        free(self.model.segments)
        free(self.model.blocks)
        free(self.model.columns)
        free(self.model.predictors)
        free(self.model.scaled)
        free(self.model.turns)
        free(self.model.outers)

    cdef object theta(self, theta):
        """Return a flat theta in double."""
        if isinstance(theta, dict):
            _refuse(WRONG_TYPE, "theta", self.expected_theta, "a dictionary", "pack({name: array, ...}) makes one")
        cdef Py_buffer view
        cdef bint ready
        if type(theta) is _ARRAY and theta.dtype is _DOUBLE:
            PyObject_GetBuffer(theta, &view, PyBUF_STRIDES)
            ready = (view.ndim == 1 and view.shape[0] == self.model.n_parameters and view.strides[0] == sizeof(double)
                     and is_aligned(&view, sizeof(double)))
            PyBuffer_Release(&view)
            if ready:
                return theta
        else:
            theta = _numbers("theta", theta, self.expected_theta)
        if theta.shape != (self.model.n_parameters,):
            _refuse(WRONG_VALUE, "theta", self.expected_theta, theta.shape, "pack({name: array, ...}) makes one")
        return _plain(theta)

    cdef int room_for_blocks(self, blocks) except -1:
        cdef Py_ssize_t at = 0, i, j
        self.model.blocks = <Py_ssize_t*>malloc(self.model.n_gradient * sizeof(Py_ssize_t))
        if self.model.blocks == NULL:
            raise MemoryError()
        for i in range(len(blocks)):
            for j in range(_size(self.PARAMETERS[i][1])):
                self.model.blocks[at] = blocks[i]
                at += 1
        return 0

    def summing(self, kind, blocks=(), groups=0):
        """Return a risk that sums in place of gradients what its ``kind`` says of them, or None where the sweep cannot.

        "clipped": the gradient in which no norm of a block is above its bound, and in place of the loss 1 where one was; the
        bounds follow theta, and ``blocks`` has the number of the block of each parameter. "squares". "products": of each two
        elements, the rows of the lower triangle. "groups": the gradient, in as many groups.
        """
        cdef double[3] what = [self.key, <double>_KINDS[kind], <double>groups]
        cdef Risk made = Risk(**{**self.told, "kind": _KINDS[kind], "blocks": blocks, "groups": groups})
        cdef const Model* m = &made.model
        cdef Py_ssize_t i, j
        made.key = as_number(mixed(0, what, 3))
        if m.kind == CLIPPED and not m.factored and (m.pull == NULL or m.n_blocks > 1):
            return None
        for i in range(m.n_scaled):
            for j in range(m.scaled[i].size):
                if block_of(m, m.scaled[i].at + j * m.scaled[i].step) != block_of(m, m.scaled[i].at):
                    return None
        return made

    def pulled(self, theta, sums):
        """Return the derivatives by the parameters, float64, that belong to sums of those by which this risk sums."""
        cdef real* c
        if self.model.pull == NULL:
            return sums
        given = np.zeros(self.model.n_results + self.model.pulled_rows, _REAL)
        given[:self.model.n_results] = sums
        found = np.empty(self.model.n_gradient, _REAL)
        c = _invariants(self, self.theta(theta))
        cdef Py_buffer view, to
        PyObject_GetBuffer(given, &view, PyBUF_STRIDES)
        PyObject_GetBuffer(found, &to, PyBUF_STRIDES)
        pull_back(&self.model, c, <real*>view.buf, &(<real*>view.buf)[self.model.n_results], <real*>to.buf, NULL)
        PyBuffer_Release(&to)
        PyBuffer_Release(&view)
        free(c)
        return found.astype(_DOUBLE)

    def partial_sums(self, theta, inputs, targets, weights=None, *, first=0, threads=None, codes=None):
        """Return the sums over these rows, as a module's own `partial_sums` does. codes (N,): each row's group, int64; -1 is none."""
        cdef _Bound data = _bound(self, inputs, targets, weights, threads)
        data.codes = codes
        return _nodes(data, self.theta(theta).copy(), _first_tile(first, self.model.tile_rows))

    def merge_sums(self, theta, *parts):
        """Return the means of what is summed, as a module's own `merge_sums` does."""
        return _merge(self, self.theta(theta).copy(), parts)  # another thread may write to what was given

    def functions(self, module):
        """Return what a model's module offers, by name: the functions of `doors`, which know this risk."""
        return _doors(self, module)


_KINDS = {"clipped": CLIPPED, "squares": SQUARES, "products": PRODUCTS, "groups": GROUPS}


cdef Py_ssize_t _size(shape) except -1:
    """Return the number of elements of a shape."""
    cdef Py_ssize_t size = 1
    for n in shape:
        size *= n
    return size


cdef class _Bound:
    """Arrays that were checked once: called with a flat theta, it returns `(risk, gradient)`."""

    cdef public object quantities  # what gives it more, a Hessian say; None where the module stands alone
    cdef Risk risk
    cdef tuple arrays  # inputs, targets, weights: each an array of N rows, or N numbers for one column, or None
    cdef tuple fixed  # what keeps their memory as it is
    cdef Column[3] columns  # where they are read in place
    cdef object codes  # of groups: whole numbers of 64 bits, one after the other; or None
    cdef Py_ssize_t n, threads

    def __cinit__(self, risk=None):
        if not isinstance(risk, Risk):
            raise TypeError("arrays are bound by a risk: call bind(inputs, targets)")
        self.risk = risk

    cdef int check(self, inputs, targets, weights, threads) except -1:
        cdef const Model* model = &self.risk.model
        self.threads = _threads(threads)
        self.n = -1
        cdef bint equal = True
        self.arrays = (
            None if inputs is None and model.input_columns == 0 else self.table(0, "inputs", inputs, model.input_columns, &equal),
            None if targets is _UNUSED or (targets is None and model.target_columns == 0)
            else self.table(1, "targets", targets, model.target_columns, &equal),
            None if weights is None else self.table(WEIGHTS, "weights", weights, 1, &equal),
        )
        if self.n < 0:
            _refuse(WRONG_VALUE, "inputs", "an array of shape (N, 0)", "None", "numpy.empty((N, 0)) says how many samples there are")
        self.fixed = _fixed(self.arrays[0]), _fixed(self.arrays[1]), _fixed(self.arrays[2])
        if not equal:
            _refuse(WRONG_VALUE, "inputs, targets, weights", "one row for each sample in all of them",
                    "%s rows" % [len(array) for array in self.arrays if array is not None], "check which rows belong together")
        return 0

    cdef object table(self, int place, name, value, Py_ssize_t columns, bint* equal):
        """Return one of the sample arrays as an array; its memory goes to ``columns``, where it has
        numbers of this module's kind, aligned."""
        cdef Py_buffer view
        if not isinstance(value, _ARRAY) and hasattr(value, "reads_rows"):  # it reads the rows of a block when asked
            if value.shape[1:] != (columns,) and (columns, value.ndim) != (1, 1):
                _refuse(WRONG_VALUE, name, _shape_of(columns), value.shape, "a row is one sample")
            equal[0] = equal[0] and (self.n < 0 or self.n == <Py_ssize_t>value.shape[0])
            self.n = value.shape[0]
            return value
        array = value if type(value) is _ARRAY and value.dtype is _REAL else _numbers(name, value, _shape_of(columns))
        PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
        cdef bint fits = view.ndim == 2 and view.shape[1] == columns or view.ndim == 1 and columns == 1
        if fits:
            equal[0] = equal[0] and (self.n < 0 or self.n == view.shape[0])
            self.n = view.shape[0]
            # "not ... !=": Cython writes 300 lines of C for each way of comparing, and this one is there
            if view.len and (array.dtype is _REAL or not array.dtype != _REAL) and is_aligned(&view, sizeof(real)):
                _take_place(&self.columns[place], &view)
        PyBuffer_Release(&view)
        if not fits:
            _refuse(WRONG_VALUE, name, _shape_of(columns), array.shape, "a row is one sample")
        return array

    def __getattr__(self, name):
        if self.quantities is None or name[:1] == "_":
            raise AttributeError("rows bound to a compiled risk have no %s; symgrad.compile(risk).bind has second derivatives" % name)
        return getattr(self.quantities, name)

    def __repr__(self):
        return "<%d rows bound to a compiled risk with %d parameters: f(theta) is (risk, gradient)>" % (self.n, self.risk.model.n_parameters)

    def __reduce__(self):
        if self.quantities is not None:
            return self.quantities.reduced()
        raise TypeError("a bound risk cannot be copied or pickled: pass the declared risk and the arrays, "
                        "and call symgrad.compile(risk).bind(...) there")

    def __call__(self, theta):
        out = _empty(self.risk.model.n_gradient, _REAL)
        return _mean(self, self.risk.theta(theta), out), out


cdef inline bint _is_plain(value):
    """Is it an array of this module's kind, or none?"""
    return (type(value) is _ARRAY and value.dtype is _REAL) or value is None or value is _UNUSED


cdef _Bound _bound(Risk risk, inputs, targets, weights, threads):
    """Return the arrays of a call, checked."""
    if not (_is_plain(inputs) and _is_plain(targets) and _is_plain(weights)):
        given = arrays_of((risk.INPUTS, None if targets is _UNUSED else risk.TARGETS), inputs, targets, weights)
        inputs, targets, weights = given[0], targets if targets is _UNUSED else given[1], given[2]
    cdef _Bound data = _Bound.__new__(_Bound, risk)
    data.check(inputs, targets, weights, threads)
    return data


cdef class _Tree:
    """The nodes of a tree of sums that wait for their siblings, one of each height; the result is the first."""

    cdef Nodes nodes
    cdef int[64] exponents
    cdef Py_ssize_t room

    def __cinit__(self):
        self.nodes.exponents = self.exponents

    def __dealloc__(self):
        free(self.nodes.sums)
        free(self.nodes.shrunk)

    cdef int reserve(self, Py_ssize_t tiles, Py_ssize_t n_sums) except -1:
        """Make room for a node of each height that the tree over so many tiles has."""
        cdef Py_ssize_t heights = 1
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


cdef inline size_t _part(size_t* at, size_t size) noexcept:
    """Where a part of so many bytes begins: each at a multiple of 64, so that no vector lies across two cache lines."""
    cdef size_t start = at[0]
    at[0] = start + size + 63 & ~<size_t>63
    return start


cdef class _Scratch:
    """What one thread works in: kept when it is done, so that the next call finds it warm."""

    cdef Scratch scratch
    cdef void* memory
    cdef size_t room
    cdef Py_ssize_t number  # of the risk for which it is laid out; none has 0

    cdef int fit(self, const Model* m) except -1:
        """Lay it out for a model."""
        if self.number == m.number:
            return 0
        cdef Scratch* scratch = &self.scratch
        cdef size_t at = 64, data = _part(&at, (m.weight_row + 1) * m.lanes * sizeof(real))
        cdef size_t values = _part(&at, m.batch * m.value_rows * m.lanes * sizeof(real))
        cdef size_t sums = _part(&at, 2 * (m.summed_rows + 1) * m.lanes * sizeof(double))
        cdef size_t turned = _part(&at, m.turned * m.lanes * sizeof(real))
        cdef size_t products = _part(&at, m.products * sizeof(double))
        cdef bint by_lane = m.n_outers > 0
        cdef size_t values_by_lane = _part(&at, by_lane * m.value_rows * m.lanes * sizeof(real))
        cdef size_t data_by_lane = _part(&at, by_lane * m.weight_row * m.lanes * sizeof(real))
        cdef Py_ssize_t wide = MATRIX_LANES if m.n_results <= FEW_PARAMETERS else 1
        cdef size_t gradient = _part(&at, by_lane * wide * m.n_results * sizeof(real))
        cdef size_t cotangents = _part(&at, (m.pull != NULL) * (m.n_results + m.pulled_rows) * sizeof(real))
        cdef size_t multiples = _part(&at, m.multiples * sizeof(double))
        cdef size_t sums_of_call = _part(&at, m.most_multiples * sizeof(real))
        cdef size_t factors = _part(&at, m.n_scaled * MOST_LANES * sizeof(real))
        cdef bint made = m.kind != GRADIENTS
        cdef size_t aside = _part(&at, made * MOST_LANES * sizeof(real))
        cdef size_t factors_of_lanes = _part(&at, made * m.n_blocks * MOST_LANES * sizeof(real))
        cdef size_t lengths = _part(&at, m.n_blocks * MOST_LANES * sizeof(double))
        cdef size_t length_pairs = _part(&at, 2 * m.n_blocks * MOST_LANES * sizeof(double))
        cdef size_t made_rows = _part(&at, (m.rows_together if m.in_rows else 1) * m.n_gradient * sizeof(real))
        cdef size_t weighted = _part(&at, (m.kind == PRODUCTS) * MOST_LANES * 4 * WIDTH * sizeof(real))
        cdef size_t squared = _part(&at, (m.kind == SQUARES) * MOST_LANES * max(m.squared_rows, m.input_columns) * sizeof(real))
        cdef size_t sums_made = _part(&at, m.made * sizeof(double))
        cdef size_t table = _part(&at, (m.n_predictors > 0) * m.lanes * m.input_columns * sizeof(real))
        if at > self.room:
            self.number = self.room = 0
            free(self.memory)
            self.memory = large_memory(at)
            if self.memory == NULL:
                raise MemoryError()
            self.room = at
        cdef char* base = <char*>(<size_t>self.memory & ~<size_t>63)
        scratch.data = <real*>(base + data)
        scratch.values = <real*>(base + values)
        scratch.sums = <double*>(base + sums)
        scratch.turned = <real*>(base + turned)
        scratch.products = <double*>(base + products)
        scratch.values_by_lane = <real*>(base + values_by_lane)
        scratch.data_by_lane = <real*>(base + data_by_lane)
        scratch.gradient = <real*>(base + gradient)
        scratch.cotangents = <real*>(base + cotangents)
        scratch.multiples = <double*>(base + multiples)
        scratch.sums_of_call = <real*>(base + sums_of_call)
        scratch.factors = <real*>(base + factors)
        scratch.table = <real*>(base + table)
        scratch.aside = <real*>(base + aside)
        scratch.factors_of_lanes = <real*>(base + factors_of_lanes)
        scratch.lengths = <double*>(base + lengths)
        scratch.length_pairs = <double*>(base + length_pairs)
        scratch.made_rows = <real*>(base + made_rows)
        scratch.weighted = <real*>(base + weighted)
        scratch.squared = <real*>(base + squared)
        scratch.made = <double*>(base + sums_made)
        self.number = m.number
        return 0

    def __dealloc__(self):
        free(self.memory)


# What no thread works with.
cdef list _idle_scratch = []
cdef list _idle_trees = []


cdef _take(list idle, kind):
    """Return one that is idle, or a new one."""
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
    cdef double* bounds  # that follow theta
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
        free(self.bounds)

    cdef int work(self, _Scratch scratch) except -1:
        """Take blocks until none is left: whole subtrees of them while there are many, and the last one by one."""
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
        """Work in another thread, and return where it is counted until it leaves."""
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
        """Work on as many rows from ``first`` on: write them to ``out``, or return the node that is their sum."""
        PyErr_CheckSignals()
        scratch.fit(self.sweep.model)
        cdef _Tree tree = None
        cdef Nodes nodes
        cdef Sweep sweep = self.sweep
        cdef Column column
        sweep.n = min(rows, self.n - first)
        if sweep.wanted != SUMS:
            sweep.out += first * sweep.out_size
        first += self.start
        if sweep.codes != NULL:
            sweep.codes += first
        converted = None  # kept until the sweep is done
        cdef int place
        for place in range(3):
            column = self.data.columns[place]
            if column.base != NULL:
                column.base += first * column.row_stride
            elif self.data.arrays[place] is not None and self.data.arrays[place].size:
                array = self.data.arrays[place]
                column.wide = place == WEIGHTS
                array = array[first:first + sweep.n].astype(_DOUBLE if column.wide else _REAL)
                converted = array, converted
                _point(&column, array)
            sweep.columns[place] = column
        if sweep.columns[WEIGHTS].base != NULL and not weights_are_finite(sweep.columns[WEIGHTS], sweep.n):
            _check_weights(self.data.arrays[WEIGHTS][first:first + sweep.n])
        if sweep.wanted == SUMS:
            tree = _take(_idle_trees, _Tree)
            tree.reserve((sweep.n + sweep.model.tile_rows - 1) // sweep.model.tile_rows, sweep.n_sums)
            nodes = tree.nodes
        cdef Py_ssize_t n_calls = self.n_calls
        self.n_calls = 0
        if n_calls == 0 and sweep.n * self.sweep.model.cost < 20_000:  # to give up the interpreter and to get it back may take longer
            compute_block(&sweep, &scratch.scratch, nodes)
        else:
            with nogil:
                call_helpers(self.calls, n_calls)  # now they find the interpreter free
                compute_block(&sweep, &scratch.scratch, nodes)
        return tree

    cdef _Tree sweep_rows(self, Py_ssize_t start, Py_ssize_t n):
        """Work on n rows from ``start``, on as many threads as the arrays were bound to, this one among them; return the sum.

        The sum is the first node of the tree; without a weight, the weight is the number of rows.
        """
        global _last_sweep
        cdef Py_ssize_t threads = self.data.threads
        cdef _Scratch scratch = _take(_idle_scratch, _Scratch)
        cdef _Tree root
        if threads == 0:
            threads = _worthwhile_threads(n * self.sweep.model.cost)
        self.start = start
        self.n = n
        self.begun = 0
        self.longest = self.block = _block_rows(self.sweep.model, n, 15_000_000)  # so soon is Ctrl-C seen
        if threads > 1:
            self.block = _block_rows(self.sweep.model, n, 100_000)  # so long does one wait for the other; a block costs microseconds
        self.blocks = (n + self.block - 1) // self.block
        self.threads = min(threads, self.blocks)
        cdef Py_ssize_t forks = _forks
        if self.blocks == 1:
            root = self.run(0, n, scratch)
        else:
            root = self.sum_of_blocks(scratch)
        if forks != _forks and self.threads > 1:  # in a signal handler: other threads' blocks are lost, so it does all
            self.begun = 0
            self.threads = 1
            root = self.sum_of_blocks(scratch)
        _idle_scratch.append(scratch)
        if n * self.sweep.model.cost >= FEW_NANOSECONDS:
            _last_sweep = seconds()
        if root is not None and self.data.arrays[WEIGHTS] is None:
            root.nodes.sums[0] = n
        return root

    cdef _Tree sum_of_blocks(self, _Scratch scratch):
        self.level = 0
        while self.sweep.model.tile_rows << self.level < self.block:
            self.level += 1
        self.siblings = _Siblings()
        self.siblings.tiles = (self.n + self.sweep.model.tile_rows - 1) // self.sweep.model.tile_rows
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
        cdef Py_ssize_t waiting = 0, forks = _forks
        self.failure = None
        self.calls = <int**>malloc(self.threads * sizeof(int*))
        if self.calls == NULL:
            raise MemoryError()
        try:
            for _ in range(self.threads - 1):
                helper = _waiting_helper() or _Helper()
                helper.job = self
                helpers.append(helper)
                if is_waiting(&helper.state):
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
            if forks != _forks:
                self.helpers = 0  # they are the parent's
                self.failure = None
            with nogil:
                wait_for_helpers(&self.helpers)
            free(self.calls)
        if self.failure is not None:
            raise self.failure
        return 0


cdef enum:
    FEW_NANOSECONDS = 300_000  # less work than this is done by one thread
    MANY_NANOSECONDS = 1_000_000  # more than this is worth the start of others


cdef Py_ssize_t _worthwhile_threads(double nanoseconds):
    """Return the processor cores that this process may use, or one where the work is little.

    Between few and many, others help if calls follow one another so closely that they wait from one to the next.
    """
    if nanoseconds < FEW_NANOSECONDS or nanoseconds < MANY_NANOSECONDS and seconds() - _last_sweep > PATIENCE:
        return 1
    return _cores()


cdef Py_ssize_t _block_rows(const Model* model, Py_ssize_t n, double nanoseconds):
    """Return the rows of a block: a power of two of tiles that takes about so long. No result depends on it."""
    cdef Py_ssize_t rows = model.tile_rows
    while rows < n and rows * model.cost < nanoseconds and rows * (model.weight_row + 1) < 1 << 22:
        rows *= 2
    return rows


cdef void compute_block(Sweep* sweep, Scratch* scratch, Nodes nodes) noexcept nogil:
    if sweep.wanted == SUMS:
        sum_block(sweep, scratch, nodes)
    elif sweep.wanted == ROWS:
        write_block(sweep, scratch)
    else:
        write_norms(sweep, scratch)


cdef _Job _job(_Bound data, theta, LaneFunction function, Py_ssize_t n_rows, bint with_gradient):
    """Return a sweep of a function over bound arrays, at one theta."""
    cdef _Job job = _Job.__new__(_Job)
    job.c = _invariants(data.risk, theta)
    job.data = data
    job.sweep.model = &data.risk.model
    job.sweep.function = function
    job.sweep.c = job.c
    job.sweep.n_rows = n_rows
    job.sweep.with_gradient = with_gradient
    job.sweep.wanted = SUMS
    job.sweep.n_sums = 2 + with_gradient * data.risk.model.n_sums
    if data.risk.model.kind == CLIPPED:
        job.bounds = <double*>malloc(data.risk.model.n_blocks * sizeof(double))
        if job.bounds == NULL:
            raise MemoryError()
        memcpy(job.bounds, &_numbers_of(theta)[data.risk.model.n_gradient], data.risk.model.n_blocks * sizeof(double))
        job.sweep.bounds = job.bounds
    if data.codes is not None:
        job.sweep.codes = <const int64_t*>_numbers_of(data.codes)
    return job


cdef real* _invariants(Risk risk, theta) except NULL:
    """Return what is computed once for a theta, in memory that is the caller's."""
    cdef Py_buffer view
    cdef real* c = <real*>calloc(risk.model.invariants + 1, sizeof(real))
    if c == NULL:
        raise MemoryError()
    PyObject_GetBuffer(theta, &view, PyBUF_STRIDES)
    risk.once(<const double*>view.buf, c)
    PyBuffer_Release(&view)
    return c


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
    static int is_waiting(const int *state) { return __atomic_load_n(state, __ATOMIC_ACQUIRE) == WAITING; }
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
    bint is_waiting(const int*) noexcept nogil
    double seconds() noexcept nogil
    void enter(Py_ssize_t*) noexcept nogil
    void call_helpers(int**, Py_ssize_t) noexcept nogil
    bint leave_and_wait(Py_ssize_t*, int*) noexcept nogil
    void wait_for_helpers(Py_ssize_t*) noexcept nogil


cdef list _waiting = []  # helpers; some of them may be gone
cdef Py_ssize_t _forks = 0  # between this process and the first that had loaded this module


def _forked():
    """What a child does first: it has none of its parent's other threads."""
    global _forks
    _forks += 1
    _waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


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
        if is_waiting(&helper.state):
            return helper
    return None


cdef bint _started(_Helper helper):
    """Could one more thread be had?"""
    try:
        start_new_thread(helper.stay, ())
    except RuntimeError:
        return False
    return True


cdef enum:
    SEAL_FORMAT = 1  # another one, when what is hashed changes


cdef uint64_t mixed(uint64_t digest, const double* numbers, Py_ssize_t n) noexcept nogil:
    """Return the digest of what was before and n numbers: no change of one of them leaves it as it was."""
    cdef uint64_t bits
    cdef Py_ssize_t i
    for i in range(n):
        memcpy(&bits, &numbers[i], sizeof(double))
        digest = (digest ^ bits) * <uint64_t>0x9E3779B97F4A7C15ULL  # odd: a step can be undone
        digest ^= digest >> 29
    return digest


cdef double as_number(uint64_t digest) noexcept nogil:
    """Return as much of a digest as a double holds: arrays that are copied, stored or sent keep it."""
    return <double>(digest >> 11)


cdef double _origin(Risk self, theta) except -1.0:
    """Return what tells this model, whose key knows its dtype, at this theta from all others."""
    cdef double[2] model = [SEAL_FORMAT, self.key]
    return as_number(mixed(mixed(0, model, 2), _numbers_of(theta), self.model.n_parameters))


cdef double checksum(double origin, Py_ssize_t level, Py_ssize_t index, const double* numbers, Py_ssize_t n) noexcept nogil:
    """Return the checksum of a node: of its numbers, its place, and where it comes from."""
    cdef double[3] place = [origin, <double>level, <double>index]
    return as_number(mixed(mixed(0, place, 3), numbers, n))


cdef int _check_seal(double origin, Py_ssize_t level, Py_ssize_t index, array) except -1:
    """Is a node as it was made, and was it made by this model at this theta?"""
    cdef const double* numbers = _numbers_of(array)
    cdef Py_ssize_t n = array.size - array.shape[1]
    if numbers[n + 1] != checksum(numbers[n], level, index, numbers, n):
        _refuse(WRONG_VALUE, "parts", "the node %s as partial_sums returned it" % ((level, index),),
                "numbers that do not fit its checksum", "it was damaged or changed on its way: compute this part again")
    if numbers[n] != origin:
        _refuse(WRONG_VALUE, "parts", "nodes of this model and dtype at this theta",
                "the node %s of another model, dtype or theta" % ((level, index),), "compute this part again")


cdef dict _nodes(_Bound data, theta, Py_ssize_t tile):
    """Return the nodes of bound rows that begin with a tile: the largest that have their place in the tree over all rows."""
    cdef Risk risk = data.risk
    cdef Py_ssize_t tile_rows = risk.model.tile_rows, end = tile + (data.n + tile_rows - 1) // tile_rows, at = tile, level, start, n
    cdef double origin = _origin(risk, theta)
    cdef dict nodes = {}
    cdef _Job job
    cdef _Tree root
    cdef Environment environment = calm()
    try:
        job = _job(data, theta, risk.gradients, risk.model.summed_rows, True)
        while at < end:
            level = 0
            while not at >> level & 1 and at + (<Py_ssize_t>2 << level) <= end:
                level += 1
            start = (at - tile) * tile_rows
            n = min(tile_rows << level, data.n - start)
            root = job.sweep_rows(start, n)
            nodes[level, at >> level] = _array_of(root, n, job.sweep.n_sums, origin, level, at >> level)
            _idle_trees.append(root)
            at += <Py_ssize_t>1 << level
    finally:
        restore(environment)
    return nodes


cdef dict _collected(Risk self, theta, tuple parts):
    """Return the nodes of all parts, each once: their keys as Python's numbers, their arrays as NumPy's own."""
    cdef double origin = _origin(self, theta)
    cdef dict nodes = {}
    for part in parts:
        if not isinstance(part, dict):
            _refuse(WRONG_TYPE, "parts", self.expected_nodes, type(part).__name__, "pass what partial_sums returned")
        for key, array in part.items():
            key, array = _checked_node(self, key, array)
            _check_seal(origin, key[0], key[1], array)
            known = nodes.setdefault(key, array)
            if known is not array and known.tobytes() != array.tobytes():
                _refuse(WRONG_VALUE, "parts", "one array for the node %s" % (key,), "two that differ",
                        "are they of the same rows and weights?")
    return nodes


cdef object _merge(Risk self, theta, tuple parts):
    """Return the means over all rows of the parts."""
    cdef dict nodes = _collected(self, theta, parts)
    return _merged(self, theta, _in_order(nodes, self.model.tile_rows), nodes)


cdef object _merged(Risk self, theta, list keys, dict nodes):
    cdef _Siblings siblings = _Siblings()
    cdef Py_ssize_t level, index
    cdef real* c
    cdef tuple key = keys[len(keys) - 1]
    level, index = key[0], key[1]
    cdef Py_ssize_t rows = <Py_ssize_t>_numbers_of(nodes[key])[0]
    siblings.tiles = (index << level) + (rows + self.model.tile_rows - 1) // self.model.tile_rows
    siblings.n_sums = 2 + self.model.n_sums
    out = np.empty(self.model.n_means, _REAL)
    cdef Environment environment = calm()
    try:
        for key in keys:
            siblings.join(_tree_of(nodes[key], 2 + self.model.n_sums), key[0], key[1])
        c = _invariants(self, theta)
        try:
            return _finish(self, siblings.root, c, out), out
        finally:
            free(c)
    finally:
        restore(environment)


cdef Py_ssize_t _first_tile(first, Py_ssize_t tile_rows) except -1:
    """Return the number of the tile that begins with row ``first``."""
    expected = "a multiple of TILE, %d, that is not negative" % tile_rows
    if not _is_whole(first):
        _refuse(WRONG_TYPE, "first", expected, repr(first), "it is the number of rows before these")
    cdef Py_ssize_t row = _whole(first)
    if row < 0 or row % tile_rows or row > <Py_ssize_t>1 << 60:
        _refuse(WRONG_VALUE, "first", expected, first, "split the rows at multiples of TILE")
    return row // tile_rows


cdef double* _numbers_of(array) except? NULL:
    """Return a C-contiguous, aligned array's memory, which lives as long as the array."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    cdef double* numbers = <double*>view.buf
    PyBuffer_Release(&view)
    return numbers


cdef object _array_of(_Tree tree, Py_ssize_t n, Py_ssize_t n_sums, double origin, Py_ssize_t level, Py_ssize_t index):
    """Return the first node of a tree, as `partial_sums` returns it."""
    cdef Py_ssize_t row, columns = 2 if all_finite(tree.nodes.sums, n_sums) else 4
    array = np.zeros((2 + n_sums, columns))
    cdef double* numbers = _numbers_of(array)
    cdef double* pair = numbers
    pair[0] = n
    pair[1] = tree.nodes.exponents[0]
    for row in range(n_sums):
        pair += columns
        pair[0] = canonical(tree.nodes.sums[2 * row])
        pair[1] = canonical(tree.nodes.sums[2 * row + 1])
        if not magnitude(pair[0]) <= GREATEST:
            pair[2] = canonical(tree.nodes.shrunk[2 * row])
            pair[3] = canonical(tree.nodes.shrunk[2 * row + 1])
    pair += columns
    pair[0] = origin
    pair[1] = checksum(origin, level, index, numbers, columns * (1 + n_sums))
    return array


cdef _Tree _tree_of(object array, Py_ssize_t n_sums):
    """Return a node that came as an array."""
    cdef Py_ssize_t row, columns = array.shape[1]
    cdef const double* pair = _numbers_of(array)
    cdef _Tree tree = _take(_idle_trees, _Tree)
    tree.reserve(1, n_sums)
    tree.nodes.exponents[0] = <int>pair[1]
    for row in range(n_sums):
        pair += columns
        tree.nodes.sums[2 * row] = pair[0]
        tree.nodes.sums[2 * row + 1] = pair[1]
        if columns == 4:
            tree.nodes.shrunk[2 * row] = pair[2]
            tree.nodes.shrunk[2 * row + 1] = pair[3]
    return tree


cdef tuple _checked_node(Risk self, key, array):
    """Return a node's key and array, if it is one, and there are as many rows in it as there can be."""
    cdef Py_ssize_t rows = 4 + self.model.n_sums, most
    cure = "pass what partial_sums returned"
    if not isinstance(key, tuple) or len(key) != 2 or not _is_whole(key[0]) or not _is_whole(key[1]):
        _refuse(WRONG_TYPE, "parts", self.expected_nodes, "the key %r" % (key,), cure)
    if not isinstance(array, np.ndarray) or array.dtype != _DOUBLE:
        _refuse(WRONG_TYPE, "parts", self.expected_nodes, "%s at %s" % (getattr(array, "dtype", type(array).__name__), key), cure)
    array = _plain(array)
    if array.shape not in ((rows, 2), (rows, 4)):
        _refuse(WRONG_VALUE, "parts", self.expected_nodes, "the shape %s at %s" % (array.shape, key), cure)
    cdef Py_ssize_t level = _whole(key[0]), index = _whole(key[1])
    if not (0 <= level <= 50 and 0 <= index < <Py_ssize_t>1 << 50 - level):
        _refuse(WRONG_VALUE, "parts", self.expected_nodes, "the key %s" % (key,), cure)
    most = self.model.tile_rows << level
    cdef double* pair = _numbers_of(array)
    if not most - self.model.tile_rows < pair[0] <= most or pair[0] % 1:
        _refuse(WRONG_VALUE, "parts", "%d to %d rows at %s" % (most - self.model.tile_rows + 1, most, key), pair[0], cure)
    if not NO_WEIGHT <= pair[1] <= 1024 or pair[1] % 1:
        _refuse(WRONG_VALUE, "parts", "an exponent from %d to 1024 at %s" % (NO_WEIGHT, key), pair[1], cure)
    return (level, index), array


cdef list _in_order(dict nodes, Py_ssize_t tile_rows):
    """Return the nodes' keys by their rows: each begins where the one before ends."""
    if not nodes:
        _refuse(WRONG_VALUE, "parts", "at least one row", "none", "the mean over an empty data set is undefined")
    cdef Py_ssize_t level, start, end = 0
    cdef tuple key, place
    cdef list places = [], keys = []
    for key in nodes:
        level = key[0]
        places.append((<Py_ssize_t>key[1] << level, level, key))
    places.sort()
    for place in places:
        start, key = <Py_ssize_t>place[0] * tile_rows, place[2]
        if start > end:
            _refuse(WRONG_VALUE, "parts", "all rows from 0 on", "none of the rows %d to %d" % (end, start - 1),
                    "they come before those of the node %s" % (key,))
        if start < end:
            _refuse(WRONG_VALUE, "parts", "each row once", "the rows of the node %s twice" % (key,),
                    "split the rows in one way")
        keys.append(key)
        end = start + <Py_ssize_t>_numbers_of(nodes[key])[0]
    return keys


def _doors(Risk self, module):
    """Return what a model's module offers, by name: functions of this risk, with its own shapes in their docstrings."""

    def risk(theta, inputs, targets=..., weights=None, *, threads=None):
        """Return the mean loss, plus the penalty if there is one: a float.

        theta (P,) flat, inputs (N, D), targets (N, M): (N,) will do for one column, None for none.
        A table that gives its columns by `table[name]` may stand for inputs and targets: names count, not their order.
        weights (N,): the mean is sum(w * loss) / sum(w). threads: None takes what the work is worth;
        never more are started than there are blocks of rows, nor than 4 for each core (8, where there are few).
        Raises ValueError for a wrong shape and TypeError for a wrong kind of array.
        """
        return _mean(_bound(self, inputs, targets, weights, threads), self.theta(theta), None)

    def gradient(theta, inputs, targets=..., weights=None, *, out=None, threads=None):
        """Return the gradient of `risk`, (P,): one epoch in one pass. Arguments as for `risk`."""
        cdef _Bound data = _bound(self, inputs, targets, weights, threads)
        theta = self.theta(theta)
        out = _result(out, (self.model.n_gradient,), theta, data.arrays)
        _mean(data, theta, out)
        return out

    def risk_and_gradient(theta, inputs, targets=..., weights=None, *, threads=None):
        """Return `(risk, gradient)`, computed in one pass, as scipy.optimize.minimize(..., jac=True) takes them."""
        cdef _Bound data = _bound(self, inputs, targets, weights, threads)
        theta = self.theta(theta)
        out = _empty(self.model.n_gradient, _REAL)
        return _mean(data, theta, out), out

    def per_sample_loss(theta, inputs, targets=..., *, out=None, threads=None):
        """Return each sample's loss, (N,), without the penalty. Arguments as for `risk`; an interrupted call leaves out partly written."""
        cdef _Bound data = _bound(self, inputs, targets, None, threads)
        theta = self.theta(theta)
        out = _result(out, (data.n,), theta, data.arrays)
        _each(data, theta, ROWS, self.losses, 1, 1, out)
        return out

    def per_sample_gradient(theta, inputs, targets=..., *, out=None, threads=None):
        """Return each sample's gradient, (N, P), without the penalty's. Arguments as for `risk`."""
        cdef _Bound data = _bound(self, inputs, targets, None, threads)
        theta = self.theta(theta)
        out = _result(out, (data.n, self.model.n_gradient), theta, data.arrays)
        _each(data, theta, ROWS, self.gradients, self.model.summed_rows, self.model.n_gradient, out)
        return out

    def predict(theta, inputs, *, threads=None):
        """Return the model's output for each row of inputs: (N, K)."""
        cdef Py_ssize_t k = self.model.n_predictions
        if self.predictions == NULL:
            _refuse(WRONG_TYPE, "predict", "a risk with a model", "one of a single expression", "per_sample_loss is what it has")
        cdef _Bound data = _bound(self, inputs, _UNUSED, None, threads)
        out = _empty((data.n, k), _REAL)
        _each(data, self.theta(theta), ROWS, self.predictions, k, k, out)
        return out.reshape(data.n) if self.scalar else out

    def reduce(theta, inputs, targets=..., weights=None, *, want, out=None, threads=None):
        """Return ``{name: result}``: what is wanted of all samples' gradients, in one pass and without an array of them.

        want: one name or several: "squared_norms", (N,) float64, the sum of the squares of each sample's gradient.
        out: ``{name: array}`` for results to be written to. Other arguments and errors as for `risk`; no weight matters here.
        """
        cdef _Bound data = _bound(self, inputs, targets, weights, threads)
        data.columns[WEIGHTS].base = NULL  # its shape was checked, and no row is left out
        data.arrays = data.arrays[0], data.arrays[1], None
        return _reduced(data, self.theta(theta), want, out)

    def bind(inputs, targets=..., weights=None, *, threads=None):
        """Return the arrays, checked once: ``f = bind(...)``, then ``f(theta)`` is `(risk, gradient)`. Arguments as for `risk`."""
        return _bound(self, inputs, targets, weights, threads)

    def partial_sums(theta, inputs, targets=..., weights=None, *, first=0, threads=None):
        """Return the sums over these rows, as `merge_sums` takes them: `{(level, index): array}`, a few small arrays.

        first: where these rows begin among all rows, a multiple of TILE. N too is one, unless these rows are the last. All
        rows are a row of tiles, of TILE rows each; the node (level, index) has the tiles from index * 2**level on, 2**level
        of them, of which the last of all may have fewer rows. Its array, float64 (P + 4, 2), has in row 0 the number of rows and an exponent;
        then pairs, high and low, whose sums are those of the weights (without weights, of ones), of w * loss and of
        w * gradient, without the penalty, all times 2**-exponent. The exponent is 0 unless every weight is small. The
        last row has two digests: of the model, its dtype and theta, and of the node. Where a sum is beyond the range of
        double its pair is not finite, and the array has two columns more: pairs that are 2**-512 times the
        sums, for the rows that are not finite. Equal rows give equal bits, for any number of threads. Other arguments and errors as for `risk`.
        """
        cdef _Bound data = _bound(self, inputs, targets, weights, threads)
        return _nodes(data, self.theta(theta).copy(), _first_tile(first, self.model.tile_rows))

    def merge_sums(theta, *parts):
        """Return `(risk, gradient)` over all rows, from what `partial_sums` gave for parts of them at the same theta.

        The same bits as `risk_and_gradient` over all rows at once, whatever the parts and their order. A node may come
        several times, if its bits are the same. ValueError, which names the node, where they are not, where a part is of
        another model, dtype or theta or was damaged, and where rows are missing or overlap, from row 0 to the last row
        that any part has; whether that is the last of all, only you can tell.
        """
        return _merge(self, self.theta(theta).copy(), parts)  # another thread may write to what was given

    def pack(values):
        """Return a flat theta, (P,), from ``{name: array}``, each array in its parameter's shape."""
        return _packed(self.PARAMETERS, values)

    def unpack(theta):
        """Return ``{name: array}`` from a flat theta, each array a copy in its parameter's shape."""
        return _unpacked(self.PARAMETERS, self.theta(theta))

    def __getattr__(name):  # of the module: what it has no text of is in modules beside it, if they were asked for
        if name not in _BESIDE:
            raise AttributeError("module %r has no attribute %r" % (module, name))
        try:
            return getattr(import_module(module + "_curvature"), name)
        except ModuleNotFoundError as error:
            if error.name != module + "_curvature":
                raise
            raise AttributeError("%s.%s: expected the module %s_curvature beside it, got none; write it with "
                                 "`symgrad generate SOURCE --with curvature`, or call symgrad.compile" % (module, name, module)) from None

    cdef const Model* m = &self.model
    shapes = (
        ("(P,)", "(%d,)" % m.n_parameters), ("(N, P)", "(N, %d)" % m.n_parameters), ("(P + 4, 2)", "(%d, 2)" % (m.n_results + 4)),
        ("(N, D)", "(N, %d)" % m.input_columns), ("(N, M)", "(N, %d)" % m.target_columns),
        ("(N, K)", "(N,)" if self.scalar else "(N, %d)" % m.n_predictions),
    )
    functions = {}
    for function in (risk, gradient, risk_and_gradient, per_sample_loss, per_sample_gradient, predict, reduce, bind, partial_sums, merge_sums, pack, unpack):
        for symbols, numbers in shapes:
            function.__doc__ = function.__doc__.replace(symbols, numbers)
        function.__module__ = module  # pickle looks there, and for the name, when one goes to another process
        function.__qualname__ = function.__name__
        function.__reduce_ex__, function.__deepcopy__ = _copiers(function)
        functions[function.__name__] = function
    return {**functions, "__getattr__": __getattr__, "N_PARAMETERS": m.n_parameters, "TILE": m.tile_rows}


_BESIDE = ("hessian", "hessian_vector", "hessian_diagonal", "gauss_newton", "jacobian", "residuals", "normal_equations")


def _copiers(function):
    """Return what pickle and copy ask a function: its name, if its module can be imported by name; and itself."""

    def __reduce_ex__(protocol):
        from pickle import PicklingError

        if getattr(sys.modules.get(function.__module__), function.__name__, None) is not function:
            raise PicklingError("%s.%s is a function of a compiled risk, which cannot be pickled: pass the declared risk and call "
                                "symgrad.compile there, or import a module that symgrad generate has written"
                                % (function.__module__, function.__name__))
        return function.__name__

    return __reduce_ex__, lambda memo: function


cdef object _packed(tuple parameters, values):
    """Return the arrays of ``{name: array}`` one after the other, in double."""
    if not isinstance(values, dict):
        _refuse(WRONG_TYPE, "values", "a dictionary {name: array}", type(values).__name__, "unpack(theta) shows one")
    if set(values) != set(dict(parameters)):
        _refuse(WRONG_VALUE, "values", "the names %s" % list(dict(parameters)), list(values), "give each parameter once")
    cdef list parts = []
    for name, shape in parameters:
        part = _numbers("values[%r]" % name, values[name], "an array of shape %s" % (shape,))
        if part.shape != shape:
            _refuse(WRONG_VALUE, "values[%r]" % name, "shape %s" % (shape,), part.shape, "reshape it")
        parts.append(part.ravel())
    return np.concatenate(parts).astype(_DOUBLE)


cdef dict _unpacked(tuple parameters, theta):
    """Return ``{name: array}``, each a copy of its part of theta."""
    cdef Py_ssize_t at = 0, size
    cdef dict values = {}
    for name, shape in parameters:
        size = _size(shape)
        values[name] = theta[at:at + size].reshape(shape).copy()
        at += size
    return values


cdef double _mean(_Bound data, theta, out) except? -1.0:
    """Return the risk; its gradient goes to ``out``, if that is not None."""
    cdef _Job job
    cdef Risk risk = data.risk
    if data.n == 0:
        _refuse(WRONG_VALUE, "inputs", "at least one sample", "none", "the mean over an empty data set is undefined")
    fixed = _fixed(out)
    cdef Environment environment = calm()
    try:
        job = (_job(data, theta, risk.losses, 1, False) if out is None
               else _job(data, theta, risk.gradients, risk.model.summed_rows, True))
        return _finish(risk, job.sweep_rows(0, data.n), job.c, out)
    finally:
        restore(environment)


cdef double _finish(Risk self, _Tree tree, const real* c, out) except? -1.0:
    """Return the risk, from all samples' sums and the penalty; the gradient goes to ``out``."""
    cdef const double* sums = tree.nodes.sums
    cdef const double* shrunk = tree.nodes.shrunk
    cdef double total = sums[0] + sums[1], unit = 1.0
    cdef const real* penalty = &c[1] if self.model.penalty else NULL
    cdef real* means = NULL
    cdef Py_buffer view
    if not magnitude(sums[0]) <= GREATEST:
        total = shrunk[0] + shrunk[1]
        unit = SHRINK
    if not magnitude(total) <= GREATEST or total == 0.0:
        _refuse(WRONG_VALUE, "weights", "a finite sum other than zero", total, "the weighted mean divides by it")
    if out is not None:
        if self.model.pull != NULL and self.model.kind == GRADIENTS:
            means = <real*>malloc((self.model.n_results + self.model.pulled_rows) * sizeof(real))
            if means == NULL:
                raise MemoryError()
        PyObject_GetBuffer(_base_of(out), &view, PyBUF_STRIDES)
        if means == NULL:
            divide_all(<real*>view.buf, &sums[4], &shrunk[4], penalty, self.model.n_sums, total, unit)
        else:
            divide_all(means, &sums[4], &shrunk[4], NULL, self.model.n_sums, total, unit)
            pull_back(&self.model, c, means, &means[self.model.n_results], <real*>view.buf, penalty)
            free(means)
        PyBuffer_Release(&view)
    cdef double mean = quotient(&sums[2], &shrunk[2], total, unit)
    _idle_trees.append(tree)
    return canonical(mean + c[0] if self.model.penalty else mean)


cdef int _each(_Bound data, theta, Wanted wanted, LaneFunction function, Py_ssize_t n_rows, Py_ssize_t out_rows, out) except -1:
    """What is wanted of each sample, ``out_rows`` numbers, into ``out``."""
    cdef _Job job
    cdef Py_buffer view
    if data.n == 0:
        return 0
    cdef Environment environment = calm()
    try:
        job = _job(data, theta, function, n_rows, function == data.risk.gradients)
        job.out = out, _fixed(out)
        PyObject_GetBuffer(_base_of(out), &view, PyBUF_STRIDES)
        job.sweep.wanted = wanted
        job.sweep.out = <char*>view.buf
        job.sweep.out_size = out_rows * view.itemsize
        PyBuffer_Release(&view)
        job.sweep.out_rows = out_rows
        job.sweep_rows(0, data.n)
    finally:
        restore(environment)
    return 0
