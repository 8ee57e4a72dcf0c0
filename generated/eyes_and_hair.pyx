# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of eyes_and_hair and run `symgrad generate` again.
"""eyes_and_hair: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta) + penalty(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta) + grad penalty(theta)

N_theta = a.T*eyes + b.T*hair + eyes.T*u*v.T*hair
L = -prediction*target + exp(prediction)
prediction = N_theta
penalty = (a.T*a)/100 + (b.T*b)/100 + (u.T*u)/100 + (v.T*v)/100
delta_1 = dL/dprediction = -target + exp(prediction)
dL/da = delta_1*eyes
dL/db = delta_1*hair
dL/du = delta_1*eyes*hair.T*v
dL/dv = delta_1*hair*eyes.T*u
dpenalty/da = a/50
dpenalty/db = b/50
dpenalty/du = u/50
dpenalty/dv = v/50

In the code p0..p3 is a (4 x 1), p4..p8 is b (5 x 1), p9..p12 is u (4 x 1), p13..p17 is v (5 x 1), u0..u3 is
eyes (4 x 1), u4..u8 is hair (5 x 1), y0 is target.

For each sample 43 operations for the loss, 66 for the loss with its gradient; 79 once for a theta.
"""

from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New

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
    """
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows
    real exp "lane_exp"(real) noexcept nogil

PARAMETERS = (('a', (4, 1)), ('b', (5, 1)), ('u', (4, 1)), ('v', (5, 1)))
INPUTS = (('eyes', (4, 1)), ('hair', (5, 1)))
TARGETS = (('target', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 10  # of the data, after inputs and targets

ctypedef void (*multiply_function)(rows, const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
cdef multiply_function multiply = <multiply_function>PyCapsule_GetPointer(_sweep.SERVICES["multiply"], "multiply/float64")


cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef Py_ssize_t row
    cdef real p0, p9, p4, p13, product_1, product_2, total_1, total_2, product_5, product_6, product_7, product_8
    cdef real total_3, total_4
    for row in range(4):
        p0 = <real>theta[row]
        p9 = <real>theta[9 + row]
        c[19 + row] = p0
        c[28 + row] = p9
    for row in range(5):
        p4 = <real>theta[4 + row]
        p13 = <real>theta[13 + row]
        c[23 + row] = p4
        c[32 + row] = p13
    total_1 = 0.0
    total_2 = 0.0
    for row in range(4):
        p0 = <real>theta[row]
        p9 = <real>theta[9 + row]
        product_1 = p9 * 0.01
        product_2 = p0 * 0.01
        c[10 + row] = product_1 + product_1
        c[1 + row] = product_2 + product_2
        total_1 += p0 * p0
        total_2 += p9 * p9
    product_5 = total_1 * 0.01
    product_6 = total_2 * 0.01
    total_3 = 0.0
    total_4 = 0.0
    for row in range(5):
        p4 = <real>theta[4 + row]
        p13 = <real>theta[13 + row]
        product_7 = p13 * 0.01
        product_8 = p4 * 0.01
        c[14 + row] = product_7 + product_7
        c[5 + row] = product_8 + product_8
        total_3 += p4 * p4
        total_4 += p13 * p13
    c[0] = total_4 * 0.01 + (product_6 + (product_5 + total_3 * 0.01))


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane, row
    cdef real y0, matmul_1, matmul_2, matmul_3, matmul_4, w, sum_6, exp_1
    cdef real[LANES] matmul_1_by_lane, matmul_2_by_lane, matmul_3_by_lane, matmul_4_by_lane
    # matmul_1 = p0 @ u0, 1 x 1
    multiply(&matmul_1_by_lane[0], &c[19], 4, 1, &data[0], 1, 4, 1)
    # matmul_2 = p4 @ u4, 1 x 1
    multiply(&matmul_2_by_lane[0], &c[23], 5, 1, &data[4 * LANES], 1, 5, 1)
    # matmul_3 = u0 @ p9, 1 x 1
    multiply(&matmul_3_by_lane[0], &c[28], 1, 1, &data[0], 1, 4, 1)
    # matmul_4 = p13 @ u4, 1 x 1
    multiply(&matmul_4_by_lane[0], &c[32], 5, 1, &data[4 * LANES], 1, 5, 1)
    for lane in range(LANES):
        y0 = data[9 * LANES + lane]
        matmul_1 = matmul_1_by_lane[lane]
        matmul_2 = matmul_2_by_lane[lane]
        matmul_3 = matmul_3_by_lane[lane]
        matmul_4 = matmul_4_by_lane[lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_6 = matmul_4 * matmul_3 + (matmul_1 + matmul_2)
        exp_1 = exp(sum_6)
        out[lane] = (exp_1 - y0 * sum_6) * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane, row
    cdef real y0, matmul_1, matmul_2, matmul_3, matmul_4, w, sum_6, exp_1, difference_1, u4, product_12, u0, product_13
    cdef real[LANES] matmul_1_by_lane, matmul_2_by_lane, matmul_3_by_lane, matmul_4_by_lane, difference_1_by_lane
    cdef real[LANES] product_12_by_lane, product_13_by_lane
    # matmul_1 = p0 @ u0, 1 x 1
    multiply(&matmul_1_by_lane[0], &c[19], 4, 1, &data[0], 1, 4, 1)
    # matmul_2 = p4 @ u4, 1 x 1
    multiply(&matmul_2_by_lane[0], &c[23], 5, 1, &data[4 * LANES], 1, 5, 1)
    # matmul_3 = u0 @ p9, 1 x 1
    multiply(&matmul_3_by_lane[0], &c[28], 1, 1, &data[0], 1, 4, 1)
    # matmul_4 = p13 @ u4, 1 x 1
    multiply(&matmul_4_by_lane[0], &c[32], 5, 1, &data[4 * LANES], 1, 5, 1)
    for lane in range(LANES):
        y0 = data[9 * LANES + lane]
        matmul_1 = matmul_1_by_lane[lane]
        matmul_2 = matmul_2_by_lane[lane]
        matmul_3 = matmul_3_by_lane[lane]
        matmul_4 = matmul_4_by_lane[lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_6 = matmul_4 * matmul_3 + (matmul_1 + matmul_2)
        exp_1 = exp(sum_6)
        difference_1 = exp_1 * w - y0 * w
        out[lane] = (exp_1 - y0 * sum_6) * w  # L
        difference_1_by_lane[lane] = difference_1
        product_12_by_lane[lane] = matmul_3 * difference_1
        product_13_by_lane[lane] = matmul_4 * difference_1
    for row in range(5):
        for lane in range(LANES):
            u4 = data[(4 + row) * LANES + lane]
            difference_1 = difference_1_by_lane[lane]
            product_12 = product_12_by_lane[lane]
            out[(14 + row) * LANES + lane] = product_12 * u4  # dL/dv[0, 0]
            out[(5 + row) * LANES + lane] = difference_1 * u4  # dL/db[0, 0]
    for row in range(4):
        for lane in range(LANES):
            u0 = data[row * LANES + lane]
            difference_1 = difference_1_by_lane[lane]
            product_13 = product_13_by_lane[lane]
            out[(10 + row) * LANES + lane] = u0 * product_13  # dL/du[0, 0]
            out[(1 + row) * LANES + lane] = u0 * difference_1  # dL/da[0, 0]


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane, row
    cdef real matmul_1, matmul_2, matmul_3, matmul_4
    cdef real[LANES] matmul_1_by_lane, matmul_2_by_lane, matmul_3_by_lane, matmul_4_by_lane
    # matmul_1 = p0 @ u0, 1 x 1
    multiply(&matmul_1_by_lane[0], &c[19], 4, 1, &data[0], 1, 4, 1)
    # matmul_2 = p4 @ u4, 1 x 1
    multiply(&matmul_2_by_lane[0], &c[23], 5, 1, &data[4 * LANES], 1, 5, 1)
    # matmul_3 = u0 @ p9, 1 x 1
    multiply(&matmul_3_by_lane[0], &c[28], 1, 1, &data[0], 1, 4, 1)
    # matmul_4 = p13 @ u4, 1 x 1
    multiply(&matmul_4_by_lane[0], &c[32], 5, 1, &data[4 * LANES], 1, 5, 1)
    for lane in range(LANES):
        matmul_1 = matmul_1_by_lane[lane]
        matmul_2 = matmul_2_by_lane[lane]
        matmul_3 = matmul_3_by_lane[lane]
        matmul_4 = matmul_4_by_lane[lane]
        out[lane] = matmul_4 * matmul_3 + (matmul_1 + matmul_2)


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=37, penalty=1, rows=19, summed=19, outputs=1, scalar=False, lanes=64, depth=16, batch=1, cost=15,
    key=97880896284337,
)
globals().update(_risk.functions(__name__))
