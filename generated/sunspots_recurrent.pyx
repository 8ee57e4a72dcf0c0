# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True, cpow=True
# cython: infer_types=False, auto_pickle=False
# distutils: libraries = m
# Written by symgrad. To change it, change the declaration of sunspots_recurrent and run `symgrad generate` again.
"""sunspots_recurrent: an empirical risk and its gradient.

R(theta)      = 1/N * sum_i L_i(theta) + penalty(theta)
grad R(theta) = 1/N * sum_i grad L_i(theta) + grad penalty(theta)

a_1 = x1*U + b
h_1 = tanh.(a_1)
a_2 = W*h_1 + x2*U + b
h_2 = tanh.(a_2)
a_3 = W*h_2 + x3*U + b
h_3 = tanh.(a_3)
N_theta = V*h_3 + c
L = (prediction - target)**2/2
prediction = N_theta
penalty = (U.T*U)/20000 + Trace(V.T*V)/20000 + Trace(W.T*W)/20000 + (b.T*b)/20000 + (c.T*c)/20000
delta_4 = dL/dprediction = prediction - target
dL/dV = delta_4*h_3.T
dL/dc = delta_4
delta_3 = dL/da_3 = delta_4*(V.T .* tanh'.(a_3))
delta_2 = dL/da_2 = (W.T*delta_3) .* tanh'.(a_2)
dL/dW = delta_3*h_2.T + delta_2*h_1.T
delta_1 = dL/da_1 = (W.T*delta_2) .* tanh'.(a_1)
dL/dU = x3*delta_3 + x2*delta_2 + x1*delta_1
dL/db = delta_3 + delta_2 + delta_1
dpenalty/dU = U/10000
dpenalty/dW = W/10000
dpenalty/db = b/10000
dpenalty/dV = V/10000
dpenalty/dc = c/10000
tanh'(x) = 1 - tanh(x)**2
A dot makes a function or an operation elementwise; [i = j] is 1 where it holds, else 0.

In the code p0..p3 is U (4 x 1), p4..p19 is W (4 x 4), p20..p23 is b (4 x 1), p24..p27 is V (1 x 4), p28 is c (1
x 1), u0 is x1, u1 is x2, u2 is x3, y0 is target.

For each sample 517 operations for the loss, 730 for the loss with its gradient; 125 once for a theta.
Gradients of matrices are summed as products of matrices: over 64 samples in this module's arithmetic, over a tile
of 1024 in double, and from there on as pairs: within 9e-15 of the mean size of what is summed.
"""

from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location

from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New

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

PARAMETERS = (('U', (4, 1)), ('W', (4, 4)), ('b', (4, 1)), ('V', (1, 4)), ('c', (1, 1)))
INPUTS = (('x1', ()), ('x2', ()), ('x3', ()))
TARGETS = (('target', ()),)

cdef enum:
    LANES = 64  # samples side by side in a call of a lane function
    WEIGHT_ROW = 4  # of the data, after inputs and targets

ctypedef void (*copy_rows_function)(real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
cdef copy_rows_function copy_rows = <copy_rows_function>PyCapsule_GetPointer(_sweep.SERVICES["copy_rows"], "copy_rows/float64")
ctypedef void (*multiply_function)(rows, const real*, Py_ssize_t, Py_ssize_t, const real*, Py_ssize_t, Py_ssize_t, Py_ssize_t) noexcept nogil
cdef multiply_function multiply = <multiply_function>PyCapsule_GetPointer(_sweep.SERVICES["multiply"], "multiply/float64")


cdef hot once(const double* theta, real* c) noexcept nogil:
    """Compute what no sample changes, once for a theta."""
    cdef Py_ssize_t row
    cdef real p28 = <real>theta[28]
    cdef real p0, p20, p24, product_1, product_2, product_3, total_1, total_2, total_3, product_7, product_8, sum_4
    cdef real transpose_1, product_9, total_4
    for row in range(4):
        p0 = <real>theta[row]
        p20 = <real>theta[20 + row]
        p24 = <real>theta[24 + row]
        c[30 + row] = p0
        c[50 + row] = p20
        c[54 + row] = p24
    for row in range(16):
        c[34 + row] = <real>theta[4 + row]
    c[58] = p28
    total_1 = 0.0
    total_2 = 0.0
    total_3 = 0.0
    for row in range(4):
        p0 = <real>theta[row]
        p20 = <real>theta[20 + row]
        p24 = <real>theta[24 + row]
        product_1 = p20 * 5e-05
        product_2 = p24 * 5e-05
        product_3 = p0 * 5e-05
        c[21 + row] = product_1 + product_1
        c[25 + row] = product_2 + product_2
        c[1 + row] = product_3 + product_3
        total_1 += p0 * p0
        total_2 += p24 * p24
        total_3 += p20 * p20
    product_7 = total_3 * 5e-05
    product_8 = p28 * p28 * 5e-05
    sum_4 = total_1 * 5e-05 + total_2 * 5e-05
    c[29] = p28 * 5e-05 + p28 * 5e-05
    # transpose_1 = transpose of p4, 4 x 4
    copy_rows(&c[59], 4, 1, &c[34], 1, 4, 4, 4, 1)
    total_4 = 0.0
    for row in range(16):
        transpose_1 = c[59 + row]
        product_9 = transpose_1 * 5e-05
        c[75 + row] = product_9 + product_9
        total_4 += transpose_1 * transpose_1
    c[0] = product_8 + (product_7 + (total_4 * 5e-05 + sum_4))
    # transpose_2 = transpose of sum_6, 4 x 4
    copy_rows(&c[5], 4, 1, &c[75], 1, 4, 4, 4, 1)


cdef hot losses(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss, times its weight."""
    cdef Py_ssize_t lane, row
    cdef real p28 = c[58]
    cdef real p0, p20, u0, u1, u2, sum_8, size_1, exp_1, product_11, sum_9, product_12, sum_10, product_13, product_14
    cdef real sum_11, negative_1, choice_1, choice_2, matmul_1, sum_12, sum_14, size_2, exp_2, product_15, sum_15
    cdef real product_16, sum_16, product_17, product_18, sum_17, negative_2, choice_3, choice_4, matmul_2, sum_13
    cdef real sum_18, size_3, exp_3, product_19, sum_19, product_20, sum_20, product_21, product_22, sum_21, negative_3
    cdef real choice_5, choice_6, y0, matmul_3, w, difference_1
    cdef real[LANES] matmul_3_by_lane
    for row in range(4):
        p0 = c[30 + row]
        p20 = c[50 + row]
        for lane in range(LANES):
            u0 = data[lane]
            u1 = data[1 * LANES + lane]
            u2 = data[2 * LANES + lane]
            sum_8 = p20 + p0 * u0
            size_1 = fabs(sum_8)
            exp_1 = exp(size_1 * -2.0)
            product_11 = sum_8 * sum_8
            sum_9 = product_11 * (product_11 * 6.50769217873237e-05 + -0.00022646125178830043) + 0.0005871241987521835
            product_12 = product_11 * (product_11 * (product_11 * sum_9 + -0.0014554257178951656) + 0.003592092138684696)
            sum_10 = product_11 * (product_11 * (product_12 + -0.008863233600962223) + 0.021869488476433937) + -0.053968253967312856
            product_13 = (1.0 - exp_1) * (1.0 / (exp_1 + 1.0))
            product_14 = product_11 * (product_11 * (product_11 * sum_10 + 0.13333333333332756) + -0.3333333333333333)
            sum_11 = sum_8 + sum_8 * product_14
            negative_1 = -product_13
            choice_1 = negative_1 if (sum_8 < 0.0) else product_13
            choice_2 = sum_11 if (size_1 < 0.45) else choice_1
            out[(1 + row) * LANES + lane] = choice_2
            out[(5 + row) * LANES + lane] = p20 + p0 * u1
            out[(9 + row) * LANES + lane] = p20 + p0 * u2
    # matmul_1 = p4 @ choice_2, 4 x 1
    multiply(&out[13 * LANES], &c[34], 4, 1, &out[1 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_1 = out[(13 + row) * LANES + lane]
            sum_12 = out[(5 + row) * LANES + lane]
            sum_14 = matmul_1 + sum_12
            size_2 = fabs(sum_14)
            exp_2 = exp(size_2 * -2.0)
            product_15 = sum_14 * sum_14
            sum_15 = 0.0005871241987521835 + product_15 * (-0.00022646125178830043 + product_15 * 6.50769217873237e-05)
            product_16 = product_15 * (0.003592092138684696 + product_15 * (-0.0014554257178951656 + product_15 * sum_15))
            sum_16 = -0.053968253967312856 + product_15 * (0.021869488476433937 + product_15 * (-0.008863233600962223 + product_16))
            product_17 = (1.0 - exp_2) * (1.0 / (1.0 + exp_2))
            product_18 = product_15 * (-0.3333333333333333 + product_15 * (0.13333333333332756 + product_15 * sum_16))
            sum_17 = sum_14 + sum_14 * product_18
            negative_2 = -product_17
            choice_3 = negative_2 if (sum_14 < 0.0) else product_17
            choice_4 = sum_17 if (size_2 < 0.45) else choice_3
            out[(1 + row) * LANES + lane] = choice_4
    # matmul_2 = p4 @ choice_4, 4 x 1
    multiply(&out[5 * LANES], &c[34], 4, 1, &out[1 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_2 = out[(5 + row) * LANES + lane]
            sum_13 = out[(9 + row) * LANES + lane]
            sum_18 = matmul_2 + sum_13
            size_3 = fabs(sum_18)
            exp_3 = exp(size_3 * -2.0)
            product_19 = sum_18 * sum_18
            sum_19 = 0.0005871241987521835 + product_19 * (-0.00022646125178830043 + product_19 * 6.50769217873237e-05)
            product_20 = product_19 * (0.003592092138684696 + product_19 * (-0.0014554257178951656 + product_19 * sum_19))
            sum_20 = -0.053968253967312856 + product_19 * (0.021869488476433937 + product_19 * (-0.008863233600962223 + product_20))
            product_21 = (1.0 - exp_3) * (1.0 / (1.0 + exp_3))
            product_22 = product_19 * (-0.3333333333333333 + product_19 * (0.13333333333332756 + product_19 * sum_20))
            sum_21 = sum_18 + sum_18 * product_22
            negative_3 = -product_21
            choice_5 = negative_3 if (sum_18 < 0.0) else product_21
            choice_6 = sum_21 if (size_3 < 0.45) else choice_5
            out[(1 + row) * LANES + lane] = choice_6
    # matmul_3 = p24 @ choice_6, 1 x 1
    multiply(&matmul_3_by_lane[0], &c[54], 4, 1, &out[1 * LANES], 1, 4, 1)
    for lane in range(LANES):
        y0 = data[3 * LANES + lane]
        matmul_3 = matmul_3_by_lane[lane]
        w = data[WEIGHT_ROW * LANES + lane]
        difference_1 = p28 + matmul_3 - y0
        out[lane] = difference_1 * difference_1 * 0.5 * w


cdef hot gradients(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's loss and its derivatives, times its weight: backwards through the loss."""
    cdef Py_ssize_t lane, row
    cdef real p28 = c[58]
    cdef real p0, p20, u0, u1, u2, sum_8, size_1, exp_1, product_11, sum_9, product_12, sum_10, quotient_1, product_13
    cdef real product_14, sum_11, negative_1, choice_1, choice_2, matmul_1, sum_12, sum_14, size_2, exp_2, product_15
    cdef real sum_15, product_16, sum_16, quotient_2, product_17, product_18, sum_17, negative_2, choice_3, choice_4
    cdef real matmul_2, sum_13, sum_18, size_3, exp_3, product_19, sum_19, product_20, sum_20, quotient_3, product_21
    cdef real product_22, sum_21, negative_3, choice_5, choice_6, y0, matmul_3, w, difference_1, p24, product_27
    cdef real product_26, product_28, matmul_4, product_25, product_31, matmul_5, product_24, product_32, product_30
    cdef real sum_22, product_33
    cdef real[LANES] matmul_3_by_lane
    for row in range(4):
        p0 = c[30 + row]
        p20 = c[50 + row]
        for lane in range(LANES):
            u0 = data[lane]
            u1 = data[1 * LANES + lane]
            u2 = data[2 * LANES + lane]
            sum_8 = p20 + p0 * u0
            size_1 = fabs(sum_8)
            exp_1 = exp(size_1 * -2.0)
            product_11 = sum_8 * sum_8
            sum_9 = product_11 * (product_11 * 6.50769217873237e-05 + -0.00022646125178830043) + 0.0005871241987521835
            product_12 = product_11 * (product_11 * (product_11 * sum_9 + -0.0014554257178951656) + 0.003592092138684696)
            sum_10 = product_11 * (product_11 * (product_12 + -0.008863233600962223) + 0.021869488476433937) + -0.053968253967312856
            quotient_1 = 1.0 / (exp_1 + 1.0)
            product_13 = (1.0 - exp_1) * quotient_1
            product_14 = product_11 * (product_11 * (product_11 * sum_10 + 0.13333333333332756) + -0.3333333333333333)
            sum_11 = sum_8 + sum_8 * product_14
            negative_1 = -product_13
            choice_1 = negative_1 if (sum_8 < 0.0) else product_13
            choice_2 = sum_11 if (size_1 < 0.45) else choice_1
            out[(14 + row) * LANES + lane] = choice_2
            out[(18 + row) * LANES + lane] = p20 + p0 * u1
            out[(22 + row) * LANES + lane] = p20 + p0 * u2
            out[(26 + row) * LANES + lane] = quotient_1 * (exp_1 * quotient_1) * 4.0
    # matmul_1 = p4 @ choice_2, 4 x 1
    multiply(&out[30 * LANES], &c[34], 4, 1, &out[14 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_1 = out[(30 + row) * LANES + lane]
            sum_12 = out[(18 + row) * LANES + lane]
            sum_14 = matmul_1 + sum_12
            size_2 = fabs(sum_14)
            exp_2 = exp(size_2 * -2.0)
            product_15 = sum_14 * sum_14
            sum_15 = 0.0005871241987521835 + product_15 * (-0.00022646125178830043 + product_15 * 6.50769217873237e-05)
            product_16 = product_15 * (0.003592092138684696 + product_15 * (-0.0014554257178951656 + product_15 * sum_15))
            sum_16 = -0.053968253967312856 + product_15 * (0.021869488476433937 + product_15 * (-0.008863233600962223 + product_16))
            quotient_2 = 1.0 / (1.0 + exp_2)
            product_17 = (1.0 - exp_2) * quotient_2
            product_18 = product_15 * (-0.3333333333333333 + product_15 * (0.13333333333332756 + product_15 * sum_16))
            sum_17 = sum_14 + sum_14 * product_18
            negative_2 = -product_17
            choice_3 = negative_2 if (sum_14 < 0.0) else product_17
            choice_4 = sum_17 if (size_2 < 0.45) else choice_3
            out[(34 + row) * LANES + lane] = choice_4
            out[(38 + row) * LANES + lane] = quotient_2 * (exp_2 * quotient_2) * 4.0
    # matmul_2 = p4 @ choice_4, 4 x 1
    multiply(&out[18 * LANES], &c[34], 4, 1, &out[34 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_2 = out[(18 + row) * LANES + lane]
            sum_13 = out[(22 + row) * LANES + lane]
            sum_18 = matmul_2 + sum_13
            size_3 = fabs(sum_18)
            exp_3 = exp(size_3 * -2.0)
            product_19 = sum_18 * sum_18
            sum_19 = 0.0005871241987521835 + product_19 * (-0.00022646125178830043 + product_19 * 6.50769217873237e-05)
            product_20 = product_19 * (0.003592092138684696 + product_19 * (-0.0014554257178951656 + product_19 * sum_19))
            sum_20 = -0.053968253967312856 + product_19 * (0.021869488476433937 + product_19 * (-0.008863233600962223 + product_20))
            quotient_3 = 1.0 / (1.0 + exp_3)
            product_21 = (1.0 - exp_3) * quotient_3
            product_22 = product_19 * (-0.3333333333333333 + product_19 * (0.13333333333332756 + product_19 * sum_20))
            sum_21 = sum_18 + sum_18 * product_22
            negative_3 = -product_21
            choice_5 = negative_3 if (sum_18 < 0.0) else product_21
            choice_6 = sum_21 if (size_3 < 0.45) else choice_5
            out[(30 + row) * LANES + lane] = choice_6
            out[(42 + row) * LANES + lane] = quotient_3 * (exp_3 * quotient_3) * 4.0
    # matmul_3 = p24 @ choice_6, 1 x 1
    multiply(&matmul_3_by_lane[0], &c[54], 4, 1, &out[30 * LANES], 1, 4, 1)
    for lane in range(LANES):
        y0 = data[3 * LANES + lane]
        matmul_3 = matmul_3_by_lane[lane]
        w = data[WEIGHT_ROW * LANES + lane]
        difference_1 = p28 + matmul_3 - y0
        out[lane] = difference_1 * difference_1 * 0.5 * w  # L
        out[13 * LANES + lane] = difference_1 * w  # dL/dc
    for row in range(4):
        p24 = c[54 + row]
        for lane in range(LANES):
            u2 = data[2 * LANES + lane]
            choice_6 = out[(30 + row) * LANES + lane]
            product_27 = out[13 * LANES + lane]
            product_26 = out[(42 + row) * LANES + lane]
            product_28 = p24 * product_27 * product_26
            out[(9 + row) * LANES + lane] = product_27 * choice_6  # dL/dV[0, 0]
            out[(18 + row) * LANES + lane] = product_28
            out[(22 + row) * LANES + lane] = u2 * product_28
    # matmul_4 = p4.T @ product_28, 4 x 1
    multiply(&out[30 * LANES], &c[34], 1, 4, &out[18 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            u1 = data[1 * LANES + lane]
            product_28 = out[(18 + row) * LANES + lane]
            matmul_4 = out[(30 + row) * LANES + lane]
            product_25 = out[(38 + row) * LANES + lane]
            product_31 = matmul_4 * product_25
            out[(42 + row) * LANES + lane] = product_31
            out[(50 + row) * LANES + lane] = u1 * product_31
            out[(46 + row) * LANES + lane] = product_28 + product_31
    # matmul_5 = p4.T @ product_31, 4 x 1
    multiply(&out[30 * LANES], &c[34], 1, 4, &out[42 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            u0 = data[lane]
            matmul_5 = out[(30 + row) * LANES + lane]
            product_24 = out[(26 + row) * LANES + lane]
            product_32 = out[(50 + row) * LANES + lane]
            product_30 = out[(22 + row) * LANES + lane]
            sum_22 = out[(46 + row) * LANES + lane]
            product_33 = matmul_5 * product_24
            out[(5 + row) * LANES + lane] = product_33 + sum_22  # dL/db[0, 0]
            out[(1 + row) * LANES + lane] = product_30 + (u0 * product_33 + product_32)  # dL/dU[0, 0]


cdef hot predictions(const real* c, const real* data, rows out) noexcept nogil:
    """Fill in each lane's outputs of the model."""
    cdef Py_ssize_t lane, row
    cdef real p28 = c[58]
    cdef real p0, p20, u0, u1, u2, sum_8, size_1, exp_1, product_11, sum_9, product_12, sum_10, product_13, product_14
    cdef real sum_11, negative_1, choice_1, choice_2, matmul_1, sum_12, sum_14, size_2, exp_2, product_15, sum_15
    cdef real product_16, sum_16, product_17, product_18, sum_17, negative_2, choice_3, choice_4, matmul_2, sum_13
    cdef real sum_18, size_3, exp_3, product_19, sum_19, product_20, sum_20, product_21, product_22, sum_21, negative_3
    cdef real choice_5, choice_6, matmul_3
    cdef real[LANES] matmul_3_by_lane
    for row in range(4):
        p0 = c[30 + row]
        p20 = c[50 + row]
        for lane in range(LANES):
            u0 = data[lane]
            u1 = data[1 * LANES + lane]
            u2 = data[2 * LANES + lane]
            sum_8 = p20 + p0 * u0
            size_1 = fabs(sum_8)
            exp_1 = exp(size_1 * -2.0)
            product_11 = sum_8 * sum_8
            sum_9 = product_11 * (product_11 * 6.50769217873237e-05 + -0.00022646125178830043) + 0.0005871241987521835
            product_12 = product_11 * (product_11 * (product_11 * sum_9 + -0.0014554257178951656) + 0.003592092138684696)
            sum_10 = product_11 * (product_11 * (product_12 + -0.008863233600962223) + 0.021869488476433937) + -0.053968253967312856
            product_13 = (1.0 - exp_1) * (1.0 / (exp_1 + 1.0))
            product_14 = product_11 * (product_11 * (product_11 * sum_10 + 0.13333333333332756) + -0.3333333333333333)
            sum_11 = sum_8 + sum_8 * product_14
            negative_1 = -product_13
            choice_1 = negative_1 if (sum_8 < 0.0) else product_13
            choice_2 = sum_11 if (size_1 < 0.45) else choice_1
            out[(1 + row) * LANES + lane] = choice_2
            out[(5 + row) * LANES + lane] = p20 + p0 * u1
            out[(9 + row) * LANES + lane] = p20 + p0 * u2
    # matmul_1 = p4 @ choice_2, 4 x 1
    multiply(&out[13 * LANES], &c[34], 4, 1, &out[1 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_1 = out[(13 + row) * LANES + lane]
            sum_12 = out[(5 + row) * LANES + lane]
            sum_14 = matmul_1 + sum_12
            size_2 = fabs(sum_14)
            exp_2 = exp(size_2 * -2.0)
            product_15 = sum_14 * sum_14
            sum_15 = 0.0005871241987521835 + product_15 * (-0.00022646125178830043 + product_15 * 6.50769217873237e-05)
            product_16 = product_15 * (0.003592092138684696 + product_15 * (-0.0014554257178951656 + product_15 * sum_15))
            sum_16 = -0.053968253967312856 + product_15 * (0.021869488476433937 + product_15 * (-0.008863233600962223 + product_16))
            product_17 = (1.0 - exp_2) * (1.0 / (1.0 + exp_2))
            product_18 = product_15 * (-0.3333333333333333 + product_15 * (0.13333333333332756 + product_15 * sum_16))
            sum_17 = sum_14 + sum_14 * product_18
            negative_2 = -product_17
            choice_3 = negative_2 if (sum_14 < 0.0) else product_17
            choice_4 = sum_17 if (size_2 < 0.45) else choice_3
            out[(1 + row) * LANES + lane] = choice_4
    # matmul_2 = p4 @ choice_4, 4 x 1
    multiply(&out[5 * LANES], &c[34], 4, 1, &out[1 * LANES], 4, 4, 1)
    for row in range(4):
        for lane in range(LANES):
            matmul_2 = out[(5 + row) * LANES + lane]
            sum_13 = out[(9 + row) * LANES + lane]
            sum_18 = matmul_2 + sum_13
            size_3 = fabs(sum_18)
            exp_3 = exp(size_3 * -2.0)
            product_19 = sum_18 * sum_18
            sum_19 = 0.0005871241987521835 + product_19 * (-0.00022646125178830043 + product_19 * 6.50769217873237e-05)
            product_20 = product_19 * (0.003592092138684696 + product_19 * (-0.0014554257178951656 + product_19 * sum_19))
            sum_20 = -0.053968253967312856 + product_19 * (0.021869488476433937 + product_19 * (-0.008863233600962223 + product_20))
            product_21 = (1.0 - exp_3) * (1.0 / (1.0 + exp_3))
            product_22 = product_19 * (-0.3333333333333333 + product_19 * (0.13333333333332756 + product_19 * sum_20))
            sum_21 = sum_18 + sum_18 * product_22
            negative_3 = -product_21
            choice_5 = negative_3 if (sum_18 < 0.0) else product_21
            choice_6 = sum_21 if (size_3 < 0.45) else choice_5
            out[(1 + row) * LANES + lane] = choice_6
    # matmul_3 = p24 @ choice_6, 1 x 1
    multiply(&matmul_3_by_lane[0], &c[54], 4, 1, &out[1 * LANES], 1, 4, 1)
    for lane in range(LANES):
        matmul_3 = matmul_3_by_lane[lane]
        out[lane] = p28 + matmul_3


_risk = _sweep.Risk(
    parameters=PARAMETERS, inputs=INPUTS, targets=TARGETS,
    once=PyCapsule_New(<void*>once, "once/float64", NULL),
    losses=PyCapsule_New(<void*>losses, "lanes/float64", NULL),
    gradients=PyCapsule_New(<void*>gradients, "lanes/float64", NULL),
    predictions=PyCapsule_New(<void*>predictions, "lanes/float64", NULL),
    invariants=91, penalty=1, rows=54, summed=14, outputs=1, scalar=False, lanes=64, depth=16, batch=1, cost=111,
    segments=((1, 0, 4), (5, 20, 9)),
    outers=((4, 18, 34, 4, 1, 4), (4, 42, 14, 4, 1, 4)),
    key=42311141835854,
)
globals().update(_risk.functions(__name__))
