# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of nelson and run `symgrad generate` again.
"""nelson: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = b1 - b2*x1*exp(-b3*x2)
L = (yhat - log(y))**2
dL/db1 = 2*b1 - 2*b2*x1*exp(-b3*x2) - 2*log(y)
dL/db2 = -2*x1*(b1 - b2*x1*exp(-b3*x2) - log(y))*exp(-b3*x2)
dL/db3 = 2*b2*x1*x2*(b1 - b2*x1*exp(-b3*x2) - log(y))*exp(-b3*x2)

In the code p0 is b1, p1 is b2, p2 is b3, u0 is x1, u1 is x2, y0 is y.

For each sample 9 operations for the loss, 18 for the loss with its gradient; 2 once for a theta.
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
    VECTOR real lane_log(real) C_NAME("log");
    """
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows
    real exp "lane_exp"(real) noexcept nogil
    real log "lane_log"(real) noexcept nogil

PARAMETERS = (('b1', ()), ('b2', ()), ('b3', ()))
INPUTS = (('x1', ()), ('x2', ()))
TARGETS = (('y', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 3  # of the data, after inputs and targets



cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef real p0 = <real>theta[0], p1 = <real>theta[1], p2 = <real>theta[2]
    c[0] = p0
    c[1] = -p2
    c[2] = -p1


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], negative_1 = c[1], negative_2 = c[2]
    cdef real u0, u1, y0, w, exp_1, log_1, difference_1
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        exp_1 = exp(u1 * negative_1)
        log_1 = log(y0)
        difference_1 = p0 + exp_1 * (u0 * negative_2) - log_1
        out[lane] = difference_1 * difference_1 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], negative_1 = c[1], negative_2 = c[2]
    cdef real u0, u1, y0, w, exp_1, product_2, log_1, difference_1, product_3
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        exp_1 = exp(u1 * negative_1)
        product_2 = u0 * negative_2
        log_1 = log(y0)
        difference_1 = p0 + exp_1 * product_2 - log_1
        product_3 = difference_1 * (w * 2.0)
        out[lane] = difference_1 * difference_1 * w  # L
        out[1 * LANES + lane] = product_3  # dL/db1
        out[2 * LANES + lane] = -(u0 * (exp_1 * product_3))  # dL/db2
        out[3 * LANES + lane] = -(u1 * (exp_1 * (product_2 * product_3)))  # dL/db3


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], negative_1 = c[1], negative_2 = c[2]
    cdef real u0, u1, exp_1
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        exp_1 = exp(u1 * negative_1)
        out[lane] = p0 + exp_1 * (u0 * negative_2)


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=3, rows=4, summed=4, outputs=1, scalar=True, lanes=64, depth=16, batch=4, cost=8,
    key=217431659636024,
)
globals().update(_risk.functions(__name__))
