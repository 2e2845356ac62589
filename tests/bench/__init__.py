"""Benchmarks: programs that print figures beside a limit measured in the same run. Nothing here fails on a slow machine."""
