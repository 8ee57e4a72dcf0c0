"""The Jinja templates of the generated modules, shipped as the package ``symgrad.templates``."""
