# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of diabetes_network and run `symgrad generate` again.
"""diabetes_network: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta)

N_theta = v0 + v1*tanh(W1_bmi*bmi + W1_bp*bp + c1) + v2*tanh(W2_bmi*bmi + W2_bp*bp + c2) + v3*tanh(W3_bmi*bmi +
          W3_bp*bp + c3) + v4*tanh(W4_bmi*bmi + W4_bp*bp + c4)
L = (-y + yhat)**2/2

In the code p0 is W1_bmi, p1 is W1_bp, p2 is W2_bmi, p3 is W2_bp, p4 is W3_bmi, p5 is W3_bp, p6 is W4_bmi, p7 is
W4_bp, p8 is c1, p9 is c2, p10 is c3, p11 is c4, p12 is v1, p13 is v2, p14 is v3, p15 is v4, p16 is v0, u0 is
bmi, u1 is bp, y0 is y.

For each sample 164 operations for the loss, 197 for the loss with its gradient; 0 once for a theta.
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

PARAMETERS = (
    ('W1_bmi', ()),
    ('W1_bp', ()),
    ('W2_bmi', ()),
    ('W2_bp', ()),
    ('W3_bmi', ()),
    ('W3_bp', ()),
    ('W4_bmi', ()),
    ('W4_bp', ()),
    ('c1', ()),
    ('c2', ()),
    ('c3', ()),
    ('c4', ()),
    ('v1', ()),
    ('v2', ()),
    ('v3', ()),
    ('v4', ()),
    ('v0', ()),
)
INPUTS = (('bmi', ()), ('bp', ()))
TARGETS = (('y', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 3  # of the data, after inputs and targets



cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef real p0 = <real>theta[0], p1 = <real>theta[1], p2 = <real>theta[2], p3 = <real>theta[3], p4 = <real>theta[4]
    cdef real p5 = <real>theta[5], p6 = <real>theta[6], p7 = <real>theta[7], p8 = <real>theta[8], p9 = <real>theta[9]
    cdef real p10 = <real>theta[10], p11 = <real>theta[11], p12 = <real>theta[12], p13 = <real>theta[13]
    cdef real p14 = <real>theta[14], p15 = <real>theta[15], p16 = <real>theta[16]
    c[0] = p0
    c[1] = p1
    c[2] = p2
    c[3] = p3
    c[4] = p4
    c[5] = p5
    c[6] = p6
    c[7] = p7
    c[8] = p8
    c[9] = p9
    c[10] = p10
    c[11] = p11
    c[12] = p12
    c[13] = p13
    c[14] = p14
    c[15] = p15
    c[16] = p16


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p3 = c[3], p4 = c[4], p5 = c[5], p6 = c[6], p7 = c[7], p8 = c[8]
    cdef real p9 = c[9], p10 = c[10], p11 = c[11], p12 = c[12], p13 = c[13], p14 = c[14], p15 = c[15], p16 = c[16]
    cdef real u0, u1, y0, w, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, product_3, product_4, sum_4
    cdef real negative_1, choice_1, choice_2, sum_5, size_2, exp_2, product_5, sum_6, product_6, sum_7, product_7
    cdef real product_8, sum_8, negative_2, choice_3, choice_4, sum_9, size_3, exp_3, product_9, sum_10, product_10
    cdef real sum_11, product_11, product_12, sum_12, negative_3, choice_5, choice_6, sum_13, size_4, exp_4, product_13
    cdef real sum_14, product_14, sum_15, product_15, product_16, sum_16, negative_4, choice_7, choice_8, difference_1
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        sum_1 = p1 * u1 + (p8 + p0 * u0)
        size_1 = fabs(sum_1)
        exp_1 = exp(size_1 * -2.0)
        product_1 = sum_1 * sum_1
        sum_2 = product_1 * (product_1 * 6.50769217873237e-05 + -0.00022646125178830043) + 0.0005871241987521835
        product_2 = product_1 * (product_1 * (product_1 * sum_2 + -0.0014554257178951656) + 0.003592092138684696)
        sum_3 = product_1 * (product_1 * (product_2 + -0.008863233600962223) + 0.021869488476433937) + -0.053968253967312856
        product_3 = (1.0 - exp_1) * (1.0 / (exp_1 + 1.0))
        product_4 = product_1 * (product_1 * (product_1 * sum_3 + 0.13333333333332756) + -0.3333333333333333)
        sum_4 = sum_1 + sum_1 * product_4
        negative_1 = -product_3
        choice_1 = negative_1 if (sum_1 < 0.0) else product_3
        choice_2 = sum_4 if (size_1 < 0.45) else choice_1
        sum_5 = p3 * u1 + (p9 + p2 * u0)
        size_2 = fabs(sum_5)
        exp_2 = exp(size_2 * -2.0)
        product_5 = sum_5 * sum_5
        sum_6 = 0.0005871241987521835 + product_5 * (-0.00022646125178830043 + product_5 * 6.50769217873237e-05)
        product_6 = product_5 * (0.003592092138684696 + product_5 * (-0.0014554257178951656 + product_5 * sum_6))
        sum_7 = -0.053968253967312856 + product_5 * (0.021869488476433937 + product_5 * (-0.008863233600962223 + product_6))
        product_7 = (1.0 - exp_2) * (1.0 / (1.0 + exp_2))
        product_8 = product_5 * (-0.3333333333333333 + product_5 * (0.13333333333332756 + product_5 * sum_7))
        sum_8 = sum_5 + sum_5 * product_8
        negative_2 = -product_7
        choice_3 = negative_2 if (sum_5 < 0.0) else product_7
        choice_4 = sum_8 if (size_2 < 0.45) else choice_3
        sum_9 = p5 * u1 + (p10 + p4 * u0)
        size_3 = fabs(sum_9)
        exp_3 = exp(size_3 * -2.0)
        product_9 = sum_9 * sum_9
        sum_10 = 0.0005871241987521835 + product_9 * (-0.00022646125178830043 + product_9 * 6.50769217873237e-05)
        product_10 = product_9 * (0.003592092138684696 + product_9 * (-0.0014554257178951656 + product_9 * sum_10))
        sum_11 = -0.053968253967312856 + product_9 * (0.021869488476433937 + product_9 * (-0.008863233600962223 + product_10))
        product_11 = (1.0 - exp_3) * (1.0 / (1.0 + exp_3))
        product_12 = product_9 * (-0.3333333333333333 + product_9 * (0.13333333333332756 + product_9 * sum_11))
        sum_12 = sum_9 + sum_9 * product_12
        negative_3 = -product_11
        choice_5 = negative_3 if (sum_9 < 0.0) else product_11
        choice_6 = sum_12 if (size_3 < 0.45) else choice_5
        sum_13 = p7 * u1 + (p11 + p6 * u0)
        size_4 = fabs(sum_13)
        exp_4 = exp(size_4 * -2.0)
        product_13 = sum_13 * sum_13
        sum_14 = 0.0005871241987521835 + product_13 * (-0.00022646125178830043 + product_13 * 6.50769217873237e-05)
        product_14 = product_13 * (0.003592092138684696 + product_13 * (-0.0014554257178951656 + product_13 * sum_14))
        sum_15 = -0.053968253967312856 + product_13 * (0.021869488476433937 + product_13 * (-0.008863233600962223 + product_14))
        product_15 = (1.0 - exp_4) * (1.0 / (1.0 + exp_4))
        product_16 = product_13 * (-0.3333333333333333 + product_13 * (0.13333333333332756 + product_13 * sum_15))
        sum_16 = sum_13 + sum_13 * product_16
        negative_4 = -product_15
        choice_7 = negative_4 if (sum_13 < 0.0) else product_15
        choice_8 = sum_16 if (size_4 < 0.45) else choice_7
        difference_1 = p15 * choice_8 + (p14 * choice_6 + (p13 * choice_4 + (p16 + p12 * choice_2))) - y0
        out[lane] = difference_1 * difference_1 * 0.5 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p3 = c[3], p4 = c[4], p5 = c[5], p6 = c[6], p7 = c[7], p8 = c[8]
    cdef real p9 = c[9], p10 = c[10], p11 = c[11], p12 = c[12], p13 = c[13], p14 = c[14], p15 = c[15], p16 = c[16]
    cdef real u0, u1, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, quotient_1, product_3, product_4, sum_4
    cdef real negative_1, choice_1, choice_2, sum_5, size_2, exp_2, product_5, sum_6, product_6, sum_7, quotient_2
    cdef real product_7, product_8, sum_8, negative_2, choice_3, choice_4, sum_9, size_3, exp_3, product_9, sum_10
    cdef real product_10, sum_11, y0, product_18, product_19, product_20, w, quotient_3, product_11, product_21, sum_12
    cdef real negative_3, choice_5, choice_6, sum_13, size_4, exp_4, product_13, sum_14, product_14, sum_15, quotient_4
    cdef real product_15, product_16, sum_16, negative_4, choice_7, choice_8, difference_1, product_22, product_23
    cdef real product_24, product_25, product_26
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        sum_1 = p1 * u1 + (p8 + p0 * u0)
        size_1 = fabs(sum_1)
        exp_1 = exp(size_1 * -2.0)
        product_1 = sum_1 * sum_1
        sum_2 = product_1 * (product_1 * 6.50769217873237e-05 + -0.00022646125178830043) + 0.0005871241987521835
        product_2 = product_1 * (product_1 * (product_1 * sum_2 + -0.0014554257178951656) + 0.003592092138684696)
        sum_3 = product_1 * (product_1 * (product_2 + -0.008863233600962223) + 0.021869488476433937) + -0.053968253967312856
        quotient_1 = 1.0 / (exp_1 + 1.0)
        product_3 = (1.0 - exp_1) * quotient_1
        product_4 = product_1 * (product_1 * (product_1 * sum_3 + 0.13333333333332756) + -0.3333333333333333)
        sum_4 = sum_1 + sum_1 * product_4
        negative_1 = -product_3
        choice_1 = negative_1 if (sum_1 < 0.0) else product_3
        choice_2 = sum_4 if (size_1 < 0.45) else choice_1
        sum_5 = p3 * u1 + (p9 + p2 * u0)
        size_2 = fabs(sum_5)
        exp_2 = exp(size_2 * -2.0)
        product_5 = sum_5 * sum_5
        sum_6 = 0.0005871241987521835 + product_5 * (-0.00022646125178830043 + product_5 * 6.50769217873237e-05)
        product_6 = product_5 * (0.003592092138684696 + product_5 * (-0.0014554257178951656 + product_5 * sum_6))
        sum_7 = -0.053968253967312856 + product_5 * (0.021869488476433937 + product_5 * (-0.008863233600962223 + product_6))
        quotient_2 = 1.0 / (1.0 + exp_2)
        product_7 = (1.0 - exp_2) * quotient_2
        product_8 = product_5 * (-0.3333333333333333 + product_5 * (0.13333333333332756 + product_5 * sum_7))
        sum_8 = sum_5 + sum_5 * product_8
        negative_2 = -product_7
        choice_3 = negative_2 if (sum_5 < 0.0) else product_7
        choice_4 = sum_8 if (size_2 < 0.45) else choice_3
        sum_9 = p5 * u1 + (p10 + p4 * u0)
        size_3 = fabs(sum_9)
        exp_3 = exp(size_3 * -2.0)
        product_9 = sum_9 * sum_9
        sum_10 = 0.0005871241987521835 + product_9 * (-0.00022646125178830043 + product_9 * 6.50769217873237e-05)
        product_10 = product_9 * (0.003592092138684696 + product_9 * (-0.0014554257178951656 + product_9 * sum_10))
        sum_11 = -0.053968253967312856 + product_9 * (0.021869488476433937 + product_9 * (-0.008863233600962223 + product_10))
        out[29 * LANES + lane] = exp_1
        out[30 * LANES + lane] = quotient_1
        out[28 * LANES + lane] = choice_2
        out[23 * LANES + lane] = p12 * choice_2
        out[26 * LANES + lane] = exp_2
        out[27 * LANES + lane] = quotient_2
        out[25 * LANES + lane] = choice_4
        out[24 * LANES + lane] = p13 * choice_4
        out[22 * LANES + lane] = sum_9
        out[21 * LANES + lane] = size_3
        out[20 * LANES + lane] = exp_3
        out[19 * LANES + lane] = product_9
        out[18 * LANES + lane] = product_9 * sum_11
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        y0 = data[2 * LANES + lane]
        exp_1 = out[29 * LANES + lane]
        quotient_1 = out[30 * LANES + lane]
        choice_2 = out[28 * LANES + lane]
        product_18 = out[23 * LANES + lane]
        exp_2 = out[26 * LANES + lane]
        quotient_2 = out[27 * LANES + lane]
        choice_4 = out[25 * LANES + lane]
        product_19 = out[24 * LANES + lane]
        sum_9 = out[22 * LANES + lane]
        size_3 = out[21 * LANES + lane]
        exp_3 = out[20 * LANES + lane]
        product_9 = out[19 * LANES + lane]
        product_20 = out[18 * LANES + lane]
        w = data[WEIGHT_ROW * LANES + lane]
        quotient_3 = 1.0 / (1.0 + exp_3)
        product_11 = (1.0 - exp_3) * quotient_3
        product_21 = sum_9 * (product_9 * (-0.3333333333333333 + product_9 * (0.13333333333332756 + product_20)))
        sum_12 = sum_9 + product_21
        negative_3 = -product_11
        choice_5 = negative_3 if (sum_9 < 0.0) else product_11
        choice_6 = sum_12 if (size_3 < 0.45) else choice_5
        sum_13 = p7 * u1 + (p11 + p6 * u0)
        size_4 = fabs(sum_13)
        exp_4 = exp(size_4 * -2.0)
        product_13 = sum_13 * sum_13
        sum_14 = 0.0005871241987521835 + product_13 * (-0.00022646125178830043 + product_13 * 6.50769217873237e-05)
        product_14 = product_13 * (0.003592092138684696 + product_13 * (-0.0014554257178951656 + product_13 * sum_14))
        sum_15 = -0.053968253967312856 + product_13 * (0.021869488476433937 + product_13 * (-0.008863233600962223 + product_14))
        quotient_4 = 1.0 / (1.0 + exp_4)
        product_15 = (1.0 - exp_4) * quotient_4
        product_16 = product_13 * (-0.3333333333333333 + product_13 * (0.13333333333332756 + product_13 * sum_15))
        sum_16 = sum_13 + sum_13 * product_16
        negative_4 = -product_15
        choice_7 = negative_4 if (sum_13 < 0.0) else product_15
        choice_8 = sum_16 if (size_4 < 0.45) else choice_7
        difference_1 = p15 * choice_8 + (p14 * choice_6 + (product_19 + (p16 + product_18))) - y0
        product_22 = difference_1 * w
        product_23 = p15 * product_22 * (quotient_4 * (exp_4 * quotient_4) * 4.0)
        product_24 = p14 * product_22 * (quotient_3 * (exp_3 * quotient_3) * 4.0)
        product_25 = p13 * product_22 * (quotient_2 * (exp_2 * quotient_2) * 4.0)
        product_26 = p12 * product_22 * (quotient_1 * (exp_1 * quotient_1) * 4.0)
        out[lane] = difference_1 * difference_1 * 0.5 * w  # L
        out[17 * LANES + lane] = product_22  # dL/dv0
        out[16 * LANES + lane] = choice_8 * product_22  # dL/dv4
        out[12 * LANES + lane] = product_23  # dL/dc4
        out[8 * LANES + lane] = u1 * product_23  # dL/dW4_bp
        out[7 * LANES + lane] = u0 * product_23  # dL/dW4_bmi
        out[15 * LANES + lane] = choice_6 * product_22  # dL/dv3
        out[11 * LANES + lane] = product_24  # dL/dc3
        out[6 * LANES + lane] = u1 * product_24  # dL/dW3_bp
        out[5 * LANES + lane] = u0 * product_24  # dL/dW3_bmi
        out[14 * LANES + lane] = choice_4 * product_22  # dL/dv2
        out[10 * LANES + lane] = product_25  # dL/dc2
        out[4 * LANES + lane] = u1 * product_25  # dL/dW2_bp
        out[3 * LANES + lane] = u0 * product_25  # dL/dW2_bmi
        out[13 * LANES + lane] = choice_2 * product_22  # dL/dv1
        out[9 * LANES + lane] = product_26  # dL/dc1
        out[2 * LANES + lane] = u1 * product_26  # dL/dW1_bp
        out[1 * LANES + lane] = u0 * product_26  # dL/dW1_bmi


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane
    cdef real p0 = c[0], p1 = c[1], p2 = c[2], p3 = c[3], p4 = c[4], p5 = c[5], p6 = c[6], p7 = c[7], p8 = c[8]
    cdef real p9 = c[9], p10 = c[10], p11 = c[11], p12 = c[12], p13 = c[13], p14 = c[14], p15 = c[15], p16 = c[16]
    cdef real u0, u1, sum_1, size_1, exp_1, product_1, sum_2, product_2, sum_3, product_3, product_4, sum_4, negative_1
    cdef real choice_1, choice_2, sum_5, size_2, exp_2, product_5, sum_6, product_6, sum_7, product_7, product_8, sum_8
    cdef real negative_2, choice_3, choice_4, sum_9, size_3, exp_3, product_9, sum_10, product_10, sum_11, product_11
    cdef real product_12, sum_12, negative_3, choice_5, choice_6, sum_13, size_4, exp_4, product_13, sum_14, product_14
    cdef real sum_15, product_15, product_16, sum_16, negative_4, choice_7, choice_8
    for lane in range(LANES):
        u0 = data[lane]
        u1 = data[1 * LANES + lane]
        sum_1 = p1 * u1 + (p8 + p0 * u0)
        size_1 = fabs(sum_1)
        exp_1 = exp(size_1 * -2.0)
        product_1 = sum_1 * sum_1
        sum_2 = product_1 * (product_1 * 6.50769217873237e-05 + -0.00022646125178830043) + 0.0005871241987521835
        product_2 = product_1 * (product_1 * (product_1 * sum_2 + -0.0014554257178951656) + 0.003592092138684696)
        sum_3 = product_1 * (product_1 * (product_2 + -0.008863233600962223) + 0.021869488476433937) + -0.053968253967312856
        product_3 = (1.0 - exp_1) * (1.0 / (exp_1 + 1.0))
        product_4 = product_1 * (product_1 * (product_1 * sum_3 + 0.13333333333332756) + -0.3333333333333333)
        sum_4 = sum_1 + sum_1 * product_4
        negative_1 = -product_3
        choice_1 = negative_1 if (sum_1 < 0.0) else product_3
        choice_2 = sum_4 if (size_1 < 0.45) else choice_1
        sum_5 = p3 * u1 + (p9 + p2 * u0)
        size_2 = fabs(sum_5)
        exp_2 = exp(size_2 * -2.0)
        product_5 = sum_5 * sum_5
        sum_6 = 0.0005871241987521835 + product_5 * (-0.00022646125178830043 + product_5 * 6.50769217873237e-05)
        product_6 = product_5 * (0.003592092138684696 + product_5 * (-0.0014554257178951656 + product_5 * sum_6))
        sum_7 = -0.053968253967312856 + product_5 * (0.021869488476433937 + product_5 * (-0.008863233600962223 + product_6))
        product_7 = (1.0 - exp_2) * (1.0 / (1.0 + exp_2))
        product_8 = product_5 * (-0.3333333333333333 + product_5 * (0.13333333333332756 + product_5 * sum_7))
        sum_8 = sum_5 + sum_5 * product_8
        negative_2 = -product_7
        choice_3 = negative_2 if (sum_5 < 0.0) else product_7
        choice_4 = sum_8 if (size_2 < 0.45) else choice_3
        sum_9 = p5 * u1 + (p10 + p4 * u0)
        size_3 = fabs(sum_9)
        exp_3 = exp(size_3 * -2.0)
        product_9 = sum_9 * sum_9
        sum_10 = 0.0005871241987521835 + product_9 * (-0.00022646125178830043 + product_9 * 6.50769217873237e-05)
        product_10 = product_9 * (0.003592092138684696 + product_9 * (-0.0014554257178951656 + product_9 * sum_10))
        sum_11 = -0.053968253967312856 + product_9 * (0.021869488476433937 + product_9 * (-0.008863233600962223 + product_10))
        product_11 = (1.0 - exp_3) * (1.0 / (1.0 + exp_3))
        product_12 = product_9 * (-0.3333333333333333 + product_9 * (0.13333333333332756 + product_9 * sum_11))
        sum_12 = sum_9 + sum_9 * product_12
        negative_3 = -product_11
        choice_5 = negative_3 if (sum_9 < 0.0) else product_11
        choice_6 = sum_12 if (size_3 < 0.45) else choice_5
        sum_13 = p7 * u1 + (p11 + p6 * u0)
        size_4 = fabs(sum_13)
        exp_4 = exp(size_4 * -2.0)
        product_13 = sum_13 * sum_13
        sum_14 = 0.0005871241987521835 + product_13 * (-0.00022646125178830043 + product_13 * 6.50769217873237e-05)
        product_14 = product_13 * (0.003592092138684696 + product_13 * (-0.0014554257178951656 + product_13 * sum_14))
        sum_15 = -0.053968253967312856 + product_13 * (0.021869488476433937 + product_13 * (-0.008863233600962223 + product_14))
        product_15 = (1.0 - exp_4) * (1.0 / (1.0 + exp_4))
        product_16 = product_13 * (-0.3333333333333333 + product_13 * (0.13333333333332756 + product_13 * sum_15))
        sum_16 = sum_13 + sum_13 * product_16
        negative_4 = -product_15
        choice_7 = negative_4 if (sum_13 < 0.0) else product_15
        choice_8 = sum_16 if (size_4 < 0.45) else choice_7
        out[lane] = p15 * choice_8 + (p14 * choice_6 + (p13 * choice_4 + (p16 + p12 * choice_2)))


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=17, rows=31, summed=18, outputs=1, scalar=True, lanes=64, depth=16, batch=4, cost=45,
    key=47888111176343,
)
globals().update(_risk.functions(__name__))
