"""What other libraries ask of a model: a module for each, imported by its own name, so that none is needed for another.

from symgrad.adapters.sklearn import Classifier, Regressor
"""
