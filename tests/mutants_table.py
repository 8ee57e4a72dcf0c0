"""The mutants: where each stands, what is wrong with it, and the tests that have to notice."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """``old``, which stands once in ``file``, is replaced by ``new``; one of ``tests`` has to fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MODEL, SWEEP = "templates/model.pyx.jinja", "templates/sweep"
SUMMED, GATHER, TILES = f"{SWEEP}/sums.pyx.jinja", f"{SWEEP}/gather.pyx.jinja", f"{SWEEP}/tiles.pyx.jinja"
ARRAYS_OF = f"{SWEEP}/arrays.pyx.jinja"
CHECKS, BOUND, JOBS = f"{SWEEP}/checks.pyx.jinja", f"{SWEEP}/bound.pyx.jinja", f"{SWEEP}/jobs.pyx.jinja"
SCRATCH, PLAN, EACH = f"{SWEEP}/scratch.pyx.jinja", f"{SWEEP}/model.pyx.jinja", f"{SWEEP}/scatter.pyx.jinja"
C_HEAD, MATRICES, BLOCKS = f"{SWEEP}/arithmetic.h.jinja", f"{SWEEP}/matrices.pyx.jinja", f"{SWEEP}/blocks.h.jinja"
PARTS_TEMPLATE, SCATTER = f"{SWEEP}/parts.pyx.jinja", f"{SWEEP}/scatter.h.jinja"
ROWS_OF_INPUTS, LINES = f"{SWEEP}/multiples.pyx.jinja", f"{SWEEP}/predictors.h.jinja"
PREDICTORS = "symgrad/schedule/predictors.py"
MADE = f"{SWEEP}/made.pyx.jinja"
REDUCE, SEALS_TEMPLATE = f"{SWEEP}/reduce.pyx.jinja", f"{SWEEP}/seals.pyx.jinja"
OUTERS, TURN, SPECIAL = f"{SWEEP}/outers.pyx.jinja", f"{SWEEP}/turn.h.jinja", f"{SWEEP}/special.pyx.jinja"
ARITHMETIC, POWERS = "symgrad/operations/arithmetic.py", "symgrad/operations/powers.py"
EXPONENTIALS, CIRCULAR = "symgrad/operations/exponentials.py", "symgrad/operations/circular.py"
DIFFERENTIATE, TERMS = "symgrad/passes/differentiate.py", "symgrad/passes/stable/exponentials.py"

PARTS, TREE = ("tests/compiled/test_partial_sums.py",), ("tests/compiled/test_sums_tree.py",)
ENVIRONMENT = ("tests/compiled/test_floating_environment.py",)
SUMS = ("tests/compiled/test_sums.py",)
WEIGHTS, SEALS = ("tests/compiled/test_weights.py",), ("tests/compiled/test_seals.py",)
CUT = "symgrad/passes/cut.py"
CUTS = ("tests/passes/test_cut.py",)
SLOPES = ("tests/passes/test_differentiate.py",)
FORKS = ("tests/compiled/test_forks.py",)
FUNCTIONS = ("tests/compiled/test_functions.py",)
MISUSE, SANITIZERS = ("tests/compiled/test_misuse.py",), ("tests/ladder/test_sanitizers.py",)
LINEAR = ("tests/compiled/test_predictors.py",)
ARRAYS = ("tests/compiled/test_arrays.py",)
THREADS = ("tests/compiled/test_threads.py",)
NETWORKS = ("tests/compiled/test_matrices_networks.py",)
SHAPES = ("tests/compiled/test_matrices_edges.py", "tests/compiled/test_matrices_agree.py")
NORMS = ("tests/compiled/test_reduce.py",)
MADE_TESTS = ("tests/compiled/test_made.py",)
NUMERICS = ("tests/compiled/test_numerics.py",)
ROWS = ("tests/operations/test_table.py",)
PULLBACK = ("tests/operations/test_table.py::test_a_pullback_is_sympys_own_derivative",)
DIGITS = ("tests/operations/test_table.py::test_a_row_keeps_its_digits_in_doubles",)
KINKS = ("tests/operations/test_table.py::test_kinks_limits_and_nan",)
KEYS = ("tests/build/test_keys.py",)
PLANNED = ("tests/render/test_outers.py",)
SEGMENTS = ("tests/render/test_table.py",)
IEEE = ("tests/compiled/test_arithmetic.py",)

# what is fitted
TABLES = ("tests/data/test_sources.py",)
OF_STATSMODELS = ("tests/fitting/test_statsmodels.py",)
MUTANTS: tuple[Mutant, ...] = (
    # sums of a tile
    Mutant("TwoSum's terms swapped", SUMMED, "(high[0] - (total - shift)) + (x - shift)",
           "(x - (total - shift)) + (high[0] - shift)", SUMS),
    Mutant("a rounding error is forgotten", SUMMED, "low[0] += (high[0] - (total - shift))",
           "low[0] = (high[0] - (total - shift))", SUMS),
    Mutant("the other low word dropped", SUMMED, "+ (low[0] + other_low)", "+ low[0]", SUMS),
    Mutant("a tile's low word dropped", SUMMED, "node[2 * (first + row) + 1] = turned_low[row]",
           "node[2 * (first + row) + 1] = 0.0", SUMS),
    Mutant("half a tile's lanes", SUMMED, "merge(&high[i], &low[i], high[half + i], low[half + i])",
           "merge(&high[i], &low[i], high[half - i], low[half - i])", SUMS),
    Mutant("eight lanes turned wrong", SUMMED, "turned_high[lane * 8 + row] = high[(first + row) * lanes + lane]",
           "turned_high[lane * 8 + row] = high[(first + row) * lanes]", SUMS),
    Mutant("the last node is not merged", SUMMED, "while height > 1:", "while height > 2:", SUMS),
    Mutant("tiles are added one after the other", SUMMED, "while index & 1:", "while height > 1:", TREE),
    Mutant("padded rows are summed", GATHER, "masked[lane] = lane >= count or weights[lane] == 0.0",
           "masked[lane] = weights[lane] == 0.0", SUMS),
    Mutant("one padded row is summed", GATHER, "masked[lane] = lane >= count or", "masked[lane] = lane > count or",
           SUMS),
    Mutant("rows of weight zero are computed", GATHER, "lane >= count or weights[lane] == 0.0", "lane >= count", SUMS),
    Mutant("only the loss is cleared", TILES, "clear_masked(values, n_rows, masked, lanes)",
           "clear_masked(values, 1, masked, lanes)",
           SUMS),
    Mutant("padded weights are summed", TILES,
           "(values, n_rows, masked, lanes)\n            clear_masked(weights, 1, masked, lanes)",
           "(values, n_rows, masked, lanes)", SUMS),
    Mutant("weights are summed as one", TILES,
           "accumulate(weights, 1, 0, &sums[n_rows * lanes], &low[n_rows * lanes], lanes)\n    acc",
           "accumulate(values, 1, 0, &sums[n_rows * lanes], &low[n_rows * lanes], lanes)\n    acc", SUMS),
    Mutant("values of calls that wait are left out", TILES,
           "    accumulate(scratch.values, waiting, distance, sums, low, n_rows * lanes)\n    fold", "    fold", SUMS),
    Mutant("a call of a batch is added twice", SUMMED, "add_exactly(&high_i, &low_i, values[distance + i])",
           "add_exactly(&high_i, &low_i, values[i])", SUMS),
    Mutant("the first weight for all", GATHER,
           "gather_weights(weights, &sweep.columns[WEIGHTS], start,",
           "gather_weights(weights, &sweep.columns[WEIGHTS], 0,", SUMS),
    Mutant("weights are squared", "symgrad/trace/risk_to_program.py", 'builder.emit("weight", shape=()))',
           'builder.emit("power", builder.emit("weight", shape=()), attribute=2))', SUMS),
    Mutant("weights are ignored", "symgrad/trace/risk_to_program.py", 'builder.emit("weight", shape=()))',
           "builder.constant(1.0))", SUMS),
    Mutant("blocks of three", JOBS, "rows *= 2", "rows *= 3", PARTS),
    Mutant("one row too many in the mean", JOBS, "root.nodes.sums[0] = n", "root.nodes.sums[0] = n + 1", SUMS),
    # where samples lie
    Mutant("strides swapped in the tail", GATHER, "at + lane * down + index * right",
           "at + lane * right + index * down", ARRAYS),
    Mutant("strides swapped in the body", GATHER, "at + (eight + lane) * down + index * right",
           "at + (eight + lane) * right + index * down", ARRAYS),
    Mutant("a table starts at its second row", GATHER, "table.base + start * down",
           "table.base + start * right", ARRAYS),
    Mutant("rows that follow one another are taken for columns", GATHER, "if down == sizeof(real):",
           "if right == sizeof(real):", ARRAYS),
    Mutant("targets are read as inputs", GATHER, "lanes], &sweep.columns[0], part.at",
           "lanes], &sweep.columns[1], part.at", FUNCTIONS),
    Mutant("a sample gets its neighbour's row", SCATTER,
           "to[lane * row_length + row] = values[row * lanes + lane];",
           "to[lane * row_length + row] = values[row * lanes + (lane + 1) % count];", FUNCTIONS),
    Mutant("gradients are shifted by one", PLAN, "s.at += 1", "s.at += i == 0",
           NETWORKS),
    Mutant("a block starts where the first does", JOBS, "column.base += first * column.row_stride",
           "column.base += 0 * column.row_stride", THREADS),
    Mutant("a converted block starts where the first does", JOBS, "array = array[first:first + sweep.n].astype(",
           "array = array[:sweep.n].astype(", THREADS),
    Mutant("an odd node is lost", SCRATCH, "width = (width + 1) >> 1", "width = width >> 1", THREADS),
    Mutant("signals are not asked for", JOBS, "PyErr_CheckSignals()", "pass", THREADS),
    Mutant("weights are not checked", JOBS, "_check_weights(self.data.arrays[WEIGHTS][first:first + sweep.n])", "pass",
           SUMS),
    # sums beyond the range of double, and parts of sums
    Mutant("a sum that overflows stays infinite", TILES, "sweep.shrunk = True", "sweep.shrunk = False", SUMS),
    Mutant("a small low word is not shrunk", SUMMED, "node.shrunk[row + 1] = node.sums[row + 1] * SHRINK",
           "node.shrunk[row + 1] = 0.0", TREE),
    Mutant("the sibling is not shrunk", SUMMED, "high = other.sums[row] * SHRINK", "high = other.sums[row]", SUMS),
    Mutant("small weights stay small", GATHER, "<real>ldexp(weight_at(weights, start + lane), -exponent)",
           "<real>weight_at(weights, start + lane)", WEIGHTS),
    Mutant("large weights are infinite in single precision", GATHER, "SMALL <= greatest < 1.0 / LEAST",
           "SMALL <= greatest", WEIGHTS),
    Mutant("nodes of other exponents are added", SUMMED,
           "pair[0] = ldexp(pair[0], node.exponents[0] - exponent)", "pass", WEIGHTS),
    Mutant("a tile without weight lifts the others", GATHER, "exponent if greatest > 0.0 else NO_WEIGHT",
           "exponent if greatest > 0.0 else 0", WEIGHTS),
    Mutant("a part forgets its exponent", PARTS_TEMPLATE, "tree.nodes.exponents[0] = <int>pair[1]",
           "tree.nodes.exponents[0] = 0", WEIGHTS),
    Mutant("NaN is any NaN", C_HEAD, 'return x == x ? x : __builtin_nan("");', "return x;", SUMS),
    Mutant("subnormal numbers are flushed", C_HEAD, "restore(0x1f80);", "restore(0x9fc0);", IEEE),
    Mutant("the environment is not given back", C_HEAD, "__builtin_ia32_ldmxcsr(was);",
           "__builtin_ia32_ldmxcsr(0x1f80);", ENVIRONMENT),
    Mutant("a part's nodes are not aligned", PARTS_TEMPLATE, "while not at >> level & 1 and", "while", PARTS),
    Mutant("a part's rows come twice", PARTS_TEMPLATE, "if start < end:", "if start < 0:", PARTS),
    Mutant("a part's rows are missing", PARTS_TEMPLATE, "if start > end:", "if start < 0:", PARTS),
    Mutant("two nodes may differ", PARTS_TEMPLATE, "if known is not array and", "if known is array and", PARTS),
    Mutant("a part begins anywhere", PARTS_TEMPLATE, "if row < 0 or row % tile_rows or", "if row < 0 or", PARTS),
    Mutant("a part counts one row too many", PARTS_TEMPLATE, "pair[0] = n\n", "pair[0] = n + 1\n", PARTS),
    Mutant("a damaged part is taken", SEALS_TEMPLATE, "if numbers[n + 1] != checksum(",
           "if numbers[n + 1] == 0.5 * checksum(", SEALS),
    Mutant("a part of another theta is taken", SEALS_TEMPLATE, "_numbers_of(theta), self.model.n_parameters",
           "_numbers_of(theta), 0", SEALS),
    Mutant("a part of another model is taken", "symgrad/render/module.py", "repr(texts)", "repr(0)", SEALS),
    Mutant("a node may stand anywhere", SEALS_TEMPLATE, "<double>level, <double>index]", "0, 0]", SEALS),
    Mutant("a node may hide rows", PARTS_TEMPLATE, "not most - self.model.tile_rows < pair[0]",
           "not 0 < pair[0]", SEALS),
    # other processes
    Mutant("a child waits for its parent's threads", JOBS, "if forks != _forks:", "if False:", FORKS),
    Mutant("a child leaves out what other threads did", JOBS, "if forks != _forks and self.threads > 1:", "if False:",
           FORKS),
    # what Python calls
    Mutant("out may overlap", CHECKS, "np.may_share_memory(array, other)", "out is other", ARRAYS),
    Mutant("out may be read-only", CHECKS, "array.shape != shape or not array.flags.carray", "array.shape != shape",
           ARRAYS),
    Mutant("out is believed", CHECKS, "array = _base_of(out)", "array = out", MISUSE),
    Mutant("as many threads as are asked for", CHECKS, "return wanted if wanted <= ALWAYS_THREADS else",
           "return wanted or", MISUSE),
    Mutant("misaligned arrays are read in place", BOUND, " and is_aligned(&view, sizeof(real))", "", SANITIZERS),
    Mutant("a misaligned theta is read in place", ARRAYS_OF, "and is_aligned(&view, sizeof(double))", "", SANITIZERS),
    Mutant("a mask is lost", CHECKS, "if value is None or _is_masked(value):", "if value is None:",
           ARRAYS),
    # cuts
    Mutant("a cut is the one nearest the parameters", CUT, "(outside and not inside) or", "inside or", CUTS),
    Mutant("what is pulled back to a cut goes on from it", DIFFERENTIATE,
           "                found[variable] = cotangent\n                continue",
           "                found[variable] = cotangent", CUTS),
    Mutant("each sample's gradient stops at the cut", "templates/sweep/scatter.pyx.jinja",
           "if sweep.with_gradient and model.pull != NULL:", "if False:", CUTS),
    Mutant("the penalty is lost behind a cut", "templates/sweep/doors.pyx.jinja",
           "<real*>view.buf, penalty)\n            free(means)", "<real*>view.buf, NULL)\n            free(means)",
           CUTS),
    Mutant("a sign hides a product", "symgrad/schedule/products.py", 'if assignment.operation == "neg":', "if False:",
           CUTS),
    # zero beside infinity
    Mutant("what does not move has a slope", DIFFERENTIATE, "if variable in self._under_cusps:", "if False:", SLOPES),
    Mutant("a weight of zero times infinity", TERMS, '_put_back(k.call("weighted_exp", x, shift), x)',
           'k * x.call("exp_less", shift)', SLOPES),
    Mutant("sums are subtracted as they are rounded", "symgrad/passes/stable/addends.py",
           "x - y + (_lost(x) - _lost(y)) if len(own) == len(other) == 2 else x - y", "x - y", SLOPES),
    # linear predictors
    Mutant("samples without weight are multiplied", ROWS_OF_INPUTS, "if not masked[lane]:", "if True:", LINEAR),
    Mutant("inputs by columns are read as rows", ROWS_OF_INPUTS, "if table.column_stride != sizeof(real):", "if False:",
           LINEAR),
    Mutant("the last columns are weighed twice", LINES,
           "s{{ i }} += MASKED(w * INPUTS(x + {{ i }} * down, n - 8), mask);",
           "s{{ i }} += w * INPUTS(x + {{ i }} * down, n - 8);", LINEAR),
    Mutant("the last columns are summed twice", LINES,
           "*(const part_bits *)(last_ones + 8 - PART + n - j)", "*(const part_bits *)(last_ones + 8)", LINEAR),
    Mutant("roundings of multiples are lost", ROWS_OF_INPUTS,
           "add_exactly(&high[i], &low[i], sums[i])", "high[i] += sums[i]", LINEAR),
    Mutant("a sign of a block's gradient is lost", "symgrad/schedule/blocks.py", "term.factors.count(-1) % 2", "False",
           ("tests/compiled/test_blocks.py",)),
    Mutant("columns of weights are read as rows", "symgrad/schedule/blocks.py", "if is_turned and 1 not in shape",
           "if False", ("tests/compiled/test_blocks.py",)),
    Mutant("a predictor is added that is taken away", PREDICTORS,
           'builder.emit("sub" if minus else "add", total, part)',
           'builder.emit("add", total, part)', LINEAR),
    Mutant("factors lose their sign", PREDICTORS,
           'builder.emit("neg", product) if factor < 0 else ', "product if factor < 0 else ",
           LINEAR),
    Mutant("columns are separate that something else reads", PREDICTORS,
           "return None if variable in self._results else uses", "return uses", LINEAR),
    Mutant("predictors take rows of others", PREDICTORS,
           " and len(self.uses[start].weights) <= end - start", "", LINEAR),
    Mutant("too few columns are read", BOUND, "view.ndim == 2 and view.shape[1] == columns", "view.ndim == 2", ARRAYS),
    Mutant("lengths may differ", BOUND, "(self.n < 0 or self.n == view.shape[0])", "True", ARRAYS),
    Mutant("theta is used as it lies", ARRAYS_OF, "return _plain(theta)", "return theta", ARRAYS),
    # arithmetic
    Mutant("parts of fast-math are let through", C_HEAD, "__GCC_IEC_559 < 1", "__GCC_IEC_559 < 0", IEEE),
    Mutant("a model lets parts of fast-math through", MODEL, "__GCC_IEC_559 < 1", "__GCC_IEC_559 < 0", IEEE),
    Mutant("fast-math is a warning for a model", MODEL, '#error "its', '#warning "its', IEEE),
    Mutant("fast-math is a warning", C_HEAD, '#error "this module\'s', '#warning "this module\'s', IEEE),
    Mutant("single precision in the pairs", SUMMED, "cdef double shift = total - high[0]\n    low[0] +=",
           "cdef float shift = total - high[0]\n    low[0] +=", SUMS),
    Mutant("literals of fifteen digits", "symgrad/render/spelling.py", "else repr(abs(value))",
           'else f"{abs(value):.15g}"', ("tests/render/test_spelling.py",)),
    Mutant("contraction", "symgrad/build/toolchain.py", 'FIXED = ("-ffp-contract=off",',
           'FIXED = ("-ffp-contract=fast",', ("tests/build/test_library.py",)),
    # products of matrices
    Mutant("a product is not transposed", MATRICES, "b[(p * n + j) * MATRIX_LANES + lane]",
           "b[(j * k + p) * MATRIX_LANES + lane]", SHAPES),
    Mutant("strides of a product swapped", MATRICES, "a[i * a_down + p * a_right]", "a[i * a_right + p * a_down]",
           SHAPES),
    Mutant("a slice of a product replaces the others", MATRICES, "width, part, first > 0)", "width, part, 0)",
           NETWORKS),
    Mutant("a copied matrix is turned", MATRICES, "&from_[(i * down + j * right) * width]",
           "&from_[(i * right + j * down) * width]", SHAPES),
    Mutant("a register block forgets what was there", BLOCKS, "= more ? *(vector *)", "= !more ? *(vector *)",
           NETWORKS),
    Mutant("eight by eight turned wrongly", TURN, '(4, "0, 1, 2, 3, 8, 9, 10, 11")', '(4, "0, 1, 2, 3, 8, 9, 11, 10")',
           NETWORKS),
    Mutant("masked lanes in products", OUTERS, "memset(&part[lane * width], 0, width * sizeof(real))", "pass",
           NETWORKS),
    Mutant("one product of several", OUTERS, "if more or q:", "if more:", NETWORKS),
    Mutant("a second product replaces the first", OUTERS, "if more:\n        add_exactly",
           "if more and not more:\n        add_exactly", SHAPES),
    # what a model's table says
    Mutant("a turned operand is taken for another", PLAN, "other.row == t.row and", "", PLANNED),
    Mutant("products of a tile lie on one another", PLAN, "m.products += o.rows * padded(o.columns)", "pass", PLANNED),
    Mutant("a gradient stays turned", PLAN, "o.right, 1, o.k, o.k, o.m, 1, o.k", "o.right, 1, o.k, o.k, o.m, o.m, 1",
           PLANNED),
    Mutant("what was filled before is forgotten", PLAN, "m.outers[i].more = fill(", "m.outers[i].more = 0 * fill(",
           PLANNED),
    Mutant("a parameter that nothing depends on is not cleared", PLAN, "m.covered = m.covered and filled[i]", "pass",
           PLANNED),
    Mutant("columns beside a predictor are not read", PLAN, "m.columns[m.n_columns] = Segment(at, at, first - at)",
           "m.columns[m.n_columns] = Segment(at, at, 0)", SEGMENTS),
    Mutant("columns after a predictor are not read", PLAN, "at = first + size", "at = m.input_columns", SEGMENTS),
    Mutant("rows that follow one another in the values alone are one", PLAN,
           " and s.at == last.at + last.size", "", SEGMENTS),
    Mutant("a thread's memory is laid out for another model", SCRATCH, "if self.number == m.number:",
           "if self.number:", ("tests/build/test_sweep.py",)),
    # reductions of gradients
    Mutant("a square's rounding error is lost", REDUCE, "low[0] += fma_double(x, x, -square)", "pass", NORMS),
    Mutant("the loss is in the norm", REDUCE, "cdef Py_ssize_t row = s.at == 0, run, block",
           "cdef Py_ssize_t row = 0, run, block", NORMS),
    Mutant("the last numbers of a row are not in the norm", REDUCE, "for j in range(n - n % EIGHT, n):",
           "for j in range(n, n):", NORMS),
    Mutant("one of eight sums is lost", REDUCE, "for i in range(1, EIGHT):", "for i in range(2, EIGHT):", NORMS),
    Mutant("factors beyond the range are believed", REDUCE, "if doubtful:", "if not model.factored:", NORMS),
    Mutant("factors whose squares vanish are believed", REDUCE, "vanished(row, o.k, lanes, right)", "False", NORMS),
    Mutant("products of several columns have the norm of one", PLAN, "m.outers[i].p == 1 and not", "not", NORMS),
    # what is made of gradients
    Mutant("a clipped gradient is scaled with its loss", MADE,
           "for row in range(s.at == 0, s.size):", "for row in range(s.size):", MADE_TESTS),
    Mutant("what squares were rounded by is lost", MADE,
           "fma_double(x, x, -square) * weights[lane]", "0.0", ("tests/compiled/test_reductions.py",)),
    Mutant("products are weighted twice", MADE, "scratch.aside[lane], min(width, n - first)",
           "scratch.aside[lane] * scratch.aside[lane], min(width, n - first)", MADE_TESTS),
    Mutant("rows of no group are in the first", MADE, "if group >= 0:", "if group > 0:", MADE_TESTS),
    Mutant("squares out of range are believed", MADE, "squares[lane] > FAR", "0",
           ("tests/compiled/test_reductions.py",)),
    Mutant("all blocks have the factor of the first", MADE,
           "block_of(model, s.at + row - 1) * MOST_LANES", "0", MADE_TESTS),
    # one sweep for all models
    Mutant("both dtypes run on one sweep", "symgrad/build/library.py", '"sweep": dtype,', '"sweep": "float64",', KEYS),
    Mutant("the sweep's key forgets how it is built", "symgrad/build/library.py", '("symgrad", "build/*.py"),', "",
           KEYS),
    Mutant("functions do not say where they are from", f"{SWEEP}/doors.pyx.jinja", "function.__module__ = module",
           "pass", ("tests/build/test_sweep.py",)),
    Mutant("docstrings keep their symbols", f"{SWEEP}/doors.pyx.jinja",
           "function.__doc__ = function.__doc__.replace(symbols, numbers)", "pass", ("tests/build/test_sweep.py",)),
    Mutant("what is built for a folder is not kept", "symgrad/pipeline.py", "return store.publish(*keys[name], make)",
           "return Cache.make_private().publish(*keys[name], make)", ("tests/build/test_sweep.py",)),
    # functions that the C library lacks
    Mutant("Stirling's series too early", SPECIAL, "if x >= 10.0:", "if x >= 1.5:", NUMERICS),
    Mutant("a root known to one double", SPECIAL, "(x - 1.4616321449683622) - 9.549995429965697e-17",
           "(x - 1.4616321449683622)", NUMERICS),
    Mutant("a term of Bernoulli's", SPECIAL, "0.004166666666666667", "0.004266666666666667", NUMERICS),
    Mutant("a pole is not seen", SPECIAL, "(x <= 0.0 and x == c_floor(x))", "x < -1e6", NUMERICS),
    Mutant("rising from the next", SPECIAL, "product *= (s + k) / far", "product *= (s + k + 1) / far", NUMERICS),
    # the table of pullbacks, and the sweep through it
    Mutant("sign of a difference", ARITHMETIC, "lambda c, r, x, y: (c, -c)", "lambda c, r, x, y: (c, c)", PULLBACK),
    Mutant("factors swapped", ARITHMETIC, 'lambda c, r, x, y: (c * y, c * x), Tail',
           'lambda c, r, x, y: (c * x, c * y), Tail', PULLBACK),
    Mutant("a chain factor dropped", EXPONENTIALS, 'lambda c, r, x: (c * x.call("sigmoid"),)',
           'lambda c, r, x: (x.call("sigmoid"),)', ("tests/passes/test_differentiate.py",)),
    Mutant("the inner 2 of tanh", CIRCULAR, '(c * (4 * (2 * x).call("logistic_density")),)',
           '(c * (4 * x.call("logistic_density")),)', PULLBACK),
    Mutant("half a root", ARITHMETIC, "lambda c, r, x: (c / (2 * r),)", "lambda c, r, x: (c / r,)", PULLBACK),
    Mutant("sine for cosine of a legs' ratio", CIRCULAR, "c * (x / radius / radius), -(c * (y / radius / radius))",
           "c * (y / radius / radius), -(c * (x / radius / radius))", PULLBACK),
    Mutant("a tie goes to one side", ARITHMETIC, 'ties.choose(c * 0.5, float("nan"))', 'ties.choose(c, float("nan"))',
           KINKS),
    Mutant("a NaN is no NaN", ARITHMETIC, 'ties.choose(c * 0.5, float("nan"))', "ties.choose(c * 0.5, 0.0)", KINKS),
    Mutant("a series ten times too far", CIRCULAR, "(abs(x) < 1).choose(series * x", "(abs(x) < 10).choose(series * x",
           ROWS),
    Mutant("the series of log(cosh) is for all", EXPONENTIALS, "return (abs(x) < 1).choose(near, far)",
           "return (abs(x) < 1000).choose(near, far)", NUMERICS),
    Mutant("what a square lost stays lost", "symgrad/operations/special.py", "value - value * lost", "value", NUMERICS),
    Mutant("the sign of log's share at zero", POWERS, 'x.equals(0).choose(0.0, c * r * x.call("log"))',
           'c * r * x.call("log")', KINKS),
    Mutant("a quotient by a power, by way of the power", "symgrad/passes/lowering.py",
           'if assignment.operation == "div" else []', 'if assignment.operation == "" else []',
           ("tests/passes/stable/test_rewrite.py",)),
    Mutant("a reciprocal's power overflows", POWERS, "if n < -1:", "if n < -1000:",
           ("tests/passes/stable/test_rewrite.py",)),
    Mutant("what exponents lose stays lost", TERMS, 'if part.operation == "exact_sum":', 'if part.operation == "":',
           ("tests/passes/stable/test_rules.py",)),
    Mutant("a density without its square", EXPONENTIALS, "return decay * part * part", "return decay * part", ROWS),
    Mutant("a coefficient of tanh", CIRCULAR, "0.0005871241987521835", "0.0005871341987521835", NUMERICS),
    Mutant("the exponential of tanh is used too near 0", CIRCULAR, "(abs(x) < 0.45)", "(abs(x) < 0.001)", NUMERICS),
    Mutant("branches share what only one has", ARITHMETIC,
           'guards=lambda condition, x, y: (condition, condition, condition.call("not")),',
           "guards=lambda condition, x, y: (condition, condition, condition),",
           ("tests/passes/test_differentiate.py",)),
    Mutant("branches swapped in the sweep", ARITHMETIC, "(0.0, condition.choose(c, 0.0), condition.choose(0.0, c))",
           "(0.0, condition.choose(0.0, c), condition.choose(c, 0.0))", ("tests/passes/test_differentiate.py",)),
    Mutant("only one path counts", "symgrad/passes/cotangents.py", 'reduce(lambda a, b: builder.emit("add", a, b)',
           "reduce(lambda a, b: b", ("tests/passes/test_differentiate.py",)),
    Mutant("no guard before infinity", DIFFERENTIATE, "if where != ALWAYS and", "if where == ALWAYS and",
           ("tests/passes/test_differentiate.py",)),
    Mutant("a guard's condition is turned round", "symgrad/passes/guards.py",
           'return variable if holds else builder.emit("not", variable)',
           'return builder.emit("not", variable) if holds else variable', ("tests/passes/test_guards.py",)),
    Mutant("< is <=", ARITHMETIC, '("lt", "<")', '("lt", "<=")', ("tests/render/test_spelling.py", *KINKS)),
    Mutant("a product's operands swapped", "symgrad/operations/matrices.py", "(c @ y.T, x.T @ c)", "(c @ y.T, c.T @ x)",
           ("tests/operations/test_matrices.py",)),
    # --- fits, tables, losses
    Mutant("a loss's own parameter is another", "symgrad/trace/risk_to_program.py", "attribute=place + at, shape=shape",
           "attribute=place + at - 1, shape=shape", OF_STATSMODELS),
    Mutant("what a likelihood leaves out stays out", "symgrad/fitting/result.py",
           "return -self.loss - constant_of(self.risk, self.data)", "return -self.loss", OF_STATSMODELS),
    Mutant("an unused parameter passes", "symgrad/declare/risk.py", "if parameter not in used:",
           "if parameter is None:", ("tests/declare/test_risk.py",)),
    Mutant("columns by their places", "symgrad/data/names.py", "    return tuple(found)",
           "    return tuple(known[: len(found)])", TABLES),
    Mutant("a missing number is passed over", "symgrad/data/sources.py",
           'if self.missing == "raise" and found.missing.any():', 'if self.missing == "":', TABLES),
    Mutant("omitted rows keep their weight", "symgrad/data/sources.py", "weights = np.where(gap, 0.0,",
           "weights = np.where(gap, 1.0,", TABLES),
    Mutant("categories are all alike", "symgrad/data/columns.py",
           "else float(v) for v in series.to_list()]\n        return",
           "else 0.0 for v in series.to_list()]\n        return", TABLES),
    Mutant("an exposure is an offset", "symgrad/designs.py", 'symbol if option == "offset" else sp.log(symbol)',
           "symbol", ("tests/test_regression.py",)),
    Mutant("the row that is left out stays", "symgrad/fitting/samples.py", "weights[row] = 0.0", "weights[row] = 1.0",
           ("tests/fitting/test_result.py",)),
)  # fmt: skip
