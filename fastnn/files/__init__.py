"""Models as files: a description in JSON and arrays by name, in one .npz."""
