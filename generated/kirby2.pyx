# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of kirby2 and run `symgrad generate` again.
"""kirby2: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = (b1 + b2*x + b3*x**2)/(b4*x + b5*x**2 + 1)
L = (-y + yhat)**2
dL/db1 = 2*(-y + (b1 + b2*x + b3*x**2)/(b4*x + b5*x**2 + 1))/(b4*x + b5*x**2 + 1)
dL/db2 = 2*x*(-y + (b1 + b2*x + b3*x**2)/(b4*x + b5*x**2 + 1))/(b4*x + b5*x**2 + 1)
dL/db3 = 2*x**2*(-y + (b1 + b2*x + b3*x**2)/(b4*x + b5*x**2 + 1))/(b4*x + b5*x**2 + 1)
dL/db4 = -2*x*(-y + (b1 + b2*x + b3*x**2)/(b4*x + b5*x**2 + 1))*(b1 + b2*x + b3*x**2)/(b4*x + b5*x**2 + 1)**2
dL/db5 = -2*x**2*(-y + (b1 + b2*x + b3*x**2)/(b4*x + b5*x**2 + 1))*(b1 + b2*x + b3*x**2)/(b4*x + b5*x**2 + 1)**2

In the code p0 is b1, p1 is b2, p2 is b3, p3 is b4, p4 is b5, u0 is x, y0 is y.

For each sample 13 operations for the loss, 23 for the loss with its gradient; 0 once for a theta.
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
    #if defined(__GNUC__) && !defined(__clang__)
    /* no-tree-sink: a call that moves into a branch of a choice can no longer be vectorised */
    #define hot __attribute__((optimize("O3", "no-tree-sink", "no-math-errno", "no-trapping-math", "fp-contract=off"))) void
    #else
    #define hot void
    #endif
    typedef double real;
    typedef real *__restrict__ rows;
    """
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows

PARAMETERS = (('b1', ()), ('b2', ()), ('b3', ()), ('b4', ()), ('b5', ()))
INPUTS = (('x', ()),)
TARGETS = (('y', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 2  # of the data, after inputs and targets



cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef real p0 = <real>theta[0], p1 = <real>theta[1], p2 = <real>theta[2], p3 = <real>theta[3], p4 = <real>theta[4]
    c[0] = p0
    c[1] = p1
    c[2] = p2
    c[3] = p3
    c[4] = p4


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p3 = c[3], p4 = c[4]
    cdef real u0, y0, w, product_1, difference_1
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        product_1 = u0 * u0
        difference_1 = (p2 * product_1 + (p0 + p1 * u0)) / (p4 * product_1 + (1.0 + p3 * u0)) - y0
        out[lane] = difference_1 * difference_1 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p3 = c[3], p4 = c[4]
    cdef real u0, y0, w, product_1, sum_1, quotient_1, difference_1, quotient_2, product_3
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        product_1 = u0 * u0
        sum_1 = p4 * product_1 + (1.0 + p3 * u0)
        quotient_1 = (p2 * product_1 + (p0 + p1 * u0)) / sum_1
        difference_1 = quotient_1 - y0
        quotient_2 = difference_1 * (w * 2.0) / sum_1
        product_3 = quotient_1 * quotient_2
        out[lane] = difference_1 * difference_1 * w  # L
        out[1 * LANES + lane] = quotient_2  # dL/db1
        out[3 * LANES + lane] = product_1 * quotient_2  # dL/db3
        out[2 * LANES + lane] = u0 * quotient_2  # dL/db2
        out[5 * LANES + lane] = -(product_1 * product_3)  # dL/db5
        out[4 * LANES + lane] = -(u0 * product_3)  # dL/db4


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p3 = c[3], p4 = c[4]
    cdef real u0, product_1
    for lane in range(LANES):
        u0 = data[lane]
        product_1 = u0 * u0
        out[lane] = (p2 * product_1 + (p0 + p1 * u0)) / (p4 * product_1 + (1.0 + p3 * u0))


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=5, rows=6, summed=6, outputs=1, scalar=True, lanes=64, depth=16, batch=4, cost=6,
    key=59481322369618,
)
globals().update(_risk.functions(__name__))
