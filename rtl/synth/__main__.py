"""`python -m rtl.synth`: see `rtl.synth.report`."""

from rtl.synth.report import main

if __name__ == "__main__":
    main()
