# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of breast_cancer_logistic and run `symgrad generate` again.
"""breast_cancer_logistic: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = b0 + b1*radius + b2*texture + b3*smoothness + b4*concave_points
L = target*softplus(-prediction) + (1 - target)*softplus(prediction)
dL/db0 = -target*sigmoid(-b0 - b1*radius - b2*texture - b3*smoothness - b4*concave_points) + (1 -
         target)*sigmoid(b0 + b1*radius + b2*texture + b3*smoothness + b4*concave_points)
dL/db1 = -radius*target*sigmoid(-b0 - b1*radius - b2*texture - b3*smoothness - b4*concave_points) + radius*(1 -
         target)*sigmoid(b0 + b1*radius + b2*texture + b3*smoothness + b4*concave_points)
dL/db2 = -target*texture*sigmoid(-b0 - b1*radius - b2*texture - b3*smoothness - b4*concave_points) + texture*(1
         - target)*sigmoid(b0 + b1*radius + b2*texture + b3*smoothness + b4*concave_points)
dL/db3 = -smoothness*target*sigmoid(-b0 - b1*radius - b2*texture - b3*smoothness - b4*concave_points) +
         smoothness*(1 - target)*sigmoid(b0 + b1*radius + b2*texture + b3*smoothness + b4*concave_points)
dL/db4 = -concave_points*target*sigmoid(-b0 - b1*radius - b2*texture - b3*smoothness - b4*concave_points) +
         concave_points*(1 - target)*sigmoid(b0 + b1*radius + b2*texture + b3*smoothness + b4*concave_points)

In the code p0 is b0, p1 is b1, p2 is b2, p3 is b3, p4 is b4, u0 is radius, u1 is texture, u2 is smoothness, u3
is concave_points, y0 is target.

For each sample 24 operations for the loss, 41 for the loss with its gradient; 0 once for a theta.
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
    VECTOR real lane_log1p(real) C_NAME("log1p");
    """
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows
    real exp "lane_exp"(real) noexcept nogil
    real fabs "fabs"(real) noexcept nogil
    real log1p "lane_log1p"(real) noexcept nogil

PARAMETERS = (('b0', ()), ('b1', ()), ('b2', ()), ('b3', ()), ('b4', ()))
INPUTS = (('radius', ()), ('texture', ()), ('smoothness', ()), ('concave_points', ()))
TARGETS = (('target', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 5  # of the data, after inputs and targets



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
    cdef real u0, u1, u2, u3, y0, w, sum_1, negative_1, choice_1, size_1, exp_1, log1p_1, choice_2
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        u2 = data[2 * LANES + lane]
        u3 = data[3 * LANES + lane]
        y0 = data[4 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_1 = p4 * u3 + (p3 * u2 + (p2 * u1 + (p0 + p1 * u0)))
        negative_1 = -sum_1
        choice_1 = negative_1 if (0.0 < negative_1) else 0.0
        size_1 = fabs(sum_1)
        exp_1 = exp(-size_1)
        log1p_1 = log1p(exp_1)
        choice_2 = sum_1 if (0.0 < sum_1) else 0.0
        out[lane] = (y0 * (choice_1 + log1p_1) + (1.0 - y0) * (log1p_1 + choice_2)) * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p3 = c[3], p4 = c[4]
    cdef real u0, u1, u2, u3, y0, w, sum_1, negative_1, choice_1, size_1, exp_1, log1p_1, difference_1, choice_2
    cdef real choice_3, quotient_1, choice_4, difference_2
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        u2 = data[2 * LANES + lane]
        u3 = data[3 * LANES + lane]
        y0 = data[4 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_1 = p4 * u3 + (p3 * u2 + (p2 * u1 + (p0 + p1 * u0)))
        negative_1 = -sum_1
        choice_1 = negative_1 if (0.0 < negative_1) else 0.0
        size_1 = fabs(sum_1)
        exp_1 = exp(-size_1)
        log1p_1 = log1p(exp_1)
        difference_1 = 1.0 - y0
        choice_2 = sum_1 if (0.0 < sum_1) else 0.0
        choice_3 = 1.0 if (0.0 <= sum_1) else exp_1
        quotient_1 = 1.0 / (exp_1 + 1.0)
        choice_4 = 1.0 if (0.0 <= negative_1) else exp_1
        difference_2 = difference_1 * w * (choice_3 * quotient_1) - y0 * w * (quotient_1 * choice_4)
        out[lane] = (y0 * (choice_1 + log1p_1) + difference_1 * (log1p_1 + choice_2)) * w  # L
        out[1 * LANES + lane] = difference_2  # dL/db0
        out[5 * LANES + lane] = u3 * difference_2  # dL/db4
        out[4 * LANES + lane] = u2 * difference_2  # dL/db3
        out[3 * LANES + lane] = u1 * difference_2  # dL/db2
        out[2 * LANES + lane] = u0 * difference_2  # dL/db1


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p3 = c[3], p4 = c[4]
    cdef real u0, u1, u2, u3
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        u2 = data[2 * LANES + lane]
        u3 = data[3 * LANES + lane]
        out[lane] = p4 * u3 + (p3 * u2 + (p2 * u1 + (p0 + p1 * u0)))


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=5, rows=6, summed=6, outputs=1, scalar=True, lanes=64, depth=16, batch=4, cost=13,
    key=60090973977077,
)
globals().update(_risk.functions(__name__))
