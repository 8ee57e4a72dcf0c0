# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of rat42 and run `symgrad generate` again.
"""rat42: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = b1/(exp(b2 - b3*x) + 1)
L = (-y + yhat)**2
dL/db1 = 2*(b1/(exp(b2 - b3*x) + 1) - y)/(exp(b2 - b3*x) + 1)
dL/db2 = -2*b1*(b1/(exp(b2 - b3*x) + 1) - y)*exp(b2 - b3*x)/(exp(b2 - b3*x) + 1)**2
dL/db3 = 2*b1*x*(b1/(exp(b2 - b3*x) + 1) - y)*exp(b2 - b3*x)/(exp(b2 - b3*x) + 1)**2

In the code p0 is b1, p1 is b2, p2 is b3, u0 is x, y0 is y.

Computed in stable forms:
    1/(1 + exp(x)) -> sigmoid(-x)

For each sample 15 operations for the loss, 24 for the loss with its gradient; 1 once for a theta.
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
    real fabs "fabs"(real) noexcept nogil

PARAMETERS = (('b1', ()), ('b2', ()), ('b3', ()))
INPUTS = (('x', ()),)
TARGETS = (('y', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 2  # of the data, after inputs and targets



cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef real p0 = <real>theta[0], p1 = <real>theta[1], p2 = <real>theta[2]
    c[0] = p0
    c[1] = p1
    c[2] = -p2


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], negative_1 = c[2]
    cdef real u0, y0, w, sum_1, size_1, exp_1, choice_1, difference_1
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_1 = p1 + u0 * negative_1
        size_1 = fabs(sum_1)
        exp_1 = exp(-size_1)
        choice_1 = 1.0 if (0.0 <= -sum_1) else exp_1
        difference_1 = p0 * (choice_1 * (1.0 / (exp_1 + 1.0))) - y0
        out[lane] = difference_1 * difference_1 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], negative_1 = c[2]
    cdef real u0, y0, w, sum_1, size_1, exp_1, choice_1, quotient_1, product_2, difference_1, product_3, product_4
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_1 = p1 + u0 * negative_1
        size_1 = fabs(sum_1)
        exp_1 = exp(-size_1)
        choice_1 = 1.0 if (0.0 <= -sum_1) else exp_1
        quotient_1 = 1.0 / (exp_1 + 1.0)
        product_2 = choice_1 * quotient_1
        difference_1 = p0 * product_2 - y0
        product_3 = difference_1 * (w * 2.0)
        product_4 = p0 * product_3 * (quotient_1 * (exp_1 * quotient_1))
        out[lane] = difference_1 * difference_1 * w  # L
        out[1 * LANES + lane] = product_2 * product_3  # dL/db1
        out[2 * LANES + lane] = -product_4  # dL/db2
        out[3 * LANES + lane] = u0 * product_4  # dL/db3


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], negative_1 = c[2]
    cdef real u0, sum_1, size_1, exp_1, choice_1
    for lane in range(LANES):
        u0 = data[lane]
        sum_1 = p1 + u0 * negative_1
        size_1 = fabs(sum_1)
        exp_1 = exp(-size_1)
        choice_1 = 1.0 if (0.0 <= -sum_1) else exp_1
        out[lane] = p0 * (choice_1 * (1.0 / (exp_1 + 1.0)))


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=3, rows=4, summed=4, outputs=1, scalar=True, lanes=64, depth=16, batch=4, cost=7,
    key=9296089301980,
)
globals().update(_risk.functions(__name__))
