"""jax as strict as it gets, on the CPU as four devices; the precision is that of JAX_ENABLE_X64."""

import jax
from hypothesis import settings

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

settings.register_profile("ntklib", derandomize=True, deadline=None, database=None, max_examples=25)
settings.load_profile("ntklib")
