"""The same model on different clouds: how fast, how reliable, how good, at what price, and how sure are we?"""

__version__ = "0.1.0"
