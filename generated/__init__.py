"""The gallery as generated modules: written by `symgrad generate symgrad.gallery -o generated`."""
