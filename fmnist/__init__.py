import os

# TensorFlow reads this at its import. On CPUs without AVX-512 it leaves oneDNN off, and its own kernels, built without
# AVX2, train these nets at a third to three quarters of the speed.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
