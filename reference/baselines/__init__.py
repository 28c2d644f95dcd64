"""The same networks under jax.grad, with jax.nn and Optax: someone else's forward."""
