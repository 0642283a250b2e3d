"""`python -m golden.train`: see `golden.train.loop`."""

import torch

from golden.train.loop import main

if __name__ == "__main__":
    torch.set_flush_denormal(True)  # decaying membranes are full of them
    main()
