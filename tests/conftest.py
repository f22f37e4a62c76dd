"""What has to be said before the first import of SciPy."""

import os

# without it scikit-learn skips its checks of arrays of other libraries
os.environ.setdefault("SCIPY_ARRAY_API", "1")
