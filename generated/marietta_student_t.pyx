# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of marietta_student_t and run `symgrad generate` again.
"""marietta_student_t: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

L = log_phi/2 + (nu/2 + 1/2)*log(1 + (-alpha - beta*x + y)**2*exp(-log_phi)/nu) + log(pi*nu)/2 + loggamma(nu/2)
    - loggamma(nu/2 + 1/2)
dL/dalpha = (nu/2 + 1/2)*(2*alpha + 2*beta*x - 2*y)*exp(-log_phi)/(nu*(1 + (-alpha - beta*x +
            y)**2*exp(-log_phi)/nu))
dL/dbeta = -2*x*(nu/2 + 1/2)*(-alpha - beta*x + y)*exp(-log_phi)/(nu*(1 + (-alpha - beta*x +
           y)**2*exp(-log_phi)/nu))
dL/dlog_phi = 1/2 - (nu/2 + 1/2)*(-alpha - beta*x + y)**2*exp(-log_phi)/(nu*(1 + (-alpha - beta*x +
              y)**2*exp(-log_phi)/nu))
dL/dnu = log(1 + (-alpha - beta*x + y)**2*exp(-log_phi)/nu)/2 + polygamma(0, nu/2)/2 - polygamma(0, nu/2 +
         1/2)/2 + 1/(2*nu) - (nu/2 + 1/2)*(-alpha - beta*x + y)**2*exp(-log_phi)/(nu**2*(1 + (-alpha - beta*x +
         y)**2*exp(-log_phi)/nu))

In the code p0 is alpha, p1 is beta, p2 is log_phi, p3 is nu, u0 is x, y0 is y.

Computed in stable forms:
    log(a*exp(x) + b*exp(y)) -> m + log(a*exp(x - m) + b*exp(y - m)), m = Max(x, y)
    loggamma(x) + loggamma(y) - loggamma(x + y), loggamma(x + d) - loggamma(x) -> log_beta(x, y), log_rising(x, d)

For each sample 23 operations for the loss, 52 for the loss with its gradient; 118 once for a theta.
"""

from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.math cimport NAN, INFINITY

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
    VECTOR real lane_log1p(real) C_NAME("log1p");
    """
    ctypedef void hot  # loops over lanes are vectorised, whatever the rest of the module is compiled with
    ctypedef double real
    ctypedef real* rows
    real exp "lane_exp"(real) noexcept nogil
    real fabs "fabs"(real) noexcept nogil
    real lgamma "lgamma"(real) noexcept nogil
    real log "lane_log"(real) noexcept nogil
    real log1p "lane_log1p"(real) noexcept nogil

PARAMETERS = (('alpha', ()), ('beta', ()), ('log_phi', ()), ('nu', ()))
INPUTS = (('x', ()),)
TARGETS = (('y', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 2  # of the data, after inputs and targets

ctypedef double (*digamma_function)(double) noexcept nogil
cdef digamma_function digamma = <digamma_function>PyCapsule_GetPointer(_sweep.SERVICES["digamma"], "digamma/float64")


cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef real p0 = <real>theta[0], p1 = <real>theta[1], p2 = <real>theta[2], p3 = <real>theta[3]
    cdef real product_1, log_1, product_2, sum_1, negative_1, choice_1, choice_2, exp_1, choice_3, choice_4, quotient_1
    cdef real quotient_2, quotient_3, quotient_4, sum_2, product_3, sum_3, product_4, sum_4, product_5, sum_5, product_6
    cdef real sum_6, product_7, sum_7, sum_8, product_8, sum_9, product_9, sum_10, product_10, sum_11, product_11
    cdef real sum_12, product_12, sum_13, product_13, sum_14, sum_15, log1p_1, log_2, difference_1, lgamma_1, choice_5
    cdef real choice_6, lgamma_2, choice_7, choice_8, difference_2, choice_9, sum_16, sum_17, product_14, sum_18
    cdef real digamma_1, digamma_2, difference_3, choice_10
    cdef bint condition_1, condition_2, condition_3, condition_4
    c[0] = p0
    product_1 = p3 * 3.141592653589793
    log_1 = log(product_1)
    product_2 = p3 * 0.5
    sum_1 = 0.5 + product_2
    negative_1 = -p2
    choice_1 = p2 if (40.0 < negative_1) else negative_1
    condition_1 = (choice_1 == negative_1)
    choice_2 = 0.0 if condition_1 else negative_1
    exp_1 = exp(choice_1)
    choice_3 = 1.0 if condition_1 else exp_1
    choice_4 = exp_1 if condition_1 else 1.0
    quotient_1 = 0.5 / product_2
    quotient_2 = quotient_1 / sum_1
    quotient_3 = 1.0 / product_2
    quotient_4 = 1.0 / sum_1
    sum_2 = quotient_3 + quotient_4
    product_3 = quotient_3 * quotient_3
    sum_3 = product_3 + quotient_4 * sum_2
    product_4 = quotient_3 * product_3
    sum_4 = product_4 + quotient_4 * sum_3
    product_5 = quotient_3 * product_4
    sum_5 = product_5 + quotient_4 * sum_4
    product_6 = quotient_3 * product_5
    sum_6 = product_6 + quotient_4 * sum_5
    product_7 = quotient_3 * product_6
    sum_7 = product_7 + quotient_4 * sum_6
    sum_8 = 0.08333333333333333 + sum_3 * -0.002777777777777778 + sum_5 * 0.0007936507936507937 + sum_7 * -0.0005952380952380953
    product_8 = quotient_3 * product_7
    sum_9 = product_8 + quotient_4 * sum_7
    product_9 = quotient_3 * product_8
    sum_10 = product_9 + quotient_4 * sum_9
    product_10 = quotient_3 * product_9
    sum_11 = product_10 + quotient_4 * sum_10
    product_11 = quotient_3 * product_10
    sum_12 = product_11 + quotient_4 * sum_11
    product_12 = quotient_3 * product_11
    sum_13 = product_12 + quotient_4 * sum_12
    product_13 = quotient_3 * product_12
    sum_14 = product_13 + quotient_4 * sum_13
    sum_15 = sum_8 + sum_10 * 0.0008417508417508417 + sum_12 * -0.0019175269175269176 + sum_14 * 0.00641025641025641
    log1p_1 = log1p(quotient_1)
    log_2 = log(sum_1)
    difference_1 = (product_2 - 0.5) * log1p_1 + (log_2 - 1.0) * 0.5 - quotient_2 * sum_15
    condition_2 = ((16.0 <= product_2) & (16.0 <= sum_1))
    condition_3 = (0.0 < sum_1)
    lgamma_1 = lgamma(sum_1)
    choice_5 = INFINITY if (sum_1 == 0.0) else NAN
    choice_6 = lgamma_1 if condition_3 else choice_5
    condition_4 = (0.0 < product_2)
    lgamma_2 = lgamma(product_2)
    choice_7 = INFINITY if (product_2 == 0.0) else NAN
    choice_8 = lgamma_2 if condition_4 else choice_7
    difference_2 = choice_6 - choice_8
    choice_9 = difference_1 if condition_2 else difference_2
    sum_16 = 0.5 + sum_2 * 0.08333333333333333 + sum_4 * -0.008333333333333333 + sum_6 * 0.003968253968253968
    sum_17 = sum_16 + sum_9 * -0.004166666666666667 + sum_11 * 0.007575757575757576 + sum_13 * -0.021092796092796094
    product_14 = quotient_2 * (sum_17 + (quotient_3 * product_13 + quotient_4 * sum_14) * 0.08333333333333333)
    sum_18 = log1p_1 + product_14
    digamma_1 = digamma(sum_1)
    digamma_2 = digamma(product_2)
    difference_3 = digamma_1 - digamma_2
    choice_10 = sum_18 if condition_2 else difference_3
    c[1] = sum_1
    c[2] = -p1
    c[3] = 1.0 / p3
    c[4] = choice_2
    c[5] = choice_3
    c[6] = choice_4
    c[7] = log_1 * 0.5 + (p2 * 0.5 - choice_9)
    c[8] = 1.0 if (condition_3 & condition_4) else 0.0
    c[9] = choice_10
    c[10] = 1.0 if (0.0 <= product_1) else 0.0
    c[11] = 1.0 / product_1


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], sum_1 = c[1], negative_2 = c[2], quotient_5 = c[3], choice_2 = c[4], choice_3 = c[5]
    cdef real choice_4 = c[6], sum_19 = c[7]
    cdef real u0, y0, w, sum_20, product_15, sum_21, difference_4, product_16, log_3, size_1, sum_22, choice_11
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_20 = u0 * negative_2 + (y0 - p0)
        product_15 = sum_20 * sum_20 * quotient_5 * choice_4
        sum_21 = choice_3 + product_15
        difference_4 = sum_21 - choice_3
        product_16 = (choice_3 - (sum_21 - difference_4) + (product_15 - difference_4)) * (1.0 / sum_21)
        log_3 = log(sum_21)
        size_1 = fabs(product_16)
        sum_22 = product_16 + log_3
        choice_11 = sum_22 if (size_1 < INFINITY) else log_3
        out[lane] = (sum_1 * (choice_2 + choice_11) + sum_19) * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], sum_1 = c[1], negative_2 = c[2], quotient_5 = c[3], choice_2 = c[4], choice_3 = c[5]
    cdef real choice_4 = c[6], sum_19 = c[7], choice_10 = c[9], quotient_6 = c[11]
    cdef bint condition_5 = c[8] != 0.0, condition_6 = c[10] != 0.0
    cdef real u0, y0, w, sum_20, product_18, product_19, product_15, sum_21, difference_4, quotient_7, product_16, log_3
    cdef real size_1, sum_22, choice_11, sum_23, negative_3, choice_12, product_20, choice_13, product_21, product_22
    cdef real product_23, product_24, choice_14, sum_24
    for lane in range(LANES):
        u0 = data[lane]
        y0 = data[1 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_20 = u0 * negative_2 + (y0 - p0)
        product_18 = sum_20 * sum_20
        product_19 = product_18 * quotient_5
        product_15 = product_19 * choice_4
        sum_21 = choice_3 + product_15
        difference_4 = sum_21 - choice_3
        quotient_7 = 1.0 / sum_21
        product_16 = (choice_3 - (sum_21 - difference_4) + (product_15 - difference_4)) * quotient_7
        log_3 = log(sum_21)
        size_1 = fabs(product_16)
        sum_22 = product_16 + log_3
        choice_11 = sum_22 if (size_1 < INFINITY) else log_3
        sum_23 = choice_2 + choice_11
        negative_3 = -(w * choice_10)
        choice_12 = negative_3 if condition_5 else NAN
        product_20 = quotient_7 * (sum_1 * w)
        choice_13 = product_20 if (0.0 <= sum_21) else NAN
        product_21 = choice_4 * choice_13
        product_22 = sum_20 * (quotient_5 * product_21 * 2.0)
        product_23 = w * 0.5
        product_24 = product_23 * quotient_6
        choice_14 = product_24 if condition_6 else NAN
        sum_24 = choice_14 * 3.141592653589793 + ((choice_12 + sum_23 * w) * 0.5 - quotient_5 * (quotient_5 * (product_18 * product_21)))
        out[lane] = (sum_1 * sum_23 + sum_19) * w  # L
        out[1 * LANES + lane] = -product_22  # dL/dalpha
        out[2 * LANES + lane] = -(u0 * product_22)  # dL/dbeta
        out[4 * LANES + lane] = sum_24  # dL/dnu
        out[3 * LANES + lane] = product_23 - choice_4 * (product_19 * choice_13)  # dL/dlog_phi


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    invariants=12, rows=5, summed=5, lanes=64, depth=16, batch=4, cost=12,
    key=46699651488920,
)
globals().update(_risk.functions(__name__))
