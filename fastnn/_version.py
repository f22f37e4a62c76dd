"""The version, and names of modules and distributions that `setup.py` needs, too."""

__version__ = "0.1.0"


def module_name(isa: str, dtype: str) -> str:
    """Return the name of a build of the core; `_core` itself is the float32 baseline."""
    return "_core" if (isa, dtype) == ("base", "float32") else f"_core_{isa}_{dtype}"


def name_conflict(path: list[str]) -> str | None:
    """Return a message if the folders of `path` hold a distribution "fastnn", otherwise None.

    This project is distributed as "fastnn-cpu". On the Python Package Index "fastnn" is another
    project that installs into a folder of the same name. Only distributions with files in that
    folder count: an editable install of this project under its former name has none.
    """
    from importlib.metadata import distributions

    for found in distributions(name="fastnn", path=path):
        lines = (found.read_text("RECORD") or "").splitlines()
        if any(line.startswith("fastnn/") for line in lines):
            return (
                f"the distribution fastnn {found.version} is another project and writes into the "
                f'same folder: "pip uninstall fastnn fastnn-cpu", then install fastnn-cpu again'
            )
    return None
