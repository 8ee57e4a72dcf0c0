# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of eckerle4 and run `symgrad generate` again.
"""eckerle4: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = b1*exp(-(-b3 + x)**2/(2*b2**2))/b2
L = (-y + yhat)**2
dL/db1 = 2*(b1*exp(-(-b3 + x)**2/(2*b2**2))/b2 - y)*exp(-(-b3 + x)**2/(2*b2**2))/b2
dL/db2 = (-2*b1*exp(-(-b3 + x)**2/(2*b2**2))/b2**2 + 2*b1*(-b3 + x)**2*exp(-(-b3 +
         x)**2/(2*b2**2))/b2**4)*(b1*exp(-(-b3 + x)**2/(2*b2**2))/b2 - y)
dL/db3 = -b1*(2*b3 - 2*x)*(b1*exp(-(-b3 + x)**2/(2*b2**2))/b2 - y)*exp(-(-b3 + x)**2/(2*b2**2))/b2**3

In the code p0 is b1, p1 is b2, p2 is b3, u0 is x, y0 is y.

For each sample 8 operations for the loss, 24 for the loss with its gradient; 6 once for a theta.
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
    cdef real quotient_1
    c[0] = p2
    quotient_1 = -0.5 / (p1 * p1)
    c[1] = quotient_1
    c[2] = p0 / p1
    c[3] = 1.0 / p1
    c[4] = quotient_1 * (-2.0 / p1)


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p2 = c[0], quotient_1 = c[1], quotient_2 = c[2]
    cdef real u0, y0, w, difference_1, exp_1, difference_2
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        difference_1 = u0 - p2
        exp_1 = exp(difference_1 * difference_1 * quotient_1)
        difference_2 = exp_1 * quotient_2 - y0
        out[lane] = difference_2 * difference_2 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p2 = c[0], quotient_1 = c[1], quotient_2 = c[2], quotient_3 = c[3], product_1 = c[4]
    cdef real u0, y0, w, difference_1, product_3, exp_1, difference_2, product_4, product_5, product_6, product_7
    cdef real product_8, choice_1
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        difference_1 = u0 - p2
        product_3 = difference_1 * difference_1
        exp_1 = exp(product_3 * quotient_1)
        difference_2 = exp_1 * quotient_2 - y0
        product_4 = difference_2 * (w * 2.0)
        product_5 = exp_1 * product_4 * quotient_3
        product_6 = exp_1 * (quotient_2 * product_4)
        product_7 = product_3 * product_6
        product_8 = product_7 * product_1
        choice_1 = 0.0 if (product_7 == 0.0) else product_8
        out[lane] = difference_2 * difference_2 * w  # L
        out[1 * LANES + lane] = product_5  # dL/db1
        out[3 * LANES + lane] = -(difference_1 * (quotient_1 * product_6 * 2.0))  # dL/db3
        out[2 * LANES + lane] = choice_1 - quotient_2 * product_5  # dL/db2


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p2 = c[0], quotient_1 = c[1], quotient_2 = c[2]
    cdef real u0, difference_1, exp_1
    for lane in range(LANES):
        u0 = data[lane]
        difference_1 = u0 - p2
        exp_1 = exp(difference_1 * difference_1 * quotient_1)
        out[lane] = exp_1 * quotient_2


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=5, rows=4, summed=4, outputs=1, scalar=True, lanes=64, depth=16, batch=4, cost=7,
    key=55673140073554,
)
globals().update(_risk.functions(__name__))
