"""For PyInstaller: the builds of the core, which `native/backend.py` imports by computed names."""

from fastnn.native.backend import modules_present

hiddenimports = modules_present()
