# Shared by the scripts: where fetched things live, how to speak, how to become root. Sourced, not run.
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=${RETRACE_DEPS:-${XDG_CACHE_HOME:-$HOME/.cache}/retrace}
peers_env=$deps/peers-1
say() { printf '==> %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$1" >&2; [ -z "${2:-}" ] || printf '  hint: %s\n' "$2" >&2; exit "${3:-1}"; }
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null || [ -t 0 ] && command -v sudo >/dev/null; then sudo "$@"
  else die "this step needs root to install Debian packages, and neither root nor sudo is at hand" \
    "run scripts/setup once as root, or have sudo installed"; fi
}
jobs=$(nproc)
