"""Speed and memory of every rule, loss and network, by hand beside autodiff."""
