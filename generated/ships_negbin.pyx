# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of ships_negbin and run `symgrad generate` again.
"""ships_negbin: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

L = -y*(b0 + b_service*op_75_79 + b_year*yr_con + log_alpha) + (y + exp(-log_alpha))*log(exp(b0 +
    b_service*op_75_79 + b_year*yr_con + log_alpha) + 1) + loggamma(y + 1) - loggamma(y + exp(-log_alpha)) +
    loggamma(exp(-log_alpha))
dL/db_year = -y*yr_con + yr_con*(y + exp(-log_alpha))*exp(b0 + b_service*op_75_79 + b_year*yr_con +
             log_alpha)/(exp(b0 + b_service*op_75_79 + b_year*yr_con + log_alpha) + 1)
dL/db_service = -op_75_79*y + op_75_79*(y + exp(-log_alpha))*exp(b0 + b_service*op_75_79 + b_year*yr_con +
                log_alpha)/(exp(b0 + b_service*op_75_79 + b_year*yr_con + log_alpha) + 1)
dL/db0 = -y + (y + exp(-log_alpha))*exp(b0 + b_service*op_75_79 + b_year*yr_con + log_alpha)/(exp(b0 +
         b_service*op_75_79 + b_year*yr_con + log_alpha) + 1)
dL/dlog_alpha = -y + (y + exp(-log_alpha))*exp(b0 + b_service*op_75_79 + b_year*yr_con + log_alpha)/(exp(b0 +
                b_service*op_75_79 + b_year*yr_con + log_alpha) + 1) - exp(-log_alpha)*log(exp(b0 +
                b_service*op_75_79 + b_year*yr_con + log_alpha) + 1) + exp(-log_alpha)*polygamma(0, y +
                exp(-log_alpha)) - exp(-log_alpha)*polygamma(0, exp(-log_alpha))

In the code p0 is b_year, p1 is b_service, p2 is b0, p3 is log_alpha, u0 is yr_con, u1 is op_75_79, y0 is y.

Computed in stable forms:
    log(1 + exp(x)) -> softplus(x)
    loggamma(x) + loggamma(y) - loggamma(x + y), loggamma(x + d) - loggamma(x) -> log_beta(x, y), log_rising(x, d)

For each sample 79 operations for the loss, 119 for the loss with its gradient; 24 once for a theta.
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

PARAMETERS = (('b_year', ()), ('b_service', ()), ('b0', ()), ('log_alpha', ()))
INPUTS = (('yr_con', ()), ('op_75_79', ()))
TARGETS = (('y', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 3  # of the data, after inputs and targets

ctypedef double (*digamma_function)(double) noexcept nogil
cdef digamma_function digamma = <digamma_function>PyCapsule_GetPointer(_sweep.SERVICES["digamma"], "digamma/float64")


cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef real p0 = <real>theta[0], p1 = <real>theta[1], p2 = <real>theta[2], p3 = <real>theta[3]
    cdef real exp_1, quotient_1, product_1, product_2, product_3, product_4, product_5, product_6, product_7, product_8
    cdef real product_9, product_10, product_11, lgamma_1, choice_1, choice_2, digamma_1
    cdef bint condition_1
    c[0] = p0
    c[1] = p1
    exp_1 = exp(-p3)
    quotient_1 = 1.0 / exp_1
    product_1 = quotient_1 * quotient_1
    product_2 = quotient_1 * product_1
    product_3 = quotient_1 * product_2
    product_4 = quotient_1 * product_3
    product_5 = quotient_1 * product_4
    product_6 = quotient_1 * product_5
    product_7 = quotient_1 * product_6
    product_8 = quotient_1 * product_7
    product_9 = quotient_1 * product_8
    product_10 = quotient_1 * product_9
    product_11 = quotient_1 * product_10
    condition_1 = (0.0 < exp_1)
    lgamma_1 = lgamma(exp_1)
    choice_1 = INFINITY if (exp_1 == 0.0) else NAN
    choice_2 = lgamma_1 if condition_1 else choice_1
    digamma_1 = digamma(exp_1)
    c[2] = exp_1
    c[3] = p2 + p3
    c[4] = quotient_1
    c[5] = product_1
    c[6] = product_2
    c[7] = product_3
    c[8] = product_4
    c[9] = product_5
    c[10] = product_6
    c[11] = product_7
    c[12] = product_8
    c[13] = product_9
    c[14] = product_10
    c[15] = product_11
    c[16] = exp_1 - 0.5
    c[17] = 1.0 if (16.0 <= exp_1) else 0.0
    c[18] = 1.0 if condition_1 else 0.0
    c[19] = choice_2
    c[20] = quotient_1 * product_11
    c[21] = digamma_1


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], exp_1 = c[2], sum_1 = c[3], quotient_1 = c[4], product_1 = c[5], product_2 = c[6]
    cdef real product_3 = c[7], product_4 = c[8], product_5 = c[9], product_6 = c[10], product_7 = c[11]
    cdef real product_8 = c[12], product_9 = c[13], product_10 = c[14], product_11 = c[15], difference_1 = c[16]
    cdef real choice_2 = c[19]
    cdef bint condition_2 = c[17] != 0.0
    cdef real u0, u1, y0, w, sum_2, sum_3, choice_3, size_1, exp_2, log1p_1, sum_4, lgamma_2, choice_4, choice_5
    cdef real quotient_2, quotient_3, sum_5, sum_6, sum_7, sum_8, sum_9, sum_10, sum_11, log1p_2, log_1, difference_2
    cdef real lgamma_3, choice_6, choice_7, difference_3, choice_8
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_2 = y0 + exp_1
        sum_3 = p0 * u0 + (p1 * u1 + sum_1)
        choice_3 = sum_3 if (0.0 < sum_3) else 0.0
        size_1 = fabs(sum_3)
        exp_2 = exp(-size_1)
        log1p_1 = log1p(exp_2)
        sum_4 = y0 + 1.0
        lgamma_2 = lgamma(sum_4)
        choice_4 = INFINITY if (sum_4 == 0.0) else NAN
        choice_5 = lgamma_2 if (0.0 < sum_4) else choice_4
        quotient_2 = y0 / exp_1
        quotient_3 = 1.0 / sum_2
        sum_5 = product_1 + quotient_3 * (quotient_1 + quotient_3)
        sum_6 = product_3 + quotient_3 * (product_2 + quotient_3 * sum_5)
        sum_7 = product_5 + quotient_3 * (product_4 + quotient_3 * sum_6)
        sum_8 = 0.08333333333333333 + sum_5 * -0.002777777777777778 + sum_6 * 0.0007936507936507937 + sum_7 * -0.0005952380952380953
        sum_9 = product_7 + quotient_3 * (product_6 + quotient_3 * sum_7)
        sum_10 = product_9 + quotient_3 * (product_8 + quotient_3 * sum_9)
        sum_11 = sum_8 + sum_9 * 0.0008417508417508417 + sum_10 * -0.0019175269175269176 + (product_11 + quotient_3 * (product_10 + quotient_3 * sum_10)) * 0.00641025641025641
        log1p_2 = log1p(quotient_2)
        log_1 = log(sum_2)
        difference_2 = difference_1 * log1p_2 + y0 * (log_1 - 1.0) - quotient_2 / sum_2 * sum_11
        lgamma_3 = lgamma(sum_2)
        choice_6 = INFINITY if (sum_2 == 0.0) else NAN
        choice_7 = lgamma_3 if (0.0 < sum_2) else choice_6
        difference_3 = choice_7 - choice_2
        choice_8 = difference_2 if (condition_2 & (16.0 <= sum_2)) else difference_3
        out[lane] = (choice_5 + (sum_2 * (choice_3 + log1p_1) - choice_8 - y0 * sum_3)) * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], exp_1 = c[2], sum_1 = c[3], quotient_1 = c[4], product_1 = c[5], product_2 = c[6]
    cdef real product_3 = c[7], product_4 = c[8], product_5 = c[9], product_6 = c[10], product_7 = c[11]
    cdef real product_8 = c[12], product_9 = c[13], product_10 = c[14], product_11 = c[15], difference_1 = c[16]
    cdef real choice_2 = c[19], product_12 = c[20], digamma_1 = c[21]
    cdef bint condition_2 = c[17] != 0.0, condition_1 = c[18] != 0.0
    cdef real u0, u1, y0, w, sum_2, sum_3, choice_3, size_1, exp_2, log1p_1, sum_12, sum_4, lgamma_2, choice_4, choice_5
    cdef real quotient_2, quotient_4, quotient_3, sum_13, sum_5, sum_14, sum_6, sum_15, sum_7, sum_8, sum_16, sum_9
    cdef real sum_17, sum_10, sum_18, sum_19, sum_11, log1p_2, log_1, difference_2, lgamma_3, choice_6, choice_7
    cdef real difference_3, choice_8, sum_20, sum_21, sum_22, digamma_2, difference_4, choice_9, negative_1, choice_10
    cdef real choice_11, difference_5
    cdef bint condition_3, condition_4
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_2 = y0 + exp_1
        sum_3 = p0 * u0 + (p1 * u1 + sum_1)
        choice_3 = sum_3 if (0.0 < sum_3) else 0.0
        size_1 = fabs(sum_3)
        exp_2 = exp(-size_1)
        log1p_1 = log1p(exp_2)
        sum_12 = choice_3 + log1p_1
        sum_4 = y0 + 1.0
        lgamma_2 = lgamma(sum_4)
        choice_4 = INFINITY if (sum_4 == 0.0) else NAN
        choice_5 = lgamma_2 if (0.0 < sum_4) else choice_4
        quotient_2 = y0 / exp_1
        quotient_4 = quotient_2 / sum_2
        quotient_3 = 1.0 / sum_2
        sum_13 = quotient_1 + quotient_3
        sum_5 = product_1 + quotient_3 * sum_13
        sum_14 = product_2 + quotient_3 * sum_5
        sum_6 = product_3 + quotient_3 * sum_14
        sum_15 = product_4 + quotient_3 * sum_6
        sum_7 = product_5 + quotient_3 * sum_15
        sum_8 = 0.08333333333333333 + sum_5 * -0.002777777777777778 + sum_6 * 0.0007936507936507937 + sum_7 * -0.0005952380952380953
        sum_16 = product_6 + quotient_3 * sum_7
        sum_9 = product_7 + quotient_3 * sum_16
        sum_17 = product_8 + quotient_3 * sum_9
        sum_10 = product_9 + quotient_3 * sum_17
        sum_18 = product_10 + quotient_3 * sum_10
        sum_19 = product_11 + quotient_3 * sum_18
        sum_11 = sum_8 + sum_9 * 0.0008417508417508417 + sum_10 * -0.0019175269175269176 + sum_19 * 0.00641025641025641
        log1p_2 = log1p(quotient_2)
        log_1 = log(sum_2)
        difference_2 = difference_1 * log1p_2 + y0 * (log_1 - 1.0) - quotient_4 * sum_11
        condition_3 = (condition_2 & (16.0 <= sum_2))
        condition_4 = (0.0 < sum_2)
        lgamma_3 = lgamma(sum_2)
        choice_6 = INFINITY if (sum_2 == 0.0) else NAN
        choice_7 = lgamma_3 if condition_4 else choice_6
        difference_3 = choice_7 - choice_2
        choice_8 = difference_2 if condition_3 else difference_3
        sum_20 = 0.5 + sum_13 * 0.08333333333333333 + sum_14 * -0.008333333333333333 + sum_15 * 0.003968253968253968
        sum_21 = sum_20 + sum_16 * -0.004166666666666667 + sum_17 * 0.007575757575757576 + sum_18 * -0.021092796092796094
        sum_22 = log1p_2 + quotient_4 * (sum_21 + (product_12 + quotient_3 * sum_19) * 0.08333333333333333)
        digamma_2 = digamma(sum_2)
        difference_4 = digamma_2 - digamma_1
        choice_9 = sum_22 if condition_3 else difference_4
        negative_1 = -(w * choice_9)
        choice_10 = negative_1 if (condition_4 & condition_1) else NAN
        choice_11 = 1.0 if (0.0 <= sum_3) else exp_2
        difference_5 = sum_2 * w * (choice_11 * (1.0 / (1.0 + exp_2))) - y0 * w
        out[lane] = (choice_5 + (sum_2 * sum_12 - choice_8 - y0 * sum_3)) * w  # L
        out[3 * LANES + lane] = difference_5  # dL/db0
        out[1 * LANES + lane] = u0 * difference_5  # dL/db_year
        out[2 * LANES + lane] = u1 * difference_5  # dL/db_service
        out[4 * LANES + lane] = difference_5 - exp_1 * (choice_10 + sum_12 * w)  # dL/dlog_alpha


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    invariants=22, rows=5, summed=5, lanes=64, depth=16, batch=4, cost=147,
    key=161573041292297,
)
globals().update(_risk.functions(__name__))
