# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of ships_poisson and run `symgrad generate` again.
"""ships_poisson: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = b0 + b_service*op_75_79 + b_year*yr_con
L = -prediction*target + exp(prediction)
dL/db_year = -target*yr_con + yr_con*exp(b0 + b_service*op_75_79 + b_year*yr_con)
dL/db_service = -op_75_79*target + op_75_79*exp(b0 + b_service*op_75_79 + b_year*yr_con)
dL/db0 = -target + exp(b0 + b_service*op_75_79 + b_year*yr_con)

In the code p0 is b_year, p1 is b_service, p2 is b0, u0 is yr_con, u1 is op_75_79, y0 is target.

For each sample 8 operations for the loss, 13 for the loss with its gradient; 0 once for a theta.
"""

from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

from cpython.pycapsule cimport PyCapsule_New

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

PARAMETERS = (('b_year', ()), ('b_service', ()), ('b0', ()))
INPUTS = (('yr_con', ()), ('op_75_79', ()))
TARGETS = (('target', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 3  # of the data, after inputs and targets



cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef real p0 = <real>theta[0], p1 = <real>theta[1], p2 = <real>theta[2]
    c[0] = p0
    c[1] = p1
    c[2] = p2


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2]
    cdef real u0, u1, y0, w, sum_1, exp_1
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_1 = p0 * u0 + (p2 + p1 * u1)
        exp_1 = exp(sum_1)
        out[lane] = (exp_1 - y0 * sum_1) * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2]
    cdef real u0, u1, y0, w, sum_1, exp_1, difference_1
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_1 = p0 * u0 + (p2 + p1 * u1)
        exp_1 = exp(sum_1)
        difference_1 = exp_1 * w - y0 * w
        out[lane] = (exp_1 - y0 * sum_1) * w  # L
        out[3 * LANES + lane] = difference_1  # dL/db0
        out[1 * LANES + lane] = u0 * difference_1  # dL/db_year
        out[2 * LANES + lane] = u1 * difference_1  # dL/db_service


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2]
    cdef real u0, u1
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        out[lane] = p0 * u0 + (p2 + p1 * u1)


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=3, rows=4, summed=4, outputs=1, scalar=True, lanes=64, depth=16, batch=4, cost=6,
    key=203709482554694,
)
globals().update(_risk.functions(__name__))
