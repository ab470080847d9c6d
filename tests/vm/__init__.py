"""A real Lima VM for the tests: limactl, a guest image, and what runs them."""
