"""What has to be said before the first import of NumPy and SciPy."""

import os

# without it scikit-learn skips its checks of arrays of other libraries
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# the oracle's products are small: threads of BLAS would only wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
