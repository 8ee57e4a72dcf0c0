"""How large a declaration may be before symgrad asks whether that is meant."""

# Of the program of one sample, in operations. Beyond, generating and compiling may take more than about a minute: 800
# terms of sin(a x) exp(b x), 12,000 operations, take most of it. In matrices, what is done to all elements counts once.
OPERATIONS = 15_000
