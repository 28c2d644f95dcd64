"""Bug hunts: one real mistake in a network that trains all the same.

network    the network, its places, the data and the optimiser
classes    the eighteen classes of mistakes, how each is planted and where
game       a hunt from its seed, what can be asked, the guess and the reveal
"""
