"""The catalogue: which product events there are, what each carries, who answers for it.

Models and what is generated from them. Receiving and storing events is not here.
"""
