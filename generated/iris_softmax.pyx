# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of iris_softmax and run `symgrad generate` again.
"""iris_softmax: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta) + penalty(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta) + grad penalty(theta)

N_theta = W*x + b
L = log(Sum(exp(prediction[i, 0]), (i, 0, 2))) - prediction[label, 0]
prediction = N_theta
penalty = Trace(W.T*W)/2000 + (b.T*b)/2000
delta_1[j, 0] = dL/dprediction[j, 0] = exp(prediction[j, 0])/Sum(exp(prediction[i, 0]), (i, 0, 2)) - [j = label]
dL/dW = delta_1*x.T
dL/db = delta_1
dpenalty/dW = W/1000
dpenalty/db = b/1000
A dot makes a function or an operation elementwise; [i = j] is 1 where it holds, else 0.

In the code p0..p11 is W (3 x 4), p12..p14 is b (3 x 1), u0..u3 is x (4 x 1), y0 is label.

Computed in stable forms:
    log(Sum(exp(x))) -> logsumexp(x)

For each sample 73 operations for the loss, 114 for the loss with its gradient; 63 once for a theta.
Gradients of matrices are summed as products of matrices: over 64 samples in this module's arithmetic, over a tile
of 1024 in double, and from there on as pairs: within 9e-15 of the mean size of what is summed.
"""

from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.math cimport NAN, INFINITY

_loader = ExtensionFileLoader("_sweep", __file__)
try:
    _sweep = module_from_spec(spec_from_file_location("_sweep", __file__, loader=_loader))  # linked into this library
except ImportError:
    if globals().get("__package__"):
        from . import _sweep
    else:
        import _sweep
else:
    _loader.exec_module(_sweep)

cdef extern from *:
    """
    #if defined(__FAST_MATH__) || (defined(__GCC_IEC_559) && __GCC_IEC_559 < 1) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
    #error "its results need IEEE arithmetic: build it without -ffast-math, -Ofast and their parts"
    #endif
    #if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(__ILP32__)
    #if __GLIBC_PREREQ(2, 35)  /* it has vector functions */
    #define VECTOR __attribute__((simd("notinbranch"), const, nothrow, leaf))
    #endif
    #endif
    #ifndef VECTOR
    #define VECTOR __attribute__((const, nothrow, leaf))
    #endif
    #define QUOTED(text) #text
    #define LABEL(prefix, name) __asm__(QUOTED(prefix) name)
    #define C_NAME(name) LABEL(__USER_LABEL_PREFIX__, name)
    #if defined(__GNUC__) && !defined(__clang__)
    /* no-tree-sink: a call that moves into a branch of a choice can no longer be vectorised */
    #define hot __attribute__((optimize("O3", "no-tree-sink", "no-math-errno", "no-trapping-math", "fp-contract=off"))) void
    #else
    #define hot void
    #endif
    typedef double real;
    typedef real *__restrict__ rows;
    VECTOR real lane_exp(real) C_NAME("exp");
    VECTOR real lane_log1p(real) C_NAME("log1p");
    """
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows
    real exp "lane_exp"(real) noexcept nogil
    real floor "floor"(real) noexcept nogil
    real log1p "lane_log1p"(real) noexcept nogil

PARAMETERS = (('W', (3, 4)), ('b', (3, 1)))
INPUTS = (('x', (4, 1)),)
TARGETS = (('label', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 5  # of the data, after inputs and targets

ctypedef void (*copy_rows_function)(real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
cdef copy_rows_function copy_rows = <copy_rows_function>PyCapsule_GetPointer(_sweep.SERVICES["copy_rows"], "copy_rows/float64")
ctypedef void (*multiply_function)(rows, const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
cdef multiply_function multiply = <multiply_function>PyCapsule_GetPointer(_sweep.SERVICES["multiply"], "multiply/float64")


cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef Py_ssize_t row
    cdef real transpose_1, product_1, total_1, product_3, p12, product_4, total_2
    for row in range(15):
        c[16 + row] = <real>theta[row]
    # transpose_1 = transpose of p0, 4 x 3
    copy_rows(&c[31], 3, 1, &c[16], 1, 4, 4, 3, 1)
    total_1 = 0.0
    for row in range(12):
        transpose_1 = c[31 + row]
        product_1 = transpose_1 * 0.0005
        c[43 + row] = product_1 + product_1
        total_1 += transpose_1 * transpose_1
    product_3 = total_1 * 0.0005
    total_2 = 0.0
    for row in range(3):
        p12 = <real>theta[12 + row]
        product_4 = p12 * 0.0005
        c[13 + row] = product_4 + product_4
        total_2 += p12 * p12
    c[0] = product_3 + total_2 * 0.0005
    # transpose_2 = transpose of sum_1, 3 x 4
    copy_rows(&c[1], 4, 1, &c[43], 1, 3, 3, 4, 1)


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane, row
    cdef real p12, y0, matmul_1, sum_4, largest_1, largest_1_or_nan, floor_1, choice_1, choice_2, exp_1, choice_3
    cdef real choice_4, total_3, total_4, total_5, w, log1p_1
    cdef bint condition_1, condition_2
    cdef real[LANES] choice_1_by_lane, total_3_by_lane, largest_1_by_lane, total_4_by_lane, total_5_by_lane
    # matmul_1 = p0 @ u0, 3 x 1
    multiply(&out[1 * LANES], &c[16], 4, 1, &data[0], 3, 4, 1)
    for lane in range(LANES):
        largest_1_by_lane[lane] = -INFINITY
    for row in range(3):
        p12 = c[28 + row]
        for lane in range(LANES):
            y0 = data[4 * LANES + lane]
            matmul_1 = out[(1 + row) * LANES + lane]
            sum_4 = p12 + matmul_1
            out[(7 + row) * LANES + lane] = sum_4
            out[(4 + row) * LANES + lane] = 1.0 if (<real>row == y0) else 0.0
            largest_1 = largest_1_by_lane[lane]
            largest_1_or_nan = largest_1 + sum_4
            largest_1_or_nan = largest_1 if largest_1 >= sum_4 else largest_1_or_nan
            largest_1_by_lane[lane] = sum_4 if sum_4 > largest_1 else largest_1_or_nan
    for lane in range(LANES):
        y0 = data[4 * LANES + lane]
        floor_1 = floor(y0)
        choice_1 = 0.0 if (((0.0 <= y0) & (y0 < 3.0)) & (y0 == floor_1)) else NAN
        choice_1_by_lane[lane] = choice_1
        total_3_by_lane[lane] = 0.0
        total_4_by_lane[lane] = 0.0
        total_5_by_lane[lane] = 0.0
    for row in range(3):
        for lane in range(LANES):
            sum_4 = out[(7 + row) * LANES + lane]
            condition_1 = out[(4 + row) * LANES + lane] != 0.0
            choice_1 = choice_1_by_lane[lane]
            largest_1 = largest_1_by_lane[lane]
            choice_2 = sum_4 if condition_1 else choice_1
            condition_2 = (sum_4 == largest_1)
            exp_1 = exp(sum_4 - largest_1)
            choice_3 = 0.0 if condition_2 else exp_1
            choice_4 = 1.0 if condition_2 else 0.0
            total_3_by_lane[lane] += choice_2
            total_4_by_lane[lane] += choice_4
            total_5_by_lane[lane] += choice_3
    for lane in range(LANES):
        total_3 = total_3_by_lane[lane]
        largest_1 = largest_1_by_lane[lane]
        total_4 = total_4_by_lane[lane]
        total_5 = total_5_by_lane[lane]
        w = data[WEIGHT_ROW * LANES + lane]
        log1p_1 = log1p(total_4 - 1.0 + total_5)
        out[lane] = (largest_1 + log1p_1 - total_3) * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane, row
    cdef real p12, y0, matmul_1, sum_4, largest_1, largest_1_or_nan, w, floor_1, choice_1, negative_1, choice_2, exp_1
    cdef real choice_3, choice_4, choice_5, choice_6, total_3, total_4, total_5, sum_5, log1p_1, sum_6
    cdef bint condition_1, condition_2
    cdef real[LANES] choice_1_by_lane, total_3_by_lane, largest_1_by_lane, total_4_by_lane, total_5_by_lane
    cdef real[LANES] negative_1_by_lane, sum_6_by_lane
    # matmul_1 = p0 @ u0, 3 x 1
    multiply(&out[4 * LANES], &c[16], 4, 1, &data[0], 3, 4, 1)
    for lane in range(LANES):
        largest_1_by_lane[lane] = -INFINITY
    for row in range(3):
        p12 = c[28 + row]
        for lane in range(LANES):
            y0 = data[4 * LANES + lane]
            matmul_1 = out[(4 + row) * LANES + lane]
            sum_4 = p12 + matmul_1
            out[(10 + row) * LANES + lane] = sum_4
            out[(7 + row) * LANES + lane] = 1.0 if (<real>row == y0) else 0.0
            largest_1 = largest_1_by_lane[lane]
            largest_1_or_nan = largest_1 + sum_4
            largest_1_or_nan = largest_1 if largest_1 >= sum_4 else largest_1_or_nan
            largest_1_by_lane[lane] = sum_4 if sum_4 > largest_1 else largest_1_or_nan
    for lane in range(LANES):
        y0 = data[4 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        floor_1 = floor(y0)
        choice_1 = 0.0 if (((0.0 <= y0) & (y0 < 3.0)) & (y0 == floor_1)) else NAN
        choice_1_by_lane[lane] = choice_1
        negative_1_by_lane[lane] = -w
        total_3_by_lane[lane] = 0.0
        total_4_by_lane[lane] = 0.0
        total_5_by_lane[lane] = 0.0
    for row in range(3):
        for lane in range(LANES):
            sum_4 = out[(10 + row) * LANES + lane]
            condition_1 = out[(7 + row) * LANES + lane] != 0.0
            choice_1 = choice_1_by_lane[lane]
            largest_1 = largest_1_by_lane[lane]
            negative_1 = negative_1_by_lane[lane]
            choice_2 = sum_4 if condition_1 else choice_1
            condition_2 = (sum_4 == largest_1)
            exp_1 = exp(sum_4 - largest_1)
            choice_3 = 0.0 if condition_2 else exp_1
            choice_4 = 1.0 if condition_2 else 0.0
            choice_5 = 1.0 if condition_2 else exp_1
            choice_6 = negative_1 if condition_1 else choice_1
            out[(4 + row) * LANES + lane] = choice_5
            out[(13 + row) * LANES + lane] = choice_6
            total_3_by_lane[lane] += choice_2
            total_4_by_lane[lane] += choice_4
            total_5_by_lane[lane] += choice_3
    for lane in range(LANES):
        total_3 = total_3_by_lane[lane]
        largest_1 = largest_1_by_lane[lane]
        total_4 = total_4_by_lane[lane]
        total_5 = total_5_by_lane[lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_5 = total_4 - 1.0 + total_5
        log1p_1 = log1p(sum_5)
        out[lane] = (largest_1 + log1p_1 - total_3) * w  # L
        sum_6_by_lane[lane] = 1.0 + sum_5
    for row in range(3):
        for lane in range(LANES):
            w = data[WEIGHT_ROW * LANES + lane]
            choice_5 = out[(4 + row) * LANES + lane]
            sum_6 = sum_6_by_lane[lane]
            choice_6 = out[(13 + row) * LANES + lane]
            out[(1 + row) * LANES + lane] = w * (choice_5 / sum_6) + choice_6  # dL/db[0, 0]


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane, row
    cdef real p12, matmul_1
    # matmul_1 = p0 @ u0, 3 x 1
    multiply(&out[3 * LANES], &c[16], 4, 1, &data[0], 3, 4, 1)
    for row in range(3):
        p12 = c[28 + row]
        for lane in range(LANES):
            matmul_1 = out[(3 + row) * LANES + lane]
            out[row * LANES + lane] = p12 + matmul_1


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=55, penalty=1, rows=16, summed=4, outputs=3, scalar=False, lanes=64, depth=16, batch=1, cost=20,
    segments=((1, 12, 3),),
    outers=((0, 1, -1, 3, 1, 4),),
    key=177118695971578,
)
globals().update(_risk.functions(__name__))
