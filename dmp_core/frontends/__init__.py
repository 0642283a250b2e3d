"""From networks that were trained elsewhere to networks in reals (`golden.reals`): one module for
each format. None needs Torch but that of Torch's modules.
"""
