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

For each sample 32 operations for the loss, 81 for the loss with its gradient; 0 once for a theta.
Sums over samples are compensated and merged in an order that depends on N alone: the same bits for any number of
threads and any layout of the arrays. Needs NumPy alone.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

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
    VECTOR real lane_exp(real) C_NAME("exp");
    VECTOR real lane_tanh(real) C_NAME("tanh");
    """
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows
    real exp "lane_exp"(real) noexcept nogil
    real tanh "lane_tanh"(real) noexcept nogil
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

cdef enum:
    N_COLUMNS = 17  # of all parameters' gradients
    LANES = 64  # samples side by side in a call of a lane function
    DEPTH = 16  # calls that make a tile
    TILE = LANES * DEPTH
    INPUT_COLUMNS = 2
    TARGET_COLUMNS = 1
    WEIGHT_ROW = INPUT_COLUMNS + TARGET_COLUMNS
    WEIGHTS = 2  # the place of the weights among the arrays of samples
    INVARIANTS = 17  # numbers that are computed once for a theta; first the penalty and its gradient
    PREDICTIONS = 1
    SUMMED_ROWS = 18  # the loss, and what is summed of its gradient row by row
    VALUE_ROWS = 18  # all rows of the function that has most
    COST = 35  # about this many nanoseconds for a sample with its gradient


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
    cdef real u0, u1, y0, w, tanh_1, tanh_2, tanh_3, tanh_4, difference_1
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        tanh_1 = tanh(p1 * u1 + (p8 + p0 * u0))
        tanh_2 = tanh(p3 * u1 + (p9 + p2 * u0))
        tanh_3 = tanh(p5 * u1 + (p10 + p4 * u0))
        tanh_4 = tanh(p7 * u1 + (p11 + p6 * u0))
        difference_1 = p15 * tanh_4 + (p14 * tanh_3 + (p13 * tanh_2 + (p16 + p12 * tanh_1))) - y0
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
    cdef real u0, u1, y0, w, sum_1, tanh_1, sum_2, tanh_2, sum_3, tanh_3, sum_4, tanh_4, difference_1, \
        product_2, size_1, exp_1, sum_5, product_3, size_2, exp_2, sum_6, product_4, size_3, exp_3, \
        sum_7, product_5, size_4, exp_4, sum_8, product_6
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_1 = p1 * u1 + (p8 + p0 * u0)
        tanh_1 = tanh(sum_1)
        sum_2 = p3 * u1 + (p9 + p2 * u0)
        tanh_2 = tanh(sum_2)
        sum_3 = p5 * u1 + (p10 + p4 * u0)
        tanh_3 = tanh(sum_3)
        sum_4 = p7 * u1 + (p11 + p6 * u0)
        tanh_4 = tanh(sum_4)
        difference_1 = p15 * tanh_4 + (p14 * tanh_3 + (p13 * tanh_2 + (p16 + p12 * tanh_1))) - y0
        product_2 = difference_1 * w
        size_1 = fabs(sum_4)
        exp_1 = exp(size_1 * -2.0)
        sum_5 = exp_1 + 1.0
        product_3 = p15 * product_2 * (exp_1 / (sum_5 * sum_5) * 4.0)
        size_2 = fabs(sum_3)
        exp_2 = exp(size_2 * -2.0)
        sum_6 = 1.0 + exp_2
        product_4 = p14 * product_2 * (exp_2 / (sum_6 * sum_6) * 4.0)
        size_3 = fabs(sum_2)
        exp_3 = exp(size_3 * -2.0)
        sum_7 = 1.0 + exp_3
        product_5 = p13 * product_2 * (exp_3 / (sum_7 * sum_7) * 4.0)
        size_4 = fabs(sum_1)
        exp_4 = exp(size_4 * -2.0)
        sum_8 = 1.0 + exp_4
        product_6 = p12 * product_2 * (exp_4 / (sum_8 * sum_8) * 4.0)
        out[lane] = difference_1 * difference_1 * 0.5 * w  # L
        out[17 * LANES + lane] = product_2  # dL/dv0
        out[16 * LANES + lane] = tanh_4 * product_2  # dL/dv4
        out[12 * LANES + lane] = product_3  # dL/dc4
        out[8 * LANES + lane] = u1 * product_3  # dL/dW4_bp
        out[7 * LANES + lane] = u0 * product_3  # dL/dW4_bmi
        out[15 * LANES + lane] = tanh_3 * product_2  # dL/dv3
        out[11 * LANES + lane] = product_4  # dL/dc3
        out[6 * LANES + lane] = u1 * product_4  # dL/dW3_bp
        out[5 * LANES + lane] = u0 * product_4  # dL/dW3_bmi
        out[14 * LANES + lane] = tanh_2 * product_2  # dL/dv2
        out[10 * LANES + lane] = product_5  # dL/dc2
        out[4 * LANES + lane] = u1 * product_5  # dL/dW2_bp
        out[3 * LANES + lane] = u0 * product_5  # dL/dW2_bmi
        out[13 * LANES + lane] = tanh_1 * product_2  # dL/dv1
        out[9 * LANES + lane] = product_6  # dL/dc1
        out[2 * LANES + lane] = u1 * product_6  # dL/dW1_bp
        out[1 * LANES + lane] = u0 * product_6  # dL/dW1_bmi


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
    cdef real u0, u1, tanh_1, tanh_2, tanh_3, tanh_4
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        tanh_1 = tanh(p1 * u1 + (p8 + p0 * u0))
        tanh_2 = tanh(p3 * u1 + (p9 + p2 * u0))
        tanh_3 = tanh(p5 * u1 + (p10 + p4 * u0))
        tanh_4 = tanh(p7 * u1 + (p11 + p6 * u0))
        out[lane] = p15 * tanh_4 + (p14 * tanh_3 + (p13 * tanh_2 + (p16 + p12 * tanh_1)))


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
    Py_ssize_t n  # samples in the arrays below
    Column[3] columns  # inputs, targets, weights
    char* out  # NULL: sums are wanted; else rows first_row, ... of each sample go to one row of out
    Py_ssize_t first_row
    Py_ssize_t out_rows


cdef struct Scratch:  # what a thread works in
    real* data
    real* values
    double* sums


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


cdef hot divide(real* means, const double* sums, Py_ssize_t n, double total) noexcept nogil:
    """Pairs over the total weight."""
    cdef Py_ssize_t i
    for i in range(n):
        means[i] = <real>((sums[2 * i] + sums[2 * i + 1]) / total)


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


cdef void sweep_block(Sweep* sweep, Scratch* scratch, double* stack, double* weight_stack) noexcept nogil:
    """All samples of a block: their rows to ``out``, or their sums to the first node of each stack."""
    cdef Py_ssize_t tile, call, start, count, n_masked, height = 0
    cdef Py_ssize_t n_rows = sweep.n_rows, n_sums = sweep.n_sums
    cdef Py_ssize_t n_lanes = LANES
    cdef real* data = scratch.data
    cdef real* values = scratch.values
    cdef double* sums = scratch.sums
    cdef double* low = &sums[(n_rows + 1) * LANES]
    cdef unsigned char[LANES] masked
    cdef bint weighted = sweep.columns[WEIGHTS].base != NULL
    for tile in range((sweep.n + TILE - 1) // TILE):
        if sweep.out == NULL:  # predictions may have more rows than there are sums
            memset(sums, 0, 2 * (n_rows + 1) * LANES * sizeof(double))
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
                scatter(&values[sweep.first_row * LANES], sweep.out_rows, <real*>sweep.out + start * sweep.out_rows, sweep.out_rows, count)
                continue
            if n_masked:
                clear_masked(values, n_rows, masked)
                clear_masked(&data[WEIGHT_ROW * LANES], 1, masked)
            accumulate(values, sums, low, n_rows)
            if weighted:
                accumulate(&data[WEIGHT_ROW * LANES], &sums[n_rows * LANES], &low[n_rows * LANES], 1)
        if sweep.out == NULL:
            fold(sums, low, n_rows, &stack[2 * n_sums * height])
            fold(&sums[n_rows * LANES], &low[n_rows * LANES], 1, &weight_stack[2 * height])
            push(weight_stack, height + 1, tile, 1)
            height = push(stack, height + 1, tile, n_sums)
    collapse(stack, height, n_sums)
    collapse(weight_stack, height, 1)


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

    theta (17,) flat, inputs (N, 2), targets (N, 1): (N,) will do for one column, None for none.
    weights (N,): the mean is sum(w * loss) / sum(w). threads: None takes what the work is worth.
    Raises ValueError for a wrong shape and TypeError for a wrong kind of array.
    """
    return _mean(_Bound(inputs, targets, weights, threads), _theta(theta), None)


def gradient(theta, inputs, targets, weights=None, *, out=None, threads=None):
    """The gradient of `risk`, (17,): one epoch in one pass. Arguments as for `risk`."""
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
    _each(data, theta, losses, 1, 1, 0, out)
    return out


def per_sample_gradient(theta, inputs, targets, *, out=None, threads=None):
    """Each sample's gradient, (N, 17), without the penalty's. Arguments as for `risk`."""
    cdef _Bound data = _Bound(inputs, targets, None, threads)
    theta = _theta(theta)
    out = _result(out, (data.n, N_PARAMETERS), (theta, *data.arrays))
    _each(data, theta, gradients, 18, N_COLUMNS, 1, out)
    return out


def predict(theta, inputs, *, threads=None):
    """The model's output for each row of inputs: (N,)."""
    cdef _Bound data = _Bound(inputs, _UNUSED, None, threads)
    out = np.empty((data.n,), _REAL)
    _each(data, _theta(theta), predictions, PREDICTIONS, PREDICTIONS, 0, out)
    return out


def bind(inputs, targets, weights=None, *, threads=None):
    """The arrays checked once: ``f = bind(...)``, then ``f(theta)`` is `(risk, gradient)`. Arguments as for `risk`."""
    return _Bound(inputs, targets, weights, threads)


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


cdef class _Tree:
    """The nodes of a tree of sums that wait for their siblings: those of the loss and its gradient, those of the weights."""

    cdef double* nodes
    cdef double* weights
    cdef Py_ssize_t room

    def __dealloc__(self):
        free(self.nodes)
        free(self.weights)

    cdef int reserve(self, Py_ssize_t n, Py_ssize_t n_sums) except -1:
        """Room for a node of each height that the tree of n samples has."""
        cdef Py_ssize_t heights = 1, tiles = (n + TILE - 1) // TILE
        while tiles > 1:
            tiles //= 2
            heights += 1
        if heights * n_sums > self.room:
            self.room = heights * n_sums
            free(self.nodes)
            free(self.weights)
            self.nodes = <double*>malloc(2 * self.room * sizeof(double))
            self.weights = <double*>malloc(2 * 64 * sizeof(double))
            if self.nodes == NULL or self.weights == NULL:
                raise MemoryError()
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
        at += VALUE_ROWS * LANES * sizeof(real) + 63 & ~63
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
_idle_scratch = []
_idle_trees = []


cdef _take(list idle, kind):
    try:
        return idle.pop()
    except IndexError:
        return kind()


cdef class _Job:
    """One sweep over bound arrays at one theta, a block at a time, from any thread."""

    cdef Sweep sweep
    cdef _Bound data
    cdef real* c
    cdef Py_ssize_t block, blocks, begun  # rows of a block; how many there are; how many a thread has taken
    cdef dict waiting  # {(level, index): _Tree}: the blocks' nodes whose siblings are not there yet
    cdef object lock  # of waiting
    cdef _Tree root  # its first node is the sum of all blocks
    cdef object out

    def __dealloc__(self):
        free(self.c)

    def work(self):
        """Blocks, until none is left."""
        cdef Py_ssize_t index
        while self.begun < self.blocks:
            index = self.begun
            self.begun += 1
            self.join(self.run(index), index)

    cdef _Tree run(self, Py_ssize_t index):
        """Block ``index``; its sum is the first node of the tree."""
        PyErr_CheckSignals()
        cdef _Scratch scratch = _take(_idle_scratch, _Scratch)
        cdef _Tree tree = _take(_idle_trees, _Tree)
        cdef Sweep sweep = self.sweep
        cdef Column column
        cdef Py_ssize_t first = index * self.block
        sweep.n = min(self.block, self.data.n - first)
        if sweep.out != NULL:
            sweep.out += first * sweep.out_rows * sizeof(real)
        else:
            tree.reserve(sweep.n, sweep.n_sums)
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
            sweep_block(&sweep, &scratch.scratch, tree.nodes, tree.weights)
        _idle_scratch.append(scratch)
        return tree

    cdef int join(self, _Tree node, Py_ssize_t index) except -1:
        """A block's node with its sibling, if that is there, and so on up the tree; else it waits for the sibling."""
        cdef Py_ssize_t level = 0, width = self.blocks, n_sums = self.sweep.n_sums
        cdef _Tree sibling
        while width > 1 and self.sweep.out == NULL:
            if index ^ 1 < width:  # the last of an odd number of nodes rises alone
                with self.lock:
                    sibling = self.waiting.pop((level, index ^ 1), None)
                    if sibling is None:
                        self.waiting[level, index] = node
                        return 0
                if index & 1:
                    node, sibling = sibling, node
                with nogil:
                    merge_nodes(node.nodes, sibling.nodes, n_sums)
                    merge_nodes(node.weights, sibling.weights, 1)
                _idle_trees.append(sibling)
            index >>= 1
            width = (width + 1) >> 1
            level += 1
        self.root = node
        return 0

    cdef int sweep_all(self) except -1:
        """All blocks, on as many threads as the arrays were bound to, this one among them."""
        cdef Py_ssize_t n = self.data.n, threads = self.data.threads
        if threads == 0:
            threads = _worthwhile_threads(n)
        self.block = _block_rows(n, threads)
        self.blocks = (n + self.block - 1) // self.block
        threads = min(threads, self.blocks)
        if threads == 1:
            self.work()
            return 0
        pool = ThreadPoolExecutor(threads - 1)
        try:
            others = [pool.submit(self.work) for _ in range(threads - 1)]
            self.work()
            for other in others:
                other.result()
        finally:
            self.begun = self.blocks  # after an error, the others stop too
            pool.shutdown(wait=True)
        return 0


cdef _Job _job(_Bound data, theta, LaneFunction function, Py_ssize_t n_rows, Py_ssize_t n_sums):
    cdef _Job job = _Job()
    cdef Py_buffer view
    job.c = <real*>calloc(INVARIANTS + 1, sizeof(real))
    if job.c == NULL:
        raise MemoryError()
    PyObject_GetBuffer(theta, &view, PyBUF_STRIDES)
    once(<const double*>view.buf, job.c)
    PyBuffer_Release(&view)
    job.data = data
    job.waiting = {}
    job.lock = Lock()
    job.sweep.function = function
    job.sweep.c = job.c
    job.sweep.n_rows = n_rows
    job.sweep.n_sums = n_sums
    return job


cdef double _mean(_Bound data, theta, out) except? -1.0:
    """The risk; its gradient goes to ``out``, if that is not None."""
    cdef Py_ssize_t row
    cdef _Job job = (_job(data, theta, losses, 1, 1) if out is None
                     else _job(data, theta, gradients, 18, 1 + N_COLUMNS))
    if data.n == 0:
        _refuse(ArrayError, "inputs", "at least one sample", "none", "the mean over an empty data set is undefined")
    job.sweep_all()
    cdef const double* sums = job.root.nodes
    cdef double total = <double>data.n if data.arrays[WEIGHTS] is None else job.root.weights[0] + job.root.weights[1]
    if not total - total == 0.0 or total == 0.0:
        _refuse(ArrayError, "weights", "a finite sum other than zero", total, "the weighted mean divides by it")
    cdef Py_buffer view
    if out is not None:
        PyObject_GetBuffer(out, &view, PyBUF_STRIDES)
        divide(<real*>view.buf, &sums[2], N_COLUMNS, total)
        PyBuffer_Release(&view)
    cdef double risk = (sums[0] + sums[1]) / total
    _idle_trees.append(job.root)
    return risk


cdef int _each(_Bound data, theta, LaneFunction function, Py_ssize_t n_rows, Py_ssize_t out_rows, Py_ssize_t first_row,
               out) except -1:
    """Each sample's ``out_rows`` values, the function's rows from ``first_row`` on, into ``out``."""
    cdef _Job job = _job(data, theta, function, n_rows, 1 + first_row * N_COLUMNS)
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
    _idle_trees.append(job.root)
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
    while (rows * COST < 1_000_000 or (rows * COST < 15_000_000 and rows * 32 * threads < n)) and rows * (WEIGHT_ROW + 1) < 1 << 22:
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
