# Sourced: where scripts keep what they fetch, the same place as the Rust side's (crates/throwaway-postgres/src/cache.rs)
# for whoever is not root.
walspring_cache=${WALSPRING_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/walspring}
