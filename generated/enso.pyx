# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of enso and run `symgrad generate` again.
"""enso: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = b1 + b2*cos(pi*x/6) + b3*sin(pi*x/6) + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4) + b8*cos(2*pi*x/b7) +
          b9*sin(2*pi*x/b7)
L = (-y + yhat)**2
dL/db1 = 2*b1 + 2*b2*cos(pi*x/6) + 2*b3*sin(pi*x/6) + 2*b5*cos(2*pi*x/b4) + 2*b6*sin(2*pi*x/b4) +
         2*b8*cos(2*pi*x/b7) + 2*b9*sin(2*pi*x/b7) - 2*y
dL/db2 = 2*(b1 + b2*cos(pi*x/6) + b3*sin(pi*x/6) + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4) + b8*cos(2*pi*x/b7) +
         b9*sin(2*pi*x/b7) - y)*cos(pi*x/6)
dL/db3 = 2*(b1 + b2*cos(pi*x/6) + b3*sin(pi*x/6) + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4) + b8*cos(2*pi*x/b7) +
         b9*sin(2*pi*x/b7) - y)*sin(pi*x/6)
dL/db4 = (4*pi*b5*x*sin(2*pi*x/b4)/b4**2 - 4*pi*b6*x*cos(2*pi*x/b4)/b4**2)*(b1 + b2*cos(pi*x/6) + b3*sin(pi*x/6)
         + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4) + b8*cos(2*pi*x/b7) + b9*sin(2*pi*x/b7) - y)
dL/db5 = 2*(b1 + b2*cos(pi*x/6) + b3*sin(pi*x/6) + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4) + b8*cos(2*pi*x/b7) +
         b9*sin(2*pi*x/b7) - y)*cos(2*pi*x/b4)
dL/db6 = 2*(b1 + b2*cos(pi*x/6) + b3*sin(pi*x/6) + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4) + b8*cos(2*pi*x/b7) +
         b9*sin(2*pi*x/b7) - y)*sin(2*pi*x/b4)
dL/db7 = (4*pi*b8*x*sin(2*pi*x/b7)/b7**2 - 4*pi*b9*x*cos(2*pi*x/b7)/b7**2)*(b1 + b2*cos(pi*x/6) + b3*sin(pi*x/6)
         + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4) + b8*cos(2*pi*x/b7) + b9*sin(2*pi*x/b7) - y)
dL/db8 = 2*(b1 + b2*cos(pi*x/6) + b3*sin(pi*x/6) + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4) + b8*cos(2*pi*x/b7) +
         b9*sin(2*pi*x/b7) - y)*cos(2*pi*x/b7)
dL/db9 = 2*(b1 + b2*cos(pi*x/6) + b3*sin(pi*x/6) + b5*cos(2*pi*x/b4) + b6*sin(2*pi*x/b4) + b8*cos(2*pi*x/b7) +
         b9*sin(2*pi*x/b7) - y)*sin(2*pi*x/b7)

In the code p0 is b1, p1 is b2, p2 is b3, p3 is b4, p4 is b5, p5 is b6, p6 is b7, p7 is b8, p8 is b9, u0 is x,
y0 is y.

For each sample 24 operations for the loss, 50 for the loss with its gradient; 4 once for a theta.
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
    VECTOR real lane_cos(real) C_NAME("cos");
    VECTOR real lane_sin(real) C_NAME("sin");
    """
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows
    real cos "lane_cos"(real) noexcept nogil
    real sin "lane_sin"(real) noexcept nogil

PARAMETERS = (
    ('b1', ()),
    ('b2', ()),
    ('b3', ()),
    ('b4', ()),
    ('b5', ()),
    ('b6', ()),
    ('b7', ()),
    ('b8', ()),
    ('b9', ()),
)
INPUTS = (('x', ()),)
TARGETS = (('y', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 2  # of the data, after inputs and targets



cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef real p0 = <real>theta[0], p1 = <real>theta[1], p2 = <real>theta[2], p3 = <real>theta[3], p4 = <real>theta[4]
    cdef real p5 = <real>theta[5], p6 = <real>theta[6], p7 = <real>theta[7], p8 = <real>theta[8]
    c[0] = p0
    c[1] = p1
    c[2] = p2
    c[3] = p4
    c[4] = p5
    c[5] = p7
    c[6] = p8
    c[7] = 6.283185307179586 / p3
    c[8] = 1.0 / p3
    c[9] = 6.283185307179586 / p6
    c[10] = 1.0 / p6


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p4 = c[3], p5 = c[4], p7 = c[5], p8 = c[6], quotient_1 = c[7]
    cdef real quotient_3 = c[9]
    cdef real u0, y0, w, product_1, cos_1, sin_1, product_2, cos_2, sin_2, product_3, cos_3, sin_3, sum_1, difference_1
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        product_1 = u0 * 0.5235987755982989
        cos_1 = cos(product_1)
        sin_1 = sin(product_1)
        product_2 = u0 * quotient_1
        cos_2 = cos(product_2)
        sin_2 = sin(product_2)
        product_3 = u0 * quotient_3
        cos_3 = cos(product_3)
        sin_3 = sin(product_3)
        sum_1 = p8 * sin_3 + (p7 * cos_3 + (p5 * sin_2 + (p4 * cos_2 + (p2 * sin_1 + (p0 + p1 * cos_1)))))
        difference_1 = sum_1 - y0
        out[lane] = difference_1 * difference_1 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p4 = c[3], p5 = c[4], p7 = c[5], p8 = c[6], quotient_1 = c[7]
    cdef real quotient_2 = c[8], quotient_3 = c[9], quotient_4 = c[10]
    cdef real u0, y0, w, product_1, cos_1, sin_1, product_2, cos_2, sin_2, product_3, cos_3, sin_3, sum_1, difference_1
    cdef real product_5, negative_1, negative_2
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        product_1 = u0 * 0.5235987755982989
        cos_1 = cos(product_1)
        sin_1 = sin(product_1)
        product_2 = u0 * quotient_1
        cos_2 = cos(product_2)
        sin_2 = sin(product_2)
        product_3 = u0 * quotient_3
        cos_3 = cos(product_3)
        sin_3 = sin(product_3)
        sum_1 = p8 * sin_3 + (p7 * cos_3 + (p5 * sin_2 + (p4 * cos_2 + (p2 * sin_1 + (p0 + p1 * cos_1)))))
        difference_1 = sum_1 - y0
        product_5 = difference_1 * (w * 2.0)
        negative_1 = -(quotient_3 * (quotient_4 * (u0 * (cos_3 * (p8 * product_5) - sin_3 * (p7 * product_5)))))
        negative_2 = -(quotient_1 * (quotient_2 * (u0 * (cos_2 * (p5 * product_5) - sin_2 * (p4 * product_5)))))
        out[lane] = difference_1 * difference_1 * w  # L
        out[1 * LANES + lane] = product_5  # dL/db1
        out[9 * LANES + lane] = sin_3 * product_5  # dL/db9
        out[8 * LANES + lane] = cos_3 * product_5  # dL/db8
        out[7 * LANES + lane] = negative_1  # dL/db7
        out[6 * LANES + lane] = sin_2 * product_5  # dL/db6
        out[5 * LANES + lane] = cos_2 * product_5  # dL/db5
        out[4 * LANES + lane] = negative_2  # dL/db4
        out[3 * LANES + lane] = sin_1 * product_5  # dL/db3
        out[2 * LANES + lane] = cos_1 * product_5  # dL/db2


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p4 = c[3], p5 = c[4], p7 = c[5], p8 = c[6], quotient_1 = c[7]
    cdef real quotient_3 = c[9]
    cdef real u0, product_1, cos_1, sin_1, product_2, cos_2, sin_2, product_3, cos_3, sin_3, sum_1
    for lane in range(LANES):
        u0 = data[lane]
        product_1 = u0 * 0.5235987755982989
        cos_1 = cos(product_1)
        sin_1 = sin(product_1)
        product_2 = u0 * quotient_1
        cos_2 = cos(product_2)
        sin_2 = sin(product_2)
        product_3 = u0 * quotient_3
        cos_3 = cos(product_3)
        sin_3 = sin(product_3)
        sum_1 = p8 * sin_3 + (p7 * cos_3 + (p5 * sin_2 + (p4 * cos_2 + (p2 * sin_1 + (p0 + p1 * cos_1)))))
        out[lane] = sum_1


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=11, rows=10, summed=10, outputs=1, scalar=True, lanes=64, depth=16, batch=4, cost=23,
    key=135145706348112,
)
globals().update(_risk.functions(__name__))
