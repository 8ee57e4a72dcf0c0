# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False, embedsignature=True
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of sunspots_recurrent and run `symgrad generate` again.
"""sunspots_recurrent: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta) + penalty(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta) + grad penalty(theta)

a_1 = x1*U + b
h_1 = tanh.(a_1)
a_2 = W*h_1 + x2*U + b
h_2 = tanh.(a_2)
a_3 = W*h_2 + x3*U + b
h_3 = tanh.(a_3)
N_theta = V*h_3 + c
L = (prediction - target)**2/2
prediction = N_theta
penalty = (U.T*U)/20000 + Trace(V.T*V)/20000 + Trace(W.T*W)/20000 + (b.T*b)/20000 + (c.T*c)/20000
delta_4 = dL/dprediction = prediction - target
dL/dV = delta_4*h_3.T
dL/dc = delta_4
delta_3 = dL/da_3 = delta_4*(V.T .* tanh'.(a_3))
delta_2 = dL/da_2 = (W.T*delta_3) .* tanh'.(a_2)
dL/dW = delta_3*h_2.T + delta_2*h_1.T
delta_1 = dL/da_1 = (W.T*delta_2) .* tanh'.(a_1)
dL/dU = x3*delta_3 + x2*delta_2 + x1*delta_1
dL/db = delta_3 + delta_2 + delta_1
dpenalty/dU = U/10000
dpenalty/dW = W/10000
dpenalty/db = b/10000
dpenalty/dV = V/10000
dpenalty/dc = c/10000
tanh'(x) = 1 - tanh(x)**2
A dot makes a function or an operation elementwise; [i = j] is 1 where it holds, else 0.

In the code p0..p3 is U (4 x 1), p4..p19 is W (4 x 4), p20..p23 is b (4 x 1), p24..p27 is V (1 x 4), p28 is c (1
x 1), u0 is x1, u1 is x2, u2 is x3, y0 is target.

For each sample 122 operations for the loss, 383 for the loss with its gradient; 133 once for a theta.
Sums over samples are compensated and merged in an order that depends on N alone: the same bits for any number of
threads and any layout of the arrays. Needs NumPy alone.
"""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
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
    typedef double real;
    typedef real *__restrict__ rows;
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
    /* 4 rows and 4 vectors of columns of to = a @ b; a(i, p) is a[i * down + p * right] */
    static hot block_4_4(real *__restrict__ to, Py_ssize_t to_down, const real *a, Py_ssize_t down, Py_ssize_t right,
                      const real *__restrict__ b, Py_ssize_t b_down, Py_ssize_t k) {
        vector s00 = {0}, s01 = {0}, s02 = {0}, s03 = {0} ;
        vector s10 = {0}, s11 = {0}, s12 = {0}, s13 = {0} ;
        vector s20 = {0}, s21 = {0}, s22 = {0}, s23 = {0} ;
        vector s30 = {0}, s31 = {0}, s32 = {0}, s33 = {0} ;
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
    static hot block_1_4(real *__restrict__ to, Py_ssize_t to_down, const real *a, Py_ssize_t down, Py_ssize_t right,
                      const real *__restrict__ b, Py_ssize_t b_down, Py_ssize_t k) {
        vector s00 = {0}, s01 = {0}, s02 = {0}, s03 = {0} ;
        for (Py_ssize_t p = 0; p < k; p++, a += right, b += b_down) {
            vector b0 = *(const vector *)(b + 0 * WIDTH), b1 = *(const vector *)(b + 1 * WIDTH), b2 = *(const vector *)(b + 2 * WIDTH), b3 = *(const vector *)(b + 3 * WIDTH) ;
s00 = fma_vector(a[0 * down], b0, s00); s01 = fma_vector(a[0 * down], b1, s01); s02 = fma_vector(a[0 * down], b2, s02); s03 = fma_vector(a[0 * down], b3, s03); 
        }
*(vector *)(to + 0 * to_down + 0 * WIDTH) = s00; *(vector *)(to + 0 * to_down + 1 * WIDTH) = s01; *(vector *)(to + 0 * to_down + 2 * WIDTH) = s02; *(vector *)(to + 0 * to_down + 3 * WIDTH) = s03; 
    }
    /* 4 rows and 1 vector of columns of to = a @ b; a(i, p) is a[i * down + p * right] */
    static hot block_4_1(real *__restrict__ to, Py_ssize_t to_down, const real *a, Py_ssize_t down, Py_ssize_t right,
                      const real *__restrict__ b, Py_ssize_t b_down, Py_ssize_t k) {
        vector s00 = {0} ;
        vector s10 = {0} ;
        vector s20 = {0} ;
        vector s30 = {0} ;
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
    static hot block_1_1(real *__restrict__ to, Py_ssize_t to_down, const real *a, Py_ssize_t down, Py_ssize_t right,
                      const real *__restrict__ b, Py_ssize_t b_down, Py_ssize_t k) {
        vector s00 = {0} ;
        for (Py_ssize_t p = 0; p < k; p++, a += right, b += b_down) {
            vector b0 = *(const vector *)(b + 0 * WIDTH) ;
s00 = fma_vector(a[0 * down], b0, s00); 
        }
*(vector *)(to + 0 * to_down + 0 * WIDTH) = s00; 
    }
    VECTOR real lane_exp(real) C_NAME("exp");
    VECTOR real lane_tanh(real) C_NAME("tanh");
    """
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows
    real fma_real(real, real, real) noexcept nogil
    const Py_ssize_t WIDTH
    hot block_4_4(real*, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t) noexcept nogil
    hot block_1_4(real*, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t) noexcept nogil
    hot block_4_1(real*, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t) noexcept nogil
    hot block_1_1(real*, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t) noexcept nogil
    real exp "lane_exp"(real) noexcept nogil
    real tanh "lane_tanh"(real) noexcept nogil
    real fabs "fabs"(real) noexcept nogil
    real fmod "fmod"(real, real) noexcept nogil

PARAMETERS = (('U', (4, 1)), ('W', (4, 4)), ('b', (4, 1)), ('V', (1, 4)), ('c', (1, 1)))
INPUTS = (('x1', ()), ('x2', ()), ('x3', ()))
TARGETS = (('target', ()),)
N_PARAMETERS = 29

cdef enum:
    N_COLUMNS = 29  # of all parameters' gradients
    LANES = 64  # samples side by side in a call of a lane function
    DEPTH = 16  # calls that make a tile
    TILE = LANES * DEPTH
    INPUT_COLUMNS = 3
    TARGET_COLUMNS = 1
    WEIGHT_ROW = INPUT_COLUMNS + TARGET_COLUMNS
    WEIGHTS = 2  # the place of the weights among the arrays of samples
    INVARIANTS = 91  # numbers that are computed once for a theta; first the penalty and its gradient
    PENALTY_ROWS = 30
    PREDICTIONS = 1
    LINE = 64 // sizeof(real)  # columns of a matrix are padded to so many
    KEPT_LEFT = 8  # rows that a call keeps for the products of its tile: left operands,
    KEPT_RIGHT = 16  # and columns of right operands
    MOST_ROWS = 4
    MOST_COLUMNS = 4
    COST = 81  # about this many nanoseconds for a sample with its gradient


cdef hot multiply(rows to, const real* a, Py_ssize_t down, Py_ssize_t right, const real* b, Py_ssize_t m, Py_ssize_t k, Py_ssize_t n) noexcept nogil:
    """to = a @ b for each lane: a (m, k) is the same for all, with the strides down and right; b (k, n) has rows of lanes."""
    cdef Py_ssize_t i, j, panel, width = n * LANES
    for panel in range(width // (4 * WIDTH)):
        j = panel * 4 * WIDTH
        for i in range(0, m - 3, 4):
            block_4_4(&to[i * width + j], width, &a[i * down], down, right, &b[j], width, k)
        for i in range(m - m % 4, m):
            block_1_4(&to[i * width + j], width, &a[i * down], down, right, &b[j], width, k)


cdef void copy_rows(real* to, Py_ssize_t to_down, Py_ssize_t to_right, const real* from_, Py_ssize_t down, Py_ssize_t right,
                    Py_ssize_t m, Py_ssize_t n, Py_ssize_t width) noexcept nogil:
    """An (m, n) matrix of rows, from one place to another, each with its strides in rows."""
    cdef Py_ssize_t i, j
    for i in range(m):
        for j in range(n):
            memcpy(&to[(i * to_down + j * to_right) * width], &from_[(i * down + j * right) * width], width * sizeof(real))


cdef hot once(const double* theta, real* c) noexcept nogil:
    """What no sample changes: computed once for a theta."""
    cdef Py_ssize_t row
    cdef real p28 = <real>theta[28]
    cdef real p0, p20, p24, p4, product_1, product_2, product_3, total_1, total_2, total_3, product_7, fmod_1, \
        choice_1, product_8, sum_4, product_9, transpose_1, product_10, total_4
    for row in range(4):
        p0 = <real>theta[row]
        p20 = <real>theta[20 + row]
        p24 = <real>theta[24 + row]
        c[30 + row] = p0
        c[50 + row] = p20
        c[54 + row] = p24
    for row in range(16):
        p4 = <real>theta[4 + row]
        c[34 + row] = p4
    c[58] = p28
    total_1 = 0.0
    total_2 = 0.0
    total_3 = 0.0
    for row in range(4):
        p0 = <real>theta[row]
        p20 = <real>theta[20 + row]
        p24 = <real>theta[24 + row]
        product_1 = p20 * 5e-05
        product_2 = p24 * 5e-05
        product_3 = p0 * 5e-05
        c[21 + row] = product_1 + product_1
        c[25 + row] = product_2 + product_2
        c[1 + row] = product_3 + product_3
        total_1 += p0 * p0
        total_2 += p24 * p24
        total_3 += p20 * p20
    product_7 = total_3 * 5e-05
    fmod_1 = fmod(row, 2.0)
    choice_1 = 1.0 if (fmod_1 == 0.0) else 0.0
    product_8 = p28 * p28 * choice_1 * 5e-05
    sum_4 = total_1 * 5e-05 + total_2 * 5e-05
    product_9 = choice_1 * 5e-05
    c[29] = p28 * product_9 + p28 * product_9
    # transpose_1 = transpose of p4, 4 x 4
    copy_rows(&c[59], 4, 1, &c[34], 1, 4, 4, 4, 1)
    total_4 = 0.0
    for row in range(16):
        transpose_1 = c[59 + row]
        product_10 = transpose_1 * 5e-05
        c[75 + row] = product_10 + product_10
        total_4 += transpose_1 * transpose_1
    c[0] = product_8 + (product_7 + (total_4 * 5e-05 + sum_4))
    # transpose_2 = transpose of sum_6, 4 x 4
    copy_rows(&c[5], 4, 1, &c[75], 1, 4, 4, 4, 1)


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Each lane's loss, times its weight."""
    cdef Py_ssize_t lane, row
    cdef real p28 = c[58]
    cdef real p0, p20, u0, u1, u2, tanh_1, matmul_1, sum_8, tanh_2, matmul_2, sum_9, tanh_3, y0, matmul_3, w, \
        difference_1
    for row in range(4):
        p0 = c[30 + row]
        p20 = c[50 + row]
        for lane in range(LANES):
            u0 = data[lane]
            u1 = data[1 * LANES + lane]
            u2 = data[2 * LANES + lane]
            tanh_1 = tanh(p20 + p0 * u0)
            out[(1 + row) * LANES + lane] = tanh_1
            out[(9 + row) * LANES + lane] = p20 + p0 * u1
            out[(21 + row) * LANES + lane] = p20 + p0 * u2
    # matmul_1 = p4 @ tanh_1, 4 x 1
    multiply(&out[5 * LANES], &c[34], 4, 1, &out[1 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_1 = out[(5 + row) * LANES + lane]
            sum_8 = out[(9 + row) * LANES + lane]
            tanh_2 = tanh(matmul_1 + sum_8)
            out[(13 + row) * LANES + lane] = tanh_2
    # matmul_2 = p4 @ tanh_2, 4 x 1
    multiply(&out[17 * LANES], &c[34], 4, 1, &out[13 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_2 = out[(17 + row) * LANES + lane]
            sum_9 = out[(21 + row) * LANES + lane]
            tanh_3 = tanh(matmul_2 + sum_9)
            out[(25 + row) * LANES + lane] = tanh_3
    # matmul_3 = p24 @ tanh_3, 1 x 1
    multiply(&out[29 * LANES], &c[54], 4, 1, &out[25 * LANES], 1, 4, 1)
    for lane in range(LANES):
        y0 = data[3 * LANES + lane]
        matmul_3 = out[29 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        difference_1 = p28 + matmul_3 - y0
        out[lane] = difference_1 * difference_1 * 0.5 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Each lane's loss and its derivative by each parameter, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane, row
    cdef real p28 = c[58]
    cdef real p0, p20, u0, u1, u2, sum_10, tanh_1, size_1, exp_1, sum_11, matmul_1, sum_8, sum_12, tanh_2, \
        size_2, exp_2, sum_13, matmul_2, sum_9, sum_14, tanh_3, size_3, exp_3, sum_15, y0, matmul_3, w, \
        difference_1, p24, product_16, product_15, product_17, matmul_4, product_14, product_20, \
        matmul_5, product_13, product_21, product_19, sum_16, product_22
    for row in range(4):
        p0 = c[30 + row]
        p20 = c[50 + row]
        for lane in range(LANES):
            u0 = data[lane]
            u1 = data[1 * LANES + lane]
            u2 = data[2 * LANES + lane]
            sum_10 = p20 + p0 * u0
            tanh_1 = tanh(sum_10)
            size_1 = fabs(sum_10)
            exp_1 = exp(size_1 * -2.0)
            sum_11 = 1.0 + exp_1
            out[(14 + row) * LANES + lane] = tanh_1
            out[(22 + row) * LANES + lane] = p20 + p0 * u1
            out[(34 + row) * LANES + lane] = p20 + p0 * u2
            out[(67 + row) * LANES + lane] = exp_1 / (sum_11 * sum_11) * 4.0
    # matmul_1 = p4 @ tanh_1, 4 x 1
    multiply(&out[18 * LANES], &c[34], 4, 1, &out[14 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_1 = out[(18 + row) * LANES + lane]
            sum_8 = out[(22 + row) * LANES + lane]
            sum_12 = matmul_1 + sum_8
            tanh_2 = tanh(sum_12)
            size_2 = fabs(sum_12)
            exp_2 = exp(size_2 * -2.0)
            sum_13 = 1.0 + exp_2
            out[(26 + row) * LANES + lane] = tanh_2
            out[(55 + row) * LANES + lane] = exp_2 / (sum_13 * sum_13) * 4.0
    # matmul_2 = p4 @ tanh_2, 4 x 1
    multiply(&out[30 * LANES], &c[34], 4, 1, &out[26 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_2 = out[(30 + row) * LANES + lane]
            sum_9 = out[(34 + row) * LANES + lane]
            sum_14 = matmul_2 + sum_9
            tanh_3 = tanh(sum_14)
            size_3 = fabs(sum_14)
            exp_3 = exp(size_3 * -2.0)
            sum_15 = 1.0 + exp_3
            out[(38 + row) * LANES + lane] = tanh_3
            out[(43 + row) * LANES + lane] = exp_3 / (sum_15 * sum_15) * 4.0
    # matmul_3 = p24 @ tanh_3, 1 x 1
    multiply(&out[42 * LANES], &c[54], 4, 1, &out[38 * LANES], 1, 4, 1)
    for lane in range(LANES):
        y0 = data[3 * LANES + lane]
        matmul_3 = out[42 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        difference_1 = p28 + matmul_3 - y0
        out[lane] = difference_1 * difference_1 * 0.5 * w  # L
        out[13 * LANES + lane] = difference_1 * w  # dL/dc
    for row in range(4):
        p24 = c[54 + row]
        for lane in range(LANES):
            u2 = data[2 * LANES + lane]
            tanh_3 = out[(38 + row) * LANES + lane]
            product_16 = out[13 * LANES + lane]
            product_15 = out[(43 + row) * LANES + lane]
            product_17 = p24 * product_16 * product_15
            out[(9 + row) * LANES + lane] = product_16 * tanh_3  # dL/dV[0, 0]
            out[(47 + row) * LANES + lane] = product_17
            out[(79 + row) * LANES + lane] = u2 * product_17
    # matmul_4 = p4.T @ product_17, 4 x 1
    multiply(&out[51 * LANES], &c[34], 1, 4, &out[47 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            u1 = data[1 * LANES + lane]
            product_17 = out[(47 + row) * LANES + lane]
            matmul_4 = out[(51 + row) * LANES + lane]
            product_14 = out[(55 + row) * LANES + lane]
            product_20 = matmul_4 * product_14
            out[(59 + row) * LANES + lane] = product_20
            out[(75 + row) * LANES + lane] = u1 * product_20
            out[(71 + row) * LANES + lane] = product_17 + product_20
    # matmul_5 = p4.T @ product_20, 4 x 1
    multiply(&out[63 * LANES], &c[34], 1, 4, &out[59 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            u0 = data[lane]
            matmul_5 = out[(63 + row) * LANES + lane]
            product_13 = out[(67 + row) * LANES + lane]
            product_21 = out[(75 + row) * LANES + lane]
            product_19 = out[(79 + row) * LANES + lane]
            sum_16 = out[(71 + row) * LANES + lane]
            product_22 = matmul_5 * product_13
            out[(5 + row) * LANES + lane] = product_22 + sum_16  # dL/db[0, 0]
            out[(1 + row) * LANES + lane] = product_19 + (u0 * product_22 + product_21)  # dL/dU[0, 0]


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Each lane's outputs of the model."""
    cdef Py_ssize_t lane, row
    cdef real p28 = c[58]
    cdef real p0, p20, u0, u1, u2, tanh_1, matmul_1, sum_8, tanh_2, matmul_2, sum_9, tanh_3, matmul_3
    for row in range(4):
        p0 = c[30 + row]
        p20 = c[50 + row]
        for lane in range(LANES):
            u0 = data[lane]
            u1 = data[1 * LANES + lane]
            u2 = data[2 * LANES + lane]
            tanh_1 = tanh(p20 + p0 * u0)
            out[(1 + row) * LANES + lane] = tanh_1
            out[(9 + row) * LANES + lane] = p20 + p0 * u1
            out[(21 + row) * LANES + lane] = p20 + p0 * u2
    # matmul_1 = p4 @ tanh_1, 4 x 1
    multiply(&out[5 * LANES], &c[34], 4, 1, &out[1 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_1 = out[(5 + row) * LANES + lane]
            sum_8 = out[(9 + row) * LANES + lane]
            tanh_2 = tanh(matmul_1 + sum_8)
            out[(13 + row) * LANES + lane] = tanh_2
    # matmul_2 = p4 @ tanh_2, 4 x 1
    multiply(&out[17 * LANES], &c[34], 4, 1, &out[13 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_2 = out[(17 + row) * LANES + lane]
            sum_9 = out[(21 + row) * LANES + lane]
            tanh_3 = tanh(matmul_2 + sum_9)
            out[(25 + row) * LANES + lane] = tanh_3
    # matmul_3 = p24 @ tanh_3, 1 x 1
    multiply(&out[29 * LANES], &c[54], 4, 1, &out[25 * LANES], 1, 4, 1)
    for lane in range(LANES):
        matmul_3 = out[29 * LANES + lane]
        out[lane] = p28 + matmul_3


ctypedef hot (*LaneFunction)(const real*, const real*, rows) noexcept nogil

cdef struct Column:
    const char* base  # NULL where there is no such array
    Py_ssize_t row_stride
    Py_ssize_t column_stride

cdef struct Sweep:
    LaneFunction function
    const real* c
    Py_ssize_t n_rows  # rows that the function fills: the loss, and with it the gradient; or the predictions
    Py_ssize_t n_sums  # sums that are wanted: of the loss, and of its gradient
    Py_ssize_t scratch_rows
    Py_ssize_t n  # samples in the arrays below
    Column[3] columns  # inputs, targets, weights
    char* out  # NULL: sums are wanted; else rows first_row, ... of each sample go to one row of out
    Py_ssize_t first_row
    Py_ssize_t out_rows


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


cdef hot accumulate(const real* values, double* high, double* low, Py_ssize_t n_rows) noexcept nogil:
    """Each lane's value onto that lane's pair."""
    cdef Py_ssize_t i
    for i in range(n_rows * LANES):
        add_exactly(&high[i], &low[i], values[i])


cdef inline hot halve(double* high, double* low, Py_ssize_t half) noexcept nogil:
    cdef Py_ssize_t lane
    for lane in range(half):
        merge(&high[lane], &low[lane], high[half + lane], low[half + lane])


cdef hot fold(double* high, double* low, Py_ssize_t n_rows, double* node) noexcept nogil:
    """The lanes of a tile, halved until one pair is left for each row: node[2 * row], node[2 * row + 1]."""
    cdef Py_ssize_t row
    for row in range(n_rows):
        halve(&high[row * LANES], &low[row * LANES], 32)
        halve(&high[row * LANES], &low[row * LANES], 16)
        halve(&high[row * LANES], &low[row * LANES], 8)
        halve(&high[row * LANES], &low[row * LANES], 4)
        halve(&high[row * LANES], &low[row * LANES], 2)
        halve(&high[row * LANES], &low[row * LANES], 1)
        node[2 * row] = high[row * LANES]
        node[2 * row + 1] = low[row * LANES]


cdef hot merge_nodes(double* node, const double* other, Py_ssize_t n_rows) noexcept nogil:
    cdef Py_ssize_t row
    for row in range(n_rows):
        merge(&node[2 * row], &node[2 * row + 1], other[2 * row], other[2 * row + 1])


cdef Py_ssize_t push(double* stack, Py_ssize_t height, Py_ssize_t index, Py_ssize_t n_rows) noexcept nogil:
    """A node was put on top: merge what is complete, as a binary counter carries. The new height."""
    while index & 1:
        height -= 1
        merge_nodes(&stack[2 * n_rows * (height - 1)], &stack[2 * n_rows * height], n_rows)
        index >>= 1
    return height


cdef hot collapse(double* stack, Py_ssize_t height, Py_ssize_t n_rows) noexcept nogil:
    """The nodes left on the stack, from the top down into the first."""
    while height > 1:
        height -= 1
        merge_nodes(&stack[2 * n_rows * (height - 1)], &stack[2 * n_rows * height], n_rows)


cdef hot gather_table(rows to, Column table, Py_ssize_t columns, Py_ssize_t start, Py_ssize_t count) noexcept nogil:
    """``count`` rows of a table from ``start``, turned: a row of lanes for each column. Eight samples are read at a time."""
    cdef Py_ssize_t index, first, lane
    cdef const char* at = table.base + start * table.row_stride
    if table.row_stride == sizeof(real):
        for index in range(columns):
            memcpy(&to[index * LANES], at + index * table.column_stride, count * sizeof(real))
        return
    for first in range(0, count - 7, 8):
        for index in range(columns):
            for lane in range(8):
                memcpy(&to[index * LANES + first + lane], at + (first + lane) * table.row_stride + index * table.column_stride, sizeof(real))
    for lane in range(count - count % 8, count):
        for index in range(columns):
            memcpy(&to[index * LANES + lane], at + lane * table.row_stride + index * table.column_stride, sizeof(real))


cdef Py_ssize_t gather(Sweep* sweep, Py_ssize_t start, Py_ssize_t count, real* data, unsigned char* masked) noexcept nogil:
    """``count`` samples from ``start``, transposed; the lanes beyond them, and those of weight zero, are masked.

    A masked lane is a copy of a lane that is not. Returns how many lanes are masked: all, if every weight is zero.
    """
    cdef Py_ssize_t index, lane, kept = 0, n_masked = 0
    gather_table(data, sweep.columns[0], INPUT_COLUMNS, start, count)
    if sweep.columns[1].base != NULL:  # predictions need no targets
        gather_table(&data[INPUT_COLUMNS * LANES], sweep.columns[1], TARGET_COLUMNS, start, count)
    cdef real* weights = &data[WEIGHT_ROW * LANES]
    if sweep.columns[WEIGHTS].base != NULL:
        gather_table(weights, sweep.columns[WEIGHTS], 1, start, count)
    elif count == LANES:
        return 0
    else:
        for lane in range(count):
            weights[lane] = 1.0
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


cdef hot clear_masked(real* out, Py_ssize_t n_rows, const unsigned char* masked) noexcept nogil:
    cdef Py_ssize_t row, lane
    for row in range(n_rows):
        for lane in range(LANES):
            if masked[lane]:
                out[row * LANES + lane] = 0.0


cdef hot scatter(const real* values, Py_ssize_t n_rows, real* to, Py_ssize_t row_length, Py_ssize_t count) noexcept nogil:
    """Rows of lanes to one row for each sample."""
    cdef Py_ssize_t lane, row
    for lane in range(count):
        for row in range(n_rows):
            to[lane * row_length + row] = values[row * LANES + lane]


cdef void keep_left(real* kept, const real* values, Py_ssize_t n_rows, const unsigned char* masked, bint any_masked) noexcept nogil:
    """A call's left operand, rows of lanes; masked lanes count as zero."""
    cdef Py_ssize_t row, lane
    memcpy(kept, values, n_rows * LANES * sizeof(real))
    if any_masked:
        for row in range(n_rows):
            for lane in range(LANES):
                if masked[lane]:
                    kept[row * LANES + lane] = 0.0


cdef hot keep_right(rows kept, const real* values, Py_ssize_t p, Py_ssize_t k, Py_ssize_t call) noexcept nogil:
    """A call's right operand (p, k), turned: lanes follow one another, panels of 4 vectors of columns lie together."""
    cdef Py_ssize_t panel, first, width, q, lane, j, i, n = p * LANES
    cdef real* to
    for panel in range((k + 4 * WIDTH - 1) // (4 * WIDTH)):
        first = panel * 4 * WIDTH
        width = min(4 * WIDTH, (k - first + LINE - 1) // LINE * LINE)
        for q in range(p):
            to = &kept[(first * DEPTH + call * width) * n + q * LANES * width]
            for lane in range(0, LANES, 8):
                for j in range(min(width, k - first)):
                    for i in range(8):
                        to[(lane + i) * width + j] = values[(q * k + first + j) * LANES + lane + i]
                for j in range(k - first, width):
                    for i in range(8):
                        to[(lane + i) * width + j] = 0.0


cdef hot add_block(double* sums, const real* block, Py_ssize_t m, Py_ssize_t width) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(m * width):
        sums[i] += block[i]


cdef hot add_outer(double* node, const real* left, const real* right, Py_ssize_t m, Py_ssize_t p, Py_ssize_t k,
                   Py_ssize_t calls, double* sums) noexcept nogil:
    """The tile's sum of left @ right onto the pairs of node: in the module's arithmetic for each call, then in double."""
    cdef Py_ssize_t panel, first, width, call, i, j, n = p * LANES
    cdef const real* a
    cdef const real* b
    cdef real[16 * LINE] block
    for panel in range((k + 4 * WIDTH - 1) // (4 * WIDTH)):
        first = panel * 4 * WIDTH
        width = min(4 * WIDTH, (k - first + LINE - 1) // LINE * LINE)
        memset(sums, 0, m * width * sizeof(double))
        for call in range(calls):
            a = &left[call * KEPT_LEFT * LANES]
            b = &right[(first * DEPTH + call * width) * n]
            for i in range(0, m - 3, 4):
                if width == 4 * WIDTH:
                    block_4_4(block, width, &a[i * n], n, 1, b, width, n)
                else:
                    for j in range(width // WIDTH):
                        block_4_1(&block[j * WIDTH], width, &a[i * n], n, 1, &b[j * WIDTH], width, n)
                add_block(&sums[i * width], block, 4, width)
            for i in range(m - m % 4, m):
                if width == 4 * WIDTH:
                    block_1_4(block, width, &a[i * n], n, 1, b, width, n)
                else:
                    for j in range(width // WIDTH):
                        block_1_1(&block[j * WIDTH], width, &a[i * n], n, 1, &b[j * WIDTH], width, n)
                add_block(&sums[i * width], block, 1, width)
        for i in range(m):
            for j in range(min(width, k - first)):
                add_exactly(&node[2 * (i * k + first + j)], &node[2 * (i * k + first + j) + 1], sums[i * width + j])


cdef hot write_outer(rows to, const real* left, const real* right, Py_ssize_t m, Py_ssize_t p, Py_ssize_t k,
                     Py_ssize_t lane, bint more) noexcept nogil:
    """One lane's left @ right, an (m, k) matrix; ``more``: onto what is there."""
    cdef Py_ssize_t i, j, q
    cdef real factor
    cdef real[MOST_COLUMNS] row
    for q in range(p):
        for j in range(k):
            row[j] = right[(q * k + j) * LANES + lane]
        for i in range(m):
            factor = left[(i * p + q) * LANES + lane]
            if more or q:
                for j in range(k):
                    to[i * k + j] = fma_real(factor, row[j], to[i * k + j])
            else:
                for j in range(k):
                    to[i * k + j] = factor * row[j]


cdef void keep(const real* values, const real* data, const unsigned char* masked, bint any_masked, Py_ssize_t call,
               real* left, real* right) noexcept nogil:
    """The operands of a call, until its tile is complete."""
    keep_left(&left[(call * KEPT_LEFT + 0) * LANES], &values[47 * LANES], 4, masked, any_masked)
    keep_left(&left[(call * KEPT_LEFT + 4) * LANES], &values[59 * LANES], 4, masked, any_masked)
    keep_right(&right[0 * DEPTH * LANES], &values[26 * LANES], 1, 4, call)
    keep_right(&right[8 * DEPTH * LANES], &values[14 * LANES], 1, 4, call)


cdef void scatter_gradients(const real* values, const real* data, real* to, Py_ssize_t count) noexcept nogil:
    """Each lane's gradient to one row of all parameters."""
    cdef Py_ssize_t lane
    scatter(&values[1 * LANES], 4, &to[0], N_COLUMNS, count)
    scatter(&values[5 * LANES], 9, &to[20], N_COLUMNS, count)
    for lane in range(count):
        write_outer(&to[lane * N_COLUMNS + 4], &values[47 * LANES], &values[26 * LANES], 4, 1, 4, lane, 0)
        write_outer(&to[lane * N_COLUMNS + 4], &values[59 * LANES], &values[14 * LANES], 4, 1, 4, lane, 1)


cdef void fold_gradients(double* high, double* low, double* node) noexcept nogil:
    """The loss and the rows of the gradient, each to its place among all parameters."""
    memset(node, 0, 2 * (1 + N_COLUMNS) * sizeof(double))
    fold(high, low, 1, node)
    fold(&high[1 * LANES], &low[1 * LANES], 4, &node[2 * 1])
    fold(&high[5 * LANES], &low[5 * LANES], 9, &node[2 * 21])


cdef int sweep_block(Sweep* sweep, double* stack, double* weight_stack) noexcept nogil:
    """All samples of a block: their rows to ``out``, or their sums to the first node of each stack.

    Returns 0, or -1 if there is no memory.
    """
    cdef Py_ssize_t tile, call, start, count, n_masked, height = 0
    cdef Py_ssize_t n_rows = sweep.n_rows, n_sums = sweep.n_sums
    cdef Py_ssize_t n_lanes = LANES
    cdef real* data = <real*>calloc((WEIGHT_ROW + 1) * LANES, sizeof(real))
    cdef real* values = <real*>calloc((n_rows + sweep.scratch_rows) * LANES, sizeof(real))
    cdef double* sums = <double*>calloc(2 * (n_rows + 1) * LANES, sizeof(double))
    cdef double* low = &sums[(n_rows + 1) * LANES]
    cdef Py_ssize_t kept
    cdef bint gradients_wanted = n_sums > 1 and sweep.out == NULL
    cdef real* left = <real*>malloc((KEPT_LEFT * DEPTH * LANES if gradients_wanted else 1) * sizeof(real))
    cdef real* right = <real*>malloc((KEPT_RIGHT * DEPTH * LANES if gradients_wanted else 1) * sizeof(real))
    cdef double* panel = <double*>malloc((MOST_ROWS * 4 * WIDTH if gradients_wanted else 1) * sizeof(double))
    cdef unsigned char[LANES] masked
    cdef bint weighted = sweep.columns[WEIGHTS].base != NULL
    cdef bint failed = data == NULL or values == NULL or sums == NULL or left == NULL or right == NULL or panel == NULL
    if not failed:
        for start in range(n_lanes):
            data[WEIGHT_ROW * LANES + start] = 1.0
        for tile in range((sweep.n + TILE - 1) // TILE):
            memset(sums, 0, 2 * (n_rows + 1) * LANES * sizeof(double))
            kept = 0
            for call in range(DEPTH):
                start = tile * TILE + call * LANES
                count = min(n_lanes, sweep.n - start)
                if count <= 0:
                    break
                n_masked = gather(sweep, start, count, data, masked)
                if n_masked == LANES:
                    continue
                sweep.function(sweep.c, data, values)
                if sweep.out != NULL:
                    if n_sums > 1:
                        scatter_gradients(values, data, <real*>sweep.out + start * sweep.out_rows, count)
                    else:
                        scatter(&values[sweep.first_row * LANES], sweep.out_rows, <real*>sweep.out + start * sweep.out_rows, sweep.out_rows, count)
                    continue
                if gradients_wanted:
                    keep(values, data, masked, n_masked > 0, kept, left, right)
                    kept += 1
                if n_masked:
                    clear_masked(values, n_rows, masked)
                    clear_masked(&data[WEIGHT_ROW * LANES], 1, masked)
                accumulate(values, sums, low, n_rows)
                if weighted:
                    accumulate(&data[WEIGHT_ROW * LANES], &sums[n_rows * LANES], &low[n_rows * LANES], 1)
            if sweep.out == NULL:
                if n_sums > 1:
                    fold_gradients(sums, low, &stack[2 * n_sums * height])
                    add_outer(&stack[2 * (n_sums * height + 5)], &left[0 * LANES], &right[0 * DEPTH * LANES], 4, 1, 4, kept, panel)
                    add_outer(&stack[2 * (n_sums * height + 5)], &left[4 * LANES], &right[8 * DEPTH * LANES], 4, 1, 4, kept, panel)
                else:
                    fold(sums, low, 1, &stack[2 * height])
                fold(&sums[n_rows * LANES], &low[n_rows * LANES], 1, &weight_stack[2 * height])
                push(weight_stack, height + 1, tile, 1)
                height = push(stack, height + 1, tile, n_sums)
        collapse(stack, height, n_sums)
        collapse(weight_stack, height, 1)
    free(data)
    free(values)
    free(sums)
    free(left)
    free(right)
    free(panel)
    return -1 if failed else 0


_DOUBLE = np.dtype(np.float64)
_REAL = np.dtype(np.float64)
_THETA = "an array of shape (%d,)" % N_PARAMETERS
_THREADS = "None or a positive integer"
_UNUSED = object()  # the targets of predict
# The errors that a wrong array gets, both with the same texts everywhere (symgrad puts its own subclasses here).
ArrayError = ValueError
ArrayTypeError = TypeError


def risk(theta, inputs, targets, weights=None, *, threads=None):
    """The mean loss, plus the penalty if there is one: a float.

    theta (29,) flat, inputs (N, 3), targets (N, 1): (N,) will do for one column, None for none.
    weights (N,): the mean is sum(w * loss) / sum(w). threads: None takes what the work is worth.
    Raises ValueError for a wrong shape and TypeError for a wrong kind of array.
    """
    return _mean(_Bound(inputs, targets, weights, threads), _theta(theta), None)


def gradient(theta, inputs, targets, weights=None, *, out=None, threads=None):
    """The gradient of `risk`, (29,): one epoch in one pass. Arguments as for `risk`."""
    cdef _Bound data = _Bound(inputs, targets, weights, threads)
    theta = _theta(theta)
    out = _result(out, (N_PARAMETERS,), (theta, *data.arrays))
    _mean(data, theta, out)
    return out


def risk_and_gradient(theta, inputs, targets, weights=None, *, threads=None):
    """`(risk, gradient)` in one pass, as scipy.optimize.minimize(..., jac=True) takes them."""
    return _Bound(inputs, targets, weights, threads)(theta)


def per_sample_loss(theta, inputs, targets, *, out=None, threads=None):
    """Each sample's loss, (N,), without the penalty. Arguments as for `risk`; an interrupted call leaves out partly written."""
    cdef _Bound data = _Bound(inputs, targets, None, threads)
    theta = _theta(theta)
    out = _result(out, (data.n,), (theta, *data.arrays))
    _each(data, theta, losses, 1, 29, 1, 0, out)
    return out


def per_sample_gradient(theta, inputs, targets, *, out=None, threads=None):
    """Each sample's gradient, (N, 29), without the penalty's. Arguments as for `risk`."""
    cdef _Bound data = _Bound(inputs, targets, None, threads)
    theta = _theta(theta)
    out = _result(out, (data.n, N_PARAMETERS), (theta, *data.arrays))
    _each(data, theta, gradients, 14, 69, N_COLUMNS, 1, out)
    return out


def predict(theta, inputs, *, threads=None):
    """The model's output for each row of inputs: (N, PREDICTIONS)."""
    cdef _Bound data = _Bound(inputs, _UNUSED, None, threads)
    out = np.empty((data.n, PREDICTIONS), _REAL)
    _each(data, _theta(theta), predictions, PREDICTIONS, 29, PREDICTIONS, 0, out)
    return out


def bind(inputs, targets, weights=None, *, threads=None):
    """The arrays checked once: ``f = bind(...)``, then ``f(theta)`` is `(risk, gradient)`. Arguments as for `risk`."""
    return _Bound(inputs, targets, weights, threads)


def pack(values):
    """A flat theta, (29,), from ``{name: array}``, each array in its parameter's shape."""
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


cdef class _Bound:
    """Arrays that were checked once; called with theta it gives `(risk, gradient)`."""

    cdef tuple arrays  # inputs, targets, weights: each a table or None
    cdef Column[3] columns  # where they are read in place
    cdef Py_ssize_t n, threads

    def __init__(self, inputs, targets, weights, threads):
        self.threads = _threads(threads)
        self.arrays = (
            _table("inputs", inputs, INPUT_COLUMNS),
            None if targets is _UNUSED else _table("targets", targets, TARGET_COLUMNS),
            None if weights is None else _table("weights", weights, 1),
        )
        lengths = [len(array) for array in self.arrays if array is not None]
        if not lengths:
            _refuse(ArrayError, "inputs", "an array of shape (N, 0)", "None", "numpy.empty((N, 0)) says how many samples there are")
        if min(lengths) != max(lengths):
            _refuse(ArrayError, "inputs, targets, weights", "one row for each sample in all of them",
                    "%s rows" % lengths, "check which rows belong together")
        self.n = lengths[0]
        cdef int place
        for place in range(3):
            array = self.arrays[place]
            if array is not None and array.dtype == _REAL and array.size:
                _point(&self.columns[place], array)

    def __call__(self, theta):
        out = np.empty(N_PARAMETERS, _REAL)
        return _mean(self, _theta(theta), out), out


cdef class _Job:
    """One sweep over bound arrays at one theta, a block at a time, from any thread."""

    cdef Sweep sweep
    cdef _Bound data
    cdef real* c
    cdef double* stack
    cdef double* weight_stack
    cdef Py_ssize_t block, height, done
    cdef object out

    def __dealloc__(self):
        free(self.c)
        free(self.stack)
        free(self.weight_stack)

    cdef int reserve(self) except -1:
        """Room for a node of each height that a tree of 2**62 tiles has."""
        self.stack = <double*>calloc(64 * 2 * self.sweep.n_sums, sizeof(double))
        self.weight_stack = <double*>calloc(64 * 2, sizeof(double))
        if self.stack == NULL or self.weight_stack == NULL:
            raise MemoryError()
        return 0

    def run(self, Py_ssize_t index):
        """Block ``index``; the job that holds its node."""
        PyErr_CheckSignals()
        cdef _Job node = self if self.block >= self.data.n else _Job()
        cdef Sweep sweep = self.sweep
        cdef Column column
        cdef Py_ssize_t first = index * self.block
        cdef int status
        sweep.n = min(self.block, self.data.n - first)
        if sweep.out != NULL:
            sweep.out += first * sweep.out_rows * sizeof(real)
        elif node is not self:
            node.sweep.n_sums = sweep.n_sums
            node.reserve()
        converted = []  # kept until the sweep is done
        cdef int place
        for place in range(3):
            column = self.data.columns[place]
            array = self.data.arrays[place]
            if column.base != NULL:
                column.base += first * column.row_stride
            elif array is not None and array.size:
                array = array[first:first + sweep.n].astype(_REAL)
                converted.append(array)
                _point(&column, array)
            sweep.columns[place] = column
        if sweep.columns[WEIGHTS].base != NULL:
            _check_weights(self.data.arrays[WEIGHTS][first:first + sweep.n])
        with nogil:
            status = sweep_block(&sweep, node.stack, node.weight_stack)
        if status:
            raise MemoryError()
        return node

    cdef int collect(self, _Job node) except -1:
        """The next block's node, in order."""
        if node is self or self.sweep.out != NULL:
            return 0
        cdef Py_ssize_t n_sums = self.sweep.n_sums
        memcpy(&self.stack[2 * n_sums * self.height], node.stack, 2 * n_sums * sizeof(double))
        memcpy(&self.weight_stack[2 * self.height], node.weight_stack, 2 * sizeof(double))
        push(self.weight_stack, self.height + 1, self.done, 1)
        self.height = push(self.stack, self.height + 1, self.done, n_sums)
        self.done += 1
        return 0

    cdef int sweep_all(self) except -1:
        """All blocks, on as many threads as the arrays were bound to."""
        cdef Py_ssize_t n = self.data.n, threads = self.data.threads
        if threads == 0:
            threads = _worthwhile_threads(n)
        self.block = _block_rows(n, threads)
        if self.sweep.out == NULL:
            self.reserve()
        cdef Py_ssize_t index, blocks = (n + self.block - 1) // self.block
        if threads == 1 or blocks == 1:
            for index in range(blocks):
                self.collect(self.run(index))
        else:
            self.sweep_threaded(blocks, threads)
        if blocks > 1 and self.sweep.out == NULL:
            collapse(self.stack, self.height, self.sweep.n_sums)
            collapse(self.weight_stack, self.height, 1)
        return 0

    cdef int sweep_threaded(self, Py_ssize_t blocks, Py_ssize_t threads) except -1:
        """Blocks on threads, a few ahead of the one whose node is next."""
        cdef Py_ssize_t index
        pending = deque()
        pool = ThreadPoolExecutor(min(threads, blocks))
        try:
            for index in range(blocks):
                pending.append(pool.submit(self.run, index))
                if len(pending) > 4 * threads:
                    self.collect(pending.popleft().result())
            while pending:
                self.collect(pending.popleft().result())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return 0


cdef _Job _job(_Bound data, theta, LaneFunction function, Py_ssize_t n_rows, Py_ssize_t scratch_rows, Py_ssize_t n_sums):
    cdef _Job job = _Job()
    cdef Py_buffer view
    job.c = <real*>calloc(INVARIANTS + 1, sizeof(real))
    if job.c == NULL:
        raise MemoryError()
    PyObject_GetBuffer(theta, &view, PyBUF_STRIDES)
    once(<const double*>view.buf, job.c)
    PyBuffer_Release(&view)
    job.data = data
    job.sweep.function = function
    job.sweep.c = job.c
    job.sweep.n_rows = n_rows
    job.sweep.n_sums = n_sums
    job.sweep.scratch_rows = scratch_rows
    return job


cdef double _mean(_Bound data, theta, out) except? -1.0:
    """The risk; its gradient goes to ``out``, if that is not None."""
    cdef Py_ssize_t row
    cdef _Job job = (_job(data, theta, losses, 1, 29, 1) if out is None
                     else _job(data, theta, gradients, 14, 69, 1 + N_COLUMNS))
    if data.n == 0:
        _refuse(ArrayError, "inputs", "at least one sample", "none", "the mean over an empty data set is undefined")
    job.sweep_all()
    cdef double total = <double>data.n if data.arrays[WEIGHTS] is None else job.weight_stack[0] + job.weight_stack[1]
    if not total - total == 0.0 or total == 0.0:
        _refuse(ArrayError, "weights", "a finite sum other than zero", total, "the weighted mean divides by it")
    cdef Py_buffer view
    if out is not None:
        PyObject_GetBuffer(out, &view, PyBUF_STRIDES)
        for row in range(N_COLUMNS):
            (<real*>view.buf)[row] = <real>_quotient(job, row + 1, total)
        PyBuffer_Release(&view)
    return _quotient(job, 0, total)


cdef double _quotient(_Job job, Py_ssize_t row, double total):
    """A row's sum over the total weight, plus the penalty's share."""
    cdef double mean = (job.stack[2 * row] + job.stack[2 * row + 1]) / total
    return mean + job.c[row] if PENALTY_ROWS else mean


cdef int _each(_Bound data, theta, LaneFunction function, Py_ssize_t n_rows, Py_ssize_t scratch_rows,
               Py_ssize_t out_rows, Py_ssize_t first_row, out) except -1:
    """Each sample's ``out_rows`` values, the function's rows from ``first_row`` on, into ``out``."""
    cdef _Job job = _job(data, theta, function, n_rows, scratch_rows, 1 + first_row * N_COLUMNS)
    cdef Py_buffer view
    if data.n == 0:
        return 0
    job.out = out
    PyObject_GetBuffer(out, &view, PyBUF_STRIDES)
    job.sweep.out = <char*>view.buf
    PyBuffer_Release(&view)
    job.sweep.first_row = first_row
    job.sweep.out_rows = out_rows
    job.sweep_all()
    return 0


cdef int _point(Column* column, array) except -1:
    """Point ``column`` at a table's memory, which lives as long as the array."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    column.base = <const char*>view.buf
    column.row_stride = view.strides[0]
    column.column_stride = view.strides[1]
    PyBuffer_Release(&view)
    return 0


cdef Py_ssize_t _worthwhile_threads(Py_ssize_t n):
    """One below two milliseconds of work, else the processor cores that this process may use."""
    if n * COST < 2_000_000:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


cdef Py_ssize_t _block_rows(Py_ssize_t n, Py_ssize_t threads):
    """Rows of a block: a power of two of tiles, 1 to 30 ms of work. No result depends on it."""
    cdef Py_ssize_t rows = TILE
    while (rows * COST < 1_000_000 or (rows * COST < 15_000_000 and rows * 8 * threads < n)) and rows * (WEIGHT_ROW + 1) < 1 << 22:
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
    if type(theta) is not np.ndarray or theta.dtype is not _DOUBLE:
        theta = _numbers("theta", theta, _THETA)
    if theta.shape != (N_PARAMETERS,):
        _refuse(ArrayError, "theta", _THETA, theta.shape, "pack({name: array, ...}) makes one")
    return np.ascontiguousarray(theta, _DOUBLE)


cdef object _table(name, value, Py_ssize_t columns):
    """A two-dimensional view of one of the sample arrays, or None where there are no columns and no rows are told."""
    if value is None and columns == 0:
        return None
    shape = "an array of shape (N, %d)%s" % (columns, " or (N,)" if columns == 1 else "")
    array = _numbers(name, value, shape)
    if array.ndim == 1 and columns == 1:
        array = array.reshape(-1, 1)
    if array.ndim != 2 or array.shape[1] != columns:
        _refuse(ArrayError, name, shape, array.shape, "a row is one sample")
    return array


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


cdef object _result(out, tuple shape, tuple others):
    """``out``, if it can take the result, else a new array."""
    if out is None:
        return np.empty(shape, _REAL)
    expected = "a writable, aligned, C-contiguous %s array of shape %s" % (_REAL, shape)
    cure = "numpy.empty(%s, '%s') makes one" % (shape, _REAL)
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray) or out.dtype != _REAL:
        _refuse(ArrayTypeError, "out", expected, getattr(out, "dtype", type(out).__name__), cure)
    if out.shape != shape or not out.flags.carray:
        _refuse(ArrayError, "out", expected, "shape %s, strides %s, writable %s" % (out.shape, out.strides, out.flags.writeable), cure)
    for other in others:
        if isinstance(other, np.ndarray) and np.may_share_memory(out, other):
            _refuse(ArrayError, "out", expected, "memory that another argument uses", cure)
    return out


# Where they were imported from: pickle looks there, when one goes to another process.
for _function in (risk, gradient, risk_and_gradient, per_sample_loss, per_sample_gradient, predict, bind, pack, unpack):
    _function.__module__ = __name__
