# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of diabetes_layers and run `symgrad generate` again.
"""diabetes_layers: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta) + penalty(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta) + grad penalty(theta)

a_1 = V1*x + c1
h_1 = softplus.(a_1)
N_theta = V2*h_1 + c2
L = (prediction - target)**2/2
prediction = N_theta
penalty = Trace(V1.T*V1)/10000 + Trace(V2.T*V2)/10000 + (c1.T*c1)/10000 + (c2.T*c2)/10000
delta_2 = dL/dprediction = prediction - target
dL/dV2 = delta_2*h_1.T
dL/dc2 = delta_2
delta_1 = dL/da_1 = delta_2*(V2.T .* sigmoid.(a_1))
dL/dV1 = delta_1*x.T
dL/dc1 = delta_1
dpenalty/dV1 = V1/5000
dpenalty/dc1 = c1/5000
dpenalty/dV2 = V2/5000
dpenalty/dc2 = c2/5000
A dot makes a function or an operation elementwise; [i = j] is 1 where it holds, else 0.

In the code p0..p79 is V1 (8 x 10), p80..p87 is c1 (8 x 1), p88..p95 is V2 (1 x 8), p96 is c2 (1 x 1), u0..u9 is
x (10 x 1), y0 is target.

For each sample 245 operations for the loss, 470 for the loss with its gradient; 395 once for a theta.
Gradients of matrices are summed as products of matrices: over 64 samples in this module's arithmetic, over a tile
of 1024 in double, and from there on as pairs: within 9e-15 of the mean size of what is summed.
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
    VECTOR real lane_log1p(real) C_NAME("log1p");
    """
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows
    real exp "lane_exp"(real) noexcept nogil
    real fabs "fabs"(real) noexcept nogil
    real log1p "lane_log1p"(real) noexcept nogil

PARAMETERS = (('V1', (8, 10)), ('c1', (8, 1)), ('V2', (1, 8)), ('c2', (1, 1)))
INPUTS = (('x', (10, 1)),)
TARGETS = (('target', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 11  # of the data, after inputs and targets

ctypedef void (*copy_rows_function)(real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
cdef copy_rows_function copy_rows = <copy_rows_function>PyCapsule_GetPointer(_sweep.SERVICES["copy_rows"], "copy_rows/float64")
ctypedef void (*multiply_function)(rows, const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
cdef multiply_function multiply = <multiply_function>PyCapsule_GetPointer(_sweep.SERVICES["multiply"], "multiply/float64")


cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef Py_ssize_t row
    cdef real p96 = <real>theta[96]
    cdef real p80, p88, transpose_1, product_1, total_1, product_3, product_4, product_5, product_6, total_2, total_3
    for row in range(80):
        c[98 + row] = <real>theta[row]
    for row in range(8):
        p80 = <real>theta[80 + row]
        p88 = <real>theta[88 + row]
        c[178 + row] = p80
        c[186 + row] = p88
    c[194] = p96
    # transpose_1 = transpose of p0, 10 x 8
    copy_rows(&c[195], 8, 1, &c[98], 1, 10, 10, 8, 1)
    total_1 = 0.0
    for row in range(80):
        transpose_1 = c[195 + row]
        product_1 = transpose_1 * 0.0001
        c[275 + row] = product_1 + product_1
        total_1 += transpose_1 * transpose_1
    product_3 = total_1 * 0.0001
    product_4 = p96 * p96 * 0.0001
    c[97] = p96 * 0.0001 + p96 * 0.0001
    total_2 = 0.0
    total_3 = 0.0
    for row in range(8):
        p80 = <real>theta[80 + row]
        p88 = <real>theta[88 + row]
        product_5 = p80 * 0.0001
        product_6 = p88 * 0.0001
        c[81 + row] = product_5 + product_5
        c[89 + row] = product_6 + product_6
        total_2 += p88 * p88
        total_3 += p80 * p80
    c[0] = product_4 + (total_3 * 0.0001 + (product_3 + total_2 * 0.0001))
    # transpose_2 = transpose of sum_1, 8 x 10
    copy_rows(&c[1], 10, 1, &c[275], 1, 8, 8, 10, 1)


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane, row
    cdef real p96 = c[194]
    cdef real p80, matmul_1, sum_6, choice_1, size_1, exp_1, log1p_1, y0, matmul_2, w, difference_1
    cdef real[LANES] matmul_2_by_lane
    # matmul_1 = p0 @ u0, 8 x 1
    multiply(&out[1 * LANES], &c[98], 10, 1, &data[0], 8, 10, 1)
    for row in range(8):
        p80 = c[178 + row]
        for lane in range(LANES):
            matmul_1 = out[(1 + row) * LANES + lane]
            sum_6 = p80 + matmul_1
            choice_1 = sum_6 if (0.0 < sum_6) else 0.0
            size_1 = fabs(sum_6)
            exp_1 = exp(-size_1)
            log1p_1 = log1p(exp_1)
            out[(9 + row) * LANES + lane] = choice_1 + log1p_1
    # matmul_2 = p88 @ sum_7, 1 x 1
    multiply(&matmul_2_by_lane[0], &c[186], 8, 1, &out[9 * LANES], 1, 8, 1)
    for lane in range(LANES):
        y0 = data[10 * LANES + lane]
        matmul_2 = matmul_2_by_lane[lane]
        w = data[WEIGHT_ROW * LANES + lane]
        difference_1 = p96 + matmul_2 - y0
        out[lane] = difference_1 * difference_1 * 0.5 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane, row
    cdef real p96 = c[194]
    cdef real p80, matmul_1, sum_6, choice_1, size_1, exp_1, log1p_1, choice_2, y0, matmul_2, w, difference_1, p88
    cdef real sum_7, product_11, product_10
    cdef real[LANES] matmul_2_by_lane
    # matmul_1 = p0 @ u0, 8 x 1
    multiply(&out[18 * LANES], &c[98], 10, 1, &data[0], 8, 10, 1)
    for row in range(8):
        p80 = c[178 + row]
        for lane in range(LANES):
            matmul_1 = out[(18 + row) * LANES + lane]
            sum_6 = p80 + matmul_1
            choice_1 = sum_6 if (0.0 < sum_6) else 0.0
            size_1 = fabs(sum_6)
            exp_1 = exp(-size_1)
            log1p_1 = log1p(exp_1)
            choice_2 = 1.0 if (0.0 <= sum_6) else exp_1
            out[(26 + row) * LANES + lane] = choice_1 + log1p_1
            out[(34 + row) * LANES + lane] = choice_2 * (1.0 / (exp_1 + 1.0))
    # matmul_2 = p88 @ sum_7, 1 x 1
    multiply(&matmul_2_by_lane[0], &c[186], 8, 1, &out[26 * LANES], 1, 8, 1)
    for lane in range(LANES):
        y0 = data[10 * LANES + lane]
        matmul_2 = matmul_2_by_lane[lane]
        w = data[WEIGHT_ROW * LANES + lane]
        difference_1 = p96 + matmul_2 - y0
        out[lane] = difference_1 * difference_1 * 0.5 * w  # L
        out[17 * LANES + lane] = difference_1 * w  # dL/dc2
    for row in range(8):
        p88 = c[186 + row]
        for lane in range(LANES):
            sum_7 = out[(26 + row) * LANES + lane]
            product_11 = out[17 * LANES + lane]
            product_10 = out[(34 + row) * LANES + lane]
            out[(9 + row) * LANES + lane] = product_11 * sum_7  # dL/dV2[0, 0]
            out[(1 + row) * LANES + lane] = p88 * product_11 * product_10  # dL/dc1[0, 0]


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane, row
    cdef real p96 = c[194]
    cdef real p80, matmul_1, sum_6, choice_1, size_1, exp_1, log1p_1, matmul_2
    cdef real[LANES] matmul_2_by_lane
    # matmul_1 = p0 @ u0, 8 x 1
    multiply(&out[1 * LANES], &c[98], 10, 1, &data[0], 8, 10, 1)
    for row in range(8):
        p80 = c[178 + row]
        for lane in range(LANES):
            matmul_1 = out[(1 + row) * LANES + lane]
            sum_6 = p80 + matmul_1
            choice_1 = sum_6 if (0.0 < sum_6) else 0.0
            size_1 = fabs(sum_6)
            exp_1 = exp(-size_1)
            log1p_1 = log1p(exp_1)
            out[(9 + row) * LANES + lane] = choice_1 + log1p_1
    # matmul_2 = p88 @ sum_7, 1 x 1
    multiply(&matmul_2_by_lane[0], &c[186], 8, 1, &out[9 * LANES], 1, 8, 1)
    for lane in range(LANES):
        matmul_2 = matmul_2_by_lane[lane]
        out[lane] = p96 + matmul_2


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=355, penalty=1, rows=42, summed=18, outputs=1, scalar=False, lanes=64, depth=16, batch=1, cost=62,
    segments=((1, 80, 17),),
    outers=((0, 1, -1, 8, 1, 10),),
    key=138782290876579,
)
globals().update(_risk.functions(__name__))
