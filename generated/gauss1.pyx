# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of gauss1 and run `symgrad generate` again.
"""gauss1: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = b1*exp(-b2*x) + b3*exp(-(-b4 + x)**2/b5**2) + b6*exp(-(-b7 + x)**2/b8**2)
L = (-y + yhat)**2
dL/db1 = 2*(b1*exp(-b2*x) + b3*exp(-(-b4 + x)**2/b5**2) + b6*exp(-(-b7 + x)**2/b8**2) - y)*exp(-b2*x)
dL/db2 = -2*b1*x*(b1*exp(-b2*x) + b3*exp(-(-b4 + x)**2/b5**2) + b6*exp(-(-b7 + x)**2/b8**2) - y)*exp(-b2*x)
dL/db3 = 2*(b1*exp(-b2*x) + b3*exp(-(-b4 + x)**2/b5**2) + b6*exp(-(-b7 + x)**2/b8**2) - y)*exp(-(-b4 +
         x)**2/b5**2)
dL/db4 = -2*b3*(2*b4 - 2*x)*(b1*exp(-b2*x) + b3*exp(-(-b4 + x)**2/b5**2) + b6*exp(-(-b7 + x)**2/b8**2) -
         y)*exp(-(-b4 + x)**2/b5**2)/b5**2
dL/db5 = 4*b3*(-b4 + x)**2*(b1*exp(-b2*x) + b3*exp(-(-b4 + x)**2/b5**2) + b6*exp(-(-b7 + x)**2/b8**2) -
         y)*exp(-(-b4 + x)**2/b5**2)/b5**3
dL/db6 = 2*(b1*exp(-b2*x) + b3*exp(-(-b4 + x)**2/b5**2) + b6*exp(-(-b7 + x)**2/b8**2) - y)*exp(-(-b7 +
         x)**2/b8**2)
dL/db7 = -2*b6*(2*b7 - 2*x)*(b1*exp(-b2*x) + b3*exp(-(-b4 + x)**2/b5**2) + b6*exp(-(-b7 + x)**2/b8**2) -
         y)*exp(-(-b7 + x)**2/b8**2)/b8**2
dL/db8 = 4*b6*(-b7 + x)**2*(b1*exp(-b2*x) + b3*exp(-(-b4 + x)**2/b5**2) + b6*exp(-(-b7 + x)**2/b8**2) -
         y)*exp(-(-b7 + x)**2/b8**2)/b8**3

In the code p0 is b1, p1 is b2, p2 is b3, p3 is b4, p4 is b5, p5 is b6, p6 is b7, p7 is b8, u0 is x, y0 is y.

For each sample 18 operations for the loss, 47 for the loss with its gradient; 9 once for a theta.
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

PARAMETERS = (('b1', ()), ('b2', ()), ('b3', ()), ('b4', ()), ('b5', ()), ('b6', ()), ('b7', ()), ('b8', ()))
INPUTS = (('x', ()),)
TARGETS = (('y', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 2  # of the data, after inputs and targets



cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef real p0 = <real>theta[0], p1 = <real>theta[1], p2 = <real>theta[2], p3 = <real>theta[3], p4 = <real>theta[4]
    cdef real p5 = <real>theta[5], p6 = <real>theta[6], p7 = <real>theta[7]
    cdef real quotient_1, quotient_2
    c[0] = p0
    c[1] = p2
    c[2] = p3
    c[3] = p5
    c[4] = p6
    quotient_1 = -1.0 / (p4 * p4)
    quotient_2 = -1.0 / (p7 * p7)
    c[5] = -p1
    c[6] = quotient_1
    c[7] = quotient_2
    c[8] = quotient_2 * (-2.0 / p7)
    c[9] = quotient_1 * (-2.0 / p4)


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p2 = c[1], p3 = c[2], p5 = c[3], p6 = c[4], negative_1 = c[5], quotient_1 = c[6]
    cdef real quotient_2 = c[7]
    cdef real u0, y0, w, exp_1, difference_1, exp_2, difference_2, exp_3, difference_3
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        exp_1 = exp(u0 * negative_1)
        difference_1 = u0 - p3
        exp_2 = exp(difference_1 * difference_1 * quotient_1)
        difference_2 = u0 - p6
        exp_3 = exp(difference_2 * difference_2 * quotient_2)
        difference_3 = p5 * exp_3 + (p0 * exp_1 + p2 * exp_2) - y0
        out[lane] = difference_3 * difference_3 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p2 = c[1], p3 = c[2], p5 = c[3], p6 = c[4], negative_1 = c[5], quotient_1 = c[6]
    cdef real quotient_2 = c[7], product_1 = c[8], product_2 = c[9]
    cdef real u0, y0, w, exp_1, difference_1, product_4, exp_2, difference_2, product_5, exp_3, difference_3, product_6
    cdef real product_7, product_8, product_9, choice_1, product_10, product_11, product_12, choice_2
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        exp_1 = exp(u0 * negative_1)
        difference_1 = u0 - p3
        product_4 = difference_1 * difference_1
        exp_2 = exp(product_4 * quotient_1)
        difference_2 = u0 - p6
        product_5 = difference_2 * difference_2
        exp_3 = exp(product_5 * quotient_2)
        difference_3 = p5 * exp_3 + (p0 * exp_1 + p2 * exp_2) - y0
        product_6 = difference_3 * (w * 2.0)
        product_7 = exp_3 * (p5 * product_6)
        product_8 = product_5 * product_7
        product_9 = product_8 * product_1
        choice_1 = 0.0 if (product_8 == 0.0) else product_9
        product_10 = exp_2 * (p2 * product_6)
        product_11 = product_4 * product_10
        product_12 = product_11 * product_2
        choice_2 = 0.0 if (product_11 == 0.0) else product_12
        out[lane] = difference_3 * difference_3 * w  # L
        out[6 * LANES + lane] = exp_3 * product_6  # dL/db6
        out[8 * LANES + lane] = choice_1  # dL/db8
        out[7 * LANES + lane] = -(difference_2 * (quotient_2 * product_7 * 2.0))  # dL/db7
        out[3 * LANES + lane] = exp_2 * product_6  # dL/db3
        out[5 * LANES + lane] = choice_2  # dL/db5
        out[4 * LANES + lane] = -(difference_1 * (quotient_1 * product_10 * 2.0))  # dL/db4
        out[1 * LANES + lane] = exp_1 * product_6  # dL/db1
        out[2 * LANES + lane] = -(u0 * (exp_1 * (p0 * product_6)))  # dL/db2


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p2 = c[1], p3 = c[2], p5 = c[3], p6 = c[4], negative_1 = c[5], quotient_1 = c[6]
    cdef real quotient_2 = c[7]
    cdef real u0, exp_1, difference_1, exp_2, difference_2, exp_3
    for lane in range(LANES):
        u0 = data[lane]
        exp_1 = exp(u0 * negative_1)
        difference_1 = u0 - p3
        exp_2 = exp(difference_1 * difference_1 * quotient_1)
        difference_2 = u0 - p6
        exp_3 = exp(difference_2 * difference_2 * quotient_2)
        out[lane] = p5 * exp_3 + (p0 * exp_1 + p2 * exp_2)


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=10, rows=9, summed=9, outputs=1, scalar=True, lanes=64, depth=16, batch=4, cost=17,
    key=237219629969197,
)
globals().update(_risk.functions(__name__))
