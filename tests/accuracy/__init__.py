"""Where do compositions lose digits? `python -m tests.accuracy` writes the ranking beside this file, see `tests.accuracy.__main__`.

expressions   trees over the rows and constants, drawn and listed; their text, and their meaning in graphc
truth         value and derivatives up to order 3 in high precision, and in plain floats by the chain rule
judge         digits lost by graphc and by the chain rule, point by point
"""
