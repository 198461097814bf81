"""The search itself: state machine, loop, and the protocols of optimizers and executors."""
