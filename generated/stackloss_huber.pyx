# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of stackloss_huber and run `symgrad generate` again.
"""stackloss_huber: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = acid_concentration*b_acid + air_flow*b_air + b0 + b_water*water_temperature
L = Piecewise(((prediction - target)**2/2, Abs(prediction - target) <= 3.282760054025966),
    (3.282760054025966*Abs(prediction - target) - 5.388256786154281, True))
dL/db_air = Piecewise((air_flow*(acid_concentration*b_acid + air_flow*b_air + b0 + b_water*water_temperature -
            target), Abs(acid_concentration*b_acid + air_flow*b_air + b0 + b_water*water_temperature - target)
            <= 3.282760054025966), (3.282760054025966*air_flow*sign(acid_concentration*b_acid + air_flow*b_air +
            b0 + b_water*water_temperature - target), True))
dL/db_water = Piecewise((water_temperature*(acid_concentration*b_acid + air_flow*b_air + b0 +
              b_water*water_temperature - target), Abs(acid_concentration*b_acid + air_flow*b_air + b0 +
              b_water*water_temperature - target) <= 3.282760054025966),
              (3.282760054025966*water_temperature*sign(acid_concentration*b_acid + air_flow*b_air + b0 +
              b_water*water_temperature - target), True))
dL/db_acid = Piecewise((acid_concentration*(acid_concentration*b_acid + air_flow*b_air + b0 +
             b_water*water_temperature - target), Abs(acid_concentration*b_acid + air_flow*b_air + b0 +
             b_water*water_temperature - target) <= 3.282760054025966),
             (3.282760054025966*acid_concentration*sign(acid_concentration*b_acid + air_flow*b_air + b0 +
             b_water*water_temperature - target), True))
dL/db0 = Piecewise((acid_concentration*b_acid + air_flow*b_air + b0 + b_water*water_temperature - target,
         Abs(acid_concentration*b_acid + air_flow*b_air + b0 + b_water*water_temperature - target) <=
         3.282760054025966), (3.282760054025966*sign(acid_concentration*b_acid + air_flow*b_air + b0 +
         b_water*water_temperature - target), True))

In the code p0 is b_air, p1 is b_water, p2 is b_acid, p3 is b0, u0 is air_flow, u1 is water_temperature, u2 is
acid_concentration, y0 is target.

For each sample 15 operations for the loss, 34 for the loss with its gradient; 0 once for a theta.
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
    real fabs "fabs"(real) noexcept nogil

PARAMETERS = (('b_air', ()), ('b_water', ()), ('b_acid', ()), ('b0', ()))
INPUTS = (('air_flow', ()), ('water_temperature', ()), ('acid_concentration', ()))
TARGETS = (('target', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 4  # of the data, after inputs and targets



cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef real p0 = <real>theta[0], p1 = <real>theta[1], p2 = <real>theta[2], p3 = <real>theta[3]
    c[0] = p0
    c[1] = p1
    c[2] = p2
    c[3] = p3


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p3 = c[3]
    cdef real u0, u1, u2, y0, w, difference_1, product_1, size_1, sum_1, choice_1
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        u2 = data[2 * LANES + lane]
        y0 = data[3 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        difference_1 = p1 * u1 + (p0 * u0 + (p3 + p2 * u2)) - y0
        product_1 = difference_1 * difference_1 * 0.5
        size_1 = fabs(difference_1)
        sum_1 = -5.388256786154281 + size_1 * 3.282760054025966
        choice_1 = product_1 if (size_1 <= 3.282760054025966) else sum_1
        out[lane] = choice_1 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p3 = c[3]
    cdef real u0, u1, u2, y0, w, difference_1, product_1, size_1, sum_1, choice_1, choice_2, choice_3, product_3
    cdef real choice_4, choice_5, choice_6, product_4, choice_7, product_5, choice_8, product_6, choice_9, sum_2
    cdef bint condition_1
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        u2 = data[2 * LANES + lane]
        y0 = data[3 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        difference_1 = p1 * u1 + (p0 * u0 + (p3 + p2 * u2)) - y0
        product_1 = difference_1 * difference_1 * 0.5
        size_1 = fabs(difference_1)
        condition_1 = (size_1 <= 3.282760054025966)
        sum_1 = -5.388256786154281 + size_1 * 3.282760054025966
        choice_1 = product_1 if condition_1 else sum_1
        choice_2 = w if condition_1 else 0.0
        choice_3 = 0.0 if condition_1 else w
        product_3 = choice_3 * 3.282760054025966
        choice_4 = 0.0 if condition_1 else product_3
        choice_5 = -1.0 if (difference_1 < 0.0) else difference_1
        choice_6 = 1.0 if (0.0 < difference_1) else choice_5
        product_4 = choice_4 * choice_6
        choice_7 = 0.0 if condition_1 else product_4
        product_5 = choice_2 * 0.5
        choice_8 = product_5 if condition_1 else 0.0
        product_6 = difference_1 * (choice_8 * 2.0)
        choice_9 = product_6 if condition_1 else 0.0
        sum_2 = choice_7 + choice_9
        out[lane] = choice_1 * w  # L
        out[4 * LANES + lane] = sum_2  # dL/db0
        out[2 * LANES + lane] = u1 * sum_2  # dL/db_water
        out[1 * LANES + lane] = u0 * sum_2  # dL/db_air
        out[3 * LANES + lane] = u2 * sum_2  # dL/db_acid


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p3 = c[3]
    cdef real u0, u1, u2
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        u2 = data[2 * LANES + lane]
        out[lane] = p1 * u1 + (p0 * u0 + (p3 + p2 * u2))


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=4, rows=5, summed=5, outputs=1, scalar=True, lanes=64, depth=16, batch=4, cost=7,
    key=229273947179391,
)
globals().update(_risk.functions(__name__))
