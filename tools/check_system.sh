# Names what this machine lacks to build fastnn, before anything else can fail less clearly.
PYTHON=${PYTHON:-python3}
missing=

need() { missing="$missing
  - $1 (Debian and Ubuntu: apt-get install $2)"; }

if ! command -v "$PYTHON" >/dev/null 2>&1; then
    need "Python 3.11 or later, as '$PYTHON'" "python3 python3-venv python3-dev"
else
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        need "Python 3.11 or later; '$PYTHON' is $("$PYTHON" -V 2>&1)" "python3"
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || need "Python's venv module" "python3-venv"
    "$PYTHON" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
        need "Python's C headers (Python.h)" "python3-dev"
fi

# CC, or what Python itself was compiled with, is what setuptools will call.
compiler=${CC:-$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_config_var("CC") or "cc")' \
    2>/dev/null)}
compiler=${compiler:-cc}
compiler=${compiler%% *}
compiles() {
    printf '#include <math.h>\nint main(void) { return 0; }\n' |
        "$compiler" "$@" -x c - -o /dev/null 2>/dev/null
}
if ! command -v "$compiler" >/dev/null 2>&1; then
    need "a C compiler, '$compiler' (gcc 12 or later; for clang: make CC=clang)" "gcc"
elif ! compiles; then
    need "the C library's headers (math.h)" "libc6-dev"
elif [ "$(uname -m)" = x86_64 ] && ! compiles -march=x86-64-v4; then
    need "a newer C compiler than '$compiler' (gcc 12 or later; for clang: make CC=clang)" "gcc"
fi

if [ -n "$missing" ]; then
    echo "fastnn cannot be built here yet. Missing:$missing" >&2
    exit 1
fi
