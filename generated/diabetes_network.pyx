# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False, embedsignature=True
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of diabetes_network and run `symgrad generate` again.
"""diabetes_network: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = v0 + v1*tanh(W1_bmi*bmi + W1_bp*bp + c1) + v2*tanh(W2_bmi*bmi + W2_bp*bp + c2) + v3*tanh(W3_bmi*bmi +
          W3_bp*bp + c3) + v4*tanh(W4_bmi*bmi + W4_bp*bp + c4)
L = (-y + yhat)**2/2

In the code p0 is W1_bmi, p1 is W1_bp, p2 is W2_bmi, p3 is W2_bp, p4 is W3_bmi, p5 is W3_bp, p6 is W4_bmi, p7 is
W4_bp, p8 is c1, p9 is c2, p10 is c3, p11 is c4, p12 is v1, p13 is v2, p14 is v3, p15 is v4, p16 is v0, u0 is
bmi, u1 is bp, y0 is y.

For each sample 164 operations for the loss, 197 for the loss with its gradient; 0 once for a theta.
Sums over samples are compensated and merged in an order that depends on N alone: the same bits for any number of
threads and any layout of the arrays. Needs NumPy alone.
"""

import os
from _thread import start_new_thread
from threading import Lock

import numpy as np

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_CheckSignals
from libc.math cimport NAN
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
    VECTOR real lane_exp(real) C_NAME("exp");
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
    real exp "lane_exp"(real) noexcept nogil
    real fabs "fabs"(real) noexcept nogil

PARAMETERS = (
    ('W1_bmi', ()),
    ('W1_bp', ()),
    ('W2_bmi', ()),
    ('W2_bp', ()),
    ('W3_bmi', ()),
    ('W3_bp', ()),
    ('W4_bmi', ()),
    ('W4_bp', ()),
    ('c1', ()),
    ('c2', ()),
    ('c3', ()),
    ('c4', ()),
    ('v1', ()),
    ('v2', ()),
    ('v3', ()),
    ('v4', ()),
    ('v0', ()),
)
INPUTS = (('bmi', ()), ('bp', ()))
TARGETS = (('y', ()),)
N_PARAMETERS = 17
TILE = 1024  # rows that are summed together: the rows may be split for `partial_sums` at its multiples

cdef enum:
    N_COLUMNS = 17  # of all parameters' gradients
    LANES = 64  # samples side by side in a call of a lane function
    DEPTH = 16  # calls that make a tile
    TILE_ROWS = LANES * DEPTH
    INPUT_COLUMNS = 2
    TARGET_COLUMNS = 1
    WEIGHT_ROW = INPUT_COLUMNS + TARGET_COLUMNS
    WEIGHTS = 2  # the place of the weights among the arrays of samples
    INVARIANTS = 17  # numbers that are computed once for a theta; first the penalty and its gradient
    PREDICTIONS = 1
    SUMMED_ROWS = 18  # the loss, and what is summed of its gradient row by row
    VALUE_ROWS = 31  # all rows of the function that has most
    BATCH = 4  # calls whose values are added up together
    COST = 45  # about this many nanoseconds for a sample with its gradient


cdef hot once(const double* theta, real* c) noexcept nogil:
    """What no sample changes: computed once for a theta."""
    cdef real p0 = <real>theta[0]
    cdef real p1 = <real>theta[1]
    cdef real p2 = <real>theta[2]
    cdef real p3 = <real>theta[3]
    cdef real p4 = <real>theta[4]
    cdef real p5 = <real>theta[5]
    cdef real p6 = <real>theta[6]
    cdef real p7 = <real>theta[7]
    cdef real p8 = <real>theta[8]
    cdef real p9 = <real>theta[9]
    cdef real p10 = <real>theta[10]
    cdef real p11 = <real>theta[11]
    cdef real p12 = <real>theta[12]
    cdef real p13 = <real>theta[13]
    cdef real p14 = <real>theta[14]
    cdef real p15 = <real>theta[15]
    cdef real p16 = <real>theta[16]
    c[0] = p0
    c[1] = p1
    c[2] = p2
    c[3] = p3
    c[4] = p4
    c[5] = p5
    c[6] = p6
    c[7] = p7
    c[8] = p8
    c[9] = p9
    c[10] = p10
    c[11] = p11
    c[12] = p12
    c[13] = p13
    c[14] = p14
    c[15] = p15
    c[16] = p16


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0]
    cdef real p1 = c[1]
    cdef real p2 = c[2]
    cdef real p3 = c[3]
    cdef real p4 = c[4]
    cdef real p5 = c[5]
    cdef real p6 = c[6]
    cdef real p7 = c[7]
    cdef real p8 = c[8]
    cdef real p9 = c[9]
    cdef real p10 = c[10]
    cdef real p11 = c[11]
    cdef real p12 = c[12]
    cdef real p13 = c[13]
    cdef real p14 = c[14]
    cdef real p15 = c[15]
    cdef real p16 = c[16]
    cdef real u0, u1, y0, w, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, product_3, product_4, \
        sum_4, negative_1, choice_1, choice_2, sum_5, size_2, exp_2, product_5, sum_6, product_6, sum_7, \
        product_7, product_8, sum_8, negative_2, choice_3, choice_4, sum_9, size_3, exp_3, product_9, \
        sum_10, product_10, sum_11, product_11, product_12, sum_12, negative_3, choice_5, choice_6, \
        sum_13, size_4, exp_4, product_13, sum_14, product_14, sum_15, product_15, product_16, sum_16, \
        negative_4, choice_7, choice_8, difference_1
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_1 = p1 * u1 + (p8 + p0 * u0)
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
        sum_5 = p3 * u1 + (p9 + p2 * u0)
        size_2 = fabs(sum_5)
        exp_2 = exp(size_2 * -2.0)
        product_5 = sum_5 * sum_5
        sum_6 = 0.0005871241987521835 + product_5 * (-0.00022646125178830043 + product_5 * 6.50769217873237e-05)
        product_6 = product_5 * (0.003592092138684696 + product_5 * (-0.0014554257178951656 + product_5 * sum_6))
        sum_7 = -0.053968253967312856 + product_5 * (0.021869488476433937 + product_5 * (-0.008863233600962223 + product_6))
        product_7 = (1.0 - exp_2) * (1.0 / (1.0 + exp_2))
        product_8 = product_5 * (-0.3333333333333333 + product_5 * (0.13333333333332756 + product_5 * sum_7))
        sum_8 = sum_5 + sum_5 * product_8
        negative_2 = -product_7
        choice_3 = negative_2 if (sum_5 < 0.0) else product_7
        choice_4 = sum_8 if (size_2 < 0.45) else choice_3
        sum_9 = p5 * u1 + (p10 + p4 * u0)
        size_3 = fabs(sum_9)
        exp_3 = exp(size_3 * -2.0)
        product_9 = sum_9 * sum_9
        sum_10 = 0.0005871241987521835 + product_9 * (-0.00022646125178830043 + product_9 * 6.50769217873237e-05)
        product_10 = product_9 * (0.003592092138684696 + product_9 * (-0.0014554257178951656 + product_9 * sum_10))
        sum_11 = -0.053968253967312856 + product_9 * (0.021869488476433937 + product_9 * (-0.008863233600962223 + product_10))
        product_11 = (1.0 - exp_3) * (1.0 / (1.0 + exp_3))
        product_12 = product_9 * (-0.3333333333333333 + product_9 * (0.13333333333332756 + product_9 * sum_11))
        sum_12 = sum_9 + sum_9 * product_12
        negative_3 = -product_11
        choice_5 = negative_3 if (sum_9 < 0.0) else product_11
        choice_6 = sum_12 if (size_3 < 0.45) else choice_5
        sum_13 = p7 * u1 + (p11 + p6 * u0)
        size_4 = fabs(sum_13)
        exp_4 = exp(size_4 * -2.0)
        product_13 = sum_13 * sum_13
        sum_14 = 0.0005871241987521835 + product_13 * (-0.00022646125178830043 + product_13 * 6.50769217873237e-05)
        product_14 = product_13 * (0.003592092138684696 + product_13 * (-0.0014554257178951656 + product_13 * sum_14))
        sum_15 = -0.053968253967312856 + product_13 * (0.021869488476433937 + product_13 * (-0.008863233600962223 + product_14))
        product_15 = (1.0 - exp_4) * (1.0 / (1.0 + exp_4))
        product_16 = product_13 * (-0.3333333333333333 + product_13 * (0.13333333333332756 + product_13 * sum_15))
        sum_16 = sum_13 + sum_13 * product_16
        negative_4 = -product_15
        choice_7 = negative_4 if (sum_13 < 0.0) else product_15
        choice_8 = sum_16 if (size_4 < 0.45) else choice_7
        difference_1 = p15 * choice_8 + (p14 * choice_6 + (p13 * choice_4 + (p16 + p12 * choice_2))) - y0
        out[lane] = difference_1 * difference_1 * 0.5 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Each lane's loss and its derivative by each parameter, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0]
    cdef real p1 = c[1]
    cdef real p2 = c[2]
    cdef real p3 = c[3]
    cdef real p4 = c[4]
    cdef real p5 = c[5]
    cdef real p6 = c[6]
    cdef real p7 = c[7]
    cdef real p8 = c[8]
    cdef real p9 = c[9]
    cdef real p10 = c[10]
    cdef real p11 = c[11]
    cdef real p12 = c[12]
    cdef real p13 = c[13]
    cdef real p14 = c[14]
    cdef real p15 = c[15]
    cdef real p16 = c[16]
    cdef real u0, u1, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, quotient_1, product_3, \
        product_4, sum_4, negative_1, choice_1, choice_2, sum_5, size_2, exp_2, product_5, sum_6, \
        product_6, sum_7, quotient_2, product_7, product_8, sum_8, negative_2, choice_3, choice_4, \
        sum_9, size_3, exp_3, product_9, sum_10, product_10, sum_11, y0, product_18, product_19, \
        product_20, w, quotient_3, product_11, product_21, sum_12, negative_3, choice_5, choice_6, \
        sum_13, size_4, exp_4, product_13, sum_14, product_14, sum_15, quotient_4, product_15, \
        product_16, sum_16, negative_4, choice_7, choice_8, difference_1, product_22, product_23, \
        product_24, product_25, product_26
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        sum_1 = p1 * u1 + (p8 + p0 * u0)
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
        sum_5 = p3 * u1 + (p9 + p2 * u0)
        size_2 = fabs(sum_5)
        exp_2 = exp(size_2 * -2.0)
        product_5 = sum_5 * sum_5
        sum_6 = 0.0005871241987521835 + product_5 * (-0.00022646125178830043 + product_5 * 6.50769217873237e-05)
        product_6 = product_5 * (0.003592092138684696 + product_5 * (-0.0014554257178951656 + product_5 * sum_6))
        sum_7 = -0.053968253967312856 + product_5 * (0.021869488476433937 + product_5 * (-0.008863233600962223 + product_6))
        quotient_2 = 1.0 / (1.0 + exp_2)
        product_7 = (1.0 - exp_2) * quotient_2
        product_8 = product_5 * (-0.3333333333333333 + product_5 * (0.13333333333332756 + product_5 * sum_7))
        sum_8 = sum_5 + sum_5 * product_8
        negative_2 = -product_7
        choice_3 = negative_2 if (sum_5 < 0.0) else product_7
        choice_4 = sum_8 if (size_2 < 0.45) else choice_3
        sum_9 = p5 * u1 + (p10 + p4 * u0)
        size_3 = fabs(sum_9)
        exp_3 = exp(size_3 * -2.0)
        product_9 = sum_9 * sum_9
        sum_10 = 0.0005871241987521835 + product_9 * (-0.00022646125178830043 + product_9 * 6.50769217873237e-05)
        product_10 = product_9 * (0.003592092138684696 + product_9 * (-0.0014554257178951656 + product_9 * sum_10))
        sum_11 = -0.053968253967312856 + product_9 * (0.021869488476433937 + product_9 * (-0.008863233600962223 + product_10))
        out[29 * LANES + lane] = exp_1
        out[30 * LANES + lane] = quotient_1
        out[28 * LANES + lane] = choice_2
        out[23 * LANES + lane] = p12 * choice_2
        out[26 * LANES + lane] = exp_2
        out[27 * LANES + lane] = quotient_2
        out[25 * LANES + lane] = choice_4
        out[24 * LANES + lane] = p13 * choice_4
        out[22 * LANES + lane] = sum_9
        out[21 * LANES + lane] = size_3
        out[20 * LANES + lane] = exp_3
        out[19 * LANES + lane] = product_9
        out[18 * LANES + lane] = product_9 * sum_11
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        exp_1 = out[29 * LANES + lane]
        quotient_1 = out[30 * LANES + lane]
        choice_2 = out[28 * LANES + lane]
        product_18 = out[23 * LANES + lane]
        exp_2 = out[26 * LANES + lane]
        quotient_2 = out[27 * LANES + lane]
        choice_4 = out[25 * LANES + lane]
        product_19 = out[24 * LANES + lane]
        sum_9 = out[22 * LANES + lane]
        size_3 = out[21 * LANES + lane]
        exp_3 = out[20 * LANES + lane]
        product_9 = out[19 * LANES + lane]
        product_20 = out[18 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        quotient_3 = 1.0 / (1.0 + exp_3)
        product_11 = (1.0 - exp_3) * quotient_3
        product_21 = sum_9 * (product_9 * (-0.3333333333333333 + product_9 * (0.13333333333332756 + product_20)))
        sum_12 = sum_9 + product_21
        negative_3 = -product_11
        choice_5 = negative_3 if (sum_9 < 0.0) else product_11
        choice_6 = sum_12 if (size_3 < 0.45) else choice_5
        sum_13 = p7 * u1 + (p11 + p6 * u0)
        size_4 = fabs(sum_13)
        exp_4 = exp(size_4 * -2.0)
        product_13 = sum_13 * sum_13
        sum_14 = 0.0005871241987521835 + product_13 * (-0.00022646125178830043 + product_13 * 6.50769217873237e-05)
        product_14 = product_13 * (0.003592092138684696 + product_13 * (-0.0014554257178951656 + product_13 * sum_14))
        sum_15 = -0.053968253967312856 + product_13 * (0.021869488476433937 + product_13 * (-0.008863233600962223 + product_14))
        quotient_4 = 1.0 / (1.0 + exp_4)
        product_15 = (1.0 - exp_4) * quotient_4
        product_16 = product_13 * (-0.3333333333333333 + product_13 * (0.13333333333332756 + product_13 * sum_15))
        sum_16 = sum_13 + sum_13 * product_16
        negative_4 = -product_15
        choice_7 = negative_4 if (sum_13 < 0.0) else product_15
        choice_8 = sum_16 if (size_4 < 0.45) else choice_7
        difference_1 = p15 * choice_8 + (p14 * choice_6 + (product_19 + (p16 + product_18))) - y0
        product_22 = difference_1 * w
        product_23 = p15 * product_22 * (quotient_4 * (exp_4 * quotient_4) * 4.0)
        product_24 = p14 * product_22 * (quotient_3 * (exp_3 * quotient_3) * 4.0)
        product_25 = p13 * product_22 * (quotient_2 * (exp_2 * quotient_2) * 4.0)
        product_26 = p12 * product_22 * (quotient_1 * (exp_1 * quotient_1) * 4.0)
        out[lane] = difference_1 * difference_1 * 0.5 * w  # L
        out[17 * LANES + lane] = product_22  # dL/dv0
        out[16 * LANES + lane] = choice_8 * product_22  # dL/dv4
        out[12 * LANES + lane] = product_23  # dL/dc4
        out[8 * LANES + lane] = u1 * product_23  # dL/dW4_bp
        out[7 * LANES + lane] = u0 * product_23  # dL/dW4_bmi
        out[15 * LANES + lane] = choice_6 * product_22  # dL/dv3
        out[11 * LANES + lane] = product_24  # dL/dc3
        out[6 * LANES + lane] = u1 * product_24  # dL/dW3_bp
        out[5 * LANES + lane] = u0 * product_24  # dL/dW3_bmi
        out[14 * LANES + lane] = choice_4 * product_22  # dL/dv2
        out[10 * LANES + lane] = product_25  # dL/dc2
        out[4 * LANES + lane] = u1 * product_25  # dL/dW2_bp
        out[3 * LANES + lane] = u0 * product_25  # dL/dW2_bmi
        out[13 * LANES + lane] = choice_2 * product_22  # dL/dv1
        out[9 * LANES + lane] = product_26  # dL/dc1
        out[2 * LANES + lane] = u1 * product_26  # dL/dW1_bp
        out[1 * LANES + lane] = u0 * product_26  # dL/dW1_bmi


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0]
    cdef real p1 = c[1]
    cdef real p2 = c[2]
    cdef real p3 = c[3]
    cdef real p4 = c[4]
    cdef real p5 = c[5]
    cdef real p6 = c[6]
    cdef real p7 = c[7]
    cdef real p8 = c[8]
    cdef real p9 = c[9]
    cdef real p10 = c[10]
    cdef real p11 = c[11]
    cdef real p12 = c[12]
    cdef real p13 = c[13]
    cdef real p14 = c[14]
    cdef real p15 = c[15]
    cdef real p16 = c[16]
    cdef real u0, u1, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, product_3, product_4, sum_4, \
        negative_1, choice_1, choice_2, sum_5, size_2, exp_2, product_5, sum_6, product_6, sum_7, \
        product_7, product_8, sum_8, negative_2, choice_3, choice_4, sum_9, size_3, exp_3, product_9, \
        sum_10, product_10, sum_11, product_11, product_12, sum_12, negative_3, choice_5, choice_6, \
        sum_13, size_4, exp_4, product_13, sum_14, product_14, sum_15, product_15, product_16, sum_16, \
        negative_4, choice_7, choice_8
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        sum_1 = p1 * u1 + (p8 + p0 * u0)
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
        sum_5 = p3 * u1 + (p9 + p2 * u0)
        size_2 = fabs(sum_5)
        exp_2 = exp(size_2 * -2.0)
        product_5 = sum_5 * sum_5
        sum_6 = 0.0005871241987521835 + product_5 * (-0.00022646125178830043 + product_5 * 6.50769217873237e-05)
        product_6 = product_5 * (0.003592092138684696 + product_5 * (-0.0014554257178951656 + product_5 * sum_6))
        sum_7 = -0.053968253967312856 + product_5 * (0.021869488476433937 + product_5 * (-0.008863233600962223 + product_6))
        product_7 = (1.0 - exp_2) * (1.0 / (1.0 + exp_2))
        product_8 = product_5 * (-0.3333333333333333 + product_5 * (0.13333333333332756 + product_5 * sum_7))
        sum_8 = sum_5 + sum_5 * product_8
        negative_2 = -product_7
        choice_3 = negative_2 if (sum_5 < 0.0) else product_7
        choice_4 = sum_8 if (size_2 < 0.45) else choice_3
        sum_9 = p5 * u1 + (p10 + p4 * u0)
        size_3 = fabs(sum_9)
        exp_3 = exp(size_3 * -2.0)
        product_9 = sum_9 * sum_9
        sum_10 = 0.0005871241987521835 + product_9 * (-0.00022646125178830043 + product_9 * 6.50769217873237e-05)
        product_10 = product_9 * (0.003592092138684696 + product_9 * (-0.0014554257178951656 + product_9 * sum_10))
        sum_11 = -0.053968253967312856 + product_9 * (0.021869488476433937 + product_9 * (-0.008863233600962223 + product_10))
        product_11 = (1.0 - exp_3) * (1.0 / (1.0 + exp_3))
        product_12 = product_9 * (-0.3333333333333333 + product_9 * (0.13333333333332756 + product_9 * sum_11))
        sum_12 = sum_9 + sum_9 * product_12
        negative_3 = -product_11
        choice_5 = negative_3 if (sum_9 < 0.0) else product_11
        choice_6 = sum_12 if (size_3 < 0.45) else choice_5
        sum_13 = p7 * u1 + (p11 + p6 * u0)
        size_4 = fabs(sum_13)
        exp_4 = exp(size_4 * -2.0)
        product_13 = sum_13 * sum_13
        sum_14 = 0.0005871241987521835 + product_13 * (-0.00022646125178830043 + product_13 * 6.50769217873237e-05)
        product_14 = product_13 * (0.003592092138684696 + product_13 * (-0.0014554257178951656 + product_13 * sum_14))
        sum_15 = -0.053968253967312856 + product_13 * (0.021869488476433937 + product_13 * (-0.008863233600962223 + product_14))
        product_15 = (1.0 - exp_4) * (1.0 / (1.0 + exp_4))
        product_16 = product_13 * (-0.3333333333333333 + product_13 * (0.13333333333332756 + product_13 * sum_15))
        sum_16 = sum_13 + sum_13 * product_16
        negative_4 = -product_15
        choice_7 = negative_4 if (sum_13 < 0.0) else product_15
        choice_8 = sum_16 if (size_4 < 0.45) else choice_7
        out[lane] = p15 * choice_8 + (p14 * choice_6 + (p13 * choice_4 + (p16 + p12 * choice_2)))


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
    cdef double high_i, low_i
    if calls == BATCH:
        for i in range(n_rows * LANES):
            high_i = high[i]
            low_i = low[i]
            add_exactly(&high_i, &low_i, values[i])
            add_exactly(&high_i, &low_i, values[1 * VALUE_ROWS * LANES + i])
            add_exactly(&high_i, &low_i, values[2 * VALUE_ROWS * LANES + i])
            add_exactly(&high_i, &low_i, values[3 * VALUE_ROWS * LANES + i])
            high[i] = high_i
            low[i] = low_i
        return
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
        for index in range(columns):
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
    fold(sums, low, n_rows, &node[2])


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


cdef void write_rows(Sweep* sweep, Scratch scratch, Py_ssize_t lane, real* to, Py_ssize_t count) noexcept nogil:
    """The rows of ``count`` lanes of a call, from ``lane`` on."""
    scratch.values += lane
    scatter(&scratch.values[sweep.first_row * LANES], sweep.out_rows, to, sweep.out_rows, count)


cdef Py_ssize_t lanes_together(Py_ssize_t row_size) noexcept nogil:
    """Lanes whose rows are put together before they are written past the caches: in the first cache, or in the second."""
    cdef Py_ssize_t lanes = LANES
    while lanes > 1 and lanes * row_size > (1 << 14 if lanes > 8 else 1 << 18):
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

    theta (17,) flat, inputs (N, 2), targets (N, 1): (N,) will do for one column, None for none.
    weights (N,): the mean is sum(w * loss) / sum(w). threads: None takes what the work is worth.
    Raises ValueError for a wrong shape and TypeError for a wrong kind of array.
    """
    return _mean(_bound(inputs, targets, weights, threads), _theta(theta), None)


def gradient(theta, inputs, targets, weights=None, *, out=None, threads=None):
    """The gradient of `risk`, (17,): one epoch in one pass. Arguments as for `risk`."""
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
    """Each sample's gradient, (N, 17), without the penalty's. Arguments as for `risk`."""
    cdef _Bound data = _bound(inputs, targets, None, threads)
    theta = _theta(theta)
    out = _result(out, (data.n, N_PARAMETERS), theta, data)
    _each(data, theta, gradients, 18, N_COLUMNS, 1, out)
    return out


def predict(theta, inputs, *, threads=None):
    """The model's output for each row of inputs: (N,)."""
    cdef _Bound data = _bound(inputs, _UNUSED, None, threads)
    out = np.empty((data.n,), _REAL)
    _each(data, _theta(theta), predictions, PREDICTIONS, PREDICTIONS, 0, out)
    return out


def bind(inputs, targets, weights=None, *, threads=None):
    """The arrays checked once: ``f = bind(...)``, then ``f(theta)`` is `(risk, gradient)`. Arguments as for `risk`."""
    return _bound(inputs, targets, weights, threads)


def pack(values):
    """A flat theta, (17,), from ``{name: array}``, each array in its parameter's shape."""
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
    of them or those that there are. Its array, float64 (20, 2), has in row 0 the number of rows and 0;
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
        job = _job(data, theta, gradients, 18, True)
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
            self.nodes.sums = <double*>malloc(2 * heights * n_sums * sizeof(double))
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
        self.memory = malloc(at)
        if self.memory == NULL:
            raise MemoryError()
        cdef char* base = <char*>(<size_t>self.memory & ~<size_t>63)
        scratch.data = <real*>(base + data)
        scratch.values = <real*>(base + values)
        scratch.sums = <double*>(base + sums)

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
               else _job(data, theta, gradients, 18, True))
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
