# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of mgh10 and run `symgrad generate` again.
"""mgh10: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = b1*exp(b2/(b3 + x))
L = (-y + yhat)**2
dL/db1 = 2*(b1*exp(b2/(b3 + x)) - y)*exp(b2/(b3 + x))
dL/db2 = 2*b1*(b1*exp(b2/(b3 + x)) - y)*exp(b2/(b3 + x))/(b3 + x)
dL/db3 = -2*b1*b2*(b1*exp(b2/(b3 + x)) - y)*exp(b2/(b3 + x))/(b3 + x)**2

In the code p0 is b1, p1 is b2, p2 is b3, u0 is x, y0 is y.

For each sample 7 operations for the loss, 18 for the loss with its gradient; 0 once for a theta.
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
    c[2] = p2


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2]
    cdef real u0, y0, w, exp_1, difference_1
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        exp_1 = exp(p1 / (p2 + u0))
        difference_1 = p0 * exp_1 - y0
        out[lane] = difference_1 * difference_1 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2]
    cdef real u0, y0, w, sum_1, quotient_1, exp_1, difference_1, product_2, product_3, quotient_2, negative_1, choice_1
    cdef real choice_2
    cdef bint condition_1
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_1 = p2 + u0
        quotient_1 = p1 / sum_1
        exp_1 = exp(quotient_1)
        difference_1 = p0 * exp_1 - y0
        product_2 = difference_1 * (w * 2.0)
        product_3 = exp_1 * (p0 * product_2)
        quotient_2 = product_3 / sum_1
        negative_1 = -(quotient_1 * quotient_2)
        condition_1 = (product_3 == 0.0)
        choice_1 = 0.0 if condition_1 else quotient_2
        choice_2 = 0.0 if condition_1 else negative_1
        out[lane] = difference_1 * difference_1 * w  # L
        out[1 * LANES + lane] = exp_1 * product_2  # dL/db1
        out[2 * LANES + lane] = choice_1  # dL/db2
        out[3 * LANES + lane] = choice_2  # dL/db3


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2]
    cdef real u0, exp_1
    for lane in range(LANES):
        u0 = data[lane]
        exp_1 = exp(p1 / (p2 + u0))
        out[lane] = p0 * exp_1


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=3, rows=4, summed=4, outputs=1, scalar=True, lanes=64, depth=16, batch=4, cost=6,
    key=106135249555942,
)
globals().update(_risk.functions(__name__))
