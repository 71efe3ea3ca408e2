# Shared by the programs of scripts/; sourced, not run.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
SCRIPTS=$ROOT/scripts
JOBS=${SWITCHYARD_JOBS:-$(nproc)}

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
now() { date +%s; }

# as_root COMMAND...: directly, or through sudo where we are somebody else.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "needs root for: $* (no sudo here)"
  fi
}

# installed NAME: is the Debian package there and whole?
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# configure PRESET [OPTION...]: only runs cmake; ninja does the rest.
configure() {
  local preset=$1; shift
  (cd "$ROOT" && cmake --preset "$preset" "$@") > "$ROOT/build/$preset.configure.log" 2>&1 ||
    { cat "$ROOT/build/$preset.configure.log" >&2; return 1; }
}

# The folder with the reference results (models/, gguf/, ops/, goldens/), if it is here; its parent holds the program that compares.
find_oracle() {
  local folder
  for folder in "${SWITCHYARD_ORACLE:-}" "${SWITCHYARD_ORACLE:-}/data" "$ROOT/../shared/oracle/data" "$ROOT/shared/oracle/data"; do
    if [ -d "$folder/goldens" ]; then (cd "$folder" && pwd); return 0; fi
  done
  return 1
}

# python_with VENV PACKAGE...: makes build/VENV once and installs the packages into it.
python_with() {
  local venv=$ROOT/build/$1 stamp; shift
  stamp=$venv/installed-$(printf '%s\n' "$@" | cksum | cut -d' ' -f1)
  [ -e "$stamp" ] && return 0
  [ -x "$venv/bin/pip" ] || { rm -rf "$venv"; python3 -m venv "$venv" || return 1; }
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" >&2 || return 1
  touch "$stamp"
}
