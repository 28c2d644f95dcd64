"""The oracle: proves or refutes any hand-written backward pass against autodiff."""
