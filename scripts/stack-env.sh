# Sourced by bench and chaos: a reference stack of our own beside whatever else runs, and how to start the worker on it.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/scripts/cache.sh"
target=${CARGO_TARGET_DIR:-$root/target}
stack="$root/reference/stack"
reference=${STACK_DIR:-$HOME/.cache/walspring-reference}
export STACK_JARS=${STACK_JARS:-$reference}
export STACK_DIR=${STACK_DIR:-$walspring_cache/stack}
export PG_PORT=${PG_PORT:-5515} KAFKA_PORT=${KAFKA_PORT:-9192} CONNECT_PORT=${CONNECT_PORT:-8183}
export PG_DATA=${PG_DATA:-/var/tmp/walspring-stack-pg}
export GROUP_ID=${GROUP_ID:-reference}
mkdir -p "$STACK_DIR"

worker_binary() {
  local binary=${WALSPRING:-$target/release/walspring}
  [ -x "$binary" ] || { echo "There is no program $binary: cargo build --release -p walspring" >&2; exit 1; }
  if ! "$binary" worker --help >/dev/null 2>&1; then echo "$binary has no command \`worker\`" >&2; exit 1; fi
  echo "$binary"
}

# A worker on port $1: the file, WORKER_CMD and WORKER_URL.
use_worker() {
  local binary; binary=$(worker_binary)
  export WORKER_PORT=$1 WORKER_URL=http://127.0.0.1:$1
  "$root/scripts/worker-file" "$STACK_DIR/worker.properties"
  export WORKER_CMD="$binary worker $STACK_DIR/worker.properties"
}
