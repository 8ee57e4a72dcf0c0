"""Regressions: a linear predictor of columns, or of a formula, put into a loss.

The parameters are called ``b[age]``, ``b[Intercept]``, ...: labels for reports, and keys of `symgrad.Parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sympy as sp

from .data import frame_of
from .declare import EmpiricalRisk, Loss, Model, show
from .errors import ArrayError, DeclarationError, MissingExtraError

INTERCEPT = "Intercept"


def linear(name: str, size: int, coefficients: str = "b") -> tuple[Any, Any, Any]:
    """Return ``(x, b, eta)``: a column of ``size`` inputs, a row of as many coefficients, and their product, a number.

    ``Model(sympy.exp(eta), inputs=[x], parameters=[b])`` is a model of them. For a second predictor give other names.
    Raises `DeclarationError` for a size that is no whole number above 0.
    """
    if isinstance(size, bool) or not isinstance(size, (int, sp.Integer)) or size < 1:
        raise DeclarationError(f"size: expected a whole number >= 1, got {size!r}; write e.g. linear('x', 3)")
    x, b = sp.MatrixSymbol(name, int(size), 1), sp.MatrixSymbol(coefficients, 1, int(size))
    return x, b, (b * x)[0, 0]


class Regression(EmpiricalRisk):
    """The risk of a regression: an `EmpiricalRisk` that knows how its columns come from a table.

    Attributes:
        columns: the names of the columns of the design, with "Intercept" where there is one.
        starts: where a fit starts unless it is told: at 0.
    """

    columns: tuple[str, ...]
    starts: Mapping[str, float]
    specification: Any  # formulaic's, of the right side; None where the columns are those of the table
    response: Any  # the same of the left side

    def table(self, data: Any) -> Any:
        """Return a table in which all columns of this risk are: ``data`` itself, or with those that the formula makes.

        Rows keep their places: where a number is missing, what is made of it is NaN. Targets are left out where the
        table has none. Raises `ArrayError` for columns that are not there.
        """
        if self.specification is None:
            return data
        frame = frame_of(data)
        found = {str(name): frame[name] for name in frame.columns}
        made = _made(self.specification, frame)
        found |= {str(name): made[name].to_numpy(float) for name in made.columns if name != INTERCEPT}
        target = str(self.targets[0].name)
        if all(str(name) in frame.columns for name in self.response.required_variables) and target not in found:
            found[target] = _made(self.response, frame).iloc[:, 0].to_numpy(float)
        return found


class FormulaRisk:
    """A regression by a formula whose columns are known once there are data: `symgrad.fit` asks for them itself."""

    def __init__(self, loss: Loss, formula: str, options: dict[str, Any]) -> None:
        self.loss, self.formula, self._options = loss, formula, options

    def on(self, data: Any) -> Regression:
        """Return the declared risk: the levels of categories are those of ``data``, a table or a path."""
        return _of_formula(self.loss, self.formula, data, self._options)

    def __repr__(self) -> str:
        return f"<regression {self.formula!r}: on(data) is the declared risk>"


def regression(
    loss: Loss,
    columns: Sequence[str] | None = None,
    *,
    formula: str | None = None,
    data: Any = None,
    intercept: bool = True,
    target: str | None = None,
    offset: str | None = None,
    exposure: str | None = None,
    penalty: Any = None,
    name: str = "regression",
) -> Any:
    """Return the risk of a loss whose prediction is a linear predictor: parameters ``b[age]``, ..., inputs by column.

    Args:
        loss: a `Loss` of one prediction, ``symgrad.losses.poisson()`` say; its own parameters follow the coefficients.
        columns: names of the columns, each with a coefficient, after that of the intercept ``b[Intercept]``.
        formula: in their place, "y ~ age + C(site)", which formulaic reads (an extra); ``intercept`` is the formula's
            own affair. ``data``, a table, says what levels categories have; without it a `FormulaRisk` is returned,
            which `symgrad.fit` takes.
        target: the column of the targets, where it is not called as the loss calls it; of a formula the left side.
        offset: a column that is added to the predictor; exposure: one whose logarithm is.
        penalty, name: as of an `EmpiricalRisk`.

    Raises `DeclarationError`; without formulaic `MissingExtraError`.
    """
    if not isinstance(loss, Loss) or isinstance(loss.prediction, sp.MatrixSymbol) or len(loss.targets) != 1:
        got = show(loss.prediction) if isinstance(loss, Loss) else type(loss).__name__
        raise DeclarationError(
            f"loss: expected a Loss of one prediction and one target, got {got}; of several predictors make a Model: "
            "Model(sympy.Matrix([eta, other]), ...), with symgrad.linear"
        )
    options = {"offset": offset, "exposure": exposure, "penalty": penalty, "name": name}
    if (columns is None) == (formula is None):
        raise DeclarationError('columns, formula: expected one of both; write columns=["age"] or formula="y ~ age"')
    if formula is not None:
        if target is not None:
            raise DeclarationError("target: expected none beside a formula, whose left side it is")
        return FormulaRisk(loss, formula, options) if data is None else _of_formula(loss, formula, data, options)
    assert columns is not None
    if isinstance(columns, str) or not all(isinstance(column, str) for column in columns):
        raise DeclarationError(f"columns: expected a list of names, got {columns!r:.100}; write e.g. ['age', 'dose']")
    names = ([INTERCEPT] if intercept else []) + list(columns)
    return _declared(loss, names, target, options)


def _declared(loss: Loss, columns: Sequence[str], target: str | None, options: Mapping[str, Any]) -> Regression:
    if not columns or len(set(columns)) < len(columns):
        raise DeclarationError(f"columns: expected names, each once, got {list(columns)!r:.200}")
    coefficients = [sp.Symbol(f"b[{column}]", real=True) for column in columns]
    inputs = {column: sp.Symbol(column, real=True) for column in columns if column != INTERCEPT}
    terms = [b if column == INTERCEPT else b * inputs[column] for b, column in zip(coefficients, columns, strict=True)]
    for option in ("offset", "exposure"):
        column = options[option]
        if column is not None:
            symbol = inputs.setdefault(column, sp.Symbol(column, real=True))
            terms.append(symbol if option == "offset" else sp.log(symbol))
    model = Model(sp.Add(*terms), inputs=list(inputs.values()), parameters=coefficients)
    risk = Regression(model, _renamed(loss, target, inputs), penalty=options["penalty"], name=options["name"])
    starts = {str(b.name): 0.0 for b in coefficients}
    for key, value in {"columns": tuple(columns), "starts": starts, "specification": None, "response": None}.items():
        object.__setattr__(risk, key, value)
    return risk


def _renamed(loss: Loss, target: str | None, inputs: Mapping[str, Any]) -> Loss:
    """The loss, whose target is called as its column: a symbol in the place of a symbol."""
    (old,) = loss.targets
    new = old if target is None else sp.Symbol(target, **old.assumptions0)
    taken = {new.name, *(str(p.name) for p in loss.parameters)}
    name = next(n for n in ("prediction", *(f"prediction{k}" for k in range(len(taken)))) if n not in taken)
    prediction = sp.Symbol(name, **loss.prediction.assumptions0)
    expression = loss.expression.xreplace({old: new, loss.prediction: prediction})
    return Loss(expression, prediction, new, loss.parameters, normalisation=loss.normalisation)


def _of_formula(loss: Loss, formula: str, data: Any, options: Mapping[str, Any]) -> Regression:
    try:
        import formulaic
        import formulaic.errors
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f'formulas need formulaic, which is not installed ({error}): python -m pip install "symgrad[formulas]"'
        ) from error
    if isinstance(data, (tuple, list)):
        raise ArrayError("data: expected a table beside a formula, got arrays; give a DataFrame or a path")
    try:
        matrices = formulaic.Formula(formula).get_model_matrix(frame_of(data), na_action="ignore")
    except formulaic.errors.FormulaicError as error:
        raise DeclarationError(f"formula: {formula!r} cannot be read with these data: {error}") from error
    if not hasattr(matrices, "rhs") or matrices.lhs.shape[1] != 1:
        raise DeclarationError(f"formula: expected 'y ~ ...' with one column on the left, got {formula!r}")
    columns = [str(name) for name in matrices.rhs.columns]
    risk = _declared(loss, columns, str(matrices.lhs.columns[0]), options)
    object.__setattr__(risk, "specification", matrices.rhs.model_spec)
    object.__setattr__(risk, "response", matrices.lhs.model_spec)
    return risk


def _made(specification: Any, frame: Any) -> Any:
    """The columns that a part of a formula makes of a frame; rows keep their places."""
    import formulaic.errors

    try:
        return specification.get_model_matrix(frame, na_action="ignore")
    except formulaic.errors.FormulaicError as error:
        raise ArrayError(
            f"data: expected the columns of the formula, got {error}; give a table that has them"
        ) from error
