# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
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
    real fabs "fabs"(real) noexcept nogil
    real floor "floor"(real) noexcept nogil
    real log1p "lane_log1p"(real) noexcept nogil

PARAMETERS = (('W1', (32, 64)), ('b1', (32, 1)), ('W2', (10, 32)), ('b2', (10, 1)))
INPUTS = (('u', (64, 1)),)
TARGETS = (('label', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 65  # of the data, after inputs and targets

ctypedef void (*multiply_function)(rows, const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
cdef multiply_function multiply = <multiply_function>PyCapsule_GetPointer(_sweep.SERVICES["multiply"], "multiply/float64")


cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef Py_ssize_t row
    for row in range(2410):
        c[row] = <real>theta[row]


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane, row
    cdef real p2048, matmul_1, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, product_3, product_4, sum_4
    cdef real negative_1, choice_1, choice_2, p2400, y0, matmul_2, sum_5, largest_1, largest_1_or_nan, floor_1, choice_3
    cdef real choice_4, exp_2, choice_5, choice_6, total_1, total_2, total_3, w, log1p_1
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
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane, row
    cdef real p2048, matmul_1, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, quotient_1, product_3
    cdef real product_4, sum_4, negative_1, choice_1, choice_2, p2400, y0, matmul_2, sum_5, largest_1, largest_1_or_nan
    cdef real w, floor_1, choice_3, negative_2, choice_4, exp_2, choice_5, choice_6, choice_7, choice_8, total_1
    cdef real total_2, total_3, sum_6, log1p_1, sum_7, matmul_3, product_6
    cdef bint condition_1, condition_2
    cdef real[LANES] choice_3_by_lane, total_1_by_lane, largest_1_by_lane, total_2_by_lane, total_3_by_lane
    cdef real[LANES] negative_2_by_lane, sum_7_by_lane
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
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane, row
    cdef real p2048, matmul_1, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, product_3, product_4, sum_4
    cdef real negative_1, choice_1, choice_2, p2400, matmul_2
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


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=2410, rows=149, summed=43, outputs=10, scalar=False, lanes=64, depth=16, batch=1, cost=445,
    segments=((1, 2048, 32), (33, 2400, 10)),
    outers=((0, 1, -1, 32, 1, 64), (2080, 33, 75, 10, 1, 32)),
    key=241731327621897,
)
globals().update(_risk.functions(__name__))
