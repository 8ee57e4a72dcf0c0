from .evaluate import run
def test_x(): assert run
